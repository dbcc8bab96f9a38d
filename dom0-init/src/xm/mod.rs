//! `xm`: managing the machine and its guests from the command line. `xl` is the same.
//!
//! Each subcommand is a module: it gathers facts (from the hypervisor through `xenctl`, from the
//! kernel), and formats them; the formatting is separate from the gathering, and tested without
//! either. Where there is a table, `-o json` gives it to programs.

mod block;
mod console;
mod create;
mod debug_keys;
mod dmesg;
pub mod domains;
mod dump_core;
mod image;
mod info;
mod life;
mod list;
mod log_command;
mod managed;
mod network;
mod output;
mod perf;
pub mod power;
mod resources;
mod sched;
mod signals;
mod top;
mod uptime;
mod vcpu_list;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use xenctl::Xen;

use output::Format;

/// The id of arguments that name a domain, for completion.
pub const DOMAIN_ARGUMENT: &str = "domain";
/// The id of arguments that name a guest whose config is kept.
pub const MANAGED_ARGUMENT: &str = "managed";
/// The id of arguments that name an image that is here.
pub const IMAGE_ARGUMENT: &str = "image";

/// Manages a Xenolith machine and its guests.
#[derive(Debug, Parser)]
#[command(name = "xm", version, subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    /// How to print tables
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a guest from its config
    Create(create::Arguments),
    /// Show a guest's console; Ctrl-] leaves it
    Console(console::Arguments),
    /// Ask guests to shut down
    Shutdown(life::Asked),
    /// Ask guests to reboot
    Reboot(life::Asked),
    /// End guests at once
    Destroy(life::Domains),
    /// Stop guests where they are
    Pause(life::Domains),
    /// Let paused guests run on
    Unpause(life::Domains),
    /// Give a guest another name
    Rename(life::Rename),
    /// Show a domain's number
    Domid(life::One),
    /// Show a domain's name
    Domname(life::One),
    /// Give a guest a network interface
    NetworkAttach(network::Attach),
    /// Take a network interface from a guest
    NetworkDetach(network::Detach),
    /// List the network interfaces of guests
    NetworkList(network::List),
    /// Keep a guest's config, to start it by name
    New(managed::New),
    /// Start a guest whose config is kept
    Start(managed::StartArguments),
    /// Forget a guest's config
    Delete(managed::Delete),
    /// Have a guest give memory back or take some
    MemSet(resources::MemoryArguments),
    /// Limit a guest's memory
    MemMax(resources::MemoryArguments),
    /// Have a guest use so many of its vCPUs
    VcpuSet(resources::VcpuSet),
    /// Say which CPUs a vCPU may run on
    VcpuPin(resources::VcpuPin),
    /// Show or set domains' shares of the CPUs
    #[command(name = "sched-credit2", visible_alias = "sched-credit")]
    SchedCredit2(sched::Arguments),
    /// Give a running guest a disk
    BlockAttach(block::AttachArguments),
    /// Take a disk from a running guest
    BlockDetach(block::DetachArguments),
    /// List guests' disks
    BlockList(block::ListArguments),
    /// Guest images: list, fetch, verify, import and export them, and make guests of them
    #[command(subcommand)]
    Image(image::Command),
    /// Press a magic key in a guest's kernel
    Sysrq(signals::SysRq),
    /// Raise an interrupt or press a button in a guest
    Trigger(signals::TriggerArguments),
    /// Write a guest's memory and registers to a file
    DumpCore(dump_core::Arguments),
    /// Show the machine and its hypervisor
    Info(info::Arguments),
    /// List domains with their memory, vCPUs, state and CPU time
    List(list::Arguments),
    /// List the vCPUs of domains: where they run and where they may run
    VcpuList(vcpu_list::Arguments),
    /// Show the hypervisor's log
    Dmesg(dmesg::Arguments),
    /// Show how often each domain left its CPU for the hypervisor, and why
    Perf(perf::Arguments),
    /// Watch the domains' use of CPU, memory, network and disks
    Top(top::Arguments),
    /// Show how long domains have been up
    Uptime(uptime::Arguments),
    /// Show the log of the control domain
    Log(log_command::Arguments),
    /// Press the hypervisor's debug keys
    DebugKeys(debug_keys::Arguments),
    /// Shut everything down and switch the machine off
    ShutdownHost,
    /// Shut everything down and start the machine again
    RebootHost,
}

