//! The way to the hypervisor: the kernel's Xen devices and `/proc/xen`.

use anyhow::{Context, bail};
use rustix::mount::MountFlags;

use super::Host;
use super::mounts::mount_at;
use crate::modules::Loader;

/// What the control domain needs beyond what devices ask for; disks that are files among it.
const MODULES: &[&str] =
    &["xen_privcmd", "xen_evtchn", "xen_gntdev", "xen_gntalloc", "xenfs", "xen_blkback", "loop"];

/// Loads the Xen devices' modules, mounts `/proc/xen` and says which hypervisor this is.
///
/// # Errors
/// When this isn't a Xen machine, or not its control domain; the prompt still works then, but
/// not the commands that ask the hypervisor.
pub fn attach(host: &mut Host) -> anyhow::Result<String> {
    if !is_present() {
        bail!(
            "the kernel found no Xen hypervisor: it was booted bare. Boot Xenolith's own entry \
             of the boot menu to run guests"
        );
    }
    let mut loader = Loader::for_running_kernel(host.command_line.clone())?;
    for module in MODULES {
        loader.load(module).with_context(|| format!("can't load module {module}"))?;
    }
    mount_at("xenfs", "xenfs", "/proc/xen", MountFlags::empty(), "")?;
    let capabilities = std::fs::read_to_string("/proc/xen/capabilities").unwrap_or_default();
    if !capabilities.contains("control_d") {
        bail!("this is a guest of the hypervisor, not its control domain: it can't manage guests");
    }
    Ok(format!("Xen {}, control domain", version()))
}

/// Whether the kernel found a Xen hypervisor.
pub fn is_present() -> bool {
    std::fs::read_to_string("/sys/hypervisor/type").is_ok_and(|kind| kind.trim() == "xen")
}

/// The hypervisor's version as the kernel tells it, or `?`.
pub fn version() -> String {
    let part = |name: &str| {
        std::fs::read_to_string(format!("/sys/hypervisor/version/{name}"))
            .map(|text| text.trim().to_owned())
            .unwrap_or_else(|_| "?".to_owned())
    };
    format!("{}.{}{}", part("major"), part("minor"), part("extra"))
}
