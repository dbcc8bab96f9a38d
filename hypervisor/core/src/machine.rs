//! What the rarer hypercalls ask of the machine, beyond [`Platform`]: the toolstack's and the
//! hardware domain's business. One small trait per subject; together they are [`Machine`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::arch_x86::context::VcpuGuestContext;
use xen_abi::arch_x86::xen::{CpuidLeaf, MsrEntry};
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;
use xen_abi::memory::E820Entry;
use xen_abi::physdev::{PciDevice, PciDeviceAdd, PciMmcfgReserved, SetupGsi};
use xen_abi::platform::{EfiRuntimeCall, FirmwareInfo, PcpuVersion};
use xen_abi::sysctl::{CpuTopo, FeaturesetIndex, PolicyIndex};
use xen_abi::xen::Dom0VgaConsoleInfo;

use crate::domain::{Domain, DomainConfig};
use crate::errno::Errno;
use crate::hypercall::GuestCopy;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::types::{CpuId, VcpuId};
use crate::vcpu::Vcpu;

/// The architecture's part of domains that the toolstack makes.
pub trait DomainHost: Platform {
    /// How many vCPUs a domain can have.
    const MAX_VCPUS: u32;

    /// Makes the architecture's part of a new domain.
    ///
    /// # Errors
    /// `EINVAL` or `EOPNOTSUPP` if the machine can't do what the configuration asks for;
    /// `ENOMEM`.
    fn create_domain_arch(&self, config: &DomainConfig) -> Result<Self::DomainArch, Errno>;

    /// Makes the architecture's part of a new vCPU.
    ///
    /// # Errors
    /// `ENOMEM`.
    fn create_vcpu_arch(
        &self,
        domain: &Arc<Domain<Self>>,
        id: VcpuId,
    ) -> Result<Self::VcpuArch, Errno>;

    /// A domain is being destroyed; its vCPUs have stopped for good. Takes devices and physical
    /// interrupts from it; afterwards its memory is given back.
    fn release_domain(&self, domain: &Domain<Self>);

    /// How many bits a guest-physical address has.
    fn guest_address_bits(&self) -> u8;
}

/// The registers of vCPUs.
pub trait VcpuControl: Platform {
    /// Gives a vCPU that is down the registers to start with.
    ///
    /// # Errors
    /// `EINVAL` if they are inconsistent.
    fn initialise_vcpu(
        &self,
        vcpu: &Arc<Vcpu<Self>>,
        context: &VcpuHvmContext,
    ) -> Result<(), Errno>;

    /// All registers of a vCPU of a domain that doesn't run, for debuggers.
    fn vcpu_context(&self, vcpu: &Vcpu<Self>) -> Box<VcpuGuestContext>;

    /// Makes a non-maskable interrupt pending in a vCPU, and wakes or kicks it.
    fn inject_nmi(&self, hv: &Hypervisor<Self>, vcpu: &Arc<Vcpu<Self>>);
}

/// The state of a domain's vCPUs and virtual devices, as the records of `hvm/save.h`. The domain
/// doesn't run meanwhile.
pub trait SavedState: Platform {
    /// All records, from the header to the end mark.
    ///
    /// # Errors
    /// What keeps the state from being saved.
    fn save_context(&self, domain: &Domain<Self>) -> Result<Vec<u8>, Errno>;

    /// The content of one record, without its descriptor.
    ///
    /// # Errors
    /// `ENOENT` if there is no such record.
    fn save_record(
        &self,
        domain: &Domain<Self>,
        kind: u32,
        instance: u32,
    ) -> Result<Vec<u8>, Errno>;

    /// Takes state from records. vCPUs whose registers come with them are initialised then.
    ///
    /// # Errors
    /// `EINVAL` if the records are malformed or can't be so.
    fn load_context(
        &self,
        hv: &Hypervisor<Self>,
        domain: &Arc<Domain<Self>>,
        records: &[u8],
    ) -> Result<(), Errno>;
}

/// A CPU as guests see it: the values of CPUID and of some MSRs.
#[derive(Clone, Debug, Default)]
pub struct CpuPolicy {
    /// CPUID leaves.
    pub leaves: Vec<CpuidLeaf>,
    /// MSRs.
    pub msrs: Vec<MsrEntry>,
}

/// What is wrong with a CPU policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// This leaf, and subleaf if it has any.
    Leaf(u32, Option<u32>),
    /// This MSR.
    Msr(u32),
}

/// CPU policies.
pub trait CpuPolicies: Platform {
    /// One of the machine's policies.
    ///
    /// # Errors
    /// `EOPNOTSUPP` for those of paravirtualised guests, `EINVAL` if there is no such policy.
    fn host_policy(&self, index: PolicyIndex) -> Result<CpuPolicy, Errno>;

