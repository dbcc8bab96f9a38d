//! Loads modules for the devices that are there already.

use std::collections::BTreeSet;
use std::path::Path;

use super::Loader;
use crate::init::Host;

/// New devices appear behind new drivers (a disk behind its controller), so the tree is walked
/// again until it stays the same; this many times at most.
const MOST_ROUNDS: usize = 12;

/// Loads the modules for every device that the kernel knows.
///
/// # Errors
/// When the image holds no modules for this kernel. That one of them doesn't load is a warning:
/// many drivers look at the machine and find themselves not needed.
pub fn load_for_present_devices(host: &mut Host) -> anyhow::Result<String> {
    let mut loader = Loader::for_running_kernel(host.command_line.clone())?;
    let (loaded, problems) = load_all(&mut loader);
    for problem in &problems {
        log::warn!("{problem}");
    }
    let failed = match problems.len() {
        0 => String::new(),
        n => format!("; {n} didn't load"),
    };
    Ok(format!("loaded {loaded} of the {} modules in the image{failed}", loader.available()))
}

/// Loads for all present devices; returns the number of modules loaded, and what went wrong.
pub fn load_all(loader: &mut Loader) -> (usize, Vec<String>) {
    let mut seen = BTreeSet::new();
    let mut loaded = 0;
    let mut problems = Vec::new();
    for _round in 0..MOST_ROUNDS {
        let mut present = BTreeSet::new();
        collect_aliases(Path::new("/sys/devices"), &mut present);
        let new: Vec<String> = present.difference(&seen).cloned().collect();
        if new.is_empty() {
            break;
        }
        for alias in &new {
            match loader.load(alias) {
                Ok(count) => loaded += count,
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
        seen.append(&mut present);
    }
    (loaded, problems)
}

/// Collects the contents of every `modalias` file below `folder`.
fn collect_aliases(folder: &Path, aliases: &mut BTreeSet<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            collect_aliases(&entry.path(), aliases);
        } else if kind.is_file()
            && entry.file_name() == "modalias"
            && let Ok(text) = std::fs::read_to_string(entry.path())
            && !text.trim().is_empty()
        {
            aliases.insert(text.trim().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_collected_from_the_whole_tree() {
        let root = std::env::temp_dir().join(format!("coldplug-{}", std::process::id()));
        let deep = root.join("pci0000:00/0000:00:01.0");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("modalias"), "pci:v1\n").unwrap();
        std::fs::write(root.join("modalias"), "\n").unwrap();
        std::fs::write(root.join("vendor"), "x\n").unwrap();
        let mut aliases = BTreeSet::new();
        collect_aliases(&root, &mut aliases);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(aliases.into_iter().collect::<Vec<_>>(), ["pci:v1"]);
    }
}
