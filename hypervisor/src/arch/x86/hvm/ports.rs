//! I/O ports: which of them a domain reaches by itself, and what happens at the others.

use alloc::sync::Arc;

use hv_core::types::Hpa;
use hv_x86::ports::{OwnedPorts, PortPermissions, Ports, Read, SVM_MAP_BYTES, Write};
use spin::Mutex;
use xen_abi::sched::ShutdownReason;

use super::vpci;
use crate::arch::{port, time};
use crate::console;
use crate::drivers::{acpi, pci};
use crate::mm::FrameBox;
use crate::platform::{Domain, hypervisor};
use crate::power;

/// How many ports a serial line has.
const UART_PORTS: u16 = 8;

/// A domain's ports.
pub struct DomainPorts {
    /// The map that the hardware reads.
    map: FrameBox<[u8; SVM_MAP_BYTES]>,
    emulated: Mutex<Ports>,
}

impl DomainPorts {
    /// The ports of the hardware domain: all but those that the hypervisor has itself, or has to
    /// see. `None` if there is no memory for the map.
    pub fn hardware() -> Option<Self> {
        let fadt = &acpi::machine().fadt;
        let number = |register: Option<hv_loader::acpi::Register>| {
            register.and_then(|register| register.port())
        };
        let owned = OwnedPorts {
            pm1_control: [number(fadt.pm1a_control), number(fadt.pm1b_control)],
            keyboard: true,
            rtc: false,
        };
        let mut permissions = PortPermissions::dom0();
        owned.trap(&mut permissions);
        if pci::config().leaves_ports_alone() {
            permissions.allow(vpci::ADDRESS_PORTS);
        }
        for (first, _) in console::serial_lines() {
            permissions.deny(first..=first.saturating_add(UART_PORTS - 1));
        }
        Self::new(&permissions, Ports::new(owned))
    }

    /// The ports of a guest, which reaches none by itself. `None` if there is no memory for the
    /// map.
    pub fn guest() -> Option<Self> {
        Self::new(&PortPermissions::none(), Ports::default())
    }

    fn new(permissions: &PortPermissions, emulated: Ports) -> Option<Self> {
        let mut map = FrameBox::<[u8; SVM_MAP_BYTES]>::try_zeroed()?;
        map.copy_from_slice(permissions.svm_map());
        Some(Self { map, emulated: Mutex::new(emulated) })
    }

    /// The machine address of the map that the hardware reads.
    pub fn map(&self) -> Hpa {
        self.map.hpa()
    }
}

/// IN of 1, 2 or 4 bytes from a port that exits.
pub fn read(domain: &Arc<Domain>, port: u16, bytes: u8) -> u32 {
    let read = domain.arch.ports.emulated.lock().read(port, bytes, time::now());
    match read {
        Read::Value(value) => value,
        Read::Hardware => port::read(port, bytes),
        Read::PciConfig => vpci::port_read(domain, port, bytes),
    }
}

/// OUT of 1, 2 or 4 bytes to a port that exits.
pub fn write(domain: &Arc<Domain>, port: u16, bytes: u8, value: u32) {
    let write = domain.arch.ports.emulated.lock().write(port, bytes, value, time::now());
    match write {
        Write::Done => {}
        Write::Hardware => port::write(port, bytes, value),
        Write::PciConfig => vpci::port_write(domain, port, bytes, value),
        Write::Reset if domain.config.hardware => power::restart(),
        Write::Reset => hypervisor().shut_down(domain, ShutdownReason::REBOOT),
        Write::Sleep(control) => power::sleep(port, control),
        Write::Console(byte) => console::domain_output(domain.id, &[byte]),
    }
}
