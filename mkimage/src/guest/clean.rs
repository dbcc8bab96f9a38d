//! What a configured system holds that no image should: traces of the build, and what must be
//! different on each machine.

use super::tree::{Kind, Tree};
use crate::fs;
use crate::glob::Globs;

/// Left out.
const REMOVED: &[&str] = &[
    // Secrets and identities; see `first_boot`.
    "etc/ssh/ssh_host_*_key*",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "etc/ssl/private/ssl-cert-snakeoil.key",
    "etc/ssl/certs/ssl-cert-snakeoil.pem",
    // Traces of the build.
    "etc/.pwd.lock",
    "etc/resolv.conf",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "root/.bash_history",
    "var/cache/apt/*.bin",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/lib/dpkg/lock*",
    "var/lib/dpkg/triggers/Lock",
    "var/lib/ucf/*.old",
    "var/lib/ucf/*.?",
    "var/log/alternatives.log",
    "var/log/apt/*",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
    "var/log/fontconfig.log",
];

/// Emptied: services want them there.
const EMPTIED: &[&str] = &["var/log/btmp", "var/log/faillog", "var/log/lastlog", "var/log/wtmp"];

/// Folders whose content exists only while a system runs.
const VOLATILE: &[&str] = &["dev/", "proc/", "run/", "sys/", "tmp/", "var/tmp/"];
/// Folders that were something else in the sandbox, with their permissions.
const MOUNTED: &[(&str, u32)] =
    &[("dev", 0o755), ("proc", 0o755), ("run", 0o755), ("sys", 0o755), ("tmp", 0o1777)];

/// Cleans a tree. `strip` are the recipe's own patterns of what to leave out.
///
/// # Errors
/// When a file can't be read.
pub fn clean(tree: &mut Tree, strip: &[String], epoch: u64) -> fs::Result<()> {
    let (removed, strip) = (Globs::new(REMOVED), Globs::new(strip));
    tree.retain(|path, node| {
        let volatile = VOLATILE.iter().any(|folder| path.starts_with(folder));
        // MariaDB's; the flag tells upgrades its version.
        let database = path.starts_with("var/lib/mysql/") && !path.ends_with(".flag");
        let unwanted = removed.matches(path) || strip.matches(path);
        let log = path.starts_with("var/log/") && path.ends_with(".log");
        !(volatile || database || unwanted || log && node.kind != Kind::Folder)
    });
    for (path, mode) in MOUNTED {
        tree.remove(path);
        tree.folder(path, *mode);
    }
    // A system with one kernel has none before it.
    for link in ["vmlinuz", "initrd.img"] {
        let target = |path: &str| tree.get(path).map(|node| node.kind.clone());
        let old = format!("{link}.old");
        if target(&old) == target(link) {
            tree.remove(&old);
        }
    }
    for path in EMPTIED {
        if tree.get(path).is_some() {
            tree.write(path, "");
        }
    }
    // Days of the last change of passwords: that of the build is none of them.
    let today = epoch / 86_400;
    let shadow = tree.text("etc/shadow")?;
    let lines = shadow.lines().map(|line| {
        let mut fields: Vec<&str> = line.split(':').collect();
        let day = today.to_string();
        let later = |field: &&mut &str| field.parse::<u64>().is_ok_and(|day| day > today);
        if let Some(changed) = fields.get_mut(2).filter(later) {
            *changed = &day;
        }
        fields.join(":") + "\n"
    });
    let lines: String = lines.collect();
    tree.write("etc/shadow", lines);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_vanish_and_files_stay() {
        let mut tree = Tree::new(86_400 * 10);
        let kept = ["etc/passwd", "etc/ssh/sshd_config", "var/lib/mysql/debian-11.8.flag"];
        let gone = [
            "etc/passwd-",
            "etc/ssh/ssh_host_rsa_key.pub",
            "var/log/dpkg.log",
            "var/lib/mysql/ibdata1",
            "run/x",
            "usr/share/doc/x",
        ];
        for path in kept.iter().chain(&gone) {
            tree.write(path, "text");
        }
        tree.write("var/log/wtmp", "text");
        for (path, target) in [("vmlinuz", "a"), ("vmlinuz.old", "a"), ("initrd.img.old", "b")] {
            tree.link(path, target);
        }
        tree.write("etc/shadow", "root:*:20000:0:::::\nold:*:3:0:::::\n");
        clean(&mut tree, &["usr/share/doc/*".to_owned()], 86_400 * 10).unwrap();
        for path in kept {
            assert!(tree.get(path).is_some(), "{path}");
        }
        for path in gone {
            assert!(tree.get(path).is_none(), "{path}");
        }
        assert_eq!(tree.text("var/log/wtmp").unwrap(), "");
        assert_eq!(tree.get("tmp").unwrap().mode, 0o1777);
        assert!(tree.get("vmlinuz.old").is_none() && tree.get("initrd.img.old").is_some());
        assert_eq!(tree.text("etc/shadow").unwrap(), "root:*:10:0:::::\nold:*:3:0:::::\n");
    }
}
