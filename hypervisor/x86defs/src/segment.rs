//! Segments: selectors, descriptors, gates, the 64-bit TSS, and the packed attributes that SVM
//! and Xen's interfaces share (APM volume 2, 4.7 to 4.8, 12.2.5 and 15.5.1).

use crate::macros::{flags, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

flags! {
    /// Attributes in the 12-bit packed form of the VMCB: descriptor bits 40 to 47, then 52 to 55.
    /// The low four bits are the type.
    pub struct SegmentAttributes(u16) {
        /// Code or data, not a system segment.
        NOT_SYSTEM = 1 << 4;
        /// Privilege level, low bit.
        DPL_LOW = 1 << 5;
        /// Privilege level, high bit.
        DPL_HIGH = 1 << 6;
        /// Present.
        PRESENT = 1 << 7;
        /// For software.
        AVAIL = 1 << 8;
        /// 64-bit code.
        LONG = 1 << 9;
        /// 32-bit.
        DEFAULT_BIG = 1 << 10;
        /// The limit counts pages.
        GRANULARITY = 1 << 11;
    }
}

impl SegmentAttributes {
    /// Accessed, readable 32-bit code with a 4 GiB limit: CS at a PVH entry.
    pub const CODE_32: Self = Self(0xc9b);
    /// Accessed, writable 32-bit data with a 4 GiB limit: DS, ES, SS at a PVH entry.
    pub const DATA_32: Self = Self(0xc93);
    /// Accessed, readable 64-bit code.
    pub const CODE_64: Self = Self(0xa9b);
    /// Busy 32- or 64-bit TSS: TR at a PVH entry.
    pub const TSS_BUSY: Self = Self(0x08b);
    /// Present LDT.
    pub const LDT: Self = Self(0x082);
    /// Accessed 16-bit code: CS after reset.
    pub const CODE_16: Self = Self(0x09b);
    /// Accessed 16-bit data: data segments after reset.
    pub const DATA_16: Self = Self(0x093);

    const MASK: u16 = 0xfff;

    /// From the form in which the VMCS has them: the same bits, with a gap between 7 and 12, and
    /// bit 16 for a segment that can't be used.
    #[must_use]
    pub const fn from_vmx(access_rights: u32) -> Self {
        if access_rights & VMX_UNUSABLE != 0 {
            return Self(0);
        }
        Self((access_rights & 0xff | access_rights >> 4 & 0xf00) as u16)
    }

    /// The form in which the VMCS has them; an absent segment can't be used.
    #[must_use]
    pub const fn to_vmx(self) -> u32 {
        if !self.contains(Self::PRESENT) {
            return VMX_UNUSABLE;
        }
        let bits = (self.0 & Self::MASK) as u32;
        bits & 0xff | (bits & 0xf00) << 4
    }

    /// The descriptor privilege level.
    #[must_use]
    pub const fn dpl(self) -> u8 {
        (self.0 >> 5) as u8 & 3
    }

    /// The type.
    #[must_use]
    pub const fn kind(self) -> u8 {
        self.0 as u8 & 0xf
    }
}

/// Access rights of a VMCS segment that can't be used.
pub const VMX_UNUSABLE: u32 = 1 << 16;

open_enum! {
    /// Type of a system descriptor in long mode.
    pub struct SystemType(u8) {
        /// Local descriptor table.
        LDT = 2;
        /// TSS that isn't in use.
        TSS_AVAILABLE = 9;
        /// TSS in use.
        TSS_BUSY = 0xb;
        /// Call gate.
        CALL_GATE = 0xc;
        /// Gate that clears RFLAGS.IF.
        INTERRUPT_GATE = 0xe;
        /// Gate that leaves RFLAGS.IF.
        TRAP_GATE = 0xf;
    }
}

/// An 8-byte segment descriptor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(transparent)]
pub struct Descriptor(pub u64);

impl Descriptor {
    /// The null descriptor.
    pub const NULL: Self = Self(0);
    /// 64-bit code, CPL 0.
    pub const KERNEL_CODE_64: Self = Self::new(0, 0xf_ffff, SegmentAttributes::CODE_64);
    /// Data, CPL 0.
    pub const KERNEL_DATA: Self = Self::new(0, 0xf_ffff, SegmentAttributes::DATA_32);
    /// 32-bit code, CPL 0.
    pub const KERNEL_CODE_32: Self = Self::new(0, 0xf_ffff, SegmentAttributes::CODE_32);
    /// 64-bit code, CPL 3.
    pub const USER_CODE_64: Self = Self::new(0, 0xf_ffff, SegmentAttributes(0xafb));
    /// Data, CPL 3.
    pub const USER_DATA: Self = Self::new(0, 0xf_ffff, SegmentAttributes(0xcf3));

    /// A descriptor with a 20-bit `limit`, in pages if the attributes say so.
    #[must_use]
    pub const fn new(base: u32, limit: u32, attributes: SegmentAttributes) -> Self {
        let base = base as u64;
        let limit = limit as u64;
        let attributes = attributes.0 as u64;
        Self(
            limit & 0xffff
                | (base & 0xff_ffff) << 16
                | (attributes & 0xff) << 40
                | (limit >> 16 & 0xf) << 48
                | (attributes >> 8 & 0xf) << 52
                | (base >> 24) << 56,
        )
    }

    /// The 16-byte descriptor of a 64-bit TSS, as two entries of a GDT.
    #[must_use]
    pub const fn tss(base: u64, limit: u32, attributes: SegmentAttributes) -> [Self; 2] {
        [Self::new(base as u32, limit, attributes), Self(base >> 32)]
    }

    /// The base address; of a system descriptor only its low half.
    #[must_use]
    pub const fn base(self) -> u32 {
        (self.0 >> 16 & 0xff_ffff | self.0 >> 32 & 0xff00_0000) as u32
    }

    /// The limit in bytes: the last valid offset.
    #[must_use]
    pub const fn limit(self) -> u32 {
        let limit = (self.0 & 0xffff | self.0 >> 32 & 0xf_0000) as u32;
        if self.attributes().contains(SegmentAttributes::GRANULARITY) {
            limit << 12 | 0xfff
        } else {
            limit
        }
    }

    /// The attributes.
    #[must_use]
    pub const fn attributes(self) -> SegmentAttributes {
        SegmentAttributes((self.0 >> 40 & 0xff | self.0 >> 44 & 0xf00) as u16)
    }
}

/// An entry of the 64-bit IDT.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Gate {
    /// Bits 15..0 of the handler's address.
    pub offset_low: u16,
    /// Its code segment.
    pub selector: u16,
    /// Bits 2..0: stack of the TSS to switch to, 0 for none.
    pub ist: u8,
    /// Present, privilege level, type.
    pub type_attributes: u8,
    /// Bits 31..16 of the address.
    pub offset_middle: u16,
    /// Bits 63..32 of the address.
    pub offset_high: u32,
    /// Reserved.
    pub _pad0: u32,
}