/// Runs the command; the first argument is its name.
pub fn main(arguments: &[String]) -> ExitCode {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // A terminal that is gone needs no message.
            let _unprinted = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(parsed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let format = arguments.output;
    match arguments.command {
        Command::Create(arguments) => create::run(&arguments),
        Command::Console(arguments) => console::run(&arguments),
        Command::Shutdown(arguments) => life::ask(&arguments, "shutdown"),
        Command::Reboot(arguments) => life::ask(&arguments, "reboot"),
        Command::Destroy(arguments) => life::each(&arguments, "destroy"),
        Command::Pause(arguments) => life::each(&arguments, "pause"),
        Command::Unpause(arguments) => life::each(&arguments, "unpause"),
        Command::Rename(arguments) => life::rename(&arguments),
        Command::Domid(arguments) => life::domid(&arguments),
        Command::Domname(arguments) => life::domname(&arguments),
        Command::NetworkAttach(arguments) => network::attach(&arguments),
        Command::NetworkDetach(arguments) => network::detach(&arguments),
        Command::NetworkList(arguments) => network::list(&arguments, format),
        Command::New(arguments) => managed::new(&arguments),
        Command::Start(arguments) => managed::start(&arguments),
        Command::Delete(arguments) => managed::delete(&arguments),
        Command::MemSet(arguments) => resources::mem_set(&arguments),
        Command::MemMax(arguments) => resources::mem_max(&arguments),
        Command::VcpuSet(arguments) => resources::vcpu_set(&arguments),
        Command::VcpuPin(arguments) => resources::vcpu_pin(&arguments),
        Command::SchedCredit2(arguments) => sched::run(&arguments, format),
        Command::BlockAttach(arguments) => block::attach(&arguments),
        Command::BlockDetach(arguments) => block::detach(&arguments),
        Command::BlockList(arguments) => block::list(&arguments, format),
        Command::Image(command) => image::run(&command, format),
        Command::Sysrq(arguments) => signals::sysrq(&arguments),
        Command::Trigger(arguments) => signals::trigger(&arguments),
        Command::DumpCore(arguments) => dump_core::run(&arguments),
        Command::Info(arguments) => info::run(&arguments, format),
        Command::List(arguments) => list::run(&arguments, format),
        Command::VcpuList(arguments) => vcpu_list::run(&arguments, format),
        Command::Dmesg(arguments) => dmesg::run(&arguments),
        Command::Perf(arguments) => perf::run(&arguments, format),
        Command::Top(arguments) => top::run(&arguments, format),
        Command::Uptime(arguments) => uptime::run(&arguments, format),
        Command::Log(arguments) => log_command::run(&arguments, format),
        Command::DebugKeys(arguments) => debug_keys::run(&arguments),
        Command::ShutdownHost => power::shutdown_host(),
        Command::RebootHost => power::reboot_host(),
    }
}

/// The command's own description, for completion.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The list of subcommands, as `help` shows it.
pub fn overview() -> String {
    command()
        .override_usage("COMMAND [ARGUMENTS]; `help COMMAND` tells more about one")
        .render_help()
        .to_string()
}

/// How many guests run; none when there is no hypervisor to ask.
pub fn running_guests() -> usize {
    Xen::open()
        .and_then(|xen| xen.domains())
        .map(|all| all.iter().filter(|domain| domain.domain != 0).count())
        .unwrap_or(0)
}

/// The names of the domains that there are.
pub fn domain_names() -> Vec<String> {
    Xen::open()
        .and_then(|xen| xen.domains())
        .map(|all| all.iter().map(|domain| domains::name(domain.domain)).collect())
        .unwrap_or_default()
}

/// The names of the images that are here.
pub fn image_names() -> Vec<String> {
    image::names()
}

/// The names of the guests whose configs are kept.
pub fn managed_names() -> Vec<String> {
    let managed = crate::xend::client::managed().unwrap_or_default();
    managed.into_iter().map(|managed| managed.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_overview_lists_every_command() {
        let text = overview();
        for name in ["info", "list", "vcpu-list", "dmesg", "perf", "top", "uptime", "log"] {
            assert!(text.contains(name), "{name} is missing in {text}");
        }
    }
}
