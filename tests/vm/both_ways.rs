//! The interface is Xen's: Debian's `xl`, `xenstored` and `xenconsoled` run on our hypervisor, and
//! our control domain on Debian's Xen. Both do the same with the same guest.

use mkimage::disk::content;
use mkimage::qemu::Machine;
use mkimage::recipe::Size;
use mkimage::stage::initramfs::Initramfs;
use std::time::Duration;
use xenolith_tests::guest;
use xenolith_tests::images::{self, Images};
use xenolith_tests::vm::Vm;
use xenolith_tests::workbench::{self, Folder};
use xenolith_tests::xen::{self, DAEMONS, xen};

const PATIENCE: Duration = Duration::from_secs(180);
/// For the last references to a domain to go, and the domain with them.
const GONE: usize = 20;
/// Leaves a guest's console.
const LEAVE: &str = "\x1d";

const CONFIG: &str = r#"
type = "pvh"
name = "web"
kernel = "/guests/kernel"
ramdisk = "/guests/ramdisk"
memory = 128
vcpus = 1
extra = "console=hvc0 quiet"
"#;

/// Runs lines of the serial port one by one, without echo, and says how each ended.
const SHELL: &str = r#"
exec <>/dev/hvc0 >&0 2>&0
stty -echo
echo "shell: ready"
while IFS= read -r line; do
    if eval "$line"; then echo "shell: done"; else echo "shell: failed"; fi
done
"#;

/// A control domain's command line, at which one of Xen's own tools or ours is used.
struct Tool {
    vm: Vm,
    /// What stands before each command.
    name: &'static str,
    /// What is said after a command.
    done: &'static str,
    /// What is said when one fails.
    failed: &'static str,
    /// What is said when a guest's console was left.
    left: &'static str,
}

/// The files of the guest.
fn guests(images: &Images, folder: &Folder) -> Initramfs {
    let mut files = Initramfs::default();
    files.file("guests/kernel", &images.file(content::KERNEL), false);
    files.file("guests/ramdisk", &guest::ramdisk(images, folder), false);
    files.bytes("guests/web.cfg", CONFIG);
    files
}

impl Tool {
    fn say(&mut self, text: &str) {
        self.vm.running().send(text).expect("the control domain's console");
    }

    /// Runs a command of the tool; returns what it printed.
    fn run(&mut self, arguments: &str) -> String {
        let line = format!("{} {arguments}", self.name);
        self.say(&format!("{line}\r"));
        let (failed, said) = self.vm.expect_any(&[self.done, self.failed], PATIENCE);
        assert_eq!(failed, 0, "{line}: {said}");
        // Ours echoes what was typed.
        said.replace(&line, "").trim_end_matches(self.done).to_owned()
    }

    /// The value of a line `name : value` of `info`.
    fn info(&mut self, name: &str) -> String {
        let info = self.run("info");
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        let field = fields.find(|(key, _)| key.trim() == name);
        field.unwrap_or_else(|| panic!("no {name}: {info}")).1.trim().to_owned()
    }

    /// Name, memory and vCPUs of each domain.
    fn list(&mut self) -> Vec<String> {
        let list = self.run("list");
        let rows = list.lines().skip_while(|line| !line.starts_with("Name ")).skip(1);
        let words = rows.map(|row| row.split_whitespace().collect::<Vec<_>>());
        let known = words.filter(|words| words.len() == 6);
        known.map(|words| format!("{} {} {}", words[0], words[2], words[3])).collect()
    }

    /// Waits until there is only the control domain.
    fn wait_until_alone(&mut self) {
        for _ in 0..GONE {
            if self.list().len() == 1 {
                return;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
        let list = self.run("list");
        self.vm.fail(&format!("the guest stays:\n{list}"));
    }

    /// Runs a command in the guest, by its console.
    fn guest(&mut self, command: &str) -> String {
        self.say(&format!("{} console web\r", self.name));
        self.vm.expect(guest::PROMPT, PATIENCE);
        self.say(&format!("{command}; echo do''ne\r"));
        let said = self.vm.expect("done", PATIENCE);
        self.vm.expect(guest::PROMPT, PATIENCE);
        self.say(LEAVE);
        self.vm.expect(self.left, PATIENCE);
        said
    }

    /// What both have in common.
    fn guest_lives(&mut self, version: &str) {
        assert!(self.info("xen_version").starts_with(version), "{}", self.run("info"));
        assert_eq!(self.list().len(), 1);
        let free = self.info("free_memory");

        self.run("create /guests/web.cfg");
        assert_eq!(self.list()[1], "web 128 1");
        let said = self.guest("uname -s; cat /sys/hypervisor/version/extra");
        assert!(said.contains("\nLinux\n"), "{said}");
        self.run("shutdown -w web");
        self.wait_until_alone();

        self.run("create -p /guests/web.cfg");
        assert_eq!(self.list()[1], "web 128 1");
        self.run("destroy web");
        self.wait_until_alone();
        assert_eq!(self.info("free_memory"), free);
    }
}

#[test]
fn tools_of_xen_run_on_our_hypervisor() {
    let images = images::appliance();
    let folder = Folder::new("xl");
    let script = format!("{DAEMONS}{SHELL}");
    let initramfs = xen().control_domain(&folder, &script, guests(images, &folder));
    let kernel = (images.file(content::KERNEL), "console=hvc0 quiet".to_owned());
    let modules = vec![kernel, (initramfs, String::new())];
    let boot = images.hypervisor("console=com1 dom0_mem=768M", modules);
    let machine = Machine::new(&images.tools, boot).memory(Size::mib(1536)).nic(None);
    let mut vm = Vm::start("xl on Xenolith", machine, 2);
    vm.expect("shell: ready\n", PATIENCE);
    let (done, failed) = ("shell: done\n", "shell: failed\n");
    let mut xl = Tool { vm, name: "xl", done, failed, left: done };
    xl.guest_lives("4.20.0-xenolith");
    xl.say("poweroff -f\r");
    xl.vm.ends();
}

#[test]
fn our_control_domain_runs_on_xen() {
    let images = images::appliance();
    let folder = Folder::new("xm-on-xen");
    let initramfs = workbench::beside(images, &folder, &guests(images, &folder));
    let kernel = (images.file(content::KERNEL), "console=hvc0 quiet".to_owned());
    let modules = vec![kernel, (initramfs, String::new())];
    let boot = xen().boot(&folder, "dom0_mem=512M", modules);
    let machine = Machine::new(&images.tools, boot).memory(Size::mib(1024)).nic(None);
    let mut vm = Vm::start("xm on Xen", xen::machine(machine), 1);
    vm.boot();
    let mut xm = Tool { vm, name: "xm", done: "\nxm> ", failed: "\nxm: ", left: "xm> " };
    assert!(xm.info("cc_compiler").contains("gcc"));
    xm.guest_lives("4.20.");
    xm.vm.end("xm shutdown-host");
}
