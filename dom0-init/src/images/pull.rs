//! Bringing an image from a catalogue.

use std::fs::File;

use ::catalogue::content::Watch;
use ::catalogue::hash::Sha256;
use ::catalogue::manifest::{Artifact, Disk, Image, Manifest};
use anyhow::{Context, anyhow, bail};
use disk_formats::zst;

use super::http::Http;
use super::library::{self, Library, Record};
use super::{Places, catalogue, download};
use crate::host_config::catalogues::Catalogue;

/// The forms that are fetched, the best first.
const FORMATS: [&str; 2] = ["raw.zst", "raw"];

/// What became of a wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pulled {
    /// It is here now.
    Fetched(Record),
    /// The newest was here already.
    UpToDate(Record),
}

/// Brings an image, at a time in seconds of Unix time. `name` is that of an image, or
/// `CATALOGUE/IMAGE` where several have one of that name.
///
/// # Errors
/// When no catalogue has it, what is served must not be believed, or it can't be kept.
pub fn pull(
    http: &Http,
    places: &Places,
    catalogues: &[Catalogue],
    name: &str,
    now: u64,
) -> anyhow::Result<Pulled> {
    let library = Library::open(places)?;
    let (catalogue, manifest, image) = find(http, places, catalogues, name, now)?;
    if let Ok(record) = Library::find(places, &image.name)
        && record.disk == image.disk
    {
        return Ok(Pulled::UpToDate(record));
    }
    let artifact = FORMATS.iter().find_map(|format| image.artifact(format)).ok_or_else(|| {
        anyhow!("{name} is offered in no form that is fetched here ({})", FORMATS.join(", "))
    })?;
    let partial = library.partial(artifact.sha256);
    let there = partial.metadata().map_or(0, |facts| facts.len());
    let missing = artifact.size.saturating_sub(there);
    library::check_room(&places.images, missing, &format!("fetching {name}"))?;
    let url = format!("{}/{}", catalogue.url, artifact.file);
    download::fetch(http, &url, artifact, &partial, &image.name)?;
    let record = Record {
        name: image.name.clone(),
        catalogue: Some(catalogue.name.clone()),
        version: manifest.version,
        disk: image.disk,
        file: format!("{}.{}.img", image.name, image.disk.sha256.short()),
        memory_mib: None,
        vcpus: None,
    };
    let packed = File::open(&partial).with_context(|| partial.display().to_string())?;
    unpack(&library, packed, artifact, &record)?;
    std::fs::remove_file(&partial).with_context(|| partial.display().to_string())?;
    Ok(Pulled::Fetched(record))
}

