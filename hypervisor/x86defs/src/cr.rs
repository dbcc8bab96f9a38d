//! Control registers: CR0, CR4, XCR0 (APM volume 2, 3.1 and 11.5.2; SDM volume 3, 2.5).

use crate::macros::{constants, flags};

flags! {
    /// CR0.
    pub struct Cr0(u64) {
        /// Protected mode.
        PE = 1 << 0;
        /// WAIT faults when TS is set.
        MP = 1 << 1;
        /// No FPU: its instructions fault.
        EM = 1 << 2;
        /// Task switched: FPU instructions fault.
        TS = 1 << 3;
        /// 387 present; fixed to 1.
        ET = 1 << 4;
        /// FPU errors raise #MF instead of an interrupt.
        NE = 1 << 5;
        /// The supervisor, too, can't write read-only pages.
        WP = 1 << 16;
        /// Alignment checks at CPL 3 where RFLAGS.AC is set.
        AM = 1 << 18;
        /// Not write-through.
        NW = 1 << 29;
        /// Cache disable.
        CD = 1 << 30;
        /// Paging.
        PG = 1 << 31;
    }
}

flags! {
    /// CR4.
    pub struct Cr4(u64) {
        /// Virtual 8086 extensions.
        VME = 1 << 0;
        /// Virtual interrupts in protected mode.
        PVI = 1 << 1;
        /// RDTSC at CPL 0 only.
        TSD = 1 << 2;
        /// Debugging extensions.
        DE = 1 << 3;
        /// 4 MiB pages.
        PSE = 1 << 4;
        /// Physical address extension.
        PAE = 1 << 5;
        /// Machine checks.
        MCE = 1 << 6;
        /// Global pages.
        PGE = 1 << 7;
        /// RDPMC at any CPL.
        PCE = 1 << 8;
        /// FXSAVE, FXRSTOR and SSE.
        OSFXSR = 1 << 9;
        /// Unmasked SSE exceptions raise #XM.
        OSXMMEXCPT = 1 << 10;
        /// SGDT, SIDT, SLDT, SMSW and STR at CPL 0 only.
        UMIP = 1 << 11;
        /// 57-bit virtual addresses.
        LA57 = 1 << 12;
        /// VMX.
        VMXE = 1 << 13;
        /// SMX.
        SMXE = 1 << 14;
        /// RDFSBASE and its kin.
        FSGSBASE = 1 << 16;
        /// Process context identifiers.
        PCIDE = 1 << 17;
        /// XSAVE and XGETBV.
        OSXSAVE = 1 << 18;
        /// The supervisor can't execute user pages.
        SMEP = 1 << 20;
        /// The supervisor can't touch user pages unless RFLAGS.AC is set.
        SMAP = 1 << 21;
        /// Protection keys of user pages.
        PKE = 1 << 22;
        /// Control-flow enforcement.
        CET = 1 << 23;
        /// Protection keys of supervisor pages.
        PKS = 1 << 24;
    }
}

flags! {
    /// XCR0: state components that XSAVE manages.
    pub struct Xcr0(u64) {
        /// x87; always set.
        X87 = 1 << 0;
        /// SSE: XMM registers.
        SSE = 1 << 1;
        /// AVX: high halves of YMM registers.
        AVX = 1 << 2;
        /// MPX bound registers.
        BNDREG = 1 << 3;
        /// MPX configuration.
        BNDCSR = 1 << 4;
        /// AVX-512 mask registers.
        OPMASK = 1 << 5;
        /// High halves of ZMM0 to ZMM15.
        ZMM_HI256 = 1 << 6;
        /// ZMM16 to ZMM31.
        HI16_ZMM = 1 << 7;
        /// Protection key rights.
        PKRU = 1 << 9;
        /// AMX configuration.
        XTILECFG = 1 << 17;
        /// AMX tiles.
        XTILEDATA = 1 << 18;
        /// Lightweight profiling.
        LWP = 1 << 62;
    }
}

impl Xcr0 {
    /// Whether XSETBV accepts this value on a CPU that supports the components `supported`:
    /// x87 is set, and every component has those that it builds on.
    #[must_use]
    pub const fn is_valid(self, supported: Self) -> bool {
        let avx512 = Self::OPMASK.union(Self::ZMM_HI256).union(Self::HI16_ZMM);
        let mpx = Self::BNDREG.union(Self::BNDCSR);
        let amx = Self::XTILECFG.union(Self::XTILEDATA);
        supported.contains(self)
            && self.contains(Self::X87)
            && (!self.contains(Self::AVX) || self.contains(Self::SSE))
            && (!self.intersects(avx512) || self.contains(avx512.union(Self::AVX)))
            && (!self.intersects(mpx) || self.contains(mpx))
            && (!self.intersects(amx) || self.contains(amx))
    }
}

constants! {
    u64 {
        /// CR3: the page table's address.
        CR3_ADDRESS_MASK = 0x000f_ffff_ffff_f000;
        /// CR3: process context identifier, with CR4.PCIDE.
        CR3_PCID_MASK = 0xfff;
        /// Operand of MOV to CR3: keep the TLB entries of this PCID.
        CR3_NO_FLUSH = 1 << 63;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xcr0_needs_what_components_build_on() {
        let cpu = Xcr0(0xe7);
        assert!(Xcr0(1).is_valid(cpu));
        assert!(Xcr0(3).is_valid(cpu));
        assert!(Xcr0(7).is_valid(cpu));
        assert!(Xcr0(0xe7).is_valid(cpu));
        assert!(!Xcr0(0).is_valid(cpu));
        assert!(!Xcr0(5).is_valid(cpu));
        assert!(!Xcr0(0x67).is_valid(cpu));
        assert!(!Xcr0(0xe3).is_valid(cpu));
        assert!(!Xcr0(0x203).is_valid(cpu));
    }

    #[test]
    fn unknown_bits_are_kept() {
        assert_eq!(Cr0::from_bits_truncate(1 << 40 | 1), Cr0(1 << 40 | 1));
    }
}
