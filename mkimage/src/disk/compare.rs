//! What lies where two disk images of an appliance differ: the partition by its table, and in it,
//! where that is FAT, the file.

use super::gpt::SECTOR;
use super::region::Region;
use fatfs::{FileSystem, FsOptions};
use gpt::GptConfig;
use gpt::disk::LogicalBlockSize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Names what is at a byte of two images; `None` when it is in no partition.
pub fn place(one: &Path, two: &Path, byte: u64) -> Option<String> {
    let (name, start, length) = partition(one, byte)?;
    let file = file(one, two, start, length);
    let inside = file.map(|file| format!(", in its file {file}")).unwrap_or_default();
    Some(format!("in the partition {name}{inside}"))
}

/// The partition at a byte: its name, start and length in bytes.
fn partition(image: &Path, byte: u64) -> Option<(String, u64, u64)> {
    let disk = GptConfig::new().writable(false).logical_block_size(LogicalBlockSize::Lb512);
    let disk = disk.open(image).ok()?;
    disk.partitions().values().find_map(|partition| {
        let (first, last) = (partition.first_lba * SECTOR, (partition.last_lba + 1) * SECTOR);
        let there = (first..last).contains(&byte);
        there.then(|| (partition.name.clone(), first, last - first))
    })
}

/// The first file that is different in two file systems at the same place.
fn file(one: &Path, two: &Path, start: u64, length: u64) -> Option<String> {
    let read = |path: &Path| files(Region::new(File::open(path).ok()?, start, length));
    let (one, two) = (read(one)?, read(two)?);
    let differs = |name: &&String| one.get(*name) != two.get(*name);
    one.keys().chain(two.keys()).find(differs).cloned()
}

/// All files of a FAT file system, by path.
fn files(region: Region<File>) -> Option<BTreeMap<String, Vec<u8>>> {
    let system = FileSystem::new(region, FsOptions::new()).ok()?;
    let (mut found, mut open) = (BTreeMap::new(), vec![(system.root_dir(), String::new())]);
    while let Some((folder, below)) = open.pop() {
        for entry in folder.iter() {
            let entry = entry.ok()?;
            let name = entry.file_name();
            if name == "." || name == ".." {
                continue;
            }
            let path = format!("{below}/{name}");
            if entry.is_dir() {
                open.push((entry.to_dir(), path));
            } else {
                let mut bytes = Vec::new();
                entry.to_file().read_to_end(&mut bytes).ok()?;
                found.insert(path, bytes);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::super::content::Source;
    use super::super::fat::{self, Label};
    use super::super::gpt::{self, Partition, Purpose};
    use super::*;

    const SIZE: u64 = 8 << 20;

    /// An image with one file in its second partition.
    fn image(path: &Path, content: &str) -> u64 {
        let partition = |name, purpose, size| Partition { name, purpose, size, guid: [1; 16] };
        let partitions =
            [partition("bios", Purpose::BiosBoot, 1 << 20), partition("esp", Purpose::Esp, SIZE)];
        let (offsets, size) = gpt::place(&partitions);
        let mut file = crate::fs::create(path).unwrap();
        file.set_len(size).unwrap();
        gpt::write(&mut file, size, [2; 16], &[0; 440], &partitions).unwrap();
        let files = vec![("EFI/BOOT.EFI".to_owned(), Source::Bytes(content.into()))];
        let label = Label { name: "ESP", serial: 1 };
        let mut region = Region::new(&file, offsets[1], SIZE);
        fat::write(&mut region, SIZE, label, false, &files).unwrap();
        offsets[1]
    }

    #[test]
    fn differences_have_a_partition_and_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.img"), folder.path().join("two.img"));
        let esp = image(&one, "first");
        image(&two, "other");
        let place = |byte| place(&one, &two, byte);
        assert_eq!(place(esp + 9), Some("in the partition esp, in its file /EFI/BOOT.EFI".into()));
        assert_eq!(place(1 << 20), Some("in the partition bios".into()));
        assert_eq!(place(0), None);
    }
}
