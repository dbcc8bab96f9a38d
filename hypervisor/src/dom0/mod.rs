//! Building dom0: the control and hardware domain, from the boot loader's modules.
//!
//! The first module is its kernel, the second, if there is one, its initramfs. Its memory is
//! identity-mapped, so that its devices' DMA needs no translation; see [`ram`] for which it is.

mod build;
mod load;
mod ram;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Range;

use hv_boot::info::BootInfo;
use hv_boot::options::Options;
use hv_core::domain::DomainConfig;
use hv_core::memory::{Placement, Released};
use hv_core::sched::entity::BlockReason;
use hv_core::types::{DomId, Gfn, Gpa, VcpuId};
use hv_x86::vioapic::{Geometry, Vioapics};

use crate::arch::hvm::{self, DomainArch, VcpuArch};
use crate::arch::{cpu, ioapic};
use crate::drivers::{iommu, pci};
use crate::mm::modules;
use crate::platform::{Domain, Hypervisor};

/// Event channels: as many as the FIFO interface has.
const MAX_EVENT_PORT: u32 = (1 << 17) - 1;
const GRANT_FRAMES: u32 = 64;
const MAPTRACK_FRAMES: u32 = 1024;

/// Builds dom0 and lets it run.
pub fn start(hv: &'static Hypervisor, info: &BootInfo, options: &Options) {
    let [kernel, rest @ ..] = modules() else {
        fatal!(
            "there is no dom0 kernel: the boot loader has to load it as the first module \
             (GRUB: module2 /vmlinuz ...; QEMU: -initrd \"vmlinuz ...,initramfs\")"
        );
    };
    let domain = create(hv, info, vcpu_count(options));
    let entry = build::build(hv, &domain, info, options, kernel, rest.first());
    let boot_vcpu = domain.vcpu(VcpuId(0)).expect("dom0 has a vCPU");
    let mut context = boot_vcpu.arch.context.lock();
    hvm::reset::pvh(&mut context.hw, entry.code.0 as u32, entry.start_info.0 as u32);
    drop(context);
    boot_vcpu.set_initialised();
    hv.resume(boot_vcpu, BlockReason::Down);
    hv.unpause_domain(&domain).expect("a new domain is paused");
}

fn vcpu_count(options: &Options) -> u32 {
    let cpus = cpu::all().len() as u32;
    options.dom0_vcpus.map_or(cpus, |wanted| cpus.clamp(wanted.min.max(1), wanted.max.max(1)))
}

fn create(hv: &Hypervisor, info: &BootInfo, vcpus: u32) -> Arc<Domain> {
    let config = DomainConfig {
        id: DomId::DOM0,
        handle: [0; 16],
        max_vcpus: vcpus,
        max_event_port: MAX_EVENT_PORT,
        max_grant_frames: GRANT_FRAMES,
        max_maptrack_frames: MAPTRACK_FRAMES,
        privileged: true,
        hardware: true,
        placement: Placement::Identity(Released::Kept),
        flags: 0,
        emulation_flags: 0,
    };
    let io_apics = ioapic::all().iter().map(|io_apic| Geometry {
        id: io_apic.id,
        base: Gpa(io_apic.address.0),
        gsi_base: io_apic.gsi_base,
        pins: io_apic.pins as u8,
    });
    let arch =
        DomainArch::hardware(DomId::DOM0, vcpus, Vioapics::new(io_apics), hidden_frames(info));
    let Some(arch) = arch else { fatal!("no memory for dom0") };
    let domain = hv.create_domain(config, arch);
    let domain = domain.unwrap_or_else(|error| fatal!("can't make dom0: {error:?}"));
    for id in (0..vcpus).map(VcpuId) {
        let Some(arch) = VcpuArch::new(id, &domain) else { fatal!("no memory for dom0's vCPUs") };
        if let Err(error) = hv.add_vcpu(&domain, id, arch) {
            fatal!("can't make dom0's vCPU {}: {error:?}", id.0);
        }
    }
    domain
}

/// What dom0 must not reach as if it were a device: those that it has virtual twins of, and the
/// machine's memory, of which it has only what it was given.
fn hidden_frames(info: &BootInfo) -> Box<[Range<Gfn>]> {
    const LOCAL_APIC: Gfn = Gfn(0xfee00);
    let frame = |gfn: Gfn| gfn..Gfn(gfn.0 + 1);
    let io_apics = ioapic::all().iter().map(|io_apic| frame(Gpa(io_apic.address.0).gfn()));
    // Its accesses to these are PCI's.
    let configuration =
        pci::config().windows().map(|window| Gpa(window.start()).gfn()..Gpa(window.end()).gfn());
    let memory = build::frame_ranges(info).into_iter();
    let memory = memory.map(|range| Gfn(range.start.0)..Gfn(range.end()));
    let fixed = io_apics.chain(configuration).chain([frame(LOCAL_APIC)]);
    fixed.chain(iommu::register_frames()).chain(memory).collect()
}
