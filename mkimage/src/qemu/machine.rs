//! The description of a machine, and the words that start QEMU with it.

use super::running::Running;
use super::{Error, supervise};
use crate::fs;
use crate::recipe::Size;
use crate::tools::Tools;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Firmware of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// What a machine boots.
#[derive(Debug, Clone)]
pub enum Boot {
    /// A raw or qcow2 disk image, as a virtio disk. What is written to it is dropped when
    /// `snapshot` is set.
    Disk {
        /// The image.
        image: PathBuf,
        /// Forget what the machine writes.
        snapshot: bool,
    },
    /// A raw image as a USB stick; writes are dropped.
    UsbStick(PathBuf),
    /// An ISO as a CD.
    Cdrom(PathBuf),
    /// A network boot tree, served by QEMU itself.
    Network(PathBuf),
    /// A kernel that QEMU loads: multiboot or PVH, with `-append` and `-initrd`.
    Kernel {
        /// The image.
        kernel: PathBuf,
        /// Its command line.
        append: String,
        /// Modules: path and command line of each.
        modules: Vec<(PathBuf, String)>,
    },
    /// Nothing: devices are given as arguments.
    Nothing,
}

/// How a person sees a machine.
#[derive(Debug, Clone, Default)]
pub struct Interaction {
    /// Also write the serial console to this file.
    pub serial_log: Option<PathBuf>,
    /// Offer the screen on this VNC display of the loopback interface.
    pub vnc: Option<u16>,
}

/// A machine: q35 with two virtual CPUs that have SVM, 2 GiB, BIOS, a virtio network card behind
/// user-mode networking, VGA, and one serial port.
#[derive(Debug, Clone)]
pub struct Machine {
    tools: Tools,
    boot: Boot,
    firmware: Firmware,
    cpus: u32,
    memory: Size,
    cpu: String,
    accel: String,
    nic: Option<String>,
    forwards: Vec<(u16, u16)>,
    variables: Option<PathBuf>,
    extra: Vec<String>,
}

impl Machine {
    /// A machine with the programs of a tools tree.
    pub fn new(tools: &Tools, boot: Boot) -> Self {
        Self {
            tools: tools.clone(),
            boot,
            firmware: Firmware::Bios,
            cpus: 2,
            memory: Size::mib(2048),
            cpu: "max".to_owned(),
            accel: "tcg".to_owned(),
            nic: Some("virtio-net-pci".to_owned()),
            forwards: Vec::new(),
            variables: None,
            extra: Vec::new(),
        }
    }

    /// BIOS or UEFI.
    #[must_use]
    pub fn firmware(mut self, firmware: Firmware) -> Self {
        self.firmware = firmware;
        self
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpus(mut self, count: u32) -> Self {
        self.cpus = count;
        self
    }

    /// Size of the memory.
    #[must_use]
    pub fn memory(mut self, size: Size) -> Self {
        self.memory = size;
        self
    }

    /// QEMU's CPU model with flags; `max` unless set.
    #[must_use]
    pub fn cpu(mut self, model: &str) -> Self {
        model.clone_into(&mut self.cpu);
        self
    }

    /// QEMU's accelerator with options; `tcg` unless set.
    #[must_use]
    pub fn accel(mut self, accel: &str) -> Self {
        accel.clone_into(&mut self.accel);
        self
    }

    /// Model of the network card (`virtio-net-pci`, `e1000e`, ...), or none.
    #[must_use]
    pub fn nic(mut self, model: Option<&str>) -> Self {
        self.nic = model.map(str::to_owned);
        self
    }

    /// Forwards a TCP port of the host's loopback interface to one of the machine.
    #[must_use]
    pub fn forward(mut self, host: u16, guest: u16) -> Self {
        self.forwards.push((host, guest));
        self
    }

    /// Keeps UEFI variables in this file, which is created when missing. Without it they are
    /// forgotten.
    #[must_use]
    pub fn variables(mut self, path: &Path) -> Self {
        self.variables = Some(path.to_owned());
        self
    }

    /// More arguments for QEMU.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.extra.extend(args.into_iter().map(Into::into));
        self
    }

    /// A raw disk behind a device model (`virtio-blk-pci`, `ide-hd`, `nvme,serial=1`, ...).
    #[must_use]
    pub fn disk(self, image: &Path, device: &str) -> Self {
        let number = self.extra.len();
        let drive = format!("file={},format=raw,if=none,id=disk{number}", escape(image));
        let device = format!("{device},drive=disk{number}");
        self.args(["-drive".to_owned(), drive, "-device".to_owned(), device])
    }

