//! A vCPU's registers as a value: what toolstacks save and set, and what a kernel gives its other
//! vCPUs to start with.
//!
//! [`VcpuState`] comes from a [`CPU` record](record) or from the argument of `VCPUOP_initialise`
//! ([`start`]), and [`VcpuState::check`] says whether a processor can be so. [`records`] is the
//! format that saved state has, [`xsave`] its record of extended state.

pub mod debug;
pub mod record;
pub mod records;
pub mod start;
#[cfg(test)]
mod tests;
pub mod xsave;

use x86defs::cr::{Cr0, Cr4};
use x86defs::msr::{Efer, Msr};

use crate::decode::Registers;

/// The control registers that decide how guest addresses translate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagingState {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER as the guest sees it.
    pub efer: u64,
}

/// A segment register, attributes packed into 12 bits as in a descriptor's bytes 5 and 6.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Type, S, DPL, P in bits 0-7; AVL, L, D/B, G in bits 8-11.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base address.
    pub base: u64,
}

/// Bits of [`Segment::attributes`].
pub mod attribute {
    /// Type: accessed, of code and data.
    pub const ACCESSED: u16 = 1 << 0;
    /// Type: readable code or writable data.
    pub const READ_WRITE: u16 = 1 << 1;
    /// Type: code rather than data.
    pub const CODE: u16 = 1 << 3;
    /// The type, of system segments.
    pub const TYPE: u16 = 0xf;
    /// Code or data rather than a system segment.
    pub const USER: u16 = 1 << 4;
    /// Present.
    pub const PRESENT: u16 = 1 << 7;
    /// 64-bit code.
    pub const LONG: u16 = 1 << 9;
    /// 32-bit.
    pub const BIG: u16 = 1 << 10;
    /// All that there are.
    pub const ALL: u16 = 0xfff;
}

/// Index of a segment register, in the order of instruction encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registers' own names")]
pub enum SegmentName {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
    Ldtr,
    Tr,
}

/// The segment registers, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct Segments {
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub ldtr: Segment,
    pub tr: Segment,
}

impl Segments {
    /// Each with its name.
    pub const fn named(&self) -> [(SegmentName, Segment); 8] {
        [
            (SegmentName::Es, self.es),
            (SegmentName::Cs, self.cs),
            (SegmentName::Ss, self.ss),
            (SegmentName::Ds, self.ds),
            (SegmentName::Fs, self.fs),
            (SegmentName::Gs, self.gs),
            (SegmentName::Ldtr, self.ldtr),
            (SegmentName::Tr, self.tr),
        ]
    }

    /// Those that `get` gives.
    pub fn from_names(get: impl Fn(SegmentName) -> Segment) -> Self {
        Self {
            es: get(SegmentName::Es),
            cs: get(SegmentName::Cs),
            ss: get(SegmentName::Ss),
            ds: get(SegmentName::Ds),
            fs: get(SegmentName::Fs),
            gs: get(SegmentName::Gs),
            ldtr: get(SegmentName::Ldtr),
            tr: get(SegmentName::Tr),
        }
    }
}

/// GDTR or IDTR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Base address.
    pub base: u64,
    /// Limit in bytes.
    pub limit: u32,
}

/// Registers of the control block that are neither general nor about segments or paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Special {
    /// GDTR.
    pub gdtr: Table,
    /// IDTR.
    pub idtr: Table,
    /// CR2.
    pub cr2: u64,
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
}

impl Default for Special {
    /// As reset leaves them.
    fn default() -> Self {
        let table = Table { base: 0, limit: 0xffff };
        Self { gdtr: table, idtr: table, cr2: 0, dr6: 0xffff_0ff0, dr7: 0x400 }
    }
}

/// The MSRs that are part of a vCPU's registers, in the order of [`VcpuState::msrs`].
pub const MSRS: [Msr; 8] = [
    Msr(0x174),
    Msr(0x175),
    Msr(0x176),
    Msr(0xc000_0081),
    Msr(0xc000_0082),
    Msr(0xc000_0083),
    Msr(0xc000_0084),
    Msr(0xc000_0102),
];

/// A vCPU's registers, without its extended state and its local APIC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VcpuState {
    /// General registers, RIP, RFLAGS.
    pub general: Registers,
    /// Control registers.
    pub paging: PagingState,
    /// Segment registers.
    pub segments: Segments,
    /// Descriptor tables, CR2, DR6, DR7.
    pub special: Special,
    /// DR0 to DR3.
    pub breakpoints: [u64; 4],
    /// SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP, STAR, LSTAR, CSTAR, SFMASK, KERNEL_GS_BASE.
    pub msrs: [u64; MSRS.len()],
    /// TSC_AUX.
    pub tsc_aux: u32,
    /// An event that is being delivered, as control blocks have it: vector in bits 0-7, type in
    /// 8-10, bit 11 for an error code, bit 31 for its being there.
    pub event: u32,
    /// Its error code.
    pub event_code: u32,
}