/// The catalogue that has an image, with its present manifest.
fn find<'a>(
    http: &Http,
    places: &Places,
    catalogues: &'a [Catalogue],
    name: &str,
    now: u64,
) -> anyhow::Result<(&'a Catalogue, Manifest, Image)> {
    let (wanted, name) = match name.split_once('/') {
        Some((catalogue, name)) => (Some(catalogue), name),
        None => (None, name),
    };
    let asked: Vec<&Catalogue> = catalogues
        .iter()
        .filter(|catalogue| wanted.is_none_or(|wanted| wanted == catalogue.name))
        .collect();
    if asked.is_empty() {
        bail!(
            "{}: add (image-catalogue 'URL key=... product=... channel=...') to \
             /data/config/xend-config.sxp",
            match wanted {
                Some(wanted) => format!("there is no catalogue {wanted:?}"),
                None => "this host has no catalogues".to_owned(),
            }
        );
    }
    let (mut known, mut failure) = (Vec::new(), None);
    for catalogue in asked {
        match catalogue::refresh(http, catalogue, places, now) {
            Ok(manifest) => {
                if let Some(image) = manifest.image(name).cloned() {
                    return Ok((catalogue, manifest, image));
                }
                known.extend(manifest.images.into_iter().map(|image| image.name));
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    // It may be in one that can't be asked.
    Err(failure.unwrap_or_else(|| {
        let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
        anyhow!("no catalogue has an image {name:?}: they have {known}")
    }))
}

/// Unpacks a verified file into the library, and verifies the disk in it.
fn unpack(
    library: &Library,
    packed: File,
    artifact: &Artifact,
    record: &Record,
) -> anyhow::Result<()> {
    let Disk { size, sha256 } = record.disk;
    let unfinished = library.unfinished(&record.name, sha256)?;
    let name = || format!("can't unpack {}", record.name);
    let mut watch = Watch::new(size, sha256);
    let mut wrong = None;
    let mut see = |bytes: &[u8]| wrong = watch.add(bytes).err().or(wrong.take());
    if artifact.format == "raw.zst" {
        zst::unpack(packed, &unfinished.file, size, &mut see).with_context(name)?;
    } else {
        copy(packed, &unfinished.file, &mut see).with_context(name)?;
    }
    let verdict = wrong.map_or_else(|| watch.finish(), Err);
    verdict.map_err(|wrong| {
        anyhow!("{}: the disk isn't the announced one: {wrong}; tell its publisher", record.name)
    })?;
    library.enter(unfinished, record)
}

fn copy(from: File, to: &File, see: &mut dyn FnMut(&[u8])) -> std::io::Result<()> {
    use std::io::Read;
    let mut from = from;
    let mut writer = disk_formats::raw::SparseWriter::new(to);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = from.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
            return writer.finish().map(drop);
        };
        see(chunk);
        writer.put(chunk)?;
    }
}

/// The digest of a disk that is being brought in.
pub(super) fn digest(file: &File, size: u64) -> anyhow::Result<Sha256> {
    use std::os::unix::fs::FileExt;
    let mut hasher = ::catalogue::hash::Hasher::default();
    let mut buffer = vec![0; 1 << 18];
    let mut at = 0;
    while at < size {
        let length = usize::try_from(size - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..length).unwrap_or_default();
        file.read_exact_at(part, at)?;
        hasher.update(part);
        at += length as u64;
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::testing::{self, NOW, Reply, Server};
    use super::*;

    struct Case {
        server: Server,
        places: Places,
        _folder: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let places = Places::below(folder.path());
            Self { server: Server::new(), places, _folder: folder }
        }

        fn pull(&self, name: &str) -> Result<Pulled, String> {
            let catalogues = [testing::catalogue(&self.server)];
            let mut http = Http::new();
            http.backoff = std::time::Duration::from_millis(1);
            pull(&http, &self.places, &catalogues, name, NOW).map_err(|error| format!("{error:#}"))
        }

        /// What lies in the folder of images, but for its lock.
        fn files(&self) -> Vec<String> {
            let mut names = Vec::new();
            for folder in [self.places.images.clone(), self.places.images.join(".partial")] {
                let entries = std::fs::read_dir(folder).unwrap();
                names.extend(entries.map(|e| e.unwrap().file_name().into_string().unwrap()));
            }
            names.retain(|name| name != ".lock" && name != ".partial");
            names.sort();
            names
        }
    }

    #[test]
    fn an_image_arrives_sparse_and_verified() {
        let case = Case::new();
        testing::serve_release(&case.server, 1, "one");
        let Ok(Pulled::Fetched(record)) = case.pull("tiny") else { panic!() };
        let path = Library::disk(&case.places, &record);
        assert!(std::fs::read(&path).unwrap() == testing::disk("one").0);
        assert!(path.metadata().unwrap().blocks() * 512 < 100_000);
        assert_eq!(
            case.files(),
            ["tiny.json".to_owned(), record.file.clone()]
                .to_vec()
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
        library::verify(&case.places, &record).unwrap();
        assert_eq!(case.pull("guests/tiny"), Ok(Pulled::UpToDate(record)));

        testing::serve_release(&case.server, 2, "two");
        let Ok(Pulled::Fetched(record)) = case.pull("tiny") else { panic!() };
        assert!(
            std::fs::read(Library::disk(&case.places, &record)).unwrap() == testing::disk("two").0
        );
        assert_eq!(case.files().len(), 2, "the old one is gone");
        let library = Library::open(&case.places).unwrap();
        library.remove(&record).unwrap();
        drop(library);
        assert_eq!(case.files(), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_leaves_the_old_image_and_nothing_else() {
        let case = Case::new();
        testing::serve_release(&case.server, 1, "one");
        case.pull("tiny").unwrap();
        let before = case.files();
        // Another file under the same name; then one that is as announced, but holds another disk.
        testing::serve_release(&case.server, 2, "two");
        case.server.set("/r/tiny.2.img.zst", Reply::Bytes(testing::release(1, "one").1));
        let error = case.pull("tiny").unwrap_err();
        assert!(error.contains("nothing of it is kept"), "{error}");
        assert_eq!(case.files(), before);
        let (mut manifest, _) = testing::release(3, "three");
        let (_, other) = testing::disk("other");
        manifest.images[0].artifacts[0].size = other.len() as u64;
        manifest.images[0].artifacts[0].sha256 = Sha256::of(&other);
        testing::serve_manifest(&case.server, "manifest.json", &manifest, &[0]);
        case.server.set("/r/tiny.3.img.zst", Reply::Bytes(other));
        let error = case.pull("tiny").unwrap_err();
        assert!(error.contains("the disk isn't the announced one"), "{error}");
        // Less than announced, and more: the disk's size counts, too.
        manifest.version = 4;
        manifest.images[0].disk.size = 1000;
        testing::serve_manifest(&case.server, "manifest.json", &manifest, &[0]);
        let error = case.pull("tiny").unwrap_err();
        assert!(error.contains("unpacks to more than 1000 bytes"), "{error}");
        let record = Library::find(&case.places, "tiny").unwrap();
        library::verify(&case.places, &record).unwrap();
    }

    #[test]
    fn a_run_that_was_killed_is_gone_on_with() {
        let case = Case::new();
        testing::serve_release(&case.server, 1, "one");
        let (manifest, packed) = testing::release(1, "one");
        // As a kill leaves it: half a download, half an unpacked disk, and a replaced one.
        let library = Library::open(&case.places).unwrap();
        let partial = library.partial(manifest.images[0].artifacts[0].sha256);
        drop(library);
        std::fs::write(&partial, &packed[..packed.len() / 2]).unwrap();
        for name in [".unfinished-tiny.0123456789abcdef.img", "tiny.0123456789abcdef.img"] {
            std::fs::write(case.places.images.join(name), "half").unwrap();
        }
        case.pull("tiny").unwrap();
        assert_eq!(case.server.ranges("/r/tiny.1.img.zst"), [packed.len() as u64 / 2]);
        assert_eq!(case.files().len(), 2, "{:?}", case.files());
    }

    #[test]
    fn what_nobody_has() {
        let case = Case::new();
        testing::serve_release(&case.server, 1, "one");
        let error = case.pull("huge").unwrap_err();
        assert!(error.contains("no catalogue has an image \"huge\": they have tiny"), "{error}");
        let error = case.pull("other/tiny").unwrap_err();
        assert!(
            error.contains("no catalogue \"other\"") && error.contains("xend-config"),
            "{error}"
        );
        let error = Library::find(&case.places, "tiny").unwrap_err().to_string();
        assert!(error.contains("xm image pull tiny"), "{error}");
    }

    #[test]
    fn damage_on_the_disk_is_noticed() {
        let case = Case::new();
        testing::serve_release(&case.server, 1, "one");
        let Ok(Pulled::Fetched(record)) = case.pull("tiny") else { panic!() };
        let path = Library::disk(&case.places, &record);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[7] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let error = library::verify(&case.places, &record).unwrap_err().to_string();
        assert!(error.contains("tiny is damaged") && error.contains("xm image rm"), "{error}");
    }

    #[test]
    fn room_is_looked_at_first() {
        let folder = tempfile::tempdir().unwrap();
        let error = library::check_room(folder.path(), u64::MAX, "fetching x").unwrap_err();
        assert!(error.to_string().contains("fetching x takes"), "{error}");
        library::check_room(folder.path(), 1, "x").unwrap();
        assert!(library::check_partition(std::path::Path::new("/")).is_err());
    }
}
