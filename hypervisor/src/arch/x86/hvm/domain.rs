//! The architecture's part of a domain.

use alloc::boxed::Box;
use core::ops::Range;
use core::sync::atomic::AtomicU64;

use hv_core::hypercall::version;
use hv_core::types::{DomId, Gfn, Hpa};
use hv_x86::cpuid::{BadLeaf, CpuPolicy, GuestCpuid, TscInfo, XenInfo};
use hv_x86::msr::HypercallInstruction;
use hv_x86::vioapic::Vioapics;
use spin::{Mutex, RwLock};
use x86defs::msr::Msr;
use xen_abi::arch_x86::xen::CpuidLeaf;

use super::cpuid;
use super::hidden::HiddenFrames;
use super::msrs::DomainMsrs;
use super::ports::DomainPorts;
use super::vpci::HardwarePci;
use crate::arch::{cpu, time};

/// RDTSC is never emulated: `TSC_MODE_NEVER_EMULATE`.
const TSC_MODE_NATIVE: u32 = 2;

/// What a domain has of this architecture.
pub struct DomainArch {
    /// What CPUID tells it.
    pub cpuid: RwLock<GuestCpuid>,
    /// Which MSRs it has.
    pub msrs: DomainMsrs,
    /// Width of its physical addresses, in bits.
    pub physical_bits: u8,
    /// Which instruction makes a hypercall.
    pub hypercall_instruction: HypercallInstruction,
    /// Its IO-APICs, where it has some: the hardware domain's twins of the physical ones.
    pub io_apics: Option<Mutex<Vioapics>>,
    /// Its PCI, where it has some: the hardware domain's view of the machine's.
    pub(super) pci: Option<HardwarePci>,
    /// Guest frames of devices that the hypervisor emulates or hides: never mapped.
    pub(super) hidden: HiddenFrames,
    /// Which ports it reaches without an exit.
    pub(super) ports: DomainPorts,
    /// Counts the changes to the second stage after which cached translations are wrong.
    pub second_stage_generation: AtomicU64,
}

impl DomainArch {
    /// Width of a guest's physical addresses, in bits.
    pub const GUEST_ADDRESS_BITS: u8 = 48;

    /// The part of the hardware domain, which has all that the machine has and the hypervisor
    /// doesn't keep. `io_apics` are the twins of the physical ones, `hidden` the guest frames of
    /// devices that it must not reach. `None` if there is no memory.
    pub fn hardware(
        id: DomId,
        vcpus: u32,
        io_apics: Vioapics,
        hidden: Box<[Range<Gfn>]>,
    ) -> Option<Self> {
        let arch =
            Self::with_policy(id, vcpus, cpuid::guest_max().clone(), DomainPorts::hardware()?)?;
        let pci = HardwarePci::discover(hidden.clone());
        let hidden = HiddenFrames::new(hidden);
        hidden.set_tables(pci.tables());
        Some(Self { io_apics: Some(Mutex::new(io_apics)), pci: Some(pci), hidden, ..arch })
    }

    /// The part of a guest, which has no device of the machine's. `None` if there is no memory.
    pub fn guest(id: DomId, vcpus: u32) -> Option<Self> {
        let policy = cpuid::guest_max().guest_default();
        Self::with_policy(id, vcpus, policy, DomainPorts::guest()?)
    }

    fn with_policy(id: DomId, vcpus: u32, policy: CpuPolicy, ports: DomainPorts) -> Option<Self> {
        let physical_bits = policy.physical_bits();
        let hypercall_instruction = if policy.is_intel() {
            HypercallInstruction::Vmcall
        } else {
            HypercallInstruction::Vmmcall
        };
        let cpuid = GuestCpuid::new(policy, vcpus, xen_info(id));
        let msrs = DomainMsrs::new(cpuid.msr_policy(patch_level()))?;
        Some(Self {
            msrs,
            cpuid: RwLock::new(cpuid),
            physical_bits,
            hypercall_instruction,
            io_apics: None,
            pci: None,
            hidden: HiddenFrames::default(),
            ports,
            second_stage_generation: AtomicU64::new(0),
        })
    }

    /// Changes what CPUID tells the domain, before it first runs.
    ///
    /// # Errors
    /// The first leaf that this machine can't give it; nothing has changed then.
    pub fn set_policy(&self, id: DomId, vcpus: u32, leaves: &[CpuidLeaf]) -> Result<(), BadLeaf> {
        let mut cpuid = self.cpuid.write();
        let mut policy = cpuid.policy().clone();
        policy.overlay(leaves.iter().copied())?;
        policy.sanitise(cpuid::guest_max())?;
        *cpuid = GuestCpuid::new(policy, vcpus, xen_info(id));
        self.msrs.set_policy(cpuid.msr_policy(patch_level()));
        Ok(())
    }

    /// The components that it may switch on in XCR0.
    pub fn xcr0_mask(&self) -> u64 {
        self.cpuid.read().policy().xcr0()
    }

    /// The machine address of the map of ports that it may reach.
    pub fn port_map(&self) -> Hpa {
        self.ports.map()
    }
}

/// The revision of the machine's microcode.
fn patch_level() -> u64 {
    cpu::msr::read(Msr::PATCH_LEVEL).unwrap_or(0)
}

fn xen_info(domain: DomId) -> XenInfo {
    let clock = time::clock();
    let (multiplier, shift) = clock.scale();
    XenInfo {
        domain,
        version: (version::MAJOR as u16, version::MINOR as u16),
        tsc: TscInfo {
            mode: TSC_MODE_NATIVE,
            khz: clock.khz(),
            host_khz: clock.khz(),
            multiplier,
            shift,
            reliable: clock.is_stable(),
            rdtscp: true,
            ..TscInfo::default()
        },
        iommu_mappings: false,
    }
}
