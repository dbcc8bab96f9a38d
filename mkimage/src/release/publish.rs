//! Writing a release folder.
//!
//! Files are named by their content, so those of the last release stay valid for whoever is
//! fetching them; the manifest replaces the last one when everything that it names is there, and
//! what neither of the two names is removed. Images whose content is published already aren't
//! written again.

use super::channel::Channel;
use super::keys::Signer;
use super::{Error, bills, virt_builder};
use crate::formats::{self, Format};
use crate::fs::{self, Context};
use crate::hash::{Hasher, Sha256};
use crate::progress;
use crate::scratch::Scratch;
use catalogue::manifest::{self, Artifact, Image, Manifest};
use catalogue::names;
use disk_formats::Disk;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DAY: u64 = 24 * 3600;

/// An image to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the release.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// The image, in any form that is read.
    pub path: PathBuf,
    /// Its bill of materials, as [`bills::beside`] finds it.
    pub bill: Vec<PathBuf>,
}

/// What to publish.
#[derive(Debug)]
pub struct Request<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// New and changed images.
    pub images: Vec<Source>,
    /// Images of the last release that aren't in this one.
    pub remove: Vec<String>,
    /// The version; one more than the last one's unless given.
    pub version: Option<u64>,
    /// The time, in seconds of Unix time.
    pub now: u64,
    /// The folder.
    pub folder: &'a Path,
}

/// Publishes; returns the manifest.
///
/// # Errors
/// See [`Error`]; the folder then offers what it offered before.
pub fn publish(request: &Request<'_>, signers: &[Signer]) -> Result<Manifest, Error> {
    let (channel, folder) = (request.channel, request.folder);
    fs::create_dir(folder)?;
    let last = last_release(folder)?;
    let mut images = Vec::new();
    if let Some(last) = &last {
        check_same(channel, last)?;
        let stays = |image: &&Image| {
            let replaced = request.images.iter().any(|source| source.name == image.name);
            !replaced && !request.remove.contains(&image.name)
        };
        images.extend(last.images.iter().filter(stays).cloned());
    }
    for source in &request.images {
        images.push(add(source, channel, folder, last.as_ref())?);
    }
    images.sort_by(|a, b| a.name.cmp(&b.name));
    let seen = last.as_ref().map_or(0, |last| last.version);
    let version = request.version.unwrap_or(seen + 1);
    if version <= seen {
        return Err(Error::Refused(format!(
            "version {version} isn't above {seen}, which was published: hosts would refuse it"
        )));
    }
    let expected = channel.expected.clone();
    let manifest = Manifest {
        format: manifest::FORMAT,
        product: expected.product,
        channel: expected.channel,
        arch: expected.arch,
        version,
        minimum_version: channel.minimum_version,
        created: request.now,
        expires: request.now.saturating_add(channel.expires_days.saturating_mul(DAY)),
        keys: channel.keys.clone(),
        images,
    };
    manifest.check().map_err(Error::Refused)?;
    sign_and_write(&manifest, last.as_ref(), signers, folder)?;
    tidy(folder, &manifest, last.as_ref())?;
    Ok(manifest)
}

/// The release that a folder holds.
fn last_release(folder: &Path) -> Result<Option<Manifest>, Error> {
    let path = folder.join(names::MANIFEST);
    if !path.exists() {
        return Ok(None);
    }
    let parsed = Manifest::parse(&fs::read(&path)?);
    parsed.map(Some).map_err(|reason| Error::Wrong { path, reason })
}

/// Whether a channel may follow what a folder holds.
fn check_same(channel: &Channel, last: &Manifest) -> Result<(), Error> {
    let expected = &channel.expected;
    if (&expected.product, &expected.channel, &expected.arch)
        != (&last.product, &last.channel, &last.arch)
    {
        return Err(Error::Refused(format!(
            "the folder holds {} {} {}: use another one",
            last.product, last.channel, last.arch
        )));
    }
    let (new, old) = (&channel.keys, &last.keys);
    if new != old && new.generation != old.generation + 1 {
        return Err(Error::Refused(format!(
            "the channel's keys have changed: make their generation {} in {}",
            old.generation + 1,
            channel.path.display()
        )));
    }
    Ok(())
}

/// Puts an image into the folder in all forms of the channel.
fn add(
    source: &Source,
    channel: &Channel,
    folder: &Path,
    last: Option<&Manifest>,
) -> Result<Image, Error> {
    if !names::is_image_name(&source.name) {
        return Err(Error::Refused(format!(
            "`{}` is no name of an image: use lower-case letters, digits, `-`, `.` and `_`",
            source.name
        )));
    }
    let mut disk = formats::open(&source.path)?;
    let content = manifest::Disk { size: disk.size(), sha256: digest(&mut *disk, &source.path)? };
    let known = last.and_then(|last| last.image(&source.name)).filter(|i| i.disk == content);
    let mut artifacts = Vec::new();
    for format in &channel.formats {
        let sum = content.sha256.short();
        let file = format!("{}.{sum}.{}", source.name, format.extension());
        let path = folder.join(&file);
        let present = known.and_then(|image| image.artifact(format.name()));
        let present = present.filter(|artifact| artifact.file == file);
        if let Some(artifact) = present
            && Sha256::of_file(&path).is_ok_and(|found| found == (artifact.size, artifact.sha256))
        {
            artifacts.push(artifact.clone());
            continue;
        }
        let labels = formats::labels(&mut *disk, &source.path, &source.name, 0)?;
        formats::write(&mut *disk, *format, &path, &labels)?;
        let (size, sha256) = Sha256::of_file(&path).at("read", &path)?;
        artifacts.push(Artifact { format: format.name().to_owned(), file, size, sha256 });
    }
    artifacts.extend(bills::add(&source.bill, &source.name, folder)?);
    let (name, title) = (source.name.clone(), source.title.clone());
    Ok(Image { name, title, disk: content, artifacts })
}

