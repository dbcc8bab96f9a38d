//! The description of a machine, and the words that start QEMU with it.

use super::running::Running;
use super::{Error, supervise};
use crate::fs;
use crate::recipe::Size;
use crate::tools::{self, Tools};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::str::FromStr;

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

/// A TCP port of the host's loopback interface that leads into the machine's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forward {
    /// The host's port.
    pub host: u16,
    /// Who answers: the machine itself, or another address of its network (10.0.2.0/24), where
    /// guests are whose interfaces are bridged.
    pub address: Option<Ipv4Addr>,
    /// The port there.
    pub port: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.parse().map_err(|_| format!("`{text}` is no port"));
        let address =
            |text: &str| text.parse().map(Some).map_err(|_| format!("`{text}` is no IPv4 address"));
        let words: Vec<&str> = text.split(':').collect();
        let (host, to, inner) = match words.as_slice() {
            [host, inner] => (host, None, inner),
            [host, to, inner] => (host, address(to)?, inner),
            _ => return Err("write HOST:PORT, or HOST:ADDRESS:PORT for a guest".to_owned()),
        };
        Ok(Self { host: port(host)?, address: to, port: port(inner)? })
    }
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
    forwards: Vec<Forward>,
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

    /// Forwards a TCP port of the host's loopback interface into the machine's network.
    #[must_use]
    pub fn forward(mut self, forward: Forward) -> Self {
        self.forwards.push(forward);
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

    /// Runs the machine to its end, alone: what it says on each of its serial ports goes to a file.
    /// Returns what QEMU itself said.
    ///
    /// # Errors
    /// When QEMU can't be started, or fails.
    pub fn run(&self, ports: &[&Path]) -> Result<String, Error> {
        let folder = Running::folder()?;
        let mut command = self.command(folder.path())?;
        for (number, path) in ports.iter().enumerate() {
            let id = if number == 0 { "serial".to_owned() } else { format!("serial{number}") };
            command.args(["-chardev", &format!("file,id={id},path={}", escape(path))]);
            if number > 0 {
                command.args(["-serial", &format!("chardev:{id}")]);
            }
        }
        command.args(["-display", "none", "-no-reboot"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        crate::progress::detail(&format!("running {command:?}"));
        let child = supervise::spawn(command).map_err(Error::Start)?;
        let ended = child.wait_with_output().map_err(Error::Start)?;
        let output = String::from_utf8_lossy(&ended.stderr).trim_end().to_owned();
        if !ended.status.success() {
            let program = "qemu-system-x86_64".to_owned();
            return Err(tools::Error::Failed { program, status: ended.status, output }.into());
        }
        Ok(output)
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
        for Forward { host, address, port } in &self.forwards {
            let address = address.map(|address| address.to_string()).unwrap_or_default();
            netdev += &format!(",hostfwd=tcp:127.0.0.1:{host}-{address}:{port}");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_read() {
        let forward = |host, address, port| Forward { host, address, port };
        assert_eq!("8022:22".parse(), Ok(forward(8022, None, 22)));
        let guest = Some(Ipv4Addr::new(10, 0, 2, 16));
        assert_eq!("8080:10.0.2.16:80".parse(), Ok(forward(8080, guest, 80)));
        for (text, reason) in [
            ("8022", "write HOST:PORT"),
            ("8022:guest:22", "`guest` is no IPv4 address"),
            ("8022:99999", "`99999` is no port"),
        ] {
            let refused = text.parse::<Forward>().expect_err(text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