    /// Starts the machine for a program: the serial console is captured.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn start(&self) -> Result<Running, Error> {
        let folder = Running::folder()?;
        let mut command = self.command(folder.path())?;
        command.args(["-display", "none", "-chardev", "stdio,id=serial,signal=off"]);
        let socket = folder.path().join("qmp");
        command.arg("-qmp").arg(format!("unix:{},server=on,wait=off", escape(&socket)));
        Running::spawn(command, folder, &socket)
    }

    /// Runs the machine on this terminal until it ends: serial console and QEMU's monitor
    /// (Ctrl-A C; Ctrl-A X ends it).
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn interact(&self, how: &Interaction) -> Result<ExitStatus, Error> {
        let folder = Running::folder()?;
        let mut command = self.command(folder.path())?;
        let log = how.serial_log.as_ref();
        let log = log.map(|path| format!(",logfile={}", escape(path))).unwrap_or_default();
        command.args(["-chardev", &format!("stdio,id=serial,mux=on,signal=off{log}")]);
        command.args(["-mon", "chardev=serial,mode=readline"]);
        match how.vnc {
            Some(display) => command.args(["-display", &format!("vnc=127.0.0.1:{display}")]),
            None => command.args(["-display", "none"]),
        };
        let _terminal = crate::terminal::Guard::remember();
        let mut child = supervise::spawn(command).map_err(Error::Start)?;
        child.wait().map_err(Error::Start)
    }

    /// QEMU's command line, without serial port's backend and display.
    fn command(&self, folder: &Path) -> Result<Command, Error> {
        let tools = &self.tools;
        let mut command = supervise::command(tools, "qemu-system-x86_64")?;
        command.env("QEMU_MODULE_DIR", tools.root().join("usr/lib/x86_64-linux-gnu/qemu"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(tools.file(data)?);
        }
        command.args(["-nodefaults", "-no-user-config", "-machine", "q35"]);
        command.args(["-accel", &self.accel, "-cpu", &self.cpu]);
        command.args(["-smp", &self.cpus.to_string()]);
        command.args(["-m", &format!("{}B", self.memory.bytes())]);
        command.args(["-vga", "std", "-serial", "chardev:serial"]);
        if self.firmware == Firmware::Uefi {
            self.add_uefi(&mut command, folder)?;
        }
        self.add_network(&mut command);
        self.add_boot(&mut command);
        command.args(&self.extra);
        Ok(command)
    }

    fn add_uefi(&self, command: &mut Command, folder: &Path) -> Result<(), Error> {
        let code = self.tools.file("usr/share/OVMF/OVMF_CODE_4M.fd")?;
        let variables = self.variables.clone().unwrap_or_else(|| folder.join("vars.fd"));
        if !variables.exists() {
            fs::copy(&self.tools.file("usr/share/OVMF/OVMF_VARS_4M.fd")?, &variables)?;
        }
        let flash = "if=pflash,format=raw";
        command.args(["-drive", &format!("{flash},readonly=on,file={}", escape(&code))]);
        command.args(["-drive", &format!("{flash},file={}", escape(&variables))]);
        Ok(())
    }

    fn add_network(&self, command: &mut Command) {
        let Some(model) = &self.nic else { return };
        let mut netdev = "user,id=net0".to_owned();
        let mut device = format!("{model},netdev=net0");
        for (host, guest) in &self.forwards {
            netdev += &format!(",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
        }
        if let Boot::Network(tree) = &self.boot {
            let file = match self.firmware {
                Firmware::Bios => crate::disk::pxe::BIOS_FILE,
                Firmware::Uefi => crate::disk::pxe::EFI_FILE,
            };
            netdev += &format!(",tftp={},bootfile={file}", escape(tree));
            device += ",bootindex=0";
        } else {
            // No option ROM: nothing boots from it, and firmware starts faster.
            device += ",romfile=";
        }
        command.args(["-netdev", &netdev, "-device", &device]);
    }

    fn add_boot(&self, command: &mut Command) {
        match &self.boot {
            Boot::Disk { image, snapshot } => {
                let format =
                    if image.extension().is_some_and(|e| e == "qcow2") { "qcow2" } else { "raw" };
                let snapshot = if *snapshot { "on" } else { "off" };
                let drive = format!(
                    "file={},format={format},if=none,id=boot,snapshot={snapshot}",
                    escape(image)
                );
                command.args(["-drive", &drive]);
                command.args(["-device", "virtio-blk-pci,drive=boot,bootindex=0"]);
            }
            Boot::UsbStick(image) => {
                let drive =
                    format!("file={},format=raw,if=none,id=boot,snapshot=on", escape(image));
                command.args(["-drive", &drive, "-device", "qemu-xhci"]);
                command.args(["-device", "usb-storage,drive=boot,bootindex=0"]);
            }
            Boot::Cdrom(iso) => {
                let drive = format!("file={},format=raw,if=none,id=boot,media=cdrom", escape(iso));
                command.args(["-drive", &drive, "-device", "ide-cd,drive=boot,bootindex=0"]);
            }
            Boot::Kernel { kernel, append, modules } => {
                command.arg("-kernel").arg(kernel).args(["-append", append]);
                let module = |(path, line): &(PathBuf, String)| {
                    let words = format!("{} {line}", path.display());
                    words.trim_end().replace(',', ",,")
                };
                let modules: Vec<String> = modules.iter().map(module).collect();
                if !modules.is_empty() {
                    command.args(["-initrd", &modules.join(",")]);
                }
            }
            Boot::Network(_) | Boot::Nothing => {}
        }
    }
}

/// A path inside an option list, where a comma ends the option.
fn escape(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
