//! What this local APIC has of the registers that [`x86defs::apic`] names.

use x86defs::apic::{Lvt, Register, Svr};

/// Version 0x14 with six local vector entries and without suppression of EOI broadcasts.
pub(super) const VERSION: u32 = 0x14 | 5 << 16;
/// The bits of SVR that can be written: vector, enable, focus checking.
pub(super) const SVR_BITS: u32 = 0xff | Svr::ENABLE.bits() | Svr::FOCUS_DISABLE.bits();
/// The bits of the ICR's low half that can be written in xAPIC mode.
pub(super) const ICR_BITS: u32 = 0x000c_cfff;
/// The bits of the timer's divider.
pub(super) const DIVIDE_BITS: u32 = 0xb;

/// The local vector entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct LvtTable {
    entries: [Lvt; 6],
}

impl LvtTable {
    /// All entries masked, as after reset.
    pub const RESET: Self = Self { entries: [Lvt::MASKED; 6] };

    /// Writable bits, in the order of the registers from the timer's.
    const BITS: [u32; 6] =
        [0x0007_00ff, 0x0001_07ff, 0x0001_07ff, 0x0001_a7ff, 0x0001_a7ff, 0x0001_00ff];

    const fn index(register: Register) -> usize {
        (register.0.wrapping_sub(Register::LVT_TIMER.0) >> 4) as usize
    }

    /// The entry, if `register` is one.
    pub fn get(&self, register: Register) -> Option<Lvt> {
        self.entries.get(Self::index(register)).copied()
    }

    /// The bits of `register` that can be written, if it is an entry.
    pub fn writable(register: Register) -> Option<u32> {
        Self::BITS.get(Self::index(register)).copied()
    }

    /// Stores the writable bits of `value`. Nothing happens if `register` is not an entry.
    pub fn set(&mut self, register: Register, value: u32) {
        if let (Some(entry), Some(bits)) =
            (self.entries.get_mut(Self::index(register)), Self::writable(register))
        {
            *entry = Lvt(value & bits);
        }
    }

    /// Masks every entry: what disabling the APIC by software does.
    pub fn mask_all(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.0 |= Lvt::MASKED.bits());
    }

    /// The timer's entry.
    pub const fn timer(&self) -> Lvt {
        let [timer, ..] = self.entries;
        timer
    }

    /// The error entry.
    pub const fn error(&self) -> Lvt {
        let [.., error] = self.entries;
        error
    }
}
