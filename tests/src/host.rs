//! The appliance with guests to start: booted directly, with a data partition that holds a kernel,
//! a RAM disk and configs, and with a shell beside its own processes that tests look and break
//! things with.
//!
//! ```no_run
//! # use xenolith_tests::host::{Setup, config};
//! let mut host = Setup::new("example").text("config/guests/web.cfg", &config("")).boot();
//! host.xm("create web");
//! assert_eq!(host.guest("web", "nproc").trim(), "1");
//! assert!(host.shell("pidof init").ends_with('\n'));
//! host.end();
//! ```

use crate::images;
use crate::vm::Vm;
use crate::workbench::Folder;
use crate::{data_disk, guest, workbench};
use mkimage::disk::content;
use mkimage::qemu::Machine;
use mkimage::recipe::Size;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For a guest from its start to its shell, on a slow host.
const GUEST_BOOT: Duration = Duration::from_secs(120);
/// For a command in the shell of guest or control domain.
const COMMAND: Duration = Duration::from_secs(60);
/// Leaves a guest's console.
const LEAVE: &str = "\x1d";
/// The port of the control domain's second shell, as QEMU names it.
const PORT: &str = "xenolith.test";

/// Starts the second shell, then becomes the appliance's own PID 1.
const INIT: &str = "#!/bench/busybox sh
/bench/busybox sh /bench/serve &
exec /init
";

