//! The MSI capability: the guest's message is kept here, the device gets the machine's.
//!
//! A function is shown as good for one message: several would need a run of vectors, which no
//! guest asks for without interrupt remapping. Mask and pending bits are the device's own.

use super::address::{Register, Sbdf};
use super::host::{MsiMessage, MsiSource, PciHost};

/// In the capability's first dword: signals are enabled.
const ENABLE: u32 = 1 << 16;
/// How many messages the function could send, and does send.
const MULTIPLE: u32 = 0x7E << 16;
/// The address has 64 bits.
const WIDE: u32 = 1 << 23;
/// The data can have 32 bits, and does.
const EXTENDED_DATA: u32 = 0b11 << 25;

/// A function's MSI capability.
#[derive(Clone, Debug)]
pub(super) struct Msi {
    source: MsiSource,
    offset: u16,
    wide: bool,
    enabled: bool,
    guest: MsiMessage,
}

/// The dwords that are not the device's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Control,
    AddressLow,
    AddressHigh,
    Data,
}

impl Msi {
    /// Takes over the capability at `offset`; signals are disabled.
    pub(super) fn new(host: &impl PciHost, function: Sbdf, offset: u16) -> Self {
        let control = host.read(function, Register::dword(offset));
        let wide = control & WIDE != 0;
        let source = MsiSource { function, index: 0 };
        let msi = Self { source, offset, wide, enabled: false, guest: MsiMessage::default() };
        msi.set_control(host, control, false);
        msi
    }

    fn field(&self, dword: u16) -> Option<Field> {
        match (dword.checked_sub(self.offset)?, self.wide) {
            (0, _) => Some(Field::Control),
            (4, _) => Some(Field::AddressLow),
            (8, true) => Some(Field::AddressHigh),
            (8, false) | (12, true) => Some(Field::Data),
            _ => None,
        }
    }

    /// What the guest sees in a dword; `None` if that is what the device has there.
    pub(super) fn read(&self, host: &impl PciHost, dword: u16) -> Option<u32> {
        Some(match self.field(dword)? {
            Field::Control => {
                let hidden = MULTIPLE | EXTENDED_DATA | ENABLE;
                let control = host.read(self.source.function, Register::dword(self.offset));
                control & !hidden | if self.enabled { ENABLE } else { 0 }
            }
            Field::AddressLow => self.guest.address as u32,
            Field::AddressHigh => (self.guest.address >> 32) as u32,
            Field::Data => self.guest.data,
        })
    }

    /// Writes a dword for which [`Self::read`] has a value.
    pub(super) fn write(&mut self, host: &impl PciHost, dword: u16, value: u32) {
        let field = self.field(dword);
        let address = &mut self.guest.address;
        match field {
            None => {}
            Some(Field::Control) => self.write_control(host, value & ENABLE != 0),
            Some(Field::AddressLow) => {
                *address = *address & !0xFFFF_FFFF | u64::from(value & !0b11);
                self.update(host);
            }
            Some(Field::AddressHigh) => {
                *address = *address & 0xFFFF_FFFF | u64::from(value) << 32;
                self.update(host);
            }
            Some(Field::Data) => {
                self.guest.data = value & 0xFFFF;
                self.update(host);
            }
        }
    }

    fn write_control(&mut self, host: &impl PciHost, enable: bool) {
        let control = host.read(self.source.function, Register::dword(self.offset));
        let was_enabled = core::mem::replace(&mut self.enabled, enable);
        if !enable {
            self.set_control(host, control, false);
            if was_enabled {
                host.disconnect(self.source);
            }
            return;
        }
        // Even if it was enabled: the device may have been reset and forgotten its message.
        if self.program(host) {
            self.set_control(host, control, true);
        }
    }

    /// Passes the message on, as it or its way to the domain has changed, if it is in use.
    pub(super) fn update(&self, host: &impl PciHost) {
        if self.enabled {
            self.program(host);
        }
    }

    /// Tells the device what to send. `false` if there is nothing that it could send.
    fn program(&self, host: &impl PciHost) -> bool {
        let Some(message) = host.connect(self.source, self.guest) else { return false };
        let set = |offset: u16, value| {
            let register = Register::dword(self.offset.wrapping_add(offset));
            host.write(self.source.function, register, value);
        };
        set(4, message.address as u32);
        let data = if self.wide {
            set(8, (message.address >> 32) as u32);
            12
        } else {
            8
        };
        // Only the low word: the other may be something else's.
        let data = Register::word(self.offset.wrapping_add(data));
        host.write(self.source.function, data, message.data);
        true
    }

    fn set_control(&self, host: &impl PciHost, control: u32, enable: bool) {
        let control = control & !(ENABLE | MULTIPLE | EXTENDED_DATA);
        let control = (control | if enable { ENABLE } else { 0 }) >> 16;
        host.write(self.source.function, Register::word(self.offset.wrapping_add(2)), control);
    }

    /// Forgets what the guest wrote, as the function was reset or is gone.
    pub(super) fn reset(&mut self, host: &impl PciHost) {
        if core::mem::take(&mut self.enabled) {
            host.disconnect(self.source);
        }
        self.guest = MsiMessage::default();
    }
}
