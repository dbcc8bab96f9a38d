//! `physdev_op`: what the hardware domain tells of the physical devices (public header
//! `physdev.h`).
//!
//! Interrupts of devices reach an HVM container through its virtual IO-APICs and MSI, so all
//! that is about physical interrupts over event channels isn't there.

use xen_abi::physdev::{
    ManagePci, ManagePciExt, PciDevice, PciDeviceAdd, PciDeviceReset, PhysdevCmd,
};

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::machine::Machine;
use crate::types::Gva;

/// `physdev_op(cmd, arg)`.
pub fn physdev_op<P: Machine>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, arg, ..] = call.args;
    let arg = Gva(arg);
    let machine = &call.hv.platform;
    let cmd = PhysdevCmd(cmd as u32);
    if !is_known(cmd) {
        return Err(Errno::ENOSYS);
    }
    if !call.domain.config.hardware {
        return Err(Errno::EPERM);
    }
    match cmd {
        PhysdevCmd::PCI_MMCFG_RESERVED => machine.pci_mmcfg_reserved(&call.read(arg)?)?,
        PhysdevCmd::PCI_DEVICE_ADD => machine.pci_device_add(&call.read::<PciDeviceAdd>(arg)?)?,
        PhysdevCmd::PCI_DEVICE_REMOVE => {
            machine.pci_device_remove(call.read::<PciDevice>(arg)?)?;
        }
        PhysdevCmd::PCI_DEVICE_RESET => {
            let reset: PciDeviceReset = call.read(arg)?;
            machine.pci_device_reset(reset.dev, reset.flags)?;
        }
        PhysdevCmd::MANAGE_PCI_ADD => machine.pci_device_add(&added(call.read(arg)?))?,
        PhysdevCmd::MANAGE_PCI_ADD_EXT => {
            let device: ManagePciExt = call.read(arg)?;
            machine.pci_device_add(&added(ManagePci { bus: device.bus, devfn: device.devfn }))?;
        }
        PhysdevCmd::MANAGE_PCI_REMOVE => {
            let device: ManagePci = call.read(arg)?;
            let device = PciDevice { seg: 0, bus: device.bus, devfn: device.devfn };
            machine.pci_device_remove(device)?;
        }
        PhysdevCmd::SETUP_GSI => machine.setup_gsi(&call.read(arg)?)?,
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Outcome::OK)
}

const fn is_known(cmd: PhysdevCmd) -> bool {
    matches!(
        cmd,
        PhysdevCmd::PCI_MMCFG_RESERVED
            | PhysdevCmd::PCI_DEVICE_ADD
            | PhysdevCmd::PCI_DEVICE_REMOVE
            | PhysdevCmd::PCI_DEVICE_RESET
            | PhysdevCmd::MANAGE_PCI_ADD
            | PhysdevCmd::MANAGE_PCI_ADD_EXT
            | PhysdevCmd::MANAGE_PCI_REMOVE
            | PhysdevCmd::SETUP_GSI
    )
}

fn added(device: ManagePci) -> PciDeviceAdd {
    PciDeviceAdd { bus: device.bus, devfn: device.devfn, ..PciDeviceAdd::default() }
}
