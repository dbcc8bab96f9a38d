//! Virtual IO-APICs: one for each physical one, at its address and with its id and pins.
//!
//! A pin is fed either by the physical pin of the same number ([`Vioapic::raise`]) or by an
//! emulated device ([`Vioapic::set_line`]). What the guest writes comes back as an [`Effect`]:
//! a pin whose physical twin has to be reprogrammed, a message to route, or an EOI.
//!
//! Neighbours: [`vlapic`](crate::vlapic) reports the EOIs of level-triggered vectors, which
//! [`Vioapics::eoi`] takes; [`interrupt::route`](crate::interrupt::route) finds the target.

mod rte;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec;
use hv_core::types::Gpa;
use x86defs::ioapic::{IOEOI, IOREGSEL, IOWIN, REG_ARBITRATION, REG_ID, REG_TABLE, REG_VERSION};

use crate::interrupt::{Message, Trigger};
pub use rte::{PinConfig, Polarity, Rte};

/// Bytes of an IO-APIC's register window; it decodes no more.
pub const WINDOW_BYTES: u64 = 0x100;

/// Version 0x20: the kind that has the EOI register.
const VERSION: u32 = 0x20;

/// What a physical IO-APIC is, for its virtual twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// The id in its id register and in the MADT.
    pub id: u8,
    /// Where its registers are.
    pub base: Gpa,
    /// The global system interrupt of pin 0.
    pub gsi_base: u32,
    /// How many pins it has, 1 to 240.
    pub pins: u8,
}

/// What the machine must do about a register write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// An entry was written.
    Pin {
        /// Its number.
        pin: u8,
        /// How to set the physical pin, if that changed.
        config: Option<PinConfig>,
        /// An interrupt that had waited, to be routed now.
        message: Option<Message>,
    },
    /// The EOI register was written: call [`Vioapic::eoi`] with this vector.
    Eoi(u8),
}

/// A level-triggered pin whose interrupt the guest has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its global system interrupt.
    pub gsi: u32,
    /// The entry as it is now. A physical pin is unmasked again, unless this says masked.
    pub config: PinConfig,
    /// The line is still asserted: the next interrupt, to be routed now.
    pub message: Option<Message>,
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    rte: Rte,
    /// An emulated line's level.
    line: bool,
    /// An interrupt arrived that was not sent yet.
    latched: bool,
}

impl Pin {
    /// Sends what waits, if the entry allows.
    fn send(&mut self) -> Option<Message> {
        if self.rte.masked() || self.rte.remote_irr() {
            return None;
        }
        let level = self.rte.trigger() == Trigger::Level;
        if !(self.latched || level && self.line) {
            return None;
        }
        self.latched = false;
        self.rte = self.rte.with_remote_irr(level);
        Some(self.rte.message())
    }
}

/// One virtual IO-APIC.
#[derive(Clone, Debug)]
pub struct Vioapic {
    geometry: Geometry,
    select: u8,
    pins: Box<[Pin]>,
}

impl Vioapic {
    /// An IO-APIC after reset, with all pins masked.
    pub fn new(geometry: Geometry) -> Self {
        let pin = Pin { rte: Rte::RESET, line: false, latched: false };
        Self { geometry, select: 0, pins: vec![pin; usize::from(geometry.pins)].into_boxed_slice() }
    }

    /// What it is the twin of.
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// A pin's entry; `None` if there is no such pin.
    pub fn entry(&self, pin: u8) -> Option<Rte> {
        self.pins.get(usize::from(pin)).map(|pin| pin.rte)
    }

    /// Reads `len` bytes from `offset` in the register window.
    pub fn read(&self, offset: u64, len: u8) -> u64 {
        let value = match offset {
            IOREGSEL => u32::from(self.select),
            IOWIN => self.register(),
            _ => 0,
        };
        u64::from(match len {
            1 => value & 0xff,
            2 => value & 0xffff,
            _ => value,
        })
    }

    /// Writes to the register window. Only the registers' first bytes are decoded; the window
    /// and the EOI register take 32 bits.
    pub fn write(&mut self, offset: u64, len: u8, value: u64) -> Effect {
        match offset {
            IOREGSEL => {
                self.select = value as u8;
                Effect::None
            }
            IOWIN if len >= 4 => self.set_register(value as u32),
            IOEOI if len >= 4 => Effect::Eoi(value as u8),
            _ => Effect::None,
        }
    }

