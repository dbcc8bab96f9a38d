//! `mkimage run`: builds what is needed and boots it in QEMU on this terminal.

use crate::assemble::{self, Built, Medium, Output, Request};
use crate::disk::content;
use crate::error::Error;
use crate::fs;
use crate::progress;
use crate::project::Project;
use crate::qemu::{Boot, Firmware, Forward, Interaction, Machine, overlay};
use crate::recipe::{Recipe, Size};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// The recipe of the guest that a machine has to try things with.
const DEMO: &str = "demo";

/// What to boot from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    /// The disk image; what the machine writes is kept for the next run.
    Usb,
    /// The ISO, as a CD.
    Iso,
    /// The network boot tree.
    Pxe,
    /// Hypervisor, kernel and initramfs loaded by QEMU itself, without GRUB.
    Direct,
}

/// How to run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Recipe by name or path
    #[arg(default_value = "appliance")]
    pub recipe: String,
    /// What to boot from
    #[arg(long, value_enum, default_value = "usb")]
    pub media: From,
    /// Firmware
    #[arg(long, value_enum, default_value = "bios")]
    pub firmware: Firmware,
    /// Virtual CPUs
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=255))]
    pub cpus: u32,
    /// Memory
    #[arg(long, value_name = "SIZE", default_value = "2G")]
    pub memory: Size,
    /// Size of the disk as the machine sees it
    #[arg(long, value_name = "SIZE", default_value = "8G")]
    pub disk: Size,
    /// Guests that the disk brings along, by recipe [default: demo]
    #[arg(long, value_name = "RECIPE", value_delimiter = ',')]
    pub guests: Option<Vec<String>>,
    /// No guests come along
    #[arg(long, conflicts_with = "guests")]
    pub no_guests: bool,
    /// No screen, even when there is a display
    #[arg(long)]
    pub headless: bool,
    /// Also write the serial console to this file
    #[arg(long, value_name = "FILE")]
    pub serial: Option<PathBuf>,
    /// More arguments for the hypervisor, e.g. `loglvl=all`
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// More arguments for the control domain's kernel
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub append_dom0: Option<String>,
    /// Forget what earlier runs wrote
    #[arg(long)]
    pub fresh: bool,
    /// Forward a TCP port of 127.0.0.1 to the machine, or to a guest's address in its network
    #[arg(long, value_name = "HOST:[ADDRESS:]PORT")]
    pub forward: Vec<Forward>,
    /// QEMU's accelerator
    #[arg(long, value_name = "NAME", default_value = "tcg")]
    pub accel: String,
    /// More arguments for QEMU
    #[arg(last = true)]
    pub qemu: Vec<String>,
}

/// Builds and boots; returns when the machine has ended.
///
/// # Errors
/// When the media can't be built or QEMU not started.
pub fn run(project: &Project, options: &Options, mut request: Request) -> Result<(), Error> {
    let medium = match options.media {
        From::Usb => Medium::Usb,
        From::Iso => Medium::Iso,
        From::Pxe | From::Direct => Medium::Pxe,
    };
    request.recipe.clone_from(&options.recipe);
    request.media = vec![medium];
    request.guests = guests(options);
    request.hypervisor_args = options.append.clone().unwrap_or_default();
    request.kernel_args = options.append_dom0.clone().unwrap_or_default();
    let recipe = project.recipe(&options.recipe)?;
    let built = assemble(project, options, &mut request)?;
    let tools = project.tools()?;
    let state = State::prepare(project, options, &recipe, &built)?;
    let boot = boot(options, &recipe, &request, &built, &state)?;
    let mut machine = Machine::new(&tools, boot)
        .firmware(options.firmware)
        .cpus(options.cpus)
        .memory(options.memory)
        .accel(&options.accel)
        .variables(&state.folder.join("vars.fd"))
        .args(options.qemu.iter().map(String::as_str));
    for forward in &options.forward {
        machine = machine.forward(*forward);
    }
    let vnc = screen(options);
    if let Some(display) = vnc {
        progress::note(&format!("the screen is at vnc://127.0.0.1:{}", 5900 + display));
    }
    progress::note("Ctrl-A X ends the machine, Ctrl-A C shows QEMU's monitor");
    let status = machine.interact(&Interaction { serial_log: options.serial.clone(), vnc })?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Image(format!("QEMU ended with {status}")))
}

