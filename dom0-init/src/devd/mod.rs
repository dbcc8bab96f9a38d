//! The hotplug daemon: loads modules for devices that appear, watches the power button, and
//! tells PID 1 when a disk came. What goes wrong with a disk that a guest uses it tells the log
//! ([`guests_disks`]).

mod guests_disks;
mod power_button;
mod uevent;

use anyhow::Context;
use netlink_sys::{Socket, SocketAddr};

use crate::command_line::CommandLine;
use crate::control::{self, Request};
use crate::modules::{Loader, coldplug};
use uevent::{Action, Uevent};

/// The netlink protocol of the kernel's device events, and its one multicast group.
const NETLINK_KOBJECT_UEVENT: isize = 15;
const KERNEL_EVENTS: u32 = 1;

/// Room for bursts of events, in bytes: a hub full of disks.
const SOCKET_BUFFER: usize = 2 << 20;

/// Runs until the socket fails.
///
/// # Errors
/// When the kernel's events can't be received.
pub fn run(_arguments: &[String]) -> anyhow::Result<()> {
    let socket = listen().context("can't listen to the kernel's device events")?;
    let loader = Loader::for_running_kernel(CommandLine::of_running_kernel());
    let mut hotplug = Hotplug { loader: loader.ok() };
    power_button::watch_present();
    guests_disks::watch()?;
    loop {
        match socket.recv_from_full() {
            Ok((message, _sender)) => {
                if let Some(event) = Uevent::parse(&message) {
                    hotplug.handle(&event);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == Some(NO_BUFFER_SPACE) => {
                log::warn!("device events were lost; looking at all devices again");
                hotplug.look_at_everything();
            }
            Err(error) => return Err(error).context("can't receive device events"),
        }
    }
}

/// ENOBUFS: the socket's buffer overflowed.
const NO_BUFFER_SPACE: i32 = rustix::io::Errno::NOBUFS.raw_os_error();

fn listen() -> std::io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_KOBJECT_UEVENT)?;
    // A smaller buffer only means that more events are found by looking again.
    let _smaller = socket.set_rx_buf_sz(SOCKET_BUFFER);
    socket.bind(&SocketAddr::new(0, KERNEL_EVENTS))?;
    Ok(socket)
}

struct Hotplug {
    loader: Option<Loader>,
}

impl Hotplug {
    fn handle(&mut self, event: &Uevent) {
        if event.action == Action::Remove && event.get("SUBSYSTEM") == Some("block") {
            guests_disks::removed(event);
        }
        if event.action != Action::Add && event.action != Action::Change {
            return;
        }
        if let (Some(alias), Some(loader)) = (event.get("MODALIAS"), &mut self.loader)
            && let Err(error) = loader.load(alias)
        {
            log::warn!("{}: {error:#}", event.device);
        }
        match (event.get("SUBSYSTEM"), event.get("DEVNAME")) {
            (Some("input"), Some(name)) => power_button::watch(name),
            (Some("block"), Some(_)) => tell_init(),
            _ => {}
        }
    }

    fn look_at_everything(&mut self) {
        if let Some(loader) = &mut self.loader {
            let (_loaded, problems) = coldplug::load_all(loader);
            problems.iter().for_each(|problem| log::warn!("{problem}"));
        }
        power_button::watch_present();
        tell_init();
    }
}

/// PID 1 may be waiting for a disk itself, which needs this daemon to go on: so don't wait for it.
fn tell_init() {
    if let Err(error) = control::tell(&Request::StorageChanged) {
        log::warn!("{error:#}");
    }
}
