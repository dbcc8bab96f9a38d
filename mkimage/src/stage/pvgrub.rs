//! GRUB as the kernel of guests that boot from their own disks: its build for PVH containers, with
//! a configuration inside that looks for the guest's.

use crate::error::Error;
use crate::fs;
use crate::tools::{self, Tools};
use std::path::Path;

/// Where the control domain keeps it, in the initramfs.
pub const PLACE: &str = "usr/lib/xenolith/pvgrub";

const FORMAT: &str = "i386-xen_pvh";

/// What guests' configurations use and their disks are made of. What a guest has no use for, such
/// as video, is left out, so that configurations that try it go on with text.
const MODULES: &[&str] = &[
    "btrfs",
    "cat",
    "configfile",
    "cryptodisk",
    "diskfilter",
    "echo",
    "elf",
    "ext2",
    "fat",
    "gzio",
    "halt",
    "help",
    "iso9660",
    "keystatus",
    "legacycfg",
    "linux",
    "loadenv",
    "loopback",
    "ls",
    "lvm",
    "lzopio",
    "mdraid09",
    "mdraid1x",
    "memdisk",
    "minicmd",
    "normal",
    "part_gpt",
    "part_msdos",
    "probe",
    "read",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "search_fs_uuid",
    "search_label",
    "sleep",
    "squash4",
    "tar",
    "terminal",
    "test",
    "true",
    "xfs",
    "xzio",
    "zstd",
];

/// Looks where distributions keep GRUB's configuration, then where the tutorials of old did.
const CONFIG: &str = r#"
set timeout=5
for config in /boot/grub/grub.cfg /grub/grub.cfg /boot/grub2/grub.cfg /grub2/grub.cfg; do
  if search --set=root --file $config; then
    configfile $config
  fi
done
for config in /boot/grub/menu.lst /grub/menu.lst /boot/grub/grub.conf /grub/grub.conf; do
  if search --set=root --file $config; then
    legacy_configfile $config
  fi
done
echo "No disk of this guest has a /boot/grub/grub.cfg: install GRUB's configuration in it,"
echo "or give kernel= and ramdisk= in its config. What GRUB sees:"
ls
sleep 10
halt
"#;

/// Builds it.
///
/// # Errors
/// When grub-mkimage fails.
pub fn build(tools: &Tools, scratch: &Path) -> Result<Vec<u8>, Error> {
    let (disk, output) = (scratch.join("pvgrub.tar"), scratch.join("pvgrub"));
    fs::write(&disk, memory_disk()?)?;
    let mut command = tools.command("grub-mkimage")?;
    command.arg("-d").arg(tools.file(&format!("usr/lib/grub/{FORMAT}"))?);
    // The configuration is not where this one looks for the guest's, or it would find itself. That
    // is said after `-m`, which has an own opinion.
    command.args(["-O", FORMAT, "-m"]).arg(&disk).args(["-p", "(memdisk)/"]);
    command.arg("-o").arg(&output).args(MODULES);
    tools::run(&mut command, "grub-mkimage")?;
    Ok(fs::read(&output)?)
}

/// The disk inside: an archive with the configuration.
fn memory_disk() -> Result<Vec<u8>, Error> {
    let mut header = tar::Header::new_ustar();
    header.set_size(CONFIG.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::new());
    let packed = archive.append_data(&mut header, "grub.cfg", CONFIG.as_bytes());
    let packed = packed.and_then(|()| archive.into_inner());
    packed.map_err(|error| Error::Image(format!("the disk inside of pvgrub: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_inside_is_the_same_each_time() {
        let disk = memory_disk().unwrap();
        assert_eq!(disk, memory_disk().unwrap());
        assert!(disk.starts_with(b"grub.cfg\0"));
    }
}
