//! `mkimage build`.

use crate::assemble::{self, Output, Request};
use crate::error::Error;
use crate::progress;
use crate::project::Project;
use std::path::PathBuf;

/// Builds media into a folder and says what they are.
///
/// # Errors
/// See [`assemble::appliance`].
pub fn build(project: &Project, request: &Request, out: PathBuf) -> Result<(), Error> {
    let built = assemble::appliance(project, request, &Output::Folder(out))?;
    let state = if built.fresh { "wrote" } else { "up to date:" };
    for (_, path) in &built.media {
        let size = path.metadata().map_or(0, |meta| allocated(&meta));
        let size =
            if path.is_dir() { String::new() } else { format!(" ({})", progress::human(size)) };
        println!("{state} {}{size}", path.display());
    }
    println!("{state} {}", built.folder.join("manifest.json").display());
    Ok(())
}

/// Bytes that a file takes on disk: images are sparse.
fn allocated(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    meta.blocks() * 512
}
