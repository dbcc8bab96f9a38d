//! The index that virt-builder reads (virt-builder(1), "Creating the index file"), for the images
//! that it can use as they are.

use catalogue::manifest::Manifest;
use std::fmt::Write;

/// The form that is entered: virt-builder unpacks xz, and nothing else that is published here.
pub const FORMAT: &str = "qcow2";

/// The index's text; `sha512` tells the digest of a file of the release.
pub fn index(manifest: &Manifest, sha512: impl Fn(&str) -> Option<String>) -> String {
    let arch = match manifest.arch.as_str() {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    };
    let mut text = String::new();
    for image in &manifest.images {
        let Some(artifact) = image.artifact(FORMAT) else { continue };
        let Some(digest) = sha512(&artifact.file) else { continue };
        let name = if image.title.is_empty() { &image.name } else { &image.title };
        // A line break in a title would begin another field.
        let name: String = name.chars().filter(|character| !character.is_control()).collect();
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "[{}]\nname={name}\narch={arch}\nfile={}\nchecksum[sha512]={digest}\n\
             format={FORMAT}\nsize={}\ncompressed_size={}\nrevision={}\n\n",
            image.name, artifact.file, image.disk.size, artifact.size, manifest.version
        );
    }
    text
}
