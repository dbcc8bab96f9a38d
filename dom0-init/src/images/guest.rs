//! A guest from an image: its disk, its metadata and its config.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use catalogue::names;
use disk_formats::raw::{self, Raw};

use super::library::{Library, Record};
use super::seed::Metadata;
use super::{Places, Unfinished};
use crate::storage::table::{self, SectorSize};

/// Memory of a guest whose image doesn't say what it needs, in MiB.
const MEMORY_MIB: u64 = 512;

/// A guest to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its name.
    pub name: String,
    /// Its disk's size in bytes; the image's unless given.
    pub disk_bytes: Option<u64>,
    /// Its memory in MiB.
    pub memory_mib: Option<u64>,
    /// Its vCPUs.
    pub vcpus: Option<u32>,
    /// Its network interface, as configs have it.
    pub vif: String,
    /// What it is told.
    pub metadata: Metadata,
}

/// Makes a guest's files; returns its config's path, which is written last.
///
/// # Errors
/// When something of that name is there, the wish makes no sense, or the disk is full; nothing of
/// it is left then.
pub fn make(places: &Places, record: &Record, wish: &Wish) -> anyhow::Result<PathBuf> {
    ensure!(
        names::is_image_name(&wish.name),
        "{:?} can't be a guest's name here: use lower-case letters, digits, `-`, `.` and `_`",
        wish.name
    );
    let _alone = Library::open(places)?;
    for folder in [&places.disks, &places.configs] {
        super::sweep(folder);
    }
    let disk = places.disks.join(format!("{}.img", wish.name));
    let seed = places.disks.join(format!("{}.seed.img", wish.name));
    let config = places.configs.join(format!("{}.cfg", wish.name));
    for path in [&config, &disk, &seed] {
        ensure!(
            !path.exists(),
            "{} is there already: choose another name, or remove it if nothing needs it",
            path.display()
        );
    }
    let new_disk = copy(&Library::disk(places, record), &disk, wish.disk_bytes)?;
    let mut new_seed = Unfinished::create(&seed)?;
    new_seed.file.write_all(&wish.metadata.disk()?).with_context(|| seed.display().to_string())?;
    let mut new_config = Unfinished::create(&config)?;
    let text = config_text(record, wish, &disk, &seed)?;
    new_config.file.write_all(text.as_bytes()).with_context(|| config.display().to_string())?;
    // The config last: what it names is there.
    let done =
        new_disk.finish().and_then(|()| new_seed.finish()).and_then(|()| new_config.finish());
    done.inspect_err(|_error| {
        for path in [&config, &seed, &disk] {
            let _gone = std::fs::remove_file(path);
        }
    })?;
    Ok(config)
}

/// Copies an image, sparse, and grows it with its last partition.
fn copy(image: &Path, target: &Path, bytes: Option<u64>) -> anyhow::Result<Unfinished> {
    let name = || format!("can't write {}", target.display());
    let file = File::open(image).with_context(|| image.display().to_string())?;
    let mut disk = Raw::open(file).with_context(|| image.display().to_string())?;
    let unfinished = Unfinished::create(target)?;
    raw::write(&mut disk, &unfinished.file).with_context(name)?;
    let has = unfinished.file.metadata().with_context(name)?.len();
    let Some(bytes) = bytes else { return Ok(unfinished) };
    if bytes < has {
        bail!("a disk of {bytes} bytes is smaller than the image, which has {has}");
    }
    unfinished.file.set_len(bytes.next_multiple_of(512)).with_context(name)?;
    grow_last_partition(&unfinished.file)?;
    Ok(unfinished)
}

/// Grows the last partition of a disk that has a partition table; its file system is the guest's.
fn grow_last_partition(disk: &File) -> anyhow::Result<()> {
    let sectors = disk.metadata()?.len() / 512;
    let device = || disk.try_clone().context("the guest's disk");
    // Images of bare file systems have none.
    let Ok(found) = table::read(device()?, SectorSize::Lb512) else { return Ok(()) };
    let last = found.partitions.iter().find(|p| found.growth(p.number, sectors).is_some());
    if let Some(last) = last {
        table::grow(device()?, SectorSize::Lb512, last.number)
            .context("can't grow the last partition")?;
    }
    Ok(())
}