/// The second shell: reads commands from a port of QEMU's.
const SERVE: &str = "
port() { for port in /dev/vport*p1; do [ -c \"$port\" ] && return; done; false; }
while ! port; do /bench/busybox usleep 100000; done
/bench/busybox --install -s /bench
export PATH=/bench:/usr/bin:/sbin
# It stays open: what arrives while no shell reads isn't lost then.
exec 3<>$port
# A command may end the shell that runs it.
while :; do
    sh <&3 >&3 2>&3
    usleep 100000
done
";

/// As distributions write it, for a file system of its own.
const GRUB_CONFIG: &str = "
set default=0
set timeout=0
menuentry 'guest' {
    insmod gzio
    insmod part_gpt
    insmod ext2
    linux /boot/kernel console=hvc0 quiet from=disk
    initrd /boot/ramdisk
}
";

/// What is to be booted.
#[derive(Debug)]
pub struct Setup {
    name: String,
    folder: Folder,
    cpus: u32,
    memory: Size,
    data_mib: u32,
    hypervisor_line: String,
    extra: Vec<String>,
}

/// A config for [`guest`], with more lines at its end.
pub fn config(more: &str) -> String {
    format!(
        "kernel = \"/data/kernel\"\nramdisk = \"/data/ramdisk\"\nmemory = 192\n\
         extra = \"console=hvc0 quiet\"\n{more}\n"
    )
}

impl Setup {
    /// A machine of two CPUs and 2 GiB, whose data partition holds `kernel` and `ramdisk`. The
    /// name must be the only one of its kind in the process.
    pub fn new(name: &str) -> Self {
        let images = images::appliance();
        let folder = Folder::new(name);
        let ramdisk = guest::ramdisk(images, &folder);
        let setup = Self {
            name: name.to_owned(),
            folder,
            cpus: 2,
            memory: Size::mib(2048),
            data_mib: 192,
            hypervisor_line: "console=com1 dom0_mem=1024M".to_owned(),
            extra: Vec::new(),
        };
        setup.file("kernel", &images.file(content::KERNEL)).file("ramdisk", &ramdisk)
    }

    /// Puts a file onto the data partition.
    #[must_use]
    pub fn file(self, path: &str, source: &Path) -> Self {
        std::fs::copy(source, self.place(path)).expect("a file for the data partition");
        self
    }

    /// Puts a text file onto the data partition.
    #[must_use]
    pub fn text(self, path: &str, text: &str) -> Self {
        std::fs::write(self.place(path), text).expect("a file for the data partition");
        self
    }

    /// Puts a guest's disk onto the data partition: see [`Self::own_disk`].
    #[must_use]
    pub fn guest_disk(self, path: &str) -> Self {
        let disk = self.own_disk();
        self.file(path, &disk)
    }

    /// Makes a guest's disk, beside the data partition: kernel, RAM disk and a configuration of GRUB.
    pub fn own_disk(&self) -> PathBuf {
        let tree = self.folder.file("guest-disk");
        std::fs::create_dir_all(tree.join("boot/grub")).expect("a folder for the guest's disk");
        for name in ["kernel", "ramdisk"] {
            let copied = std::fs::copy(self.place(name), tree.join("boot").join(name));
            copied.expect("a file for the guest's disk");
        }
        std::fs::write(tree.join("boot/grub/grub.cfg"), GRUB_CONFIG).expect("its configuration");
        let disk = self.folder.file("guest.img");
        data_disk::write(&images::appliance().tools, &disk, &tree, 40);
        disk
    }

    /// Changes a file that is on the data partition.
    #[must_use]
    pub fn changed(self, path: &str, change: impl FnOnce(&Path)) -> Self {
        change(&self.place(path));
        self
    }

    /// How many CPUs the machine has.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// How much memory the machine has.
    #[must_use]
    pub fn memory(mut self, memory: Size) -> Self {
        self.memory = memory;
        self
    }

    /// The size of the data partition, in MiB.
    #[must_use]
    pub fn data_mib(mut self, mebibytes: u32) -> Self {
        self.data_mib = mebibytes;
        self
    }

    /// More arguments for QEMU.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.extra.extend(args.into_iter().map(Into::into));
        self
    }

    /// Boots it to the prompt.
    pub fn boot(self) -> Host {
        let images = images::appliance();
        let folder = self.folder;
        let disk = folder.file("data.img");
        data_disk::write(&images.tools, &disk, &folder.file("data"), self.data_mib);
        let files = [("init", INIT), ("serve", SERVE)];
        let initramfs = workbench::beside_the_appliance(images, &folder, &files);
        let kernel_line =
            format!("console=hvc0 quiet rdinit=/bench/init {}", data_disk::kernel_argument());
        let modules = vec![(images.file(content::KERNEL), kernel_line), (initramfs, String::new())];
        let boot = images.hypervisor(&self.hypervisor_line, modules);
        let socket = folder.file("shell");
        let port = format!("socket,id=shell,path={},server=on,wait=off", socket.display());
        let machine = Machine::new(&images.tools, boot)
            .memory(self.memory)
            .disk(&disk, "virtio-blk-pci")
            .args(["-device", "virtio-serial-pci", "-chardev", &port, "-device"])
            .args([format!("virtserialport,chardev=shell,name={PORT}")])
            .args(self.extra);
        let mut vm = Vm::start(&self.name, machine, self.cpus);
        // Before the shell starts: it finds an end of file while nobody is connected.
        let shell = connect(&socket);
        vm.boot();
        Host { vm, shell: BufReader::new(shell), commands: 0, folder }
    }

    fn place(&self, path: &str) -> PathBuf {
        let place = self.folder.file("data").join(path);
        let folder = place.parent().expect("a path in the data partition");
        std::fs::create_dir_all(folder).expect("a folder for the data partition");
        place
    }
}

/// A command that finds a daemon's process.
fn find(service: &str) -> String {
    // So written that it doesn't find itself.
    let (first, rest) = service.split_at(1);
    format!("grep -lxz '[{first}]{rest}' /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3 | grep .")
}

/// Connects to a port that QEMU offers once it has started.
fn connect(socket: &Path) -> UnixStream {
    for _ in 0..600 {
        if let Ok(port) = UnixStream::connect(socket) {
            port.set_read_timeout(Some(COMMAND)).expect("a time limit for the port");
            return port;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("QEMU doesn't offer {}", socket.display());
}

/// A running appliance.
#[derive(Debug)]
pub struct Host {
    /// Its machine, at the prompt.
    pub vm: Vm,
    /// The second shell, by QEMU's port.
    shell: BufReader<UnixStream>,
    /// How many commands were given: they make each one's end unmistakable.
    commands: u32,
    folder: Folder,
}

impl Host {
    /// Runs a command of `xm` at the prompt; returns what it printed.
    pub fn xm(&mut self, line: &str) -> String {
        self.vm.command(&format!("xm {line}"))
    }

    /// Starts a guest and waits for its shell.
    pub fn create(&mut self, arguments: &str, name: &str) -> String {
        // Unpacking a kernel takes a while.
        let said = self.vm.command_within(&format!("xm create {arguments}"), GUEST_BOOT);
        assert!(said.contains("Started domain"), "{said}");
        self.wait_for_shell(name);
        said
    }

    /// Waits until a guest's shell answers.
    pub fn wait_for_shell(&mut self, name: &str) {
        self.open_console(name);
        self.vm.expect(guest::PROMPT, GUEST_BOOT);
        self.leave_console();
    }

    /// Runs a command in a guest, by its console; returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn guest(&mut self, name: &str, command: &str) -> String {
        let number = self.next();
        self.open_console(name);
        // What is typed is echoed, and must not be taken for what is printed.
        let line = format!(
            "echo be''gin-{number}; {command} && echo do''ne-{number} || echo fai''led-{number}"
        );
        self.type_text(&format!("{line}\r"));
        self.vm.expect(&format!("begin-{number}"), COMMAND);
        let ends = [format!("done-{number}"), format!("failed-{number}")];
        let (end, said) = self.vm.expect_any(&[&ends[0], &ends[1]], COMMAND);
        self.leave_console();
        let printed = said.trim_start_matches(['\r', '\n']);
        let printed = printed.strip_suffix(&ends[end]).unwrap_or(printed);
        assert_eq!(end, 0, "{name}: {command} failed: {printed}");
        printed.replace('\r', "")
    }

    /// Runs a command in the control domain's second shell; returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    pub fn shell(&mut self, command: &str) -> String {
        let (status, printed) = self.try_shell(command);
        assert_eq!(status, 0, "dom0: {command}: {printed}");
        printed
    }

    /// Runs a command in the control domain's second shell; returns its exit status and what it
    /// printed.
    pub fn try_shell(&mut self, command: &str) -> (i32, String) {
        let number = self.next();
        let line = format!("{{ {command}\n}} </dev/null; echo \"end-{number} $?\"\n");
        self.shell.get_mut().write_all(line.as_bytes()).expect("the control domain's shell");
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let read = self.shell.read_line(&mut line);
            if !matches!(read, Ok(1..)) {
                self.vm.fail(&format!("dom0: {command}: {read:?} after {printed}"));
            }
            if let Some((before, status)) = line.split_once(&format!("end-{number} ")) {
                printed.push_str(before);
                return (status.trim().parse().expect("an exit status"), printed);
            }
            printed.push_str(&line);
        }
    }

    /// Waits until a command of the second shell succeeds.
    pub fn wait_until(&mut self, command: &str) {
        for _ in 0..300 {
            if self.try_shell(command).0 == 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        let (_, log) = self.try_shell("xm list; xm log | tail -n 30");
        let console = self.vm.running().console();
        self.vm.fail(&format!("dom0: this never succeeds: {command}\n{console}\n{log}"));
    }

    /// Waits until `xm list` shows a guest in this state, or without it (`None`).
    pub fn wait_for_state(&mut self, name: &str, state: Option<&str>) {
        let test = match state {
            Some(state) => format!("xm list {name} 2>/dev/null | grep -q -- '{state}'"),
            None => format!("! xm list {name} >/dev/null 2>&1"),
        };
        self.wait_until(&test);
    }

    /// Ends a daemon of the control domain as nothing else can, and waits until there is
    /// another in its place.
    pub fn kill(&mut self, service: &str) {
        let process = self.process_of(service);
        self.shell(&format!("kill -9 {process}"));
        self.wait_for_successor(service, &process);
    }

    /// The process of a daemon of the control domain, which may just be starting.
    pub fn process_of(&mut self, service: &str) -> String {
        self.wait_until(&format!("{} >/dev/null", find(service)));
        self.shell(&find(service)).trim().to_owned()
    }

    /// Waits until there is another process of a daemon than this.
    pub fn wait_for_successor(&mut self, service: &str, process: &str) {
        let find = find(service);
        self.wait_until(&format!("new=$({find}) && [ \"$new\" != {process} ]"));
    }

    /// Shows a guest's console on the terminal.
    pub fn open_console(&mut self, name: &str) {
        let line = format!("xm console {name}");
        self.type_text(&format!("{line}\r"));
        // What is typed before the command runs is the prompt's.
        self.vm.expect(&line, COMMAND);
        self.vm.expect("\n", COMMAND);
        self.type_text("\r");
    }

    /// Back to the prompt.
    pub fn leave_console(&mut self) {
        self.type_text(LEAVE);
        self.vm.expect("xm> ", COMMAND);
    }

    /// Types on the terminal.
    pub fn type_text(&mut self, text: &str) {
        let sent = self.vm.running().send(text);
        sent.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Switches the machine off.
    pub fn end(mut self) {
        self.vm.end("xm shutdown-host");
    }

    /// The same, and takes a file from the data partition.
    pub fn end_and_take(mut self, path: &str, to: &Path) -> PathBuf {
        self.vm.end("xm shutdown-host");
        data_disk::take(&images::appliance().tools, &self.folder.file("data.img"), path, to);
        to.to_owned()
    }

    fn next(&mut self) -> u32 {
        self.commands += 1;
        self.commands
    }
}
