//! Registers of a remapping unit (VT-d, chapter 11).

use super::Granularity;
use crate::macros::{flags, open_enum};

open_enum! {
    /// Offset of a register in the unit's page.
    pub struct Register(u16) {
        /// Version, 32 bits.
        VERSION = 0x00;
        /// [`Capability`], 64 bits.
        CAP = 0x08;
        /// [`ExtendedCapability`], 64 bits.
        ECAP = 0x10;
        /// [`GlobalCommand`], 32 bits; write only.
        GCMD = 0x18;
        /// [`GlobalCommand`], 32 bits: what is done.
        GSTS = 0x1c;
        /// Address of the root table, 64 bits.
        RTADDR = 0x20;
        /// [`ContextCommand`], 64 bits.
        CCMD = 0x28;
        /// [`FaultStatus`], 32 bits.
        FSTS = 0x34;
        /// Fault interrupt: bit 31 masks, 32 bits.
        FECTL = 0x38;
        /// Fault interrupt: MSI data, 32 bits.
        FEDATA = 0x3c;
        /// Fault interrupt: MSI address, 32 bits.
        FEADDR = 0x40;
        /// Fault interrupt: high half of the MSI address, 32 bits.
        FEUADDR = 0x44;
        /// Protected memory: bit 31 enables, bit 0 is its state, 32 bits.
        PMEN = 0x64;
        /// Protected low memory: base, 32 bits.
        PLMBASE = 0x68;
        /// Protected low memory: limit, 32 bits.
        PLMLIMIT = 0x6c;
        /// Protected high memory: base, 64 bits.
        PHMBASE = 0x70;
        /// Protected high memory: limit, 64 bits.
        PHMLIMIT = 0x78;
        /// Invalidation queue: head, 64 bits.
        IQH = 0x80;
        /// Invalidation queue: tail, 64 bits.
        IQT = 0x88;
        /// Invalidation queue: address, and log2 of its pages in bits 2..0, 64 bits.
        IQA = 0x90;
        /// Invalidation completion: bit 0, 32 bits.
        ICS = 0x9c;
        /// Invalidation interrupt: bit 31 masks, 32 bits.
        IECTL = 0xa0;
        /// Interrupt remapping table: address, x2APIC mode bit 11, log2 of its entries less one
        /// in bits 3..0, 64 bits.
        IRTA = 0xb8;
    }
}

flags! {
    /// Capabilities. Read the fields by the methods.
    pub struct Capability(u64) {
        /// The write buffer must be flushed.
        RWBF = 1 << 4;
        /// Protected low memory exists.
        PLMR = 1 << 5;
        /// Protected high memory exists.
        PHMR = 1 << 6;
        /// Caching mode: entries that aren't present may be cached.
        CM = 1 << 7;
        /// Zero-length reads of write-only pages work.
        ZLR = 1 << 22;
        /// 2 MiB pages.
        SLLPS_2M = 1 << 34;
        /// 1 GiB pages.
        SLLPS_1G = 1 << 35;
        /// Invalidation by page.
        PSI = 1 << 39;
        /// Writes can be drained.
        DWD = 1 << 54;
        /// Reads can be drained.
        DRD = 1 << 55;
        /// Posted interrupts.
        PI = 1 << 59;
    }
}

impl Capability {
    /// Domain ids that the unit tells apart.
    #[must_use]
    pub const fn domains(self) -> u32 {
        1_u32.wrapping_shl(4_u32.wrapping_add(2 * (self.0 & 7) as u32))
    }

    /// Whether 3-level tables (39 bits) work.
    #[must_use]
    pub const fn has_39_bits(self) -> bool {
        self.0 & 1 << 9 != 0
    }

    /// Whether 4-level tables (48 bits) work.
    #[must_use]
    pub const fn has_48_bits(self) -> bool {
        self.0 & 1 << 10 != 0
    }

    /// Bits of the widest guest address.
    #[must_use]
    pub const fn max_address_bits(self) -> u32 {
        (self.0 >> 16 & 0x3f) as u32 + 1
    }

    /// Offset of the first [`FaultRecord`].
    #[must_use]
    pub const fn fault_record_offset(self) -> u16 {
        ((self.0 >> 24 & 0x3ff) as u16) << 4
    }

    /// How many [`FaultRecord`]s there are.
    #[must_use]
    pub const fn fault_records(self) -> u16 {
        (self.0 >> 40 & 0xff) as u16 + 1
    }

    /// log2 of the most pages that one invalidation covers.
    #[must_use]
    pub const fn max_address_mask(self) -> u8 {
        (self.0 >> 48 & 0x3f) as u8
    }
}

flags! {
    /// Extended capabilities.
    pub struct ExtendedCapability(u64) {
        /// The unit snoops CPU caches when it walks tables.
        COHERENT = 1 << 0;
        /// Queued invalidation.
        QI = 1 << 1;
        /// Device TLBs.
        DT = 1 << 2;
        /// Interrupt remapping.
        IR = 1 << 3;
        /// 32-bit destinations of remapped interrupts.
        EIM = 1 << 4;
        /// Pass-through translation type.
        PT = 1 << 6;
        /// Snoop control of DMA.
        SC = 1 << 7;
        /// Scalable mode.
        SMTS = 1 << 43;
    }
}

