//! Xenolith's control domain in one static binary: PID 1, its daemons, and `xm`.
//!
//! Which of them runs is chosen by name, in [`applet`]. What PID 1 does at boot is the list
//! [`BOOT`], in order; what it does afterwards is [`init::serve`].

mod applet;
mod byte_stream;
mod command_line;
mod console;
mod control;
mod devd;
mod guest_consoles;
mod guest_disks;
mod host_config;
mod identity;
mod images;
mod init;
mod kernel_log;
mod local_socket;
mod modules;
mod net;
mod shared_page;
mod storage;
mod xend;
mod xenstored;
mod xm;

use std::process::ExitCode;

use applet::Applet;
use init::{Host, Phase};

/// The boot, in order: each phase is named and timed in the log.
///
/// A phase that fails says why on the consoles, and the next one runs: a control domain
/// without a network or a data partition still has a prompt to mend it from.
const BOOT: &[Phase<Host>] = &[
    Phase { name: "mounts", run: init::mounts::mount_kernel_file_systems },
    Phase { name: "kernel log", run: init::kernel_parameters::let_user_space_log },
    Phase { name: "control", run: init::open_control_socket },
    Phase { name: "hotplug", run: init::services::start_hotplug },
    Phase { name: "modules", run: modules::coldplug::load_for_present_devices },
    Phase { name: "hypervisor", run: init::hypervisor::attach },
    Phase { name: "store", run: init::services::start_store },
    Phase { name: "clock", run: init::clock::check },
    Phase { name: "data partition", run: storage::find_and_mount },
    Phase { name: "hostname", run: identity::set_hostname },
    Phase { name: "network", run: init::services::start_network },
    Phase { name: "toolstack", run: init::services::start_toolstack },
    Phase { name: "consoles", run: init::services::start_consoles },
];

fn main() -> ExitCode {
    match applet::choose(std::env::args_os(), std::process::id()) {
        Applet::Init => init::run(BOOT),
        Applet::Service { name, arguments } => init::services::serve(&name, &arguments),
        Applet::Modprobe { arguments } => modules::modprobe::main(&arguments),
        Applet::Xm { arguments } => xm::main(&arguments),
    }
}
