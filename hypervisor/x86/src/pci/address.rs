//! Where a PCI function is, and where in its configuration space an access goes.

use core::fmt;

/// A PCI function: segment, bus, device, function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sbdf(u32);

impl Sbdf {
    /// A function by its parts; only the low five bits of `device` and three of `function`
    /// count.
    pub const fn new(segment: u16, bus: u8, device: u8, function: u8) -> Self {
        Self::from_devfn(segment, bus, (device << 3) | (function & 7))
    }

    /// A function by its segment, bus, and device and function in one byte.
    pub const fn from_devfn(segment: u16, bus: u8, devfn: u8) -> Self {
        Self(((segment as u32) << 16) | ((bus as u32) << 8) | devfn as u32)
    }

    /// The segment.
    pub const fn segment(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The bus.
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Device and function in one byte.
    pub const fn devfn(self) -> u8 {
        self.0 as u8
    }

    /// The device on its bus, 0 to 31.
    pub const fn device(self) -> u8 {
        self.devfn() >> 3
    }

    /// The function of its device, 0 to 7.
    pub const fn function(self) -> u8 {
        self.devfn() & 7
    }

    /// Bus, device and function: what a device's requests carry.
    pub const fn requester(self) -> u16 {
        self.0 as u16
    }
}

impl fmt::Display for Sbdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (segment, bus) = (self.segment(), self.bus());
        write!(f, "{segment:04x}:{bus:02x}:{:02x}.{}", self.device(), self.function())
    }
}

impl fmt::Debug for Sbdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many bytes an access has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte,
    /// Two bytes.
    Word,
    /// Four bytes.
    Dword,
}

impl Width {
    /// The width of so many bytes.
    pub const fn from_bytes(bytes: u8) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            _ => None,
        }
    }

    /// Its bytes.
    pub const fn bytes(self) -> u8 {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
        }
    }

    /// All bits that a value of this width can have. Also what a read gives where nothing
    /// answers.
    pub const fn ones(self) -> u32 {
        match self {
            Self::Byte => 0xFF,
            Self::Word => 0xFFFF,
            Self::Dword => u32::MAX,
        }
    }
}

/// A place in a function's configuration space: naturally aligned, so within one dword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// The offset of its first byte, below 4096.
    offset: u16,
    width: Width,
}

impl Register {
    /// `None` if it is not aligned to its width, or beyond configuration space.
    pub const fn new(offset: u16, width: Width) -> Option<Self> {
        let aligned = offset & (width.bytes() as u16).wrapping_sub(1) == 0;
        if aligned && offset < 4096 { Some(Self { offset, width }) } else { None }
    }

    /// The dword at `offset`, of which the low two bits and those above 4095 don't count.
    pub const fn dword(offset: u16) -> Self {
        Self { offset: offset & 0xFFC, width: Width::Dword }
    }

    /// The word at `offset`, of which the low bit and those above 4095 don't count.
    pub const fn word(offset: u16) -> Self {
        Self { offset: offset & 0xFFE, width: Width::Word }
    }

    /// The byte at `offset`, of which the bits above 4095 don't count.
    pub const fn byte(offset: u16) -> Self {
        Self { offset: offset & 0xFFF, width: Width::Byte }
    }

    /// The offset of its first byte.
    pub const fn offset(self) -> u16 {
        self.offset
    }

    /// Its width.
    pub const fn width(self) -> Width {
        self.width
    }

    /// The dword that it lies in.
    pub(super) const fn containing_dword(self) -> Self {
        Self::dword(self.offset)
    }

    /// How far it is from the start of its dword, in bits.
    const fn shift(self) -> u32 {
        ((self.offset & 3) as u32) << 3
    }

    /// Its part of its dword's value.
    pub(super) const fn extract(self, dword: u32) -> u32 {
        (dword >> self.shift()) & self.width.ones()
    }

    /// Its dword's value with this part replaced.
    pub(super) const fn insert(self, dword: u32, value: u32) -> u32 {
        let ones = self.width.ones();
        dword & !(ones << self.shift()) | (value & ones) << self.shift()
    }
}
