//! The data partition of an image that has files on it from the beginning: guests that come along
//! with the medium. Without any it stays empty, and PID 1 formats it.

use super::content::{Files, Source};
use super::gpt;
use crate::error::Error;
use crate::fs::{self, Context};
use crate::tools::{self, Tools};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

/// The label by which PID 1's own file systems go.
const LABEL: &str = "xenolith-data";
/// Room for the journal, tables, and what a host writes before it has grown the file system.
const SPARE: u64 = 96 << 20;

/// The least size of a partition that holds these files, in bytes: whole mebibytes.
///
/// # Errors
/// When a file isn't there.
pub fn least_size(files: &Files) -> Result<u64, Error> {
    let mut bytes = SPARE;
    for (_, source) in files {
        bytes += match source {
            Source::Bytes(bytes) => bytes.len() as u64,
            // What takes no room here takes none there.
            Source::Path(path) => path.metadata().at("read", path)?.blocks() * 512,
        };
    }
    // Tables take about one part in fifty.
    Ok((bytes + bytes / 50).next_multiple_of(gpt::ALIGNMENT))
}

/// What tells one file system from another, and when it was made.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// Its UUID.
    pub uuid: [u8; 16],
    /// The seed of its folders' hashes, a UUID.
    pub hash_seed: [u8; 16],
    /// Time stamp of everything, in seconds of Unix time.
    pub epoch: u64,
}

/// Writes an ext4 file system with these files into `bytes` bytes of an image, from `start` on.
/// Everything in it is root's.
///
/// # Errors
/// When a tool fails, the files don't fit, or the disk is full.
pub fn write(
    image: &Path,
    (start, bytes): (u64, u64),
    files: &Files,
    identity: Identity,
    tools: &Tools,
    scratch: &Path,
) -> Result<(), Error> {
    let tree = scratch.join("data");
    lay_out(&tree, files)?;
    let time = identity.epoch.to_string();
    let uuid = |bytes| gpt::random_uuid(bytes).to_string();
    let mut mke2fs = tools.command("mke2fs")?;
    mke2fs.env("SOURCE_DATE_EPOCH", &time);
    mke2fs.args(["-q", "-F", "-t", "ext4", "-m", "0", "-L", LABEL, "-U", &uuid(identity.uuid)]);
    let seed = uuid(identity.hash_seed);
    mke2fs.args(["-E", &format!("offset={start},root_owner=0:0,hash_seed={seed}")]);
    mke2fs.arg("-d").arg(&tree).arg(image).arg(format!("{}k", bytes >> 10));
    tools::run(&mut mke2fs, "mke2fs")?;
    let commands = scratch.join("data.debugfs");
    fs::write(&commands, normalize(files, &time))?;
    let mut debugfs = tools.command("debugfs")?;
    debugfs.env("SOURCE_DATE_EPOCH", &time).stdout(Stdio::null()).args(["-w", "-f"]);
    debugfs.arg(&commands).arg(format!("{}?offset={start}", image.display()));
    tools::run(&mut debugfs, "debugfs")?;
    Ok(())
}

/// Puts the files where mke2fs finds them. Disk images are linked, as far as that goes.
fn lay_out(tree: &Path, files: &Files) -> Result<(), Error> {
    for (name, source) in files {
        let place = tree.join(name);
        fs::create_dir(place.parent().unwrap_or(tree))?;
        match source {
            Source::Bytes(bytes) => fs::write(&place, bytes)?,
            Source::Path(path) => {
                if std::fs::hard_link(path, &place).is_err() {
                    fs::copy(path, &place)?;
                }
            }
        }
    }
    Ok(())
}

/// Commands of debugfs that make owners, modes and times the same whoever builds, and when.
fn normalize(files: &Files, time: &str) -> String {
    let mut folders = BTreeSet::from(["", "lost+found"]);
    for (name, _) in files {
        let ends = name.match_indices('/').map(|(end, _)| end);
        folders.extend(ends.filter_map(|end| name.get(..end)));
    }
    let folders = folders.into_iter().map(|name| (name, 0o040_755));
    let plain = files.iter().map(|(name, _)| (name.as_str(), 0o100_644));
    let mut text = String::new();
    for (name, mode) in folders.chain(plain) {
        let fields = [("mode", format!("0{mode:o}")), ("uid", "0".into()), ("gid", "0".into())];
        let times = ["atime", "ctime", "mtime", "crtime"].map(|field| (field, format!("@{time}")));
        let extra = ["atime_extra", "ctime_extra", "mtime_extra", "crtime_extra"];
        let extra = extra.map(|field| (field, "0".to_owned()));
        for (field, value) in fields.into_iter().chain(times).chain(extra) {
            text += &format!("set_inode_field \"/{name}\" {field} {value}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_and_folder_is_normalized() {
        let bytes = |text: &str| Source::Bytes(text.into());
        let files = vec![
            ("config/guests/demo.cfg".to_owned(), bytes("memory = 64")),
            ("images/demo.img".to_owned(), bytes("disk")),
        ];
        let text = normalize(&files, "7");
        for name in ["/", "/lost+found", "/config", "/config/guests", "/images"] {
            assert!(text.contains(&format!("\"{name}\" mode 040755\n")), "{name}: {text}");
        }
        assert!(text.contains("\"/images/demo.img\" mtime @7\n"), "{text}");
        assert_eq!(least_size(&files).unwrap() % gpt::ALIGNMENT, 0);
    }
}
