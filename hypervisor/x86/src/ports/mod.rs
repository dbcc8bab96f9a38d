//! I/O ports: which a guest reaches, and what answers at the others.
//!
//! [`PortPermissions`] becomes the hardware's map. An access that exits goes to [`Ports`], which
//! emulates the little that kernels insist on; where nothing is, reads give ones and writes are
//! dropped. There is no 8259: its mask register reads 0xFF, from which Linux knows. PCI
//! configuration, power management and the debug console go back to the caller as what they are.

mod permissions;
mod pit;

use hv_core::types::Nanos;

pub use permissions::{PortPermissions, SVM_MAP_BYTES};
use pit::Pit;

/// PM1 control: enter the sleep state.
const SLP_EN: u32 = 1 << 13;
/// Reset control (0xCF9): reset the processor.
const RST_CPU: u32 = 1 << 2;
/// Port 0x92: reset the processor.
const FAST_INIT: u32 = 1 << 0;
/// Command to the keyboard controller: pulse the reset line.
const PULSE_RESET: u32 = 0xfe;

/// What a read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This.
    Value(u32),
    /// What the machine's port gives.
    Hardware,
    /// It is PCI configuration: mechanism 1's address or data.
    PciConfig,
}

/// What a write does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing more.
    Done,
    /// It goes to the machine's port.
    Hardware,
    /// It is PCI configuration: mechanism 1's address or data.
    PciConfig,
    /// The guest resets its machine.
    Reset,
    /// The guest writes this to its PM1 control register, to sleep or to switch off.
    Sleep(u16),
    /// A byte for the debug console.
    Console(u8),
}

/// The machine's ports that are trapped for a domain that owns them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnedPorts {
    /// The PM1a (or b) control registers, to see the domain go to sleep.
    pub pm1_control: [Option<u16>; 2],
    /// The keyboard controller's command port is trapped, to see the domain reset the machine.
    pub keyboard: bool,
    /// The real-time clock is trapped: other users would change its index.
    pub rtc: bool,
}

/// A domain's emulated ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports {
    pit: Pit,
    owned: OwnedPorts,
    /// What the guest last wrote to the real-time clock's index register.
    rtc_index: u8,
}

impl OwnedPorts {
    /// Makes these ports exit.
    pub fn trap(&self, permissions: &mut PortPermissions) {
        for first in self.pm1_control.into_iter().flatten() {
            permissions.deny(first..=first.saturating_add(1));
        }
        if self.keyboard {
            permissions.deny(0x64..=0x64);
        }
        if self.rtc {
            permissions.deny(0x70..=0x71);
        }
    }
}

const fn ones(bytes: u8) -> u32 {
    match bytes {
        1 => 0xff,
        2 => 0xffff,
        _ => 0xffff_ffff,
    }
}

impl Ports {
    /// The ports of a domain that owns these of the machine.
    pub fn new(owned: OwnedPorts) -> Self {
        Self { owned, ..Self::default() }
    }

    /// The register of the real-time clock that an access to port 0x71 is for, where that is
    /// trapped: write it to port 0x70 first.
    pub const fn rtc_index(&self) -> u8 {
        self.rtc_index
    }

    fn is_pm1_control(&self, port: u16) -> bool {
        self.owned.pm1_control.contains(&Some(port))
    }

    /// IN.
    pub fn read(&mut self, port: u16, bytes: u8, now: Nanos) -> Read {
        match (port, bytes) {
            (0x40..=0x43, 1) => Read::Value(self.pit.read(port).into()),
            (0x61, 1) => Read::Value(self.pit.read_61(now).into()),
            (0x64, 1) if self.owned.keyboard => Read::Hardware,
            (0x70, 1) if self.owned.rtc => Read::Value(self.rtc_index.into()),
            (0x71, 1) if self.owned.rtc => Read::Hardware,
            (0xcf8, 4) | (0xcfc..=0xcff, _) => Read::PciConfig,
            (0xcf9, 1) | (0x92, 1) => Read::Value(0),
            _ if self.is_pm1_control(port) => Read::Hardware,
            _ => Read::Value(ones(bytes)),
        }
    }

