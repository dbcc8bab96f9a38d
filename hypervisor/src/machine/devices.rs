//! What the hardware domain finds and says about PCI devices and interrupt lines.
//!
//! Its accesses to configuration space and to its IO-APICs tell all that is needed, so most of
//! these calls have nothing left to do.

use hv_core::machine::{DeviceHost, MemoryHost};
use xen_abi::errno::Errno;
use xen_abi::memory::E820Entry;
use xen_abi::physdev::{PciDevice, PciDeviceAdd, PciMmcfgReserved, SetupGsi};

use crate::arch::ioapic;
use crate::platform::{self, Machine};

impl DeviceHost for Machine {
    fn pci_mmcfg_reserved(&self, _: &PciMmcfgReserved) -> Result<(), Errno> {
        Ok(())
    }

    fn pci_device_add(&self, _: &PciDeviceAdd) -> Result<(), Errno> {
        Ok(())
    }

    fn pci_device_remove(&self, _: PciDevice) -> Result<(), Errno> {
        Ok(())
    }

    fn pci_device_reset(&self, _: PciDevice, _: u32) -> Result<(), Errno> {
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
