//! `mkimage build`.

use crate::assemble::{self, Output, Request};
use crate::error::Error;
use crate::guest;
use crate::progress;
use crate::project::Project;
use crate::recipe::Kind;
use std::path::{Path, PathBuf};

/// Builds a recipe's images into a folder and says what they are.
///
/// # Errors
/// See [`assemble::appliance`] and [`guest::build`].
pub fn build(project: &Project, request: &Request, out: PathBuf) -> Result<(), Error> {
    let recipe = project.recipe(&request.recipe)?;
    let output = Output::Folder(out);
    if recipe.kind == Kind::Guest {
        let built = guest::build(project, &recipe, &output)?;
        say(built.fresh, [built.image.as_path(), &built.manifest]);
    } else {
        let built = assemble::appliance(project, request, &output)?;
        let manifest = built.folder.join("manifest.json");
        say(built.fresh, built.media.iter().map(|(_, path)| path.as_path()).chain([&*manifest]));
    }
    Ok(())
}

fn say<'a>(fresh: bool, paths: impl IntoIterator<Item = &'a Path>) {
    let state = if fresh { "wrote" } else { "up to date:" };
    for path in paths {
        let meta = path.metadata().ok().filter(|meta| meta.is_file());
        let size = meta.map(|meta| format!(" ({})", progress::human(allocated(&meta))));
        println!("{state} {}{}", path.display(), size.unwrap_or_default());
    }
}

/// Bytes that a file takes on disk: images are sparse.
pub(super) fn allocated(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    meta.blocks() * 512
}
