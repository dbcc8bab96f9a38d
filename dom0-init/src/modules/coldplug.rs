//! Loads modules for the devices that are there already.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Loader;
use crate::init::Host;

/// New devices appear behind new drivers (a disk behind its controller), so they are looked
/// through again until there are no new ones; this many times at most.
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
        let mut present = aliases_of_devices(Path::new("/sys"));
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

/// The aliases of all devices: those on a bus, those of a class (input devices), and the CPUs'.
///
/// That is everything with an alias, for less than half of the work of walking the whole tree.
fn aliases_of_devices(sys: &Path) -> BTreeSet<String> {
    let buses = folders(&sys.join("bus")).into_iter().map(|bus| bus.join("devices"));
    let devices = buses.chain(folders(&sys.join("class"))).flat_map(|list| folders(&list));
    devices
        .chain([sys.join("devices/system/cpu")])
        .filter_map(|device| std::fs::read_to_string(device.join("modalias")).ok())
        .map(|text| text.trim().to_owned())
        .filter(|alias| !alias.is_empty())
        .collect()
}

/// What is in a folder; nothing if there is no such folder.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_of_buses_classes_and_cpus() {
        let root = std::env::temp_dir().join(format!("coldplug-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        put("bus/pci/devices/0000:00:01.0/modalias", "pci:v1\n");
        put("bus/pci/devices/0000:00:02.0/modalias", "\n");
        put("bus/pci/devices/0000:00:03.0/vendor", "x\n");
        put("bus/pci/drivers_probe", "x");
        put("class/input/input1/modalias", "input:b1\n");
        put("devices/system/cpu/modalias", "cpu:type:x86\n");
        let aliases = aliases_of_devices(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(aliases.into_iter().collect::<Vec<_>>(), ["cpu:type:x86", "input:b1", "pci:v1"]);
    }
}
