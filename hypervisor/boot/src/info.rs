//! [`BootInfo`]: what every boot protocol tells, in one form.
//!
//! It is copied out of the loader's memory at once, so that this memory can be reused. Its lists
//! have a fixed capacity because there is no heap yet; what does not fit is counted.

use arrayvec::ArrayVec;
use hv_core::types::Hpa;

use crate::phys::PhysMemory;
use crate::{multiboot1, multiboot2, pvh};

/// Longest command line that is kept, in bytes.
pub const COMMAND_LINE_BYTES: usize = 2048;
/// Most memory regions that are kept.
pub const MAX_REGIONS: usize = 256;
/// Most boot modules that are kept.
pub const MAX_MODULES: usize = 8;
/// An RSDP's length in ACPI 2.0 and later.
pub const RSDP_BYTES: usize = 36;

/// Who started us, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Multiboot, version 1: QEMU's `-kernel`.
    Multiboot1,
    /// Multiboot, version 2: GRUB.
    Multiboot2,
    /// The PVH entry: another hypervisor's direct boot.
    Pvh,
}

impl Protocol {
    /// The protocol's usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Multiboot1 => "multiboot",
            Self::Multiboot2 => "multiboot2",
            Self::Pvh => "PVH",
        }
    }
}

/// What a range of physical addresses holds. The numbers are those of the BIOS's E820 call,
/// which multiboot and PVH share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionKind(pub u32);

impl RegionKind {
    /// Usable memory.
    pub const RAM: Self = Self(1);
    /// Firmware or devices: never memory of ours.
    pub const RESERVED: Self = Self(2);
    /// ACPI tables, which may be reclaimed once read.
    pub const ACPI: Self = Self(3);
    /// Firmware state that must be left alone.
    pub const NVS: Self = Self(4);
    /// Memory with errors.
    pub const UNUSABLE: Self = Self(5);

    /// The kind's name, as memory maps are printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RAM => "RAM",
            Self::RESERVED => "reserved",
            Self::ACPI => "ACPI data",
            Self::NVS => "ACPI NVS",
            Self::UNUSABLE => "unusable",
            _ => "other",
        }
    }
}

/// A range of physical addresses, as the firmware describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First byte.
    pub start: u64,
    /// Length in bytes; `start + bytes` does not overflow.
    pub bytes: u64,
    /// What it holds.
    pub kind: RegionKind,
}

impl Region {
    /// One past the last byte.
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }
}

/// Text of bounded length, kept as bytes: loaders promise no encoding.
pub type Text = ArrayVec<u8, COMMAND_LINE_BYTES>;

/// A file that the boot loader put into memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Where it lies.
    pub start: Hpa,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its command line, without the file's name where the protocol tells it apart.
    pub command_line: Text,
}

/// A linear framebuffer with direct colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framebuffer {
    /// First pixel's address.
    pub start: Hpa,
    /// Bytes from one line to the next.
    pub pitch: u32,
    /// Pixels in a line.
    pub width: u32,
    /// Lines.
    pub height: u32,
    /// Bits in a pixel: 15, 16, 24 or 32.
    pub bits_per_pixel: u8,
    /// Where red lies in a pixel.
    pub red: ColourField,
    /// Where green lies in a pixel.
    pub green: ColourField,
    /// Where blue lies in a pixel.
    pub blue: ColourField,
}

/// A colour's bits within a pixel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColourField {
    /// Lowest bit.
    pub position: u8,
    /// Number of bits.
    pub size: u8,
}

/// What the machine can show before any driver runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Display {
    /// The loader said nothing: a BIOS machine has VGA text then.
    #[default]
    Unknown,
    /// VGA text, 80 columns and 25 lines, at 0xB8000.
    VgaText,
    /// A linear framebuffer.
    Linear(Framebuffer),
}

/// Where the ACPI tables' root pointer comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rsdp {
    /// The loader said nothing: look for it where a BIOS puts it.
    #[default]
    Search,
    /// It lies at this address.
    At(Hpa),
    /// The loader handed over a copy (20 or 36 bytes long).
    Copy(ArrayVec<u8, RSDP_BYTES>),
}

