//! The machines: QEMU's q35 with one CPU, and what they boot.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use mkimage::artifacts;
use mkimage::disk::content;
use mkimage::project::Project;
use mkimage::qemu::{self, Machine};
use mkimage::stage::initramfs::Initramfs;
use xenolith_tests::images::{self, Images};

/// For a boot, on a slow host that does other work too.
const PATIENCE: Duration = Duration::from_secs(300);
/// What PID 1 says before the number.
pub const PID1_SAYS: &str = "PID 1 runs at TSC ";
/// For programs that run where there are no libraries.
const STATIC: [&str; 1] = ["-Ctarget-feature=+crt-static"];
/// Typed on the console: the hypervisor listens, and reports exits.
const REPORT_EXITS: &str = "\x01\x01\x01e";

/// What a machine boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The kernel alone.
    Bare,
    /// The hypervisor, with the kernel as dom0.
    Hypervisor,
}

/// What is booted.
#[derive(Debug)]
pub struct Bench {
    images: &'static Images,
    hypervisor: PathBuf,
    kernel: PathBuf,
    initramfs: PathBuf,
}

impl Bench {
    /// Builds what is booted, as far as it isn't there.
    pub fn prepare() -> Result<Self, Box<dyn Error>> {
        let images = images::appliance();
        Ok(Self {
            images,
            hypervisor: images.file(content::HYPERVISOR),
            kernel: images.file(content::KERNEL),
            initramfs: initramfs(&images::project())?,
        })
    }

    /// The appliance.
    pub fn images(&self) -> &Images {
        self.images
    }

    /// The hypervisor's size on media.
    pub fn hypervisor_bytes(&self) -> Result<u64, Box<dyn Error>> {
        Ok(self.hypervisor.metadata()?.len())
    }

    /// Boots a machine that counts instructions; gives what its console said.
    pub fn count(&self, boot: Boot) -> Result<String, Box<dyn Error>> {
        let mut running = counting(self.machine(boot)).start()?;
        running.wait_for(PID1_SAYS, PATIENCE)?;
        running.wait_for("\n", PATIENCE)?;
        if boot == Boot::Hypervisor {
            running.send(REPORT_EXITS)?;
            running.wait_for("'e' pressed", PATIENCE)?;
            // The report goes on with hypercalls by number, from the first to the last.
            running.wait_for(": hypercall ", PATIENCE)?;
            running.wait_for("d0: hypercall", PATIENCE)?;
        }
        Ok(running.console())
    }

    /// How long a machine takes to reach PID 1, from power-on.
    pub fn time(&self, boot: Boot) -> Result<Duration, Box<dyn Error>> {
        let machine = self.machine(boot);
        let start = Instant::now();
        machine.start()?.wait_for(PID1_SAYS, PATIENCE)?;
        Ok(start.elapsed())
    }

    fn machine(&self, boot: Boot) -> Machine {
        let initramfs = (self.initramfs.clone(), String::new());
        let boot = match boot {
            Boot::Bare => qemu::Boot::Kernel {
                kernel: self.kernel.clone(),
                append: "console=ttyS0".to_owned(),
                modules: vec![initramfs],
            },
            Boot::Hypervisor => qemu::Boot::Kernel {
                kernel: self.hypervisor.clone(),
                append: "console=com1 loglvl=all".to_owned(),
                modules: vec![(self.kernel.clone(), "console=hvc0".to_owned()), initramfs],
            },
        };
        Machine::new(&self.images.tools, boot).cpus(1).nic(None)
    }
}

/// A machine whose clock counts instructions, four ticks each, and which does the same each time.
/// While its CPU sleeps the clock jumps to the next event: waiting counts too. QEMU can't count
/// while some registers are read: those of x2APIC's timer, and random numbers. Each repetition of a
/// string instruction counts as one, so nobody is to prefer bytes to words for copies, as kernels
/// do where CPUs say that it is fast.
pub fn counting(machine: Machine) -> Machine {
    machine
        .accel("tcg,thread=single")
        .cpu("max,-rdtscp,-x2apic,-rdrand,-rdseed,-erms,-fsrm")
        .args(["-icount", "shift=2,sleep=off", "-seed", "1"])
        .args(["-rtc", "base=2026-01-01,clock=vm"])
}

/// The program that the benchmarks run inside of machines, built if need be.
pub fn probe(project: &Project) -> Result<PathBuf, Box<dyn Error>> {
    Ok(artifacts::build(project, "xenolith-bench-probe", &["--release"], None, &STATIC)?)
}

/// An initramfs with nothing but PID 1, built if need be.
fn initramfs(project: &Project) -> Result<PathBuf, Box<dyn Error>> {
    let init = artifacts::build(project, "xenolith-bench-init", &["--release"], None, &STATIC)?;
    let mut archive = Initramfs::default();
    archive.device("dev/console", 5, 1);
    archive.file("init", &init, true);
    let path = init.with_file_name("bench-initramfs");
    std::fs::write(&path, archive.archive(0)?)?;
    Ok(path)
}
