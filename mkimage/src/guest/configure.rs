//! The script that configures a system's packages, inside of its sandbox.

use super::package::Package;
use super::plan::{Plan, Step};
use super::unpack::Owner;
use crate::recipe::{Answer, Guest};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where the sandbox has what only the build needs; never part of an image.
pub const FOLDER: &str = ".mkimage";

/// What all packages are configured with: nobody answers, nothing is started, nothing is waited
/// for on its way to the disk.
const PRELUDE: &str = r#"
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true DEBIAN_PRIORITY=critical
export INITRD=No SYSTEMD_OFFLINE=1
exec </dev/null 3>&1 1>&2
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
dpkg="dpkg --force-unsafe-io --force-confdef --force-confold"
"#;

/// Programs that do nothing while packages are configured: some are run again and again, though the
/// last time is the one that counts; others make what each machine makes at its first boot, and no
/// image keeps.
const IDLE: &str = r#"
idle='/usr/sbin/update-ca-certificates /usr/bin/ssh-keygen /usr/bin/mariadb-install-db'
for program in /usr/sbin/depmod $idle; do
    if [ -e $program ]; then
        mv $program /.mkimage/
        printf '#!/bin/sh\n' >$program
        chmod 755 $program
    fi
done
busy_again() {
    for program; do
        parked=/.mkimage/${program##*/}
        if [ -h $parked ] || [ -e $parked ]; then mv $parked $program; fi
    done
}
"#;

const BUSY_AGAIN: &str = r#"
busy_again /usr/sbin/depmod $idle
if [ -e /usr/sbin/update-ca-certificates ]; then update-ca-certificates; fi
"#;

/// Each kernel's modules are listed and its initramfs made once; what packages ask for meanwhile
/// counts for nothing.
const INITRAMFS: &str = r"
initramfs=/etc/initramfs-tools/update-initramfs.conf
if [ -e $initramfs ]; then
    cp -p $initramfs /.mkimage/update-initramfs.conf
    echo update_initramfs=no >$initramfs
fi
make_initramfs() {
    unset INITRD
    for image in /boot/vmlinuz-*; do
        version=${image#/boot/vmlinuz-}
        if [ -e $image ]; then depmod $version; fi
        if [ -e $image ] && [ -e $initramfs ]; then
            update-initramfs -c -k $version
            # Names it /initrd.img, as the kernel's own scripts would have.
            linux-update-symlinks install $version $image
        fi
    done
}
";

const INITRAMFS_DONE: &str = r"
if [ -e $initramfs ]; then cp -p /.mkimage/update-initramfs.conf $initramfs; fi
";

/// What remains is the system: everything, with its owners, in an order that is always the same.
const PACK: &str = r"
rm /usr/sbin/policy-rc.d
exec tar --create --numeric-owner --sort=name --one-file-system --format=posix \
    --pax-option=delete=atime,delete=ctime --xattrs --xattrs-include=security.capability \
    --warning=no-file-ignored --exclude=./.mkimage --directory=/ . >&3
";

/// Composes the script.
pub fn script(
    packages: &[Package],
    plan: &Plan,
    owners: &[Owner],
    guest: &Guest,
    epoch: u64,
) -> String {
    let mut text = format!("export SOURCE_DATE_EPOCH={epoch}\n");
    text += &own(owners);
    text += PRELUDE;
    let mut named = false;
    for step in &plan.steps {
        let (verb, all) = match step {
            Step::Bootstrap(all) => ("--force-depends --unpack", all),
            Step::Unpack(all) => ("--unpack", all),
            Step::Configure(all) => ("--configure", all),
        };
        let chosen = all.iter().filter_map(|at| Some((at, packages.get(*at)?)));
        let words: Vec<String> = chosen
            .map(|(at, package)| match step {
                Step::Configure(_) => package.name.clone(),
                _ => deb(*at),
            })
            .collect();
        // Writing to a string can't fail.
        let _ = writeln!(text, "$dpkg {verb} {}", words.join(" "));
        if matches!(step, Step::Configure(_)) && !named {
            // From here on there are a shell, a database of questions, and no initramfs yet.
            text += &answers(&guest.debconf);
            named = true;
        }
    }
    text += INITRAMFS;
    text += &initramfs_modules(&guest.initramfs.modules);
    text += IDLE;
    // A hook may change what is in the initramfs.
    let beside = guest.hooks.is_empty() && !plan.initramfs.is_empty();
    if beside {
        let names = plan.initramfs.iter().filter_map(|at| packages.get(*at));
        let names: Vec<&str> = names.map(|package| package.name.as_str()).collect();
        let _ = writeln!(text, "$dpkg --configure {}", names.join(" "));
        text += "busy_again /usr/sbin/depmod\nmake_initramfs & making=$!\n";
    }
    text += "$dpkg --configure --pending\n";
    text += BUSY_AGAIN;
    for hook in &guest.hooks {
        let words: Vec<String> = hook.run.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(text, "{}", words.join(" "));
    }
    text += if beside { "wait $making\n" } else { "make_initramfs\n" };
    text += INITRAMFS_DONE;
    text + PACK
}

/// Where the sandbox finds a package.
pub fn deb(number: usize) -> String {
    format!("/{FOLDER}/{number}.deb")
}

/// A word of a shell script.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Gives files to their owners: as many as possible at once.
fn own(owners: &[Owner]) -> String {
    let mut groups: BTreeMap<(u64, u64, u32), Vec<String>> = BTreeMap::new();
    for owner in owners {
        let attributes = (owner.uid, owner.gid, owner.mode);
        groups.entry(attributes).or_default().push(quoted(&owner.path));
    }
    let mut text = String::new();
    for ((uid, gid, mode), paths) in groups {
        for some in paths.chunks(100) {
            let paths = some.join(" ");
            let _ = writeln!(text, "chown --no-dereference {uid}:{gid} {paths}");
            let _ = writeln!(text, "chmod {mode:o} {paths}");
        }
    }
    text
}

/// Answers to questions that packages ask.
fn answers(answers: &BTreeMap<String, Answer>) -> String {
    let mut text = String::new();
    for (question, answer) in answers {
        let (kind, value) = match answer {
            Answer::Bool(value) => ("boolean", value.to_string()),
            Answer::Text(value) => ("string", value.clone()),
        };
        let package = question.split('/').next().unwrap_or_default();
        let line = format!("{package} {question} {kind} {value}");
        let _ = writeln!(text, "echo {} | debconf-set-selections", quoted(&line));
    }
    text
}

fn initramfs_modules(modules: &[String]) -> String {
    if modules.is_empty() {
        return String::new();
    }
    format!(
        "mkdir -p /etc/initramfs-tools/conf.d\n\
         echo MODULES=list >/etc/initramfs-tools/conf.d/mkimage\n\
         printf '%s\\n' {} >>/etc/initramfs-tools/modules\n",
        modules.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_scripts() {
        assert_eq!(quoted("it's"), r"'it'\''s'");
        let owner = |path: &str, gid| Owner { path: path.to_owned(), uid: 0, gid, mode: 0o2755 };
        assert_eq!(
            own(&[owner("/a b", 42), owner("/c", 42), owner("/d", 8)]),
            "chown --no-dereference 0:8 '/d'\nchmod 2755 '/d'\n\
             chown --no-dereference 0:42 '/a b' '/c'\nchmod 2755 '/a b' '/c'\n"
        );
        let all = BTreeMap::from([
            ("a/b".to_owned(), Answer::Bool(true)),
            ("c/d".to_owned(), Answer::Text("x'y".to_owned())),
        ]);
        assert_eq!(
            answers(&all),
            "echo 'a a/b boolean true' | debconf-set-selections\n\
             echo 'c c/d string x'\\''y' | debconf-set-selections\n"
        );
    }
}
