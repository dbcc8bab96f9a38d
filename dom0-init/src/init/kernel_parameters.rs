//! The few kernel settings that PID 1 changes under `/proc/sys`.

use anyhow::Context;

use super::Host;

/// Lets user space write to the kernel's log without a rate limit: it is our only log.
///
/// # Errors
/// Names the setting that couldn't be written.
pub fn let_user_space_log(_host: &mut Host) -> anyhow::Result<String> {
    write("kernel/printk_devkmsg", "on\n")?;
    let release = rustix::system::uname();
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!("Xenolith {version} on Linux {}", release.release().to_string_lossy()))
}

/// Keeps the kernel's routine messages off the consoles that now show prompts: only errors
/// (levels 0 to 3) interrupt them. `xm log -k` has the rest.
pub fn quieten_consoles() {
    set_console_level(4);
}

/// Shows everything down to informational messages on the consoles again.
pub fn show_everything_on_consoles() {
    set_console_level(7);
}

fn set_console_level(level: u8) {
    if let Err(error) = write("kernel/printk", &format!("{level}\n")) {
        log::warn!("{error:#}");
    }
}

fn write(name: &str, value: &str) -> anyhow::Result<()> {
    let path = format!("/proc/sys/{name}");
    std::fs::write(&path, value).with_context(|| format!("can't write {path}"))
}
