//! I/O ports, for drivers: the x86 instructions with their safety argument in one place.
#![expect(unsafe_code, reason = "port I/O reaches devices past the compiler's knowledge")]

use x86_64::instructions::port::PortReadOnly;
use x86_64::instructions::port::PortWriteOnly;

/// A device's run of I/O ports.
///
/// Holding one is the permission to drive the device: whoever makes it vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// The ports from `base` on.
    ///
    /// # Safety
    /// Reads and writes of these ports must not be able to break memory safety: they belong to
    /// a device that does no DMA and whose driver the caller is.
    pub const unsafe fn new(base: u16) -> Self {
        Self { base }
    }

    /// The first port's number.
    pub const fn base(self) -> u16 {
        self.base
    }

    /// Reads a byte.
    pub fn read_u8(self, offset: u16) -> u8 {
        // SAFETY: `new`'s caller vouched for the device.
        unsafe { PortReadOnly::new(self.base.wrapping_add(offset)).read() }
    }

    /// Writes a byte.
    pub fn write_u8(self, offset: u16, value: u8) {
        // SAFETY: as in `read_u8`.
        unsafe { PortWriteOnly::new(self.base.wrapping_add(offset)).write(value) }
    }

    /// Reads a 16-bit word.
    pub fn read_u16(self, offset: u16) -> u16 {
        // SAFETY: as in `read_u8`.
        unsafe { PortReadOnly::new(self.base.wrapping_add(offset)).read() }
    }

    /// Writes a 16-bit word.
    pub fn write_u16(self, offset: u16, value: u16) {
        // SAFETY: as in `read_u8`.
        unsafe { PortWriteOnly::new(self.base.wrapping_add(offset)).write(value) }
    }

    /// Reads a 32-bit word.
    pub fn read_u32(self, offset: u16) -> u32 {
        // SAFETY: as in `read_u8`.
        unsafe { PortReadOnly::new(self.base.wrapping_add(offset)).read() }
    }

    /// Writes a 32-bit word.
    pub fn write_u32(self, offset: u16, value: u32) {
        // SAFETY: as in `read_u8`.
        unsafe { PortWriteOnly::new(self.base.wrapping_add(offset)).write(value) }
    }
}

/// Reads 1, 2 or 4 bytes from a port of the hardware domain's that the hypervisor has to see.
pub fn read(port: u16, bytes: u8) -> u32 {
    // SAFETY: the port is the hardware domain's, which may do this to its devices anyway.
    let ports = unsafe { Ports::new(port) };
    match bytes {
        1 => ports.read_u8(0).into(),
        2 => ports.read_u16(0).into(),
        _ => ports.read_u32(0),
    }
}

/// Writes 1, 2 or 4 bytes to a port of the hardware domain's that the hypervisor has to see.
pub fn write(port: u16, bytes: u8, value: u32) {
    // SAFETY: as in `read`.
    let ports = unsafe { Ports::new(port) };
    match bytes {
        1 => ports.write_u8(0, value as u8),
        2 => ports.write_u16(0, value as u16),
        _ => ports.write_u32(0, value),
    }
}