impl ExtendedCapability {
    /// Offset of the register that invalidates an IOTLB address; [`IotlbCommand`] is 8 behind.
    #[must_use]
    pub const fn iotlb_offset(self) -> u16 {
        ((self.0 >> 8 & 0x3ff) as u16) << 4
    }
}

flags! {
    /// Global command, and global status with the same bits.
    pub struct GlobalCommand(u32) {
        /// Compatibility format interrupts pass.
        CFI = 1 << 23;
        /// Set the interrupt remapping table; one-shot.
        SIRTP = 1 << 24;
        /// Interrupt remapping is on.
        IRE = 1 << 25;
        /// Queued invalidation is on.
        QIE = 1 << 26;
        /// Flush the write buffer; one-shot.
        WBF = 1 << 27;
        /// Set the root table; one-shot.
        SRTP = 1 << 30;
        /// Translation is on.
        TE = 1 << 31;
    }
}

impl GlobalCommand {
    /// Bits that stay set: what to keep of the status when a command is written.
    pub const STICKY: Self = Self(0x96ff_ffff);
}

flags! {
    /// Fault status.
    pub struct FaultStatus(u32) {
        /// Faults were lost.
        OVERFLOW = 1 << 0;
        /// A fault record is pending.
        PENDING = 1 << 1;
        /// Wrong entry in the invalidation queue.
        QUEUE_ERROR = 1 << 4;
        /// Wrong answer from a device TLB.
        COMPLETION_ERROR = 1 << 5;
        /// No answer from a device TLB.
        TIMEOUT = 1 << 6;
    }
}

impl FaultStatus {
    /// Index of the first pending fault record.
    #[must_use]
    pub const fn record_index(self) -> u8 {
        (self.0 >> 8) as u8
    }
}

/// One fault: its low and high half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Bits 63..0.
    pub low: u64,
    /// Bits 127..64.
    pub high: u64,
}

impl FaultRecord {
    /// Written to the high half, it frees the record.
    pub const CLEAR: u64 = 1 << 63;

    /// Whether the record holds a fault.
    #[must_use]
    pub const fn is_fault(self) -> bool {
        self.high & Self::CLEAR != 0
    }

    /// Whether a read faulted rather than a write.
    #[must_use]
    pub const fn is_read(self) -> bool {
        self.high & 1 << 62 != 0
    }

    /// The reason; from 0x20 to 0x2f interrupts were refused.
    #[must_use]
    pub const fn reason(self) -> u8 {
        (self.high >> 32) as u8
    }

    /// Bus, device and function that asked.
    #[must_use]
    pub const fn source(self) -> u16 {
        self.high as u16
    }

    /// The page that was asked for; of interrupts, the index in bits 63..48.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.low & !0xfff
    }
}

/// Value of the context command register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextCommand(pub u64);

impl ContextCommand {
    /// Set while the unit works on it.
    pub const BUSY: u64 = 1 << 63;

    /// Invalidates all context entries, those of a domain, or that of one device.
    #[must_use]
    pub const fn invalidate(granularity: Granularity, domain: u16, source: u16) -> Self {
        Self(Self::BUSY | (granularity.0 as u64 & 3) << 61 | (source as u64) << 16 | domain as u64)
    }
}

/// Value of the IOTLB invalidation register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IotlbCommand(pub u64);

impl IotlbCommand {
    /// Set while the unit works on it.
    pub const BUSY: u64 = 1 << 63;

    /// Invalidates all translations, or those of a domain; reads and writes are drained.
    #[must_use]
    pub const fn invalidate(granularity: Granularity, domain: u16) -> Self {
        Self(
            Self::BUSY
                | (granularity.0 as u64 & 3) << 60
                | 1 << 49
                | 1 << 48
                | (domain as u64) << 32,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What QEMU's intel-iommu with 48-bit addresses shows.
    const CAP: Capability = Capability(0x00d2_008c_222f_0686);
    const ECAP: ExtendedCapability = ExtendedCapability(0x0000_0000_00f0_0f5a);

    #[test]
    fn capability_fields() {
        assert_eq!(CAP.domains(), 0x10000);
        assert!(CAP.has_39_bits() && CAP.has_48_bits());
        assert_eq!(CAP.max_address_bits(), 48);
        assert_eq!(CAP.fault_record_offset(), 0x220);
        assert_eq!(CAP.fault_records(), 1);
        assert!(CAP.contains(Capability::CM));
        assert_eq!(ECAP.iotlb_offset(), 0xf0);
        assert!(ECAP.contains(ExtendedCapability::QI | ExtendedCapability::IR));
    }

    #[test]
    fn sticky_bits_leave_out_one_shots() {
        let one_shot = GlobalCommand::SIRTP | GlobalCommand::WBF | GlobalCommand::SRTP;
        assert!(!GlobalCommand::STICKY.intersects(one_shot));
        let on = GlobalCommand::TE | GlobalCommand::QIE | GlobalCommand::IRE | GlobalCommand::CFI;
        assert!(GlobalCommand::STICKY.contains(on));
    }

    #[test]
    fn faults() {
        let record = FaultRecord { low: 0x1234_5000, high: 0xc000_0006_0000_0010 };
        assert!(record.is_fault() && record.is_read());
        assert_eq!((record.reason(), record.source(), record.address()), (6, 0x10, 0x1234_5000));
    }
}