/// The digest of all of a disk's bytes.
fn digest(disk: &mut dyn Disk, path: &Path) -> Result<Sha256, Error> {
    let step = progress::Step::bytes("reading the image", disk.size());
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < disk.size() {
        let length = usize::try_from(disk.size() - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..length).unwrap_or_default();
        disk.read_at(at, part).map_err(|source| {
            Error::Image(formats::Error::Image { path: path.to_owned(), source })
        })?;
        hasher.update(part);
        at += length as u64;
        step.advance(i64::try_from(length).unwrap_or(0));
    }
    Ok(hasher.finish())
}

/// A file that appears with the release: its name and its text.
type Text = (String, String);

fn sign_and_write(
    manifest: &Manifest,
    last: Option<&Manifest>,
    signers: &[Signer],
    folder: &Path,
) -> Result<(), Error> {
    let text = manifest.to_text();
    let signed = signed(names::MANIFEST, &text, manifest, signers)?;
    let signatures: Vec<&str> = signed.iter().map(|(_, text)| text.as_str()).collect();
    for keys in [Some(&manifest.keys), last.map(|last| &last.keys)].into_iter().flatten() {
        let (found, needed) = (keys.signers(text.as_bytes(), &signatures), keys.threshold);
        if found < needed {
            return Err(Error::Refused(format!(
                "{needed} keys of generation {} must sign, and {found} have: give the others with \
                 --key",
                keys.generation
            )));
        }
    }
    let mut texts: Vec<Text> = Vec::new();
    // Hosts that were away when the keys changed go from one to the next.
    if last.is_none_or(|last| last.keys.generation != manifest.keys.generation)
        && manifest.keys.generation > 1
    {
        let name = names::rotation(manifest.keys.generation);
        let renamed = |(place, (_, text)): (usize, &Text)| {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            (names::signature(&name, place), text.clone())
        };
        texts.extend(signed.iter().enumerate().map(renamed));
        texts.push((name.clone(), text.clone()));
    }
    let index = virt_builder::index(manifest, |file| sha512(&folder.join(file)).ok());
    let sums = sums(manifest, &text, &index);
    texts.extend(self::signed(names::SUMS, &sums, manifest, signers)?);
    texts.push((names::SUMS.to_owned(), sums));
    texts.push((names::INDEX.to_owned(), index));
    // The manifest with its signatures last: it is what counts.
    texts.extend(signed);
    texts.push((names::MANIFEST.to_owned(), text));
    let mut ready = Vec::new();
    for (name, text) in texts {
        let scratch = Scratch::new(&folder.join(name))?;
        fs::write(scratch.path(), text)?;
        ready.push(scratch);
    }
    ready.into_iter().try_for_each(Scratch::finish)?;
    Ok(())
}

/// The signatures of a text, with the names of their files.
fn signed(
    name: &str,
    text: &str,
    manifest: &Manifest,
    signers: &[Signer],
) -> Result<Vec<Text>, Error> {
    let Manifest { product, channel, arch, version, created, .. } = manifest;
    let comment = format!("timestamp:{created}\tfile:{name}\t{product} {channel} {arch} {version}");
    let sign = |(place, signer): (u32, &Signer)| {
        Ok((names::signature(name, place), signer.sign(text.as_bytes(), &comment)?))
    };
    (0..names::MOST_SIGNATURES).zip(signers).map(sign).collect()
}

/// As `sha256sum` writes it.
fn sums(manifest: &Manifest, text: &str, index: &str) -> String {
    let artifacts = manifest.images.iter().flat_map(|image| &image.artifacts);
    let mut lines: Vec<String> =
        artifacts.map(|artifact| format!("{}  {}\n", artifact.sha256, artifact.file)).collect();
    for (name, text) in [(names::MANIFEST, text), (names::INDEX, index)] {
        lines.push(format!("{}  {name}\n", Sha256::of(text.as_bytes())));
    }
    lines.sort_by(|a, b| a.split_once("  ").cmp(&b.split_once("  ")));
    lines.concat()
}

fn sha512(path: &Path) -> std::io::Result<String> {
    use sha2::Digest;
    struct Sink(sha2::Sha512);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut sink = Sink(sha2::Sha512::new());
    std::io::copy(&mut std::fs::File::open(path)?, &mut sink)?;
    Ok(sink.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes images and bills that neither this release nor the last one has.
fn tidy(folder: &Path, manifest: &Manifest, last: Option<&Manifest>) -> Result<(), Error> {
    let releases = [Some(manifest), last].into_iter().flatten();
    let used: BTreeSet<&str> = releases
        .flat_map(|release| &release.images)
        .flat_map(|image| &image.artifacts)
        .map(|artifact| artifact.file.as_str())
        .collect();
    for path in fs::list(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_image = Format::ALL.iter().any(|f| name.ends_with(&format!(".{}", f.extension())));
        let is_ours = is_image || bills::is_one(&name);
        if is_ours && path.is_file() && !name.starts_with('.') && !used.contains(name.as_str()) {
            fs::remove(&path)?;
        }
    }
    Ok(())
}