/// Builds what is booted. Where the host's kernel lets nobody configure a guest's packages, nobody
/// who didn't ask for a guest is kept from booting.
fn assemble(project: &Project, options: &Options, request: &mut Request) -> Result<Built, Error> {
    match assemble::appliance(project, request, &Output::Cache) {
        Err(Error::Sandbox(error)) if options.guests.is_none() && error.is_of_the_host() => {
            progress::note(&format!("no guest comes along: {error}"));
            request.guests.clear();
            assemble::appliance(project, request, &Output::Cache)
        }
        other => other,
    }
}

/// The guests that come along: those that were asked for, else the usual one if there is a disk.
fn guests(options: &Options) -> Vec<String> {
    let usual = options.media == From::Usb && !options.no_guests;
    let usual = if usual { vec![DEMO.to_owned()] } else { Vec::new() };
    options.guests.clone().unwrap_or(usual)
}

/// What a machine keeps between runs.
struct State {
    folder: PathBuf,
    disk: PathBuf,
}

impl State {
    /// The state of this recipe and way of booting; dropped when it belongs to another image.
    fn prepare(
        project: &Project,
        options: &Options,
        recipe: &Recipe,
        built: &Built,
    ) -> Result<Self, Error> {
        let name = format!("{}-{:?}-{:?}", recipe.name, options.media, options.firmware);
        let folder = project.cache().root().join("run").join(name.to_lowercase());
        let disk = folder.join("disk.qcow2");
        let belongs = folder.join("image");
        let same = fs::read_text(&belongs).is_ok_and(|id| id == built.id.to_string());
        if options.fresh || !same {
            fs::remove(&folder)?;
            fs::create_dir(&folder)?;
            if let Ok(image) = built.medium(Medium::Usb) {
                let size = image.metadata().map_or(0, |meta| meta.len());
                overlay::create(&disk, image, options.disk.bytes().max(size))?;
            }
            fs::write(&belongs, built.id.to_string())?;
        }
        Ok(Self { folder, disk })
    }
}

fn boot(
    options: &Options,
    recipe: &Recipe,
    request: &Request,
    built: &Built,
    state: &State,
) -> Result<Boot, Error> {
    Ok(match options.media {
        From::Usb => Boot::Disk { image: state.disk.clone(), snapshot: false },
        From::Iso => Boot::Cdrom(built.medium(Medium::Iso)?.to_owned()),
        From::Pxe => Boot::Network(built.medium(Medium::Pxe)?.to_owned()),
        From::Direct => direct(recipe, request, built.medium(Medium::Pxe)?)?,
    })
}

/// The default entry of the boot menu, as QEMU loads it.
fn direct(recipe: &Recipe, request: &Request, tree: &Path) -> Result<Boot, Error> {
    let appliance = recipe.appliance.as_ref();
    let entry = appliance.and_then(|appliance| appliance.default_entry());
    let (Some(appliance), Some(entry)) = (appliance, entry) else {
        return Err(recipe.wrong("[appliance]", "no entry starts the hypervisor").into());
    };
    let hypervisor = appliance.hypervisor_line(entry, &request.hypervisor_args);
    let kernel = appliance.kernel_line(entry, &request.kernel_args, "xenolith.media=direct");
    Ok(Boot::Kernel {
        kernel: tree.join(content::HYPERVISOR),
        append: hypervisor,
        modules: vec![
            (tree.join(content::KERNEL), kernel),
            (tree.join(content::INITRAMFS), String::new()),
        ],
    })
}

/// A free VNC display, when somebody can look at one.
fn screen(options: &Options) -> Option<u16> {
    let display =
        ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if options.headless || !display {
        return None;
    }
    (0..100).find(|number| TcpListener::bind(("127.0.0.1", 5900 + number)).is_ok())
}
