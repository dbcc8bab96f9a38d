//! The interrupt command register: what the guest writes, as a [`Message`].

use x86defs::apic::{Esr, FIRST_VECTOR, Icr, Shorthand};

use super::{Effect, Vlapic};
use crate::fault::GpFault;
use crate::interrupt::{Delivery, Destination, Message, Trigger};

/// Reserved bits of the 64-bit register. Bit 12 is delivery status, which some guests write.
const X2APIC_RESERVED: u64 = 0xfff3_2000;

impl Vlapic {
    /// A write of the 64-bit register in x2APIC mode.
    pub(super) fn send_x2apic(&mut self, icr: u64) -> Result<Effect, GpFault> {
        if icr & X2APIC_RESERVED != 0 {
            return Err(GpFault);
        }
        // Every message is delivered at once: that bit reads as 0.
        Ok(self.send(icr & !u64::from(Icr::PENDING.bits())))
    }

    /// A write of the self-IPI register.
    pub(super) fn send_self(&mut self, vector: u8) -> Effect {
        self.dispatch(Message {
            vector,
            delivery: Delivery::Fixed,
            trigger: Trigger::Edge,
            destination: Destination::Myself,
        })
    }

    /// Sends what the register says.
    pub(super) fn send(&mut self, icr: u64) -> Effect {
        self.icr = icr;
        let low = Icr(icr as u32);
        let delivery = Delivery::from_bits(low.bits() >> 8);
        let deassert = low.contains(Icr::LEVEL) && !low.contains(Icr::ASSERT);
        // De-assertion of INIT only ever set arbitration ids, on processors of another age.
        if delivery == Delivery::Init && deassert {
            return Effect::None;
        }
        self.dispatch(Message {
            vector: low.vector(),
            delivery,
            // IPIs are edges whatever the bit says: there is no IO-APIC to tell of the EOI.
            trigger: Trigger::Edge,
            destination: self.icr_destination(icr),
        })
    }

    const fn icr_destination(&self, icr: u64) -> Destination {
        let low = Icr(icr as u32);
        let logical = low.contains(Icr::LOGICAL);
        match low.shorthand() {
            Shorthand::SELF => Destination::Myself,
            Shorthand::ALL => Destination::All,
            Shorthand::OTHERS => Destination::Others,
            _ if self.is_x2apic() => Destination::from_u32((icr >> 32) as u32, logical),
            _ => Destination::from_u8((icr >> 56) as u8, logical),
        }
    }

    fn dispatch(&mut self, message: Message) -> Effect {
        match message.delivery {
            Delivery::Smi | Delivery::ExtInt | Delivery::Reserved => Effect::None,
            Delivery::Fixed | Delivery::LowestPriority
                if u32::from(message.vector) < FIRST_VECTOR =>
            {
                self.raise_error(Esr::SEND_VECTOR);
                Effect::None
            }
            Delivery::Fixed if message.destination == Destination::Myself => {
                if self.is_software_enabled() {
                    self.set_irr(message.vector, false);
                }
                Effect::None
            }
            _ => Effect::Ipi(message),
        }
    }
}