    /// OUT.
    pub fn write(&mut self, port: u16, bytes: u8, value: u32, now: Nanos) -> Write {
        match (port, bytes) {
            (0xe9, 1) => return Write::Console(value as u8),
            (0x40..=0x43, 1) => self.pit.write(port, value as u8, now),
            (0x61, 1) => self.pit.write_61(value as u8, now),
            (0x64, 1) if value == PULSE_RESET => return Write::Reset,
            (0x64, 1) if self.owned.keyboard => return Write::Hardware,
            (0x70, 1) if self.owned.rtc => self.rtc_index = value as u8,
            (0x71, 1) if self.owned.rtc => return Write::Hardware,
            (0x92, 1) if value & FAST_INIT != 0 => return Write::Reset,
            (0xcf9, 1) if value & RST_CPU != 0 => return Write::Reset,
            (0xcf8, 4) | (0xcfc..=0xcff, _) => return Write::PciConfig,
            _ if self.is_pm1_control(port) => {
                return if value & SLP_EN != 0 {
                    Write::Sleep(value as u16)
                } else {
                    Write::Hardware
                };
            }
            _ => {}
        }
        Write::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos(0);

    #[test]
    fn nothing_reads_as_ones() {
        let mut ports = Ports::default();
        for port in [0x20, 0x21, 0xa1, 0x60, 0x64, 0x70, 0x71, 0x3f8, 0x604, 0xe9, 0xffff] {
            assert_eq!(ports.read(port, 1, NOW), Read::Value(0xff), "{port:#x}");
            assert_eq!(ports.read(port, 2, NOW), Read::Value(0xffff));
            assert_eq!(ports.read(port, 4, NOW), Read::Value(0xffff_ffff));
            if port != 0xe9 {
                assert_eq!(ports.write(port, 1, 0, NOW), Write::Done);
            }
        }
    }

    #[test]
    fn linux_finds_no_pic() {
        let mut ports = Ports::default();
        assert_eq!(ports.write(0xa1, 1, 0xff, NOW), Write::Done);
        assert_eq!(ports.write(0x21, 1, 0xfb, NOW), Write::Done);
        assert_ne!(ports.read(0x21, 1, NOW), Read::Value(0xfb));
    }

    #[test]
    fn resets() {
        let mut ports = Ports::default();
        assert_eq!(ports.write(0xcf9, 1, 2, NOW), Write::Done);
        assert_eq!(ports.write(0xcf9, 1, 6, NOW), Write::Reset);
        assert_eq!(ports.write(0x92, 1, 3, NOW), Write::Reset);
        assert_eq!(ports.write(0x92, 1, 2, NOW), Write::Done);
        assert_eq!(ports.write(0x64, 1, 0xfe, NOW), Write::Reset);
        assert_eq!(ports.write(0xe9, 1, 0x41, NOW), Write::Console(0x41));
    }

    #[test]
    fn pci() {
        let mut ports = Ports::default();
        assert_eq!(ports.write(0xcf8, 4, 0x8000_0000, NOW), Write::PciConfig);
        assert_eq!(ports.read(0xcf8, 4, NOW), Read::PciConfig);
        assert_eq!(ports.read(0xcf8, 1, NOW), Read::Value(0xff));
        assert_eq!(ports.read(0xcfe, 2, NOW), Read::PciConfig);
        assert_eq!(ports.write(0xcfc, 1, 0, NOW), Write::PciConfig);
    }

    #[test]
    fn owned_ports() {
        let owned = OwnedPorts { pm1_control: [Some(0x604), None], keyboard: true, rtc: true };
        let mut permissions = PortPermissions::dom0();
        owned.trap(&mut permissions);
        assert!([0x604, 0x605, 0x64, 0x70, 0x71].iter().all(|port| !permissions.allows(*port, 1)));
        let mut ports = Ports::new(owned);
        assert_eq!(ports.write(0x604, 2, 1, NOW), Write::Hardware);
        assert_eq!(ports.write(0x604, 2, 0x2001, NOW), Write::Sleep(0x2001));
        assert_eq!(ports.read(0x604, 2, NOW), Read::Hardware);
        assert_eq!(ports.write(0x64, 1, 0xaa, NOW), Write::Hardware);
        assert_eq!(ports.write(0x70, 1, 0x0a, NOW), Write::Done);
        assert_eq!((ports.read(0x71, 1, NOW), ports.rtc_index()), (Read::Hardware, 0x0a));
        assert_eq!(ports.read(0x70, 1, NOW), Read::Value(0x0a));
    }
}
