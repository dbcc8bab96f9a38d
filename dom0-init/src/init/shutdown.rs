//! Taking the machine down in order: daemons, other processes, file systems, then the power.

use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, wait};
use rustix::system::{RebootCommand, reboot};

use super::supervise::{Launcher, Supervisor};
use super::{kernel_parameters, processes};

/// How long daemons may take to end by themselves.
const DAEMONS_PATIENCE: Duration = Duration::from_secs(10);
/// How long other processes may take after SIGTERM.
const OTHERS_PATIENCE: Duration = Duration::from_secs(3);

/// How the machine goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Switched off.
    Off,
    /// Started again.
    Reboot,
}

/// Makes Ctrl-Alt-Del a signal to PID 1 instead of an immediate reset.
///
/// # Errors
/// When the kernel refuses.
pub fn take_control_alt_delete() -> anyhow::Result<()> {
    reboot(RebootCommand::CadOff).context("can't take over Ctrl-Alt-Del")
}

/// Takes everything down; doesn't come back.
pub fn go_down<L: Launcher>(power: Power, supervisor: &mut Supervisor<L>) -> ! {
    let begin = Instant::now();
    kernel_parameters::show_everything_on_consoles();
    stop_daemons(supervisor);
    stop_other_processes();
    release_file_systems();
    let (command, words) = match power {
        Power::Off => (RebootCommand::PowerOff, "powering off"),
        Power::Reboot => (RebootCommand::Restart, "restarting"),
    };
    log::info!("shutdown: {words} after {:.1} s", begin.elapsed().as_secs_f64());
    rustix::fs::sync();
    loop {
        if let Err(error) = reboot(command) {
            log::error!("shutdown: the kernel refuses ({error}): switch the machine off by hand");
        }
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Stops the daemons one after the other, the latest started first: each may still use the
/// earlier ones.
fn stop_daemons<L: Launcher>(supervisor: &mut Supervisor<L>) {
    let daemons = supervisor.give_up();
    log::info!("shutdown: stopping {} daemons", daemons.len());
    for (name, pid) in daemons {
        // It may just have ended by itself.
        let _gone = kill_process(pid, Signal::TERM);
        if !wait_until(DAEMONS_PATIENCE, || is_gone(pid)) {
            log::warn!("shutdown: {name} doesn't end within {DAEMONS_PATIENCE:?}");
        }
    }
}

fn stop_other_processes() {
    if processes::signal_all(Signal::TERM) > 0
        && !wait_until(OTHERS_PATIENCE, || processes::of_user_space().is_empty())
    {
        let stubborn = processes::signal_all(Signal::KILL);
        log::warn!("shutdown: {stubborn} processes had to be killed");
        wait_until(OTHERS_PATIENCE, || processes::of_user_space().is_empty());
    }
}

/// Waits for `done`, reaping all the while.
fn wait_until(patience: Duration, done: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_gone(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid).is_err()
}

/// Unmounts what is on disks, the latest mounted first; what is busy becomes read-only.
fn release_file_systems() {
    rustix::fs::sync();
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for mounted in on_devices(&table).iter().rev() {
        match unmount(mounted.as_str(), UnmountFlags::NOFOLLOW) {
            Ok(()) => log::info!("shutdown: unmounted {mounted}"),
            Err(error) => {
                log::warn!("shutdown: {mounted} stays mounted ({error}); making it read-only");
                if let Err(error) = mount_remount(mounted.as_str(), MountFlags::RDONLY, "") {
                    log::error!("shutdown: {mounted} can't be made read-only: {error}");
                }
            }
        }
    }
}

/// The mount points whose source is a device, from the text of `/proc/self/mountinfo`.
fn on_devices(mountinfo: &str) -> Vec<String> {
    mountinfo
        .lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let source = after.split(' ').nth(1)?;
            let target = before.split(' ').nth(4)?;
            source.starts_with("/dev/").then(|| unescape(target))
        })
        .collect()
}

/// Undoes the octal escapes of mount tables (space, tab, newline, backslash).
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_device_mounts_are_released() {
        let table = "\
21 1 0:20 / /proc rw,nosuid - proc proc rw
30 1 254:5 / /data rw,noatime shared:1 - ext4 /dev/vda5 rw
31 30 254:6 / /data/two\\040words rw - ext4 /dev/vda6 rw
32 1 0:30 / /run rw - tmpfs tmpfs rw
broken
";
        assert_eq!(on_devices(table), ["/data", "/data/two words"]);
    }
}
