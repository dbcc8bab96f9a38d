//! The registers of PCI configuration space that are looked at, by offset and bit.
//!
//! Sources: PCI Local Bus Specification 3.0, chapter 6; PCI Express Base Specification 5.0,
//! chapter 7.

/// Vendor id; all ones where there is no function.
pub const VENDOR: u16 = 0x00;
/// Command.
pub const COMMAND: u16 = 0x04;
/// Command: answers to I/O addresses.
pub const COMMAND_IO: u32 = 1 << 0;
/// Command: answers to memory addresses.
pub const COMMAND_MEMORY: u32 = 1 << 1;
/// Status.
pub const STATUS: u16 = 0x06;
/// Status: has capabilities.
pub const STATUS_CAPABILITIES: u32 = 1 << 4;
/// Revision in bits 7:0, class in 31:8.
pub const CLASS: u16 = 0x08;
/// Base class and subclass of host bridges.
pub const CLASS_HOST_BRIDGE: u32 = 0x0600;
/// Header type.
pub const HEADER_TYPE: u16 = 0x0E;
/// Header type: the kind of header.
pub const HEADER_KIND: u32 = 0x7F;
/// Header type: the device has more than function 0.
pub const HEADER_MULTIFUNCTION: u32 = 0x80;
/// Header kind of a device.
pub const HEADER_DEVICE: u32 = 0;
/// Header kind of a bridge to another PCI bus.
pub const HEADER_BRIDGE: u32 = 1;
/// The first base address register.
pub const BAR0: u16 = 0x10;
/// A bridge's secondary bus.
pub const SECONDARY_BUS: u16 = 0x19;
/// Where the list of capabilities starts.
pub const CAPABILITIES: u16 = 0x34;
/// Where the list of extended capabilities starts.
pub const EXTENDED_CAPABILITIES: u16 = 0x100;

/// Base address: of I/O ports.
pub const BAR_IO: u32 = 1 << 0;
/// Base address: kind of memory.
pub const BAR_KIND: u32 = 0b110;
/// Base address: 64 bits, in this and the next register.
pub const BAR_KIND_64: u32 = 0b100;
/// Base address: the memory may be prefetched.
pub const BAR_PREFETCHABLE: u32 = 1 << 3;

/// Capability: message signalled interrupts.
pub const CAP_MSI: u8 = 0x05;
/// Capability: PCI Express.
pub const CAP_EXPRESS: u8 = 0x10;
/// Capability: MSI-X.
pub const CAP_MSIX: u8 = 0x11;

/// Extended capability: single root I/O virtualisation.
pub const EXT_CAP_SRIOV: u16 = 0x10;
/// Extended capability: resizable base addresses.
pub const EXT_CAP_RESIZABLE_BAR: u16 = 0x15;
/// Extended capability: resizable base addresses of virtual functions.
pub const EXT_CAP_VF_RESIZABLE_BAR: u16 = 0x24;