/// No processor can be in this state; the text says what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impossible(pub &'static str);

/// What a domain's processor allows in control registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlLimits {
    /// CR4.
    pub cr4: Cr4,
    /// EFER.
    pub efer: Efer,
    /// Width of physical addresses.
    pub physical_bits: u8,
}

const RFLAGS_FIXED: u64 = 1 << 1;
const RFLAGS_VM: u64 = 1 << 17;
const RFLAGS_ALL: u64 = 0x003f_7fd7;
const EVENT_VALID: u32 = 1 << 31;
const EVENT_ALL: u32 = EVENT_VALID | 0xfff;

/// An address that 48 bits can say.
const fn is_canonical(address: u64) -> bool {
    let top = address.cast_signed() >> 47;
    top == 0 || top == -1
}

impl VcpuState {
    /// Sets what follows from the rest, whatever was there.
    pub const fn normalise(&mut self) {
        self.general.rflags |= RFLAGS_FIXED;
        let paging = &mut self.paging;
        if paging.efer & Efer::LME.0 != 0 && paging.cr0 & Cr0::PG.bits() != 0 {
            paging.efer |= Efer::LMA.0;
        }
    }

    /// Whether a processor with these limits can be so, and the hardware would run it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, limits: &ControlLimits) -> Result<(), Impossible> {
        self.check_control(limits)?;
        self.check_addresses()?;
        let Special { dr6, dr7, .. } = self.special;
        let long = self.paging.efer & Efer::LMA.0 != 0;
        let rflags = self.general.rflags;
        let code = self.segments.cs.attributes;
        let rules = [
            (dr6 >> 32 == 0 && dr7 >> 32 == 0, "upper halves of DR6 and DR7"),
            (rflags & !RFLAGS_ALL == 0, "reserved bits of RFLAGS"),
            (!long || rflags & RFLAGS_VM == 0, "virtual 8086 mode in long mode"),
            (self.event & EVENT_VALID == 0 || self.event & !EVENT_ALL == 0, "pending event"),
            (
                !long
                    || code & (attribute::LONG | attribute::BIG)
                        != attribute::LONG | attribute::BIG,
                "code of 32 and of 64 bits",
            ),
            (
                self.segments.named().iter().all(|(_, it)| it.attributes & !attribute::ALL == 0),
                "reserved bits of segment attributes",
            ),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(Impossible(what)))
    }

    fn check_control(&self, limits: &ControlLimits) -> Result<(), Impossible> {
        let PagingState { cr0, cr3, cr4, efer } = self.paging;
        let cr0_has = |bit: Cr0| cr0 & bit.bits() != 0;
        let long = efer & Efer::LMA.0 != 0;
        let paging = cr0_has(Cr0::PG);
        let wide = u64::MAX.checked_shl(u32::from(limits.physical_bits)).unwrap_or(0);
        let rules = [
            (cr0 >> 32 == 0, "upper half of CR0"),
            (!paging || cr0_has(Cr0::PE), "paging without protection"),
            (!cr0_has(Cr0::NW) || cr0_has(Cr0::CD), "write-through without cache"),
            (cr4 & !limits.cr4.0 == 0, "bits of CR4 that the processor doesn't have"),
            (efer & !limits.efer.0 == 0, "bits of EFER that the processor doesn't have"),
            (long == (efer & Efer::LME.0 != 0 && paging), "EFER.LMA without LME and paging"),
            (!long || cr4 & Cr4::PAE.bits() != 0, "long mode without PAE"),
            (long || cr4 & Cr4::PCIDE.bits() == 0, "process contexts outside of long mode"),
            (cr3 & wide == 0, "CR3 beyond physical addresses"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(Impossible(what)))
    }

    fn check_addresses(&self) -> Result<(), Impossible> {
        let [_, esp, eip, _, lstar, cstar, _, kernel_gs] = self.msrs;
        let Segments { fs, gs, ldtr, tr, .. } = self.segments;
        let Special { gdtr, idtr, .. } = self.special;
        let bases = [fs.base, gs.base, ldtr.base, tr.base, gdtr.base, idtr.base];
        let all = bases.into_iter().chain([esp, eip, lstar, cstar, kernel_gs]);
        if all.into_iter().all(is_canonical) {
            Ok(())
        } else {
            Err(Impossible("an address of more than 48 bits"))
        }
    }
}
