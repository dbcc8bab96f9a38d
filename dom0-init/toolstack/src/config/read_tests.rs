//! Whole configs: what they give, and what is said about those that are wrong.

use proptest::prelude::*;

use super::super::disk::Source;
use super::*;

const TUTORIAL: &str = "
vcpus = 1
memory = 64
kernel = \"/boot/vmlinuz-2.6.18.8-xen\"
ramdisk = \"/boot/initrd.img-2.6.18.8-xen\"
vif = [ '' ]
disk = [ 'phy:hda1,xvda1,w' ]
root = \"/dev/xvda1\"
vfb = ['type=vnc,vncunused=1']
extra = 'xencons=tty'
";

const TUTORIAL_HVM: &str = "
vcpus = 1
memory = 512
kernel = \"/usr/lib64/xen/boot/hvmloader\"
builder = \"hvm\"
device_model = \"/usr/lib64/xen/bin/qemu-dm\"
boot = \"cd\"
disk = [ 'tap:aio:/xen/images/hvm.disk, ioemu:hda,w',
         'phy:/dev/cdrom, ioemu:hdc:cdrom,r' ]
vif = [ 'type=ioemu, bridge=eth0' ]
vnc = 1
";

fn read(text: &str) -> (Guest, Vec<String>) {
    match guest("/etc/xen/web.cfg", text, &[]) {
        Ok((guest, notes)) => (guest, notes.iter().map(ToString::to_string).collect()),
        Err(problems) => panic!("{problems}"),
    }
}

fn problems(text: &str) -> String {
    guest("web.cfg", text, &[]).unwrap_err().to_string()
}

const KERNEL: &str = "kernel = '/boot/vmlinuz'\n";

fn problem(text: &str) -> String {
    problems(&format!("{KERNEL}{text}"))
}

#[test]
fn the_tutorials_guest() {
    let (guest, notes) = read(TUTORIAL);
    assert_eq!((guest.name.as_str(), guest.vcpus, guest.memory_mib), ("web", 1, 64));
    assert_eq!((guest.max_vcpus, guest.max_memory_mib, guest.uuid), (1, 64, None));
    assert_eq!(
        guest.boot,
        Boot::Kernel {
            kernel: "/boot/vmlinuz-2.6.18.8-xen".into(),
            ramdisk: Some("/boot/initrd.img-2.6.18.8-xen".into()),
            command_line: "root=/dev/xvda1 xencons=tty".into(),
        }
    );
    assert_eq!(guest.vifs, [Vif::default()]);
    assert_eq!(guest.disks[0].source, Source::Block("/dev/hda1".into()));
    assert_eq!(guest.on_reboot, Action::Restart);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("/etc/xen/web.cfg:9: vfb: changes nothing"), "{notes:?}");
}

#[test]
fn the_tutorials_networks() {
    let vifs = |text: &str| read(&format!("{KERNEL}vif = {text}")).0.vifs;
    let bridges: Vec<_> = vifs("['bridge=xenbr0', 'bridge=xenbr1']")
        .into_iter()
        .map(|vif| vif.bridge.unwrap())
        .collect();
    assert_eq!(bridges, ["xenbr0", "xenbr1"]);
    assert_eq!(vifs("['bridge = dummybr0']")[0].bridge.as_deref(), Some("dummybr0"));
    assert!(vifs("['bridge=xenbr0, rate=50Kb/s']")[0].rate.is_some());
    assert_eq!(vifs("['bridge=xenbr1',]").len(), 1);
}

#[test]
fn the_tutorials_disks() {
    let disk = |text: &str| read(&format!("{KERNEL}disk = [{text}]")).0.disks[0].source.clone();
    assert_eq!(disk("'phy:etherd/e1.1, xvda1, w'"), Source::Block("/dev/etherd/e1.1".into()));
    let told = problem("disk = [ 'drbd: resource, xvda, w' ]");
    assert!(told.contains("phy:drbd/by-res/resource"), "{told}");
}

#[test]
fn what_belongs_to_later_work_says_so() {
    for (line, words) in [
        ("pci = ['01:00.0']", "pci: handing devices to guests isn't supported yet"),
        ("builder = 'hvm'", "builder: HVM guests aren't supported yet"),
    ] {
        let told = problem(line);
        assert!(told.contains(words), "{told}");
    }
    // A guest with a screen runs as well without.
    let (_, notes) = read(&format!("{KERNEL}vfb = ['type=vnc']"));
    assert!(notes[0].contains("vfb: changes nothing: a guest's screen isn't supported yet"));
}

#[test]
fn the_tutorials_hvm_guest_is_answered_by_name() {
    let told = problems(TUTORIAL_HVM);
    assert!(told.contains("web.cfg:5: builder: HVM guests aren't supported yet"), "{told}");
}