/// What the boot loader told us.
#[derive(Clone, Debug)]
pub struct BootInfo {
    /// How we were started.
    pub protocol: Protocol,
    /// The boot loader's own name, if it has one.
    pub loader: ArrayVec<u8, 64>,
    /// Our command line, without our file's name.
    pub command_line: Text,
    /// The firmware's memory map, in its order.
    pub regions: ArrayVec<Region, MAX_REGIONS>,
    /// The files that were loaded beside us, in order.
    pub modules: ArrayVec<Module, MAX_MODULES>,
    /// The display.
    pub display: Display,
    /// ACPI's root pointer.
    pub rsdp: Rsdp,
    /// Whether UEFI firmware started the machine.
    pub efi: bool,
    /// Memory regions and modules that were dropped for lack of room.
    pub dropped: u32,
}

/// Why boot information can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InfoError {
    /// A part of it lies where nothing can be read.
    Unreadable(Hpa),
    /// There is no memory map.
    NoMemoryMap,
    /// A tag's or an entry's size contradicts the protocol.
    Malformed(Hpa),
    /// The magic number at the entry is none of ours.
    UnknownProtocol(u32),
}

impl core::fmt::Display for InfoError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Unreadable(at) => write!(f, "its part at {:#x} can't be read", at.0),
            Self::NoMemoryMap => write!(f, "it has no memory map"),
            Self::Malformed(at) => write!(f, "its part at {:#x} is malformed", at.0),
            Self::UnknownProtocol(magic) => {
                write!(f, "the magic number {magic:#x} is not that of multiboot, multiboot2 or PVH")
            }
        }
    }
}

impl BootInfo {
    /// An empty description.
    pub const fn new() -> Self {
        Self {
            protocol: Protocol::Multiboot1,
            loader: ArrayVec::new_const(),
            command_line: Text::new_const(),
            regions: ArrayVec::new_const(),
            modules: ArrayVec::new_const(),
            display: Display::Unknown,
            rsdp: Rsdp::Search,
            efi: false,
            dropped: 0,
        }
    }

    /// Reads what the loader left at `info` into this empty description; `magic` is the number
    /// that the loader passed with it.
    ///
    /// The structure is filled in place because it is too large to be moved on a boot stack.
    ///
    /// # Errors
    /// When the number is unknown, or the description is not readable or lacks a memory map.
    pub fn read(
        &mut self,
        magic: u32,
        info: Hpa,
        memory: &dyn PhysMemory,
    ) -> Result<(), InfoError> {
        match magic {
            multiboot1::LOADER_MAGIC => multiboot1::read(self, info, memory)?,
            multiboot2::LOADER_MAGIC => multiboot2::read(self, info, memory)?,
            pvh::START_MAGIC => pvh::read(self, info, memory)?,
            other => return Err(InfoError::UnknownProtocol(other)),
        }
        if self.regions.is_empty() {
            return Err(InfoError::NoMemoryMap);
        }
        Ok(())
    }

    /// Adds a region; empty ones are ignored, and one that wraps is cut at the address space's
    /// end.
    pub fn add_region(&mut self, start: u64, bytes: u64, kind: u32) {
        let bytes = bytes.min(u64::MAX - start);
        if bytes == 0 {
            return;
        }
        let region = Region { start, bytes, kind: RegionKind(kind) };
        if self.regions.try_push(region).is_err() {
            self.dropped += 1;
        }
    }

    /// Adds a module; empty ones are ignored.
    pub fn add_module(&mut self, start: Hpa, bytes: u64, command_line: Text) {
        if bytes == 0 || start.0.checked_add(bytes).is_none() {
            return;
        }
        if self.modules.try_push(Module { start, bytes, command_line }).is_err() {
            self.dropped += 1;
        }
    }
}

impl Default for BootInfo {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads a zero-terminated string, cut at the capacity.
pub(crate) fn read_string(memory: &dyn PhysMemory, at: Hpa) -> Option<Text> {
    let mut text = Text::new();
    while !text.is_full() {
        let mut byte = [0];
        memory.read(Hpa(at.0.checked_add(text.len() as u64)?), &mut byte)?;
        if byte == [0] {
            break;
        }
        text.extend(byte);
    }
    Some(text)
}

/// Drops the first word: QEMU and GRUB 1 put the file's name before its arguments.
pub(crate) fn without_first_word(text: &[u8]) -> Text {
    let rest = text
        .iter()
        .position(|&byte| byte == b' ')
        .and_then(|space| text.get(space..))
        .unwrap_or_default();
    rest.trim_ascii().iter().copied().take(COMMAND_LINE_BYTES).collect()
}
