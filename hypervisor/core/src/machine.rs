//! What the rarer hypercalls ask of the machine, beyond [`Platform`]: the toolstack's and the
//! hardware domain's business. One small trait per subject; together they are [`Machine`].

use alloc::sync::Arc;

use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;
use xen_abi::memory::E820Entry;
use xen_abi::physdev::{PciDevice, PciDeviceAdd, PciMmcfgReserved, SetupGsi};

use crate::errno::Errno;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::vcpu::Vcpu;

/// The registers of vCPUs.
pub trait VcpuControl: Platform {
    /// Gives a vCPU that is down the registers to start with.
    ///
    /// # Errors
    /// `EINVAL` if they are inconsistent.
    fn initialise_vcpu(&self, vcpu: &Vcpu<Self>, context: &VcpuHvmContext) -> Result<(), Errno>;

    /// Makes a non-maskable interrupt pending in a vCPU, and wakes or kicks it.
    fn inject_nmi(&self, hv: &Hypervisor<Self>, vcpu: &Arc<Vcpu<Self>>);
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

/// The machine's memory, beyond its frames.
pub trait MemoryHost {
    /// The memory map that the firmware gave.
    fn machine_memory_map(&self) -> &[E820Entry];
}

/// All of what hypercalls ask of the machine.
pub trait Machine: Platform + VcpuControl + DeviceHost + MemoryHost {}

impl<P: Platform + VcpuControl + DeviceHost + MemoryHost> Machine for P {}
