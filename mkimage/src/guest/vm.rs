//! Runs a system's own programs in a virtual machine, where the host has no user namespaces: with
//! the appliance's kernel, by QEMU of the tools tree.
//!
//! The system is a file system on the machine's first disk, what the script prints goes onto the
//! second one, and there is nothing else: no network, no folder of the host. `machine.sh` is the
//! machine's first process; inside, `sandbox.sh` sets the same root up as in a namespace.

use super::isolation::{Place, Sink};
use super::{sandbox, scan};
use crate::disk::ext4::{self, Ext4};
use crate::error::Error;
use crate::fs::{self, Context};
use crate::progress::{self, Step};
use crate::project::Project;
use crate::qemu::{Boot, Machine};
use crate::recipe::Size;
use crate::scratch::Scratch;
use crate::stage::initramfs::Initramfs;
use crate::stage::kernel;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// The machine's first process.
const INIT: &str = include_str!("machine.sh");
/// What it loads.
const MODULES: [&str; 3] = ["virtio_blk", "crc32c_generic", "ext4"];
/// The recipe whose kernel it is.
const KERNEL: &str = "appliance";
/// Size of each disk; they are sparse.
const DISK: u64 = 16 << 30;
const MEMORY: Size = Size::mib(1024);
const MOST_CPUS: usize = 4;
/// Where KVM is, if the host has it.
const KVM: &str = "/dev/kvm";
/// Nothing refers to it.
const UUID: &str = "8c1ff1b2-0bb8-4a43-8d8c-2f5a3f0a6a11";

/// As [`Place::run`], in a machine.
///
/// # Errors
/// When the machine can't be started or ends early, or the script fails.
pub fn run(place: &Place<'_>, what: &str, script: &str, sink: &mut Sink<'_>) -> Result<(), Error> {
    let beside = |name: &str| Scratch::new(&place.log.with_file_name(name));
    let (system, printed) = (beside("system.img")?, beside("printed")?);
    let (initramfs, status, console) =
        (beside("initramfs")?, beside("status")?, beside("console")?);
    write_system(place, system.path())?;
    fs::create(printed.path())?.set_len(DISK).at("write", printed.path())?;
    let kernel = kernel(place.project, script, place, initramfs.path())?;
    let _step = Step::spinner("waiting for the virtual machine");
    let boot = Boot::Kernel {
        kernel,
        append: "console=ttyS2 quiet panic=-1 mitigations=off".to_owned(),
        modules: vec![(initramfs.path().to_owned(), String::new())],
    };
    let machine = Machine::new(place.tools, boot).nic(None).memory(MEMORY).cpus(cpus());
    let machine = accelerated(machine).args(drive(system.path(), 0)).args(drive(printed.path(), 1));
    let said = machine.run(&[place.log, status.path(), console.path()])?;
    progress::detail(&said);
    let (code, size) = outcome(&fs::read_text(status.path())?).ok_or_else(|| {
        let end = sandbox::said(console.path());
        Error::Image(format!("{what}: the virtual machine ended early:\n{end}\n{said}"))
    })?;
    if code != 0 {
        let (what, status) = (what.to_owned(), ExitStatus::from_raw(code << 8));
        let output = sandbox::said(place.log);
        return Err(sandbox::Error::Failed { what, status, output }.into());
    }
    let mut output = fs::open(printed.path())?.take(size);
    Ok(sink(&mut output).at("keep what was printed in", place.root)?)
}

/// Writes the system's file system.
fn write_system(place: &Place<'_>, image: &Path) -> Result<(), Error> {
    let _step = Step::spinner("writing the virtual machine's disk");
    let tree = scan::scan(place.root, place.epoch)?;
    fs::create(image)?.set_len(DISK).at("write", image)?;
    let (uuid, hash_seed) = (UUID, UUID);
    let files = Ext4 { offset: 0, size: DISK, uuid, hash_seed, epoch: place.epoch, journal: false };
    let scratch = place.log.parent().unwrap_or(Path::new("."));
    files.write(image, &tree, place.tools, scratch).map_err(|error| match error {
        ext4::Error::Tools(error) => error.into(),
        ext4::Error::File(error) => error.into(),
        full @ ext4::Error::Full { .. } => Error::Image(full.to_string()),
    })
}

