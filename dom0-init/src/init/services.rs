//! The daemons of the control domain: which there are, and how they are started.
//!
//! Each is this binary again, as `service NAME ARGUMENTS`; it logs to the kernel's log and has
//! no standard input or output but what it opens itself.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use rustix::process::Pid;

use super::Host;
use super::hypervisor;
use super::kernel_parameters;
use super::supervise::{Launcher, Spec};
use crate::{console, devd, guest_consoles, guest_disks, net, xend, xenstored};

/// Starts this binary's daemons.
#[derive(Debug)]
pub struct SelfExec;

impl Launcher for SelfExec {
    fn launch(&mut self, spec: &Spec) -> std::io::Result<Pid> {
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0("dom0-init")
            .arg("service")
            .args(&spec.arguments)
            .env_clear()
            .envs(spec.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        // What a library prints must not be lost, and must not hit a console.
        if let Ok(log) = OpenOptions::new().write(true).open(crate::kernel_log::DEVICE) {
            command.stderr(log);
        }
        let child = command.spawn()?;
        i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .ok_or_else(|| std::io::Error::other("the child has no process id"))
    }
}

/// A daemon: runs until it fails.
type Service = fn(&[String]) -> anyhow::Result<()>;

/// The daemons, by name.
const SERVICES: &[(&str, Service)] = &[
    ("console", console::run),
    ("guest-consoles", guest_consoles::run),
    ("guest-disks", guest_disks::run),
    ("hotplug", devd::run),
    ("network", net::run),
    ("xend", xend::run),
    ("xenstored", xenstored::run),
];

/// Runs one daemon in this process.
pub fn serve(name: &str, arguments: &[String]) -> ExitCode {
    let Some((name, run)) = SERVICES.iter().find(|(n, _)| *n == name) else {
        let names: Vec<&str> = SERVICES.iter().map(|(name, _)| *name).collect();
        eprintln!("dom0-init: there is no service {name:?}: there are {}", names.join(", "));
        return ExitCode::from(2);
    };
    crate::kernel_log::start(name);
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Starts the daemon that loads modules for new devices and watches the power button.
///
/// # Errors
/// None: what can't be started is tried again.
pub fn start_hotplug(host: &mut Host) -> anyhow::Result<String> {
    start(host, "hotplug", &["hotplug"], &[]);
    Ok("listening for new devices".to_owned())
}

/// Starts the daemon that keeps the networks and the control domain's addresses.
///
/// # Errors
/// None: what can't be started is tried again.
pub fn start_network(host: &mut Host) -> anyhow::Result<String> {
    start(host, "network", &["network"], &[]);
    let cards: Vec<String> = net::interfaces::cards().into_iter().map(|card| card.name).collect();
    Ok(match cards.as_slice() {
        [] => "no network card yet".to_owned(),
        names => format!("network cards {}", names.join(", ")),
    })
}

/// Starts the store that domains share.
///
/// # Errors
/// When there is no hypervisor.
pub fn start_store(host: &mut Host) -> anyhow::Result<String> {
    anyhow::ensure!(hypervisor::is_present(), "there is no hypervisor");
    start(host, "xenstored", &["xenstored"], &[]);
    Ok("serving the domains".to_owned())
}

/// Starts the daemons that look after guests: their consoles and disks, and the toolstack.
///
/// # Errors
/// When there is no hypervisor.
pub fn start_toolstack(host: &mut Host) -> anyhow::Result<String> {
    anyhow::ensure!(hypervisor::is_present(), "there is no hypervisor");
    start(host, "guest consoles", &["guest-consoles"], &[]);
    start(host, "guest disks", &["guest-disks"], &[]);
    start(host, "xend", &["xend"], &[]);
    Ok("guests can be started".to_owned())
}

/// Starts a prompt on each console: the hypervisor's or serial ones, and the screen's.
///
/// # Errors
/// When the kernel names no console at all.
pub fn start_consoles(host: &mut Host) -> anyhow::Result<String> {
    let consoles = console::choose::for_this_machine()?;
    kernel_parameters::quieten_consoles();
    for place in &consoles {
        let mut arguments = vec!["console", place.tty.as_str()];
        if place.dashboard {
            arguments.push("--dashboard");
        }
        start(host, &format!("console {}", place.tty), &arguments, &[("TERM", place.terminal())]);
    }
    let names: Vec<&str> = consoles.iter().map(|place| place.tty.as_str()).collect();
    Ok(format!("prompts on {}", names.join(", ")))
}

fn start(host: &mut Host, name: &str, arguments: &[&str], environment: &[(&str, &str)]) {
    let own = |text: &&str| (*text).to_owned();
    let spec = Spec {
        name: name.to_owned(),
        arguments: arguments.iter().map(own).collect(),
        environment: environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .chain([("PATH".to_owned(), "/usr/bin:/sbin".to_owned())])
            .collect(),
    };
    host.supervisor.start(spec, Instant::now());
}