fn config_text(record: &Record, wish: &Wish, disk: &Path, seed: &Path) -> anyhow::Result<String> {
    ensure!(
        !wish.vif.contains(['\'', '\n', '\\']),
        "{:?} can't be a network interface: write for example bridge=natbr0",
        wish.vif
    );
    let from = match &record.catalogue {
        Some(catalogue) => format!("{} of {catalogue}, release {}", record.name, record.version),
        None => record.name.clone(),
    };
    let memory = wish.memory_mib.or(record.memory_mib).unwrap_or(MEMORY_MIB);
    let vcpus = wish.vcpus.or(record.vcpus).unwrap_or(1);
    let (name, vif) = (&wish.name, &wish.vif);
    let (disk, seed) = (disk.display(), seed.display());
    Ok(format!(
        "# Made by `xm image create` from {from}.\nname = '{name}'\nbootloader = 'pvgrub'\n\
         memory = {memory}\nvcpus = {vcpus}\n\
         disk = ['file:{disk},xvda,w', 'file:{seed},xvdb,r']\nvif = ['{vif}']\n"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use catalogue::hash::Sha256;
    use catalogue::manifest::Disk;

    use super::*;

    fn places() -> (tempfile::TempDir, Places, Record) {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(folder.path());
        std::fs::create_dir_all(&places.images).unwrap();
        let file = File::create(places.images.join("tiny.img")).unwrap();
        file.set_len(4 << 20).unwrap();
        file.write_all_at(b"content", 1 << 20).unwrap();
        let record = Record {
            name: "tiny".into(),
            catalogue: Some("guests".into()),
            version: 3,
            disk: Disk { size: 4 << 20, sha256: Sha256::of(b"") },
            file: "tiny.img".into(),
            memory_mib: None,
            vcpus: Some(2),
        };
        (folder, places, record)
    }

    fn wish() -> Wish {
        Wish {
            name: "web".into(),
            disk_bytes: Some(10 << 20),
            memory_mib: None,
            vcpus: None,
            vif: "bridge=natbr0".into(),
            metadata: Metadata {
                instance: "i".into(),
                hostname: "web".into(),
                ssh_keys: Vec::new(),
                user_data: None,
            },
        }
    }

    #[test]
    fn a_guest_has_a_larger_copy_and_a_config_that_is_understood() {
        let (_folder, places, record) = places();
        let config = make(&places, &record, &wish()).unwrap();
        let disk = std::fs::read(places.disks.join("web.img")).unwrap();
        assert_eq!((disk.len(), &disk[1 << 20..][..7]), (10 << 20, &b"content"[..]));
        let text = std::fs::read_to_string(config).unwrap();
        let (guest, notes) = toolstack::config::read("web.cfg", &text, &[]).unwrap();
        assert!(notes.is_empty(), "{text}");
        assert_eq!((guest.name.as_str(), guest.max_vcpus, guest.disks.len()), ("web", 2, 2));
        assert!(!guest.disks[1].writable, "the metadata is read-only");
    }

    #[test]
    fn refusals_leave_nothing() {
        let (_folder, places, record) = places();
        let refused = |wish: Wish, words: &str| {
            let error = format!("{:#}", make(&places, &record, &wish).unwrap_err());
            assert!(error.contains(words), "{words}: {error}");
            let left = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
            assert_eq!(left(&places.disks) + left(&places.configs), 0, "{words}");
        };
        refused(Wish { name: "../web".into(), ..wish() }, "can't be a guest's name");
        refused(Wish { disk_bytes: Some(1 << 20), ..wish() }, "smaller than the image");
        refused(Wish { vif: "a'b".into(), ..wish() }, "network interface");
        make(&places, &record, &wish()).unwrap();
        let error = make(&places, &record, &wish()).unwrap_err().to_string();
        assert!(error.contains("web.cfg is there already"), "{error}");
    }
}