    /// The entry and the half that the index register selects.
    const fn selected(&self) -> Option<(u8, u32)> {
        match self.select.checked_sub(REG_TABLE) {
            Some(index) => Some((index >> 1, (index as u32 & 1) << 5)),
            None => None,
        }
    }

    fn register(&self) -> u32 {
        let id = u32::from(self.geometry.id) << 24;
        match self.select {
            REG_ID | REG_ARBITRATION => id,
            REG_VERSION => VERSION | u32::from(self.geometry.pins.saturating_sub(1)) << 16,
            _ => self
                .selected()
                .and_then(|(pin, shift)| Some((self.entry(pin)?.0 >> (shift & 32)) as u32))
                .unwrap_or(0),
        }
    }

    fn set_register(&mut self, value: u32) -> Effect {
        if self.select == REG_ID {
            self.geometry.id = (value >> 24) as u8;
            return Effect::None;
        }
        let Some((number, shift)) = self.selected() else { return Effect::None };
        let Some(pin) = self.pins.get_mut(usize::from(number)) else { return Effect::None };
        let before = pin.rte.config();
        let half = u64::from(u32::MAX) << (shift & 32);
        let merged = pin.rte.0 & !half | u64::from(value) << (shift & 32);
        pin.rte = pin.rte.written(merged);
        let after = pin.rte.config();
        Effect::Pin { pin: number, config: (before != after).then_some(after), message: pin.send() }
    }

    /// An interrupt came from the physical pin. A masked pin keeps it until it is unmasked.
    pub fn raise(&mut self, pin: u8) -> Option<Message> {
        let pin = self.pins.get_mut(usize::from(pin))?;
        pin.latched = true;
        pin.send()
    }

    /// An emulated device drives the line of this pin.
    pub fn set_line(&mut self, pin: u8, asserted: bool) -> Option<Message> {
        let pin = self.pins.get_mut(usize::from(pin))?;
        let rising = asserted && !pin.line;
        pin.line = asserted;
        if rising && pin.rte.trigger() == Trigger::Edge {
            pin.latched = true;
        }
        pin.send()
    }

    /// The guest has ended the level interrupt with this vector. `ended` hears of each pin that
    /// had sent it.
    pub fn eoi(&mut self, vector: u8, mut ended: impl FnMut(Ended)) {
        for (gsi, pin) in (self.geometry.gsi_base..).zip(self.pins.iter_mut()) {
            if pin.rte.remote_irr() && pin.rte.vector() == vector {
                pin.rte = pin.rte.with_remote_irr(false);
                ended(Ended { gsi, config: pin.rte.config(), message: pin.send() });
            }
        }
    }
}

/// All IO-APICs of a domain.
#[derive(Clone, Debug, Default)]
pub struct Vioapics {
    chips: Box<[Vioapic]>,
}

impl Vioapics {
    /// IO-APICs after reset.
    pub fn new(geometries: impl IntoIterator<Item = Geometry>) -> Self {
        Self { chips: geometries.into_iter().map(Vioapic::new).collect() }
    }

    /// The IO-APICs, in the order they were given.
    pub const fn chips(&self) -> &[Vioapic] {
        &self.chips
    }

    /// The IO-APIC whose register window holds `address`, and the offset in it.
    pub fn at(&mut self, address: Gpa) -> Option<(&mut Vioapic, u64)> {
        self.chips.iter_mut().find_map(|chip| {
            let offset = address.0.checked_sub(chip.geometry.base.0)?;
            (offset < WINDOW_BYTES).then_some((chip, offset))
        })
    }

    /// The IO-APIC and pin of a global system interrupt.
    pub fn pin(&mut self, gsi: u32) -> Option<(&mut Vioapic, u8)> {
        self.chips.iter_mut().find_map(|chip| {
            let pin = gsi.checked_sub(chip.geometry.gsi_base)?;
            let pin = u8::try_from(pin).ok().filter(|pin| *pin < chip.geometry.pins)?;
            Some((chip, pin))
        })
    }

    /// A local APIC broadcasts the EOI of a level-triggered vector.
    pub fn eoi(&mut self, vector: u8, mut ended: impl FnMut(Ended)) {
        self.chips.iter_mut().for_each(|chip| chip.eoi(vector, &mut ended));
    }
}
