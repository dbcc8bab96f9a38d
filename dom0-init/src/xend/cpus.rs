//! How many CPUs the control domain uses: `dom0-cpus` of the host's configuration.

use std::path::Path;

const FOLDER: &str = "/sys/devices/system/cpu";

/// Switches the control domain's CPUs from the given number on off; the first can't be.
pub fn limit(count: Option<u32>) {
    let Some(count) = count else { return };
    for number in count.max(1).. {
        let folder = Path::new(FOLDER).join(format!("cpu{number}"));
        if !folder.is_dir() {
            return;
        }
        match std::fs::write(folder.join("online"), "0") {
            Ok(()) => log::info!("dom0-cpus: CPU {number} is off"),
            Err(error) => log::warn!("dom0-cpus: CPU {number} stays on: {error}"),
        }
    }
}
