//! What the hardware domain finds and says about PCI devices and interrupt lines.
//!
//! Its accesses to configuration space and to its IO-APICs tell all that is needed, so most of
//! these calls have nothing left to do.

use alloc::sync::Arc;

use hv_core::machine::{DeviceHost, MemoryHost};
use hv_core::types::DomId;
use hv_x86::pci::Sbdf;
use xen_abi::errno::Errno;
use xen_abi::memory::E820Entry;
use xen_abi::physdev::{PciDevice, PciDeviceAdd, PciMmcfgReserved, SetupGsi};

use crate::arch::hvm::vpci;
use crate::arch::ioapic;
use crate::platform::{self, Domain, Machine, hypervisor};

fn hardware_domain() -> Result<Arc<Domain>, Errno> {
    hypervisor().domain(DomId::DOM0).ok_or(Errno::ENODEV)
}

fn sbdf(device: PciDevice) -> Sbdf {
    Sbdf::from_devfn(device.seg, device.bus, device.devfn)
}

impl DeviceHost for Machine {
    fn pci_mmcfg_reserved(&self, _: &PciMmcfgReserved) -> Result<(), Errno> {
        Ok(())
    }

    fn pci_device_add(&self, device: &PciDeviceAdd) -> Result<(), Errno> {
        let function = Sbdf::from_devfn(device.seg, device.bus, device.devfn);
        if vpci::found(&hardware_domain()?, function) { Ok(()) } else { Err(Errno::ENODEV) }
    }

    fn pci_device_remove(&self, device: PciDevice) -> Result<(), Errno> {
        vpci::removed(&hardware_domain()?, sbdf(device));
        Ok(())
    }

    fn pci_device_reset(&self, device: PciDevice, _: u32) -> Result<(), Errno> {
        vpci::was_reset(&hardware_domain()?, sbdf(device));
        Ok(())
    }

    fn setup_gsi(&self, gsi: &SetupGsi) -> Result<(), Errno> {
        let line = u32::try_from(gsi.gsi).map_err(|_| Errno::EINVAL)?;
        ioapic::get(line).map(|_| ()).ok_or(Errno::EINVAL)
    }
}

impl MemoryHost for Machine {
    fn machine_memory_map(&self) -> &[E820Entry] {
        platform::firmware_map()
    }
}
