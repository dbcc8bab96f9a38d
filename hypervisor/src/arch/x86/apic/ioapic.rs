//! The IO-APICs: from an interrupt line (GSI) to a vector of a CPU (Intel 82093AA).

use alloc::vec::Vec;

use hv_core::types::Hpa;
use hv_loader::acpi::Madt;
use spin::{Mutex, Once};
use x86defs::ioapic::{IOREGSEL, IOWIN, REG_TABLE, REG_VERSION, RedirectionEntry};

use crate::mm::{self, Mmio};

/// An IO-APIC.
pub struct IoApic {
    /// Its id in the firmware's tables.
    pub id: u8,
    /// The physical address of its registers.
    pub address: Hpa,
    /// The GSI of its first pin.
    pub gsi_base: u32,
    /// How many pins it has.
    pub pins: u32,
    registers: Mutex<Mmio>,
}

static IO_APICS: Once<Vec<IoApic>> = Once::new();

/// Finds the IO-APICs and masks all their pins.
pub fn init(madt: &Madt) {
    let io_apics = madt.io_apics.iter().filter_map(IoApic::open).collect();
    let io_apics: &Vec<IoApic> = IO_APICS.call_once(|| io_apics);
    for io_apic in io_apics {
        for pin in 0..io_apic.pins {
            io_apic.write_entry(pin, RedirectionEntry::MASKED);
        }
        info!(
            "IO-APIC {} at {:#x}: GSIs {} to {}",
            io_apic.id,
            io_apic.address.0,
            io_apic.gsi_base,
            io_apic.gsi_base + io_apic.pins - 1
        );
    }
}

/// The machine's IO-APICs, in the firmware's order.
pub fn all() -> &'static [IoApic] {
    IO_APICS.get().map_or(&[], |io_apics| io_apics)
}

/// Sets the entry of a GSI. `false` if no IO-APIC has it.
///
/// Write-only bits are ignored. While an entry is masked, a level-triggered line that is asserted
/// stays pending at the device.
pub fn set(gsi: u32, entry: RedirectionEntry) -> bool {
    on(gsi, |io_apic, pin| io_apic.write_entry(pin, entry))
}

/// The entry of a GSI.
pub fn get(gsi: u32) -> Option<RedirectionEntry> {
    let (io_apic, pin) = find(gsi)?;
    Some(io_apic.read_entry(pin))
}

/// Masks or unmasks a GSI, and leaves the rest of its entry. `false` if no IO-APIC has it.
pub fn set_masked(gsi: u32, masked: bool) -> bool {
    on(gsi, |io_apic, pin| io_apic.set_masked(pin, masked))
}

/// Sends a GSI to another local APIC, and leaves the rest of its entry. `false` if no IO-APIC has
/// it.
pub fn set_destination(gsi: u32, apic_id: u8) -> bool {
    on(gsi, |io_apic, pin| io_apic.set_destination(pin, apic_id))
}

fn on(gsi: u32, action: impl FnOnce(&IoApic, u32)) -> bool {
    find(gsi).map(|(io_apic, pin)| action(io_apic, pin)).is_some()
}

fn find(gsi: u32) -> Option<(&'static IoApic, u32)> {
    all().iter().find_map(|io_apic| {
        let pin = gsi.checked_sub(io_apic.gsi_base)?;
        (pin < io_apic.pins).then_some((io_apic, pin))
    })
}

impl IoApic {
    fn open(entry: &hv_loader::acpi::IoApic) -> Option<Self> {
        let address = Hpa(entry.address.into());
        let registers = mm::map_mmio(address, 0x1000)?;
        let version = read(&registers, REG_VERSION);
        if version == u32::MAX {
            warning!("IO-APIC {} at {:#x} does not answer: ignored", entry.id, address.0);
            return None;
        }
        Some(Self {
            id: entry.id,
            address,
            gsi_base: entry.gsi_base,
            pins: (version >> 16 & 0xFF) + 1,
            registers: Mutex::new(registers),
        })
    }

    fn read_entry(&self, pin: u32) -> RedirectionEntry {
        let registers = self.registers.lock();
        let (low, high) = places(pin);
        let bits = u64::from(read(&registers, high)) << 32 | u64::from(read(&registers, low));
        RedirectionEntry(bits)
    }

    fn write_entry(&self, pin: u32, entry: RedirectionEntry) {
        let registers = self.registers.lock();
        let (low, high) = places(pin);
        // Masked in between, so that no half-written entry is used.
        write(&registers, low, RedirectionEntry::MASKED.0 as u32);
        write(&registers, high, (entry.0 >> 32) as u32);
        write(&registers, low, entry.0 as u32);
    }

    fn set_destination(&self, pin: u32, apic_id: u8) {
        let registers = self.registers.lock();
        let (_, high) = places(pin);
        let half = RedirectionEntry(0).with_destination(apic_id).0 >> 32;
        write(&registers, high, half as u32);
    }

    fn set_masked(&self, pin: u32, masked: bool) {
        let registers = self.registers.lock();
        let (low, _) = places(pin);
        let entry = read(&registers, low);
        let mask = RedirectionEntry::MASKED.0 as u32;
        write(&registers, low, if masked { entry | mask } else { entry & !mask });
    }
}

/// The registers of a pin's entry.
fn places(pin: u32) -> (u8, u8) {
    let low = REG_TABLE.wrapping_add((pin as u8).wrapping_mul(2));
    (low, low.wrapping_add(1))
}

fn read(registers: &Mmio, register: u8) -> u32 {
    registers.write_u32(IOREGSEL as usize, register.into());
    registers.read_u32(IOWIN as usize)
}

fn write(registers: &Mmio, register: u8, value: u32) {
    registers.write_u32(IOREGSEL as usize, register.into());
    registers.write_u32(IOWIN as usize, value);
}
