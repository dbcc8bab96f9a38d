//! `mkimage build`.

use crate::assemble::{self, Output, Request};
use crate::error::Error;
use crate::guest;
use crate::progress;
use crate::project::Project;
use crate::recipe::Kind;
use std::path::PathBuf;

/// Builds a recipe's images into a folder and says what they are.
///
/// # Errors
/// See [`assemble::appliance`] and [`guest::build`].
pub fn build(project: &Project, request: &Request, out: PathBuf) -> Result<(), Error> {
    let recipe = project.recipe(&request.recipe)?;
    let output = Output::Folder(out);
    if recipe.kind == Kind::Guest {
        let built = guest::build(project, &recipe, &output)?;
        say(built.fresh, built.files.iter().chain([&built.manifest]));
    } else {
        let built = assemble::appliance(project, request, &output)?;
        say(built.fresh, &built.files);
    }
    Ok(())
}

fn say<'a>(fresh: bool, paths: impl IntoIterator<Item = &'a PathBuf>) {
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