layout!(Gate, size 16, {
    offset_low: 0, selector: 2, ist: 4, type_attributes: 5, offset_middle: 6, offset_high: 8,
    _pad0: 12,
});

impl Gate {
    /// A present gate that CPL 0 to `dpl` may call by INT.
    #[must_use]
    pub const fn new(handler: u64, selector: u16, kind: SystemType, dpl: u8, ist: u8) -> Self {
        Self {
            offset_low: handler as u16,
            selector,
            ist: ist & 7,
            type_attributes: 0x80 | (dpl & 3) << 5 | kind.0 & 0xf,
            offset_middle: (handler >> 16) as u16,
            offset_high: (handler >> 32) as u32,
            _pad0: 0,
        }
    }
}

/// The 64-bit TSS. Addresses are split because it isn't aligned to 8.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Tss64 {
    /// Reserved.
    pub _pad0: u32,
    /// Stacks of CPL 0, 1, 2: low and high half of each.
    pub rsp: [[u32; 2]; 3],
    /// Reserved.
    pub _pad1: [u32; 2],
    /// Interrupt stacks 1 to 7: low and high half of each.
    pub ist: [[u32; 2]; 7],
    /// Reserved.
    pub _pad2: [u32; 2],
    /// Reserved.
    pub _pad3: u16,
    /// Offset of the I/O permission bitmap; at or past the limit means none.
    pub iomap_base: u16,
}

layout!(Tss64, size 104, {
    _pad0: 0, rsp: 4, _pad1: 28, ist: 36, _pad2: 92, _pad3: 100, iomap_base: 102,
});

/// Operand of LGDT and LIDT in 64-bit mode.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, packed)]
pub struct TablePointer {
    /// Bytes of the table, less one.
    pub limit: u16,
    /// Its virtual address.
    pub base: u64,
}

const _: () = assert!(size_of::<TablePointer>() == 10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_descriptors() {
        assert_eq!(Descriptor::KERNEL_CODE_64.0, 0x00af_9b00_0000_ffff);
        assert_eq!(Descriptor::KERNEL_DATA.0, 0x00cf_9300_0000_ffff);
        assert_eq!(Descriptor::KERNEL_CODE_32.0, 0x00cf_9b00_0000_ffff);
        assert_eq!(Descriptor::KERNEL_CODE_32.limit(), u32::MAX);
    }

    #[test]
    fn parts_survive() {
        let descriptor = Descriptor::new(0x1234_5678, 0x67, SegmentAttributes::TSS_BUSY);
        assert_eq!(descriptor.base(), 0x1234_5678);
        assert_eq!(descriptor.limit(), 0x67);
        assert_eq!(descriptor.attributes(), SegmentAttributes::TSS_BUSY);
        let tss = Descriptor::tss(0xffff_8000_1234_5678, 0x67, SegmentAttributes(0x89));
        assert_eq!(tss.map(|half| half.0), [0x1200_8934_5678_0067, 0xffff_8000]);
    }

    #[test]
    fn vmx_form() {
        assert_eq!(SegmentAttributes::CODE_32.to_vmx(), 0xc09b);
        assert_eq!(SegmentAttributes::from_vmx(0xc09b), SegmentAttributes::CODE_32);
        assert_eq!(SegmentAttributes(0).to_vmx(), VMX_UNUSABLE);
        assert_eq!(SegmentAttributes::from_vmx(VMX_UNUSABLE | 0x93), SegmentAttributes(0));
        assert_eq!(SegmentAttributes(0xcf3).dpl(), 3);
        assert_eq!(SegmentAttributes::TSS_BUSY.kind(), SystemType::TSS_BUSY.0);
    }

    #[test]
    fn gates() {
        let gate = Gate::new(0x1122_3344_5566_7788, 8, SystemType::INTERRUPT_GATE, 3, 1);
        assert_eq!(
            gate.as_bytes()[..12],
            [0x88, 0x77, 8, 0, 1, 0xee, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
        );
    }
}