#[test]
fn everything_else() {
    let (guest, notes) = read(
        "name='db1'; uuid='06ed00fe-1162-4fc4-b5d8-11993ee4a8b9'\nvcpus=2\nmaxvcpus=4\n\
         memory='256'\nmaxmem=1024\nbootloader='/usr/bin/pygrub'\ncpus='0-3,^1'\ncpu_weight=512\n\
         cpu_cap=50\non_poweroff='preserve'\non_reboot='destroy'\non_crash='rename-restart'\n",
    );
    assert_eq!((guest.vcpus, guest.max_vcpus), (2, 4));
    assert_eq!((guest.memory_mib, guest.max_memory_mib), (256, 1024));
    assert_eq!((guest.boot, guest.weight, guest.cap), (Boot::Pvgrub, Some(512), Some(50)));
    assert_eq!(guest.cpus, [CpuSet::Only(vec![0, 2, 3])]);
    assert_eq!(guest.on_crash, Action::RenameRestart);
    assert!(guest.uuid.is_some() && notes.is_empty());
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    for (text, words) in [
        ("memory = 'lots'", "web.cfg:2: memory: must be a number from 16 to"),
        ("vcpus = 99", "web.cfg:2: vcpus: must be a number from 1 to 32"),
        ("vcpus = 4\nmaxvcpus = 2", "web.cfg:3: maxvcpus: 2 is less than vcpus (4)"),
        ("name = 'a b'", "web.cfg:2: name: \"a b\" is no name"),
        ("name = '17'", "would pass for a domain's number"),
        ("uuid = 'x'", "is no UUID"),
        ("disk = [ 'file:/a,xvda,w',\n 'file:/b,xvda,w' ]", "xvda is there twice"),
        (
            "disk = [ 'file:/a,xvda,w',\n 'file:b,xvdb,w' ]",
            "web.cfg:3: disk: \"b\" isn't the whole path",
        ),
        ("vif = [ 5 ]", "web.cfg:2: vif: a number is in the list"),
        ("pci = [ '01:00.0' ]", "web.cfg:2: pci: handing devices"),
        ("on_crash = 'explode'", "there are destroy, restart"),
        ("bootloader = 'lilo'", "use \"pvgrub\""),
        ("extra = [ 'a' ]", "web.cfg:2: extra: is a list: write a string"),
        ("cpus = '3-1'", "web.cfg:2: cpus: \"3-1\" is no range"),
        ("type = 'hvm'", "web.cfg:2: type: HVM guests"),
    ] {
        let told = problem(text);
        assert!(told.contains(words), "{text}: {told}");
    }
    assert!(
        problems("memory = 64").contains("web.cfg: kernel: is missing: give the kernel's path")
    );
    assert_eq!(problem("vcpus = 0\nmemory = 1").lines().count(), 2, "all are told at once");
}

#[test]
fn strangers_are_named() {
    let (_, notes) = read(&format!("{KERNEL}memroy = 5\nxyzzy = 1\npci = []\n"));
    assert!(notes[0].contains("did you mean memory?"), "{notes:?}");
    assert!(notes[1].contains("xyzzy: isn't a known key"), "{notes:?}");
    assert_eq!(notes.len(), 2);
}

#[test]
fn the_command_line_wins() {
    let overrides =
        ["memory=512".to_owned(), "name=other".to_owned(), "root=/dev/xvda2".to_owned()];
    let (guest, _) = guest("web.cfg", TUTORIAL, &overrides).unwrap();
    assert_eq!((guest.memory_mib, guest.name.as_str()), (512, "other"));
    assert!(
        matches!(guest.boot, Boot::Kernel { command_line, .. } if command_line.starts_with("root=/dev/xvda2 "))
    );
    let wrong = super::guest("web.cfg", TUTORIAL, &["memory=x".to_owned()]).unwrap_err();
    assert!(wrong.to_string().starts_with("web.cfg: memory: must be a number"));
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,12}",
        "'[a-z0-9:=/, .^-]{0,30}'",
        Just("[]".to_owned()),
        Just("None".to_owned()),
        "\\['[a-z0-9:=/, .^-]{0,30}'(, '[a-z0-9:=/, ]{0,10}')?\\]",
    ]
}

proptest! {
    #[test]
    fn any_config_is_answered(
        lines in prop::collection::vec((prop::sample::select(KEYS.to_vec()), value()), 0..12),
    ) {
        let text: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        match guest("web.cfg", &text, &[]) {
            Ok((guest, _)) => {
                prop_assert!(guest.max_vcpus >= guest.vcpus && guest.vcpus >= 1);
                prop_assert!(guest.max_memory_mib >= guest.memory_mib);
            }
            Err(problems) => prop_assert!(!problems.all.is_empty()),
        }
    }
}
