//! Images from files and to files, in the forms of other hypervisors.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use catalogue::manifest::Disk as Content;
use catalogue::names;
use disk_formats::convert::{self, Format, Labels};
use disk_formats::ova::Ova;
use disk_formats::raw::{self, Raw};

use super::library::{self, Library, Record};
use super::{Places, Unfinished, pull};

/// Brings a file into the library: raw, compressed by zstd, qcow2, VMDK, VHD or OVA.
///
/// # Errors
/// When it can't be read or kept, or the name is taken.
pub fn import(places: &Places, source: &Path, name: &str) -> anyhow::Result<Record> {
    ensure!(
        names::is_image_name(name),
        "{name:?} can't be an image's name: use lower-case letters, digits, `-`, `.` and `_`, and \
         give one with --name"
    );
    let library = Library::open(places)?;
    ensure!(
        Library::find(places, name).is_err(),
        "there is an image {name} already: `xm image rm {name}` first, or give another --name"
    );
    let shown = || source.display().to_string();
    let (memory_mib, vcpus) = hardware(source)?;
    let file = File::open(source).with_context(shown)?;
    let room = rustix::fs::statvfs(&places.images).with_context(shown)?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let scratch = || {
        let unfinished = Unfinished::create(&places.images.join("import"));
        unfinished.map_err(std::io::Error::other).and_then(|unfinished| unfinished.file.try_clone())
    };
    let mut disk = convert::open(file, free.saturating_mul(16), &scratch).with_context(shown)?;
    let size = disk.size();
    ensure!(
        size > 0 && size.is_multiple_of(512),
        "{}: a disk has whole sectors, and this one {size} bytes",
        shown()
    );
    // What it is called depends on its content, which is known in the end.
    let mut unfinished = Unfinished::create(&places.images.join(format!("{name}.img")))?;
    raw::write(&mut *disk, &unfinished.file).with_context(shown)?;
    let sha256 = pull::digest(&unfinished.file, size).with_context(shown)?;
    let file = format!("{name}.{}.img", sha256.short());
    unfinished.target = places.images.join(&file);
    let record = Record {
        name: name.to_owned(),
        catalogue: None,
        version: 0,
        disk: Content { size, sha256 },
        file,
        memory_mib,
        vcpus,
    };
    library.enter(unfinished, &record)?;
    Ok(record)
}

/// What an OVA says that its machine has.
fn hardware(source: &Path) -> anyhow::Result<(Option<u64>, Option<u32>)> {
    let shown = || source.display().to_string();
    let file = File::open(source).with_context(shown)?;
    if convert::detect(&file).with_context(shown)? != Format::Ova {
        return Ok((None, None));
    }
    let machine = Ova::open(file).with_context(shown)?.machine;
    let memory = Some(machine.memory_mib).filter(|memory| *memory > 0);
    Ok((memory, Some(machine.vcpus)))
}

/// Writes an image to a file that doesn't exist yet.
///
/// # Errors
/// When it can't be read or written.
pub fn export(
    places: &Places,
    record: &Record,
    format: Format,
    target: &Path,
) -> anyhow::Result<()> {
    let shown = || target.display().to_string();
    ensure!(!target.exists(), "{} is there already: name another file", target.display());
    let path = Library::disk(places, record);
    let file = File::open(&path).with_context(|| path.display().to_string())?;
    let mut disk = Raw::open(file)?;
    let mut labels = Labels::of(&mut disk, &record.name, 0)?;
    labels.memory_mib = record.memory_mib.unwrap_or(labels.memory_mib);
    labels.vcpus = record.vcpus.unwrap_or(labels.vcpus);
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if let Ok(facts) = std::fs::metadata(&path) {
        use std::os::unix::fs::MetadataExt;
        library::check_room(folder, facts.blocks() * 512, "the file").or_else(|error| {
            // Compressed ones are smaller, and it isn't known by how much.
            if matches!(format, Format::Vmdk | Format::Ova) { Ok(()) } else { Err(error) }
        })?;
    }
    let mut unfinished = Unfinished::create(target)?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let scratch = || {
        let beside = Unfinished::create(&folder.join("export"));
        beside.map_err(std::io::Error::other).and_then(|beside| beside.file.try_clone())
    };
    convert::write(&mut disk, format, &mut unfinished.file, &name, &labels, &scratch)
        .with_context(shown)?;
    unfinished.finish()
}

/// The form that a file's name asks for.
///
/// # Errors
/// When it asks for none.
pub fn format_of(target: &Path) -> anyhow::Result<Format> {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let ends = |format: &Format| name.ends_with(&format!(".{}", format.extension()));
    let writable = Format::ALL.into_iter().filter(|format| *format != Format::RawZst);
    let mut found = writable.clone().filter(ends);
    found.next().ok_or_else(|| {
        let names: Vec<&str> = writable.map(Format::name).collect();
        anyhow!("{}: say the form with --format: {}", target.display(), names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn images_go_out_and_come_back_in_every_form() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(&folder.path().join("data"));
        let at = |name: &str| folder.path().join(name);
        let file = File::create(at("own.img")).unwrap();
        file.set_len(8 << 20).unwrap();
        file.write_all_at(b"content", 3 << 20).unwrap();
        let first = import(&places, &at("own.img"), "own").unwrap();
        assert!(
            import(&places, &at("own.img"), "own").unwrap_err().to_string().contains("already")
        );
        for (number, name) in
            ["a.qcow2", "a.vmdk", "a.vhd", "a.ova", "a.img"].into_iter().enumerate()
        {
            export(&places, &first, format_of(&at(name)).unwrap(), &at(name)).unwrap();
            let back = import(&places, &at(name), &format!("back-{number}")).unwrap();
            assert_eq!(back.disk, first.disk, "{name}");
            library::verify(&places, &back).unwrap();
            assert_eq!(back.memory_mib.is_some(), name == "a.ova");
        }
        assert!(export(&places, &first, Format::Raw, &at("a.img")).is_err(), "never overwritten");
        assert!(format_of(&at("a.xyz")).unwrap_err().to_string().contains("qcow2"));
        let left = std::fs::read_dir(folder.path()).unwrap().flatten();
        assert!(left.into_iter().all(|e| !e.file_name().to_string_lossy().starts_with('.')));
    }

    #[test]
    fn damaged_files_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let places = Places::below(&folder.path().join("data"));
        let bad = folder.path().join("bad.qcow2");
        std::fs::write(&bad, b"QFI\xfb\0\0\0\x03").unwrap();
        let error = format!("{:#}", import(&places, &bad, "bad").unwrap_err());
        assert!(error.contains("bad.qcow2"), "{error}");
        assert!(import(&places, &bad, "Bad Name").is_err());
        assert!(Library::records(&places).is_empty());
    }
}