    /// A set of features, as words in the order of `arch-x86/cpufeatureset.h`.
    ///
    /// # Errors
    /// As [`Self::host_policy`].
    fn featureset(&self, index: FeaturesetIndex) -> Result<Vec<u32>, Errno>;

    /// A domain's policy.
    fn domain_policy(&self, domain: &Domain<Self>) -> CpuPolicy;

    /// Changes a domain's policy, before it first runs.
    ///
    /// # Errors
    /// The first value that the machine can't give it.
    fn set_domain_policy(
        &self,
        domain: &Domain<Self>,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
    ) -> Result<(), PolicyError>;
}

/// The PCI devices and interrupt lines, as the hardware domain finds and manages them.
pub trait DeviceHost {
    /// The hardware domain has found that this range of configuration space is memory-mapped.
    ///
    /// # Errors
    /// What the machine has against it.
    fn pci_mmcfg_reserved(&self, range: &PciMmcfgReserved) -> Result<(), Errno>;

    /// The hardware domain has found a device.
    ///
    /// # Errors
    /// What the machine has against it.
    fn pci_device_add(&self, device: &PciDeviceAdd) -> Result<(), Errno>;

    /// A device is gone.
    ///
    /// # Errors
    /// `ENODEV` if it was never there.
    fn pci_device_remove(&self, device: PciDevice) -> Result<(), Errno>;

    /// The hardware domain has reset, or is about to reset, a device. `flags` say how.
    ///
    /// # Errors
    /// `ENODEV` if there is no such device.
    fn pci_device_reset(&self, device: PciDevice, flags: u32) -> Result<(), Errno>;

    /// The hardware domain says how an interrupt line is triggered.
    ///
    /// # Errors
    /// `EEXIST` if it is set up already, `EINVAL` if there is no such line.
    fn setup_gsi(&self, gsi: &SetupGsi) -> Result<(), Errno>;
}

/// What the firmware left, for the hardware domain.
pub trait Firmware {
    /// Answers `XENPF_firmware_info`: fills in what is asked for. Texts and tables go to the
    /// caller's buffers.
    ///
    /// # Errors
    /// `ENODEV` if the firmware isn't of that kind, `ESRCH` or `EINVAL` if it has no such thing.
    fn firmware_info(&self, info: &mut FirmwareInfo, guest: &dyn GuestCopy) -> Result<(), Errno>;

    /// Calls one of EFI's runtime services.
    ///
    /// # Errors
    /// `ENOSYS` if there are none.
    fn efi_call(&self, call: &mut EfiRuntimeCall, guest: &dyn GuestCopy) -> Result<(), Errno>;

    /// The screen as the boot left it, and how many bytes of the structure are meaningful.
    fn dom0_console(&self) -> Option<(Dom0VgaConsoleInfo, usize)>;
}

/// The physical machine, for people to look at.
pub trait Host {
    /// Properties that don't change.
    fn host_info(&self) -> HostInfo;

    /// Where a pCPU is.
    fn cpu_topology(&self, cpu: CpuId) -> CpuTopo;

    /// A pCPU's local APIC id and its id in ACPI's tables.
    fn cpu_ids(&self, cpu: CpuId) -> (u32, u32);

    /// A pCPU's maker, family, model and stepping.
    fn cpu_version(&self, cpu: CpuId) -> PcpuVersion;

    /// The index in the log of its first byte that wasn't cleared.
    fn log_start(&self) -> u32;

    /// Copies from the log, from `index` on, or from the oldest byte that it still has. Gives
    /// how much, and the index behind it.
    fn log_read(&self, index: u32, into: &mut [u8]) -> (usize, u32);

    /// Clears the log: [`Self::log_start`] is its end from now on.
    fn log_clear(&self);

    /// Does what a debug key asks for.
    fn debug_key(&self, key: u8);
}

/// Properties of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostInfo {
    /// Threads of a core.
    pub threads_per_core: u32,
    /// Cores of a socket.
    pub cores_per_socket: u32,
    /// Whether an IOMMU keeps devices from memory that isn't their domain's.
    pub has_iommu: bool,
    /// Words of CPUID features.
    pub hw_cap: [u32; 8],
}

/// The machine's memory, beyond its frames.
pub trait MemoryHost {
    /// The memory map that the firmware gave.
    fn machine_memory_map(&self) -> &[E820Entry];
}

/// All of what hypercalls ask of the machine.
pub trait Machine:
    Platform
    + DomainHost
    + VcpuControl
    + SavedState
    + CpuPolicies
    + DeviceHost
    + MemoryHost
    + Firmware
    + Host
{
}

impl<P> Machine for P where
    P: Platform
        + DomainHost
        + VcpuControl
        + SavedState
        + CpuPolicies
        + DeviceHost
        + MemoryHost
        + Firmware
        + Host
{
}
