//! The source tree: its root, its files, its packages.

use cargo_metadata::{Metadata, MetadataCommand};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the root")
}

/// The machine that everything is built for.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What cargo says of the workspace and all packages it depends on, as locked.
pub fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .other_options(["--locked", "--filter-platform", TARGET].map(str::to_owned))
        .exec()
        .expect("cargo describes the workspace")
}

/// The paths, relative to the root, of the files that belong to the project and end so: those
/// that git tracks or would, or all but build output where there is no git.
pub fn files(ending: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output();
    let mut files = match listed {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout)
            .expect("the tree's names are UTF-8")
            .split_terminator('\0')
            .map(PathBuf::from)
            .collect(),
        _ => walk(root()),
    };
    files.retain(|path| path.to_string_lossy().ends_with(ending) && root().join(path).is_file());
    files.sort();
    files
}

/// All files below a folder of the tree, but those of hidden folders and of `target`.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("the tree can be read");
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("the tree can be read").path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        if path.is_dir() && !path.is_symlink() {
            if name != "target" && !name.starts_with('.') {
                files.extend(walk(&path));
            }
        } else if let Ok(relative) = path.strip_prefix(root()) {
            files.push(relative.to_owned());
        }
    }
    files
}

/// The text of a file of the tree; `None` when it isn't text.
pub fn text(path: &Path) -> Option<String> {
    let bytes = std::fs::read(root().join(path)).expect("a file of the tree can be read");
    String::from_utf8(bytes).ok()
}
