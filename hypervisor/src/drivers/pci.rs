//! PCI configuration space: by memory windows where the machine has them, else by ports.

use alloc::vec::Vec;

use hv_core::types::Hpa;
use hv_x86::pci::{ADDRESS_PORT, ConfigSpace, DATA_PORT, EcamWindow, Register, Sbdf, Width};
use spin::{Mutex, Once};

use super::acpi;
use crate::arch::port;
use crate::mm::{Mmio, map_mmio};

/// In the address port: accesses are meant for configuration space.
const ADDRESS_ENABLE: u32 = 1 << 31;
/// How much of a function's configuration space the ports reach.
const PORTS_REACH: u16 = 256;

/// The machine's configuration space.
#[derive(Debug)]
pub struct Config {
    windows: Vec<(EcamWindow, Mmio)>,
    /// Held from the address's write to the data's access.
    ports: Mutex<()>,
}

static CONFIG: Once<Config> = Once::new();

/// The machine's configuration space. The first call maps its windows.
pub fn config() -> &'static Config {
    CONFIG.call_once(|| Config {
        windows: acpi::machine().mcfg.ranges.iter().filter_map(map).collect(),
        ports: Mutex::new(()),
    })
}

fn map(range: &hv_loader::acpi::EcamRange) -> Option<(EcamWindow, Mmio)> {
    let window = EcamWindow {
        base: range.base,
        segment: range.segment,
        first_bus: range.first_bus,
        last_bus: range.last_bus,
    };
    let (start, end) = (window.start(), window.end());
    let mapped = map_mmio(Hpa(start), end.saturating_sub(start) as usize);
    if mapped.is_none() {
        warning!("no memory to map PCI configuration space at {start:#x}");
    }
    Some((window, mapped?))
}

impl Config {
    /// The memory windows.
    pub fn windows(&self) -> impl Iterator<Item = &EcamWindow> {
        self.windows.iter().map(|(window, _)| window)
    }

    /// Whether the hypervisor itself never uses the ports: all that they reach is in memory too.
    pub fn leaves_ports_alone(&self) -> bool {
        let mut reached = self.windows().filter(|window| window.segment == 0);
        reached.any(|window| window.first_bus == 0 && window.last_bus == u8::MAX)
    }

    /// Where a register is in memory.
    fn place(&self, function: Sbdf, register: Register) -> Option<(&Mmio, usize)> {
        self.windows.iter().find_map(|(window, mmio)| {
            let at = window.address(function)?.checked_sub(window.start())?;
            Some((mmio, (at + u64::from(register.offset())) as usize))
        })
    }

    /// Calls `access` with the data port that stands for a register, if ports reach it.
    fn by_port<R>(
        &self,
        function: Sbdf,
        register: Register,
        access: impl FnOnce(u16, u8) -> R,
    ) -> Option<R> {
        let offset = register.offset();
        if function.segment() != 0 || offset >= PORTS_REACH {
            return None;
        }
        let address =
            ADDRESS_ENABLE | u32::from(function.requester()) << 8 | u32::from(offset & !3);
        let _held = self.ports.lock();
        port::write(ADDRESS_PORT, 4, address);
        Some(access(DATA_PORT + (offset & 3), register.width().bytes()))
    }
}

impl ConfigSpace for Config {
    fn read(&self, function: Sbdf, register: Register) -> u32 {
        let Some((mmio, at)) = self.place(function, register) else {
            return self.by_port(function, register, port::read).unwrap_or(register.width().ones());
        };
        match register.width() {
            Width::Byte => mmio.read_u8(at).into(),
            Width::Word => mmio.read_u16(at).into(),
            Width::Dword => mmio.read_u32(at),
        }
    }

    fn write(&self, function: Sbdf, register: Register, value: u32) {
        let Some((mmio, at)) = self.place(function, register) else {
            self.by_port(function, register, |port, bytes| port::write(port, bytes, value));
            return;
        };
        match register.width() {
            Width::Byte => mmio.write_u8(at, value as u8),
            Width::Word => mmio.write_u16(at, value as u16),
            Width::Dword => mmio.write_u32(at, value),
        }
    }
}
