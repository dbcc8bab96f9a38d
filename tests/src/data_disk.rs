//! A disk with a data partition that holds files from the beginning.

use mkimage::disk::gpt::{self, Partition, Purpose};
use mkimage::tools::{self, Tools};
use std::fs::File;
use std::path::Path;

/// The partition's own GUID, before it is made one.
const GUID: [u8; 16] = [0xda; 16];

/// The kernel's argument that names the partition.
pub fn kernel_argument() -> String {
    format!("xenolith.data=PARTUUID={}", gpt::random_uuid(GUID))
}

/// Copies a file from a disk that [`write()`] wrote.
///
/// # Panics
/// When it isn't there.
pub fn take(tools: &Tools, disk: &Path, path: &str, to: &Path) {
    let partition = Partition { name: "", purpose: Purpose::Linux, size: 1 << 20, guid: GUID };
    let (offsets, _size) = gpt::place(&[partition]);
    let offset = offsets.first().copied().expect("a partition");
    let mut debugfs = tools.command("debugfs").unwrap_or_else(|error| panic!("{error}"));
    debugfs.args(["-R", &format!("dump {path} {}", to.display())]);
    debugfs.arg(format!("{}?offset={offset}", disk.display()));
    // It may exist already, and debugfs succeeds in any case.
    let _old = std::fs::remove_file(to);
    tools::run(&mut debugfs, "debugfs").unwrap_or_else(|error| panic!("{error}"));
    assert!(to.is_file(), "{path} isn't on {}", disk.display());
}

/// Writes a disk with one partition of so many MiB, an ext4 file system with what is in `tree`.
pub fn write(tools: &Tools, path: &Path, tree: &Path, mebibytes: u32) {
    let bytes = u64::from(mebibytes) << 20;
    let partition =
        Partition { name: "xenolith-data", purpose: Purpose::Linux, size: bytes, guid: GUID };
    let partitions = [partition];
    let (offsets, size) = gpt::place(&partitions);
    let offset = offsets.first().copied().expect("a partition");
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(path);
    let file = file.as_mut().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.set_len(size).expect("room for a disk");
    gpt::write(file, size, [0xdb; 16], &[0; 440], &partitions).expect("the partition table");
    let mut mke2fs = tools.command("mke2fs").unwrap_or_else(|error| panic!("{error}"));
    mke2fs.args(["-q", "-F", "-t", "ext4", "-E"]);
    mke2fs.arg(format!("offset={offset},root_owner=0:0"));
    mke2fs.arg("-d").arg(tree).arg(path).arg(format!("{}k", bytes >> 10));
    tools::run(&mut mke2fs, "mke2fs").unwrap_or_else(|error| panic!("{error}"));
}
