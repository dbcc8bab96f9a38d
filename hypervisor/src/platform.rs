//! The machine as the portable policy sees it: [`Machine`] implements
//! [`hv_core::platform::Platform`] by naming what the rest of the binary does.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use hv_boot::info::{BootInfo, Region};
use hv_boot::memory_map;
use hv_boot::options::Level;
use hv_core::hypercall::version::BuildInfo;
use hv_core::hypervisor::{Hypervisor as CoreHypervisor, Setup};
use hv_core::p2m::{HostFormat, Leaf, Npt};
use hv_core::platform::{Platform, Refusal};
use hv_core::time::clock::TscClock;
use hv_core::types::{CpuId, DomId, FRAME_BYTES, Gfn, Nanos, VcpuId};
use spin::Once;
use xen_abi::errno::Errno;
use xen_abi::memory::E820Entry;
use xen_abi::sched::ShutdownReason;

use crate::arch::hvm::{self, DomainArch, VcpuArch};
use crate::arch::{self, cpu, interrupts, time};
use crate::drivers::iommu;
use crate::{console, mm, power};

/// The one machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

/// A domain on this machine.
pub type Domain = hv_core::domain::Domain<Machine>;
/// A vCPU on this machine.
pub type Vcpu = hv_core::vcpu::Vcpu<Machine>;
/// The context of everything, on this machine.
pub type Hypervisor = CoreHypervisor<Machine>;

static HYPERVISOR: Once<Hypervisor> = Once::new();

/// Makes the context of everything, and hands the machine's memory over to it. Called once.
pub fn init(info: &BootInfo) -> &'static Hypervisor {
    let setup = Setup {
        frames: mm::frames::hand_over(),
        stage2_format: HostFormat::Npt(Npt { has_1g: cpu::features().page_1g }),
        cmdline: String::from_utf8_lossy(&info.command_line).into_owned(),
        build: BUILD,
        max_cpus: arch::cpu::all().len() as u32,
    };
    let entry = |region: &Region| E820Entry {
        addr: region.start.into(),
        size: region.bytes.into(),
        ty: region.kind.0.into(),
    };
    FIRMWARE_MAP.call_once(|| info.regions.iter().map(entry).collect());
    let hv = HYPERVISOR.call_once(|| Hypervisor::new(Machine, setup));
    mm::frames::adopt(&hv.frames);
    hv.set_wallclock(time::wall_clock_at_boot().unwrap_or(0).saturating_mul(1_000_000_000));
    interrupts::register(interrupts::TIMER, |_| hvm::timer_fired());
    hv
}

/// How much of the machine's memory is neither a domain's nor free.
pub fn used_bytes(info: &BootInfo) -> u64 {
    let hv = hypervisor();
    let domains: u64 = hv.domains().iter().map(|domain| domain.memory.pages()).sum();
    let others = (hv.frames.free_frames() + domains) * FRAME_BYTES as u64;
    memory_map::ram(&info.regions).bytes().saturating_sub(others)
}

static FIRMWARE_MAP: Once<Vec<E820Entry>> = Once::new();

/// The memory map that the firmware gave.
pub fn firmware_map() -> &'static [E820Entry] {
    FIRMWARE_MAP.get().map_or(&[], |map| map)
}

/// How this hypervisor was built.
const BUILD: BuildInfo = BuildInfo {
    compiler: env!("COMPILER"),
    changeset: env!("CHANGESET"),
    // It would make two builds of the same source differ.
    date: "",
    build_id: &[],
};

/// The context of everything.
///
/// # Panics
/// Before [`init`].
pub fn hypervisor() -> &'static Hypervisor {
    HYPERVISOR.get().expect("the hypervisor's context is made before any domain")
}

impl Platform for Machine {
    type DomainArch = DomainArch;
    type VcpuArch = VcpuArch;

    const EXIT_REASONS: &'static [&'static str] = &hvm::exit::REASONS;

    fn now(&self) -> Nanos {
        time::now()
    }

    fn clock(&self) -> TscClock {
        *time::clock()
    }

    fn this_cpu(&self) -> CpuId {
        arch::cpu::this_cpu().id()
    }

    fn cpu_count(&self) -> u32 {
        arch::cpu::all().len() as u32
    }

    fn kick(&self, cpu: CpuId) {
        arch::cpu::kick(cpu);
    }

    fn set_deadline(&self, deadline: Option<Nanos>) {
        time::set_deadline(deadline);
    }

    fn inject(&self, _: DomId, _: VcpuId, arch: &VcpuArch, vector: u8) {
        arch.upcall.post(vector);
    }

    fn has_interrupt(&self, vcpu: &Vcpu) -> bool {
        hvm::has_interrupt(vcpu)
    }

    fn timer_expired(&self, hv: &Hypervisor, vcpu: &Arc<Vcpu>, _: u8) {
        hvm::lapic_timer_expired(hv, vcpu);
    }

    fn second_stage_changed(&self, domain: DomId, gfn: Gfn, order: u32, leaf: Option<Leaf>) {
        iommu::changed(domain, gfn, order, leaf);
    }

    fn flush_second_stage(&self, domain: DomId) {
        hvm::flush_second_stage(domain);
        iommu::flush(domain);
    }

    fn preemption_pending(&self) -> bool {
        hvm::preemption_pending()
    }

    fn console_write(&self, from: DomId, bytes: &[u8]) {
        console::domain_output(from, bytes);
    }

    fn console_read(&self, into: &mut [u8]) -> usize {
        console::input::read(into)
    }

    fn log_refusal(&self, refusal: &Refusal) {
        let level = match refusal.errno {
            // That is how kernels and tools find out what there is.
            Errno::ENOSYS => return,
            Errno::EPERM | Errno::EFAULT => Level::Info,
            _ => Level::Debug,
        };
        let Refusal { domain, vcpu, call, command, errno } = refusal;
        guest_log!(
            level,
            "{domain}v{}: {}({command:#x}) is refused: {}",
            vcpu.0,
            call.name().unwrap_or("an unknown hypercall"),
            errno.name().unwrap_or("unknown error")
        );
    }

    fn log_domain_crash(&self, domain: DomId, why: &str) {
        error!("{domain} crashed: {why}");
    }

    fn machine_shutdown(&self, reason: ShutdownReason) {
        power::hardware_domain_shut_down(reason);
    }
}