/// Writes the machine's initramfs; returns its kernel.
fn kernel(
    project: &Project,
    script: &str,
    place: &Place<'_>,
    initramfs: &Path,
) -> Result<PathBuf, Error> {
    let recipe = project.recipe(KERNEL)?;
    let pattern = recipe.appliance.as_ref().map(|appliance| appliance.kernel.package.clone());
    let lock = project.lock(&recipe)?;
    let pattern = pattern.unwrap_or_default();
    let kernel = kernel::prepare(|| project.archive(), &project.cache(), &recipe, &lock, &pattern)?;
    let modules = &kernel.modules;
    let selection = modules.select(&MODULES.map(str::to_owned))?;
    let mut files = Initramfs::default();
    files.modules("lib", modules, &selection);
    files.device("dev/console", 5, 1);
    files.file("bin/busybox", &place.tools.file("usr/bin/busybox")?, true);
    let init = place.log.with_file_name("init");
    fs::write(&init, INIT)?;
    files.file("init", &init, true);
    files.bytes("sandbox.sh", sandbox::SETUP);
    files.bytes("script", script);
    files.write(initramfs, 0)?;
    Ok(kernel.image)
}

/// Uses the CPU's own virtualization, if it is there for us.
fn accelerated(machine: Machine) -> Machine {
    let ours = || std::fs::File::options().read(true).write(true).open(KVM).is_ok();
    // Some hosts offer KVM without it, for guests that are made for that.
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if virtualizes(&cpu) && ours() {
        // QEMU takes the first that works.
        machine.accel("kvm").args(["-accel", "tcg"])
    } else {
        machine
    }
}

/// Whether a CPU runs virtual machines itself, by what Linux says of it.
fn virtualizes(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    flags.is_some_and(|line| line.split(' ').any(|flag| matches!(flag, "vmx" | "svm")))
}

/// A disk that nobody has to be able to read after a loss of power.
fn drive(path: &Path, number: u32) -> Vec<String> {
    let path = path.display().to_string().replace(',', ",,");
    let drive = format!("file={path},format=raw,if=none,id=d{number},cache=unsafe,discard=unmap");
    let device = format!("virtio-blk-pci,drive=d{number}");
    ["-drive".to_owned(), drive, "-device".to_owned(), device].into()
}

fn cpus() -> u32 {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(all.min(MOST_CPUS)).unwrap_or(1)
}

/// How the script ended, and how many bytes it printed.
fn outcome(text: &str) -> Option<(i32, u64)> {
    let (code, size) = text.trim().split_once(' ')?;
    let (code, size) = (code.parse().ok()?, size.parse().ok()?);
    ((0..256).contains(&code) && size <= DISK).then_some((code, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtualization_is_a_flag_of_the_cpu() {
        assert!(virtualizes("processor\t: 0\nflags\t\t: fpu svm sse\nbugs\t: x\n"));
        assert!(virtualizes("flags\t\t: fpu vmx"));
        assert!(!virtualizes("flags\t\t: fpu sse\nvmx flags\t: vnmi svm\n"));
        assert!(!virtualizes(""));
    }

    #[test]
    fn outcomes_are_whole_or_none() {
        assert_eq!(outcome("0 10240\r\n"), Some((0, 10240)));
        assert_eq!(outcome("100 0\n"), Some((100, 0)));
        for text in ["", "0", "0 ", " 12", "0 x", "-1 5", "256 0", "0 99999999999999"] {
            assert_eq!(outcome(text), None, "{text:?}");
        }
    }
}
