//! What a guest is to be: the typed form of its config.

use uuid::Uuid;

use super::cpus::CpuSet;
use super::disk::Disk;
use super::vif::Vif;

/// A guest, as its config describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Its UUID; chosen when it is first started if the config has none.
    pub uuid: Option<Uuid>,
    /// vCPUs that it starts with.
    pub vcpus: u32,
    /// vCPUs that it may have.
    pub max_vcpus: u32,
    /// Memory that it starts with, in MiB.
    pub memory_mib: u64,
    /// Memory that it may have, in MiB.
    pub max_memory_mib: u64,
    /// How it starts.
    pub boot: Boot,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Its network interfaces.
    pub vifs: Vec<Vif>,
    /// Where its vCPUs may run: one set for all, or one for each of the first.
    pub cpus: Vec<CpuSet>,
    /// The scheduler's weight; its default if `None`.
    pub weight: Option<u16>,
    /// The scheduler's cap in percent of a CPU; none if `None`.
    pub cap: Option<u16>,
    /// When it powers off.
    pub on_poweroff: Action,
    /// When it reboots.
    pub on_reboot: Action,
    /// When it crashes.
    pub on_crash: Action,
    /// Whether it starts with the machine, when its config is kept.
    pub autostart: bool,
}

/// How a guest starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Boot {
    /// A kernel from the control domain.
    Kernel {
        /// The kernel's file.
        kernel: String,
        /// The initial RAM disk's file.
        ramdisk: Option<String>,
        /// The command line.
        command_line: String,
    },
    /// A kernel from the guest's own disk: GRUB finds it, inside the guest.
    Pvgrub,
}

/// What is done when a guest ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is taken away.
    Destroy,
    /// It starts again.
    Restart,
    /// It stays as it is, to be looked at.
    Preserve,
    /// It stays, under another name, and a new one starts.
    RenameRestart,
    /// Its memory is dumped, and it is taken away.
    CoredumpDestroy,
    /// Its memory is dumped, and it starts again.
    CoredumpRestart,
}

impl Action {
    /// The actions by their names.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("destroy", Self::Destroy),
        ("restart", Self::Restart),
        ("preserve", Self::Preserve),
        ("rename-restart", Self::RenameRestart),
        ("coredump-destroy", Self::CoredumpDestroy),
        ("coredump-restart", Self::CoredumpRestart),
    ];
}
