//! A unit's registers, by offset and bit.
//!
//! Source: Intel VT-d specification 4.1, chapter 11.

/// Access to one unit's registers. Offsets are multiples of the width.
pub trait Registers {
    /// Reads 32 bits.
    fn read32(&self, offset: u64) -> u32;
    /// Reads 64 bits.
    fn read64(&self, offset: u64) -> u64;
    /// Writes 32 bits.
    fn write32(&self, offset: u64, value: u32);
    /// Writes 64 bits.
    fn write64(&self, offset: u64, value: u64);
}

pub(super) const CAP: u64 = 0x08;
pub(super) const ECAP: u64 = 0x10;
pub(super) const GLOBAL_COMMAND: u64 = 0x18;
pub(super) const GLOBAL_STATUS: u64 = 0x1C;
pub(super) const ROOT_TABLE: u64 = 0x20;
pub(super) const CONTEXT_COMMAND: u64 = 0x28;
pub(super) const FAULT_STATUS: u64 = 0x34;
pub(super) const FAULT_CONTROL: u64 = 0x38;
pub(super) const PROTECTED_MEMORY: u64 = 0x64;
pub(super) const QUEUE_TAIL: u64 = 0x88;
pub(super) const QUEUE_ADDRESS: u64 = 0x90;

/// Command and status: translation.
pub(super) const TRANSLATION: u32 = 1 << 31;
/// Command and status: take the root table's address.
pub(super) const SET_ROOT_TABLE: u32 = 1 << 30;
/// Command and status: flush the write buffer. It is done when the status is clear.
pub(super) const FLUSH_WRITE_BUFFER: u32 = 1 << 27;
/// Command and status: queued invalidation.
pub(super) const QUEUED_INVALIDATION: u32 = 1 << 26;
/// Command and status: interrupt remapping.
pub(super) const INTERRUPT_REMAPPING: u32 = 1 << 25;
/// Status bits that stand for lasting states, which each command has to repeat: all but those
/// of one-time actions.
pub(super) const LASTING: u32 = 0x96FF_FFFF;

/// Context command: invalidate now. It is done when the bit is clear.
pub(super) const CONTEXT_INVALIDATE: u64 = 1 << 63;
/// Context command: everything.
pub(super) const CONTEXT_GLOBAL: u64 = 1 << 61;

/// At [`Ecap::iotlb_offset`]: the IOTLB invalidation register.
pub(super) const IOTLB_INVALIDATE: u64 = 1 << 63;
/// IOTLB invalidation: everything.
pub(super) const IOTLB_GLOBAL: u64 = 1 << 60;
/// IOTLB invalidation: one domain's, whose id is in bits 47:32.
pub(super) const IOTLB_DOMAIN: u64 = 2 << 60;
/// IOTLB invalidation: wait for reads and writes that are on their way.
pub(super) const IOTLB_DRAIN: u64 = 0b11 << 48;

/// Fault status: all bits that are cleared by writing one.
pub(super) const FAULT_STATUS_BITS: u32 = 0x7F;
/// Fault status: more faults than records.
pub(super) const FAULT_OVERFLOW: u32 = 1 << 0;
/// Fault status: a record is filled.
pub(super) const FAULT_PENDING: u32 = 1 << 1;
/// Fault status: errors of the invalidation queue.
pub(super) const QUEUE_ERRORS: u32 = 0b111 << 4;
/// Fault control: no interrupts.
pub(super) const FAULT_MASK: u32 = 1 << 31;
/// In a record's upper half: it is filled.
pub(super) const RECORD_FILLED: u64 = 1 << 63;
/// In a record's upper half: the request was a read.
pub(super) const RECORD_READ: u64 = 1 << 62;

/// Protected memory: enable.
pub(super) const PROTECT: u32 = 1 << 31;
/// Protected memory: it is on.
pub(super) const PROTECTED: u32 = 1 << 0;

/// What a unit can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap(pub u64);

impl Cap {
    /// The write buffer has to be flushed by command when tables change.
    pub const fn needs_write_buffer_flush(self) -> bool {
        self.0 & 1 << 4 != 0
    }

    /// There are ranges that DMA is kept from until translation is set up.
    pub const fn has_protected_memory(self) -> bool {
        self.0 & 0b11 << 5 != 0
    }

    /// Entries that aren't present may be cached.
    pub const fn caches_absent(self) -> bool {
        self.0 & 1 << 7 != 0
    }

    /// Whether tables of so many levels can be walked.
    pub const fn has_levels(self, levels: u32) -> bool {
        matches!(levels, 2..=6) && self.0 & 1u64.wrapping_shl(levels.wrapping_add(6)) != 0
    }

    /// How many bits the addresses that can be translated have.
    pub const fn address_bits(self) -> u32 {
        ((self.0 >> 16) as u32 & 0x3F).wrapping_add(1)
    }

    /// Whether pages of 2 MiB (order 9) or 1 GiB (order 18) are known.
    pub const fn has_page_order(self, order: u32) -> bool {
        match order {
            0 => true,
            9 => self.0 & 1 << 34 != 0,
            18 => self.0 & 1 << 35 != 0,
            _ => false,
        }
    }

    /// How many domains can be told apart.
    pub const fn domains(self) -> u32 {
        1u32.wrapping_shl((self.0 as u32 & 7).wrapping_mul(2).wrapping_add(4))
    }

    /// Where the fault records are.
    pub const fn fault_records(self) -> u64 {
        (self.0 >> 24 & 0x3FF) << 4
    }

    /// How many there are.
    pub const fn fault_record_count(self) -> u64 {
        (self.0 >> 40 & 0xFF).wrapping_add(1)
    }
}

/// What else it can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecap(pub u64);

impl Ecap {
    /// The unit sees what is in the CPUs' caches.
    pub const fn is_coherent(self) -> bool {
        self.0 & 1 << 0 != 0
    }

    /// Invalidations can be queued.
    pub const fn has_queue(self) -> bool {
        self.0 & 1 << 1 != 0
    }

    /// Where the two IOTLB registers are.
    pub const fn iotlb_offset(self) -> u64 {
        (self.0 >> 8 & 0x3FF) << 4
    }
}

/// How many bytes of registers a unit has: its windows of IOTLB registers and fault records may
/// lie after the first page. Reads only the first page.
pub fn window_bytes(registers: &impl Registers) -> u64 {
    const PAGE: u64 = 4096;
    let (cap, ecap) = (Cap(registers.read64(CAP)), Ecap(registers.read64(ECAP)));
    let records = cap.fault_records().saturating_add(cap.fault_record_count() << 4);
    let iotlb = ecap.iotlb_offset().saturating_add(16);
    records.max(iotlb).max(PAGE).next_multiple_of(PAGE)
}
