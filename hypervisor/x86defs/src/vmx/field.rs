//! Encodings of VMCS fields (SDM volume 3, appendix B).

use crate::macros::open_enum;

/// Width of a VMCS field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 16 bits.
    Bits16,
    /// 64 bits.
    Bits64,
    /// 32 bits.
    Bits32,
    /// The CPU's natural width.
    Natural,
}

impl Field {
    /// The field's width.
    #[must_use]
    pub const fn width(self) -> Width {
        match self.0 >> 13 & 3 {
            0 => Width::Bits16,
            1 => Width::Bits64,
            2 => Width::Bits32,
            _ => Width::Natural,
        }
    }

    /// Whether it is exit information, which can only be read.
    #[must_use]
    pub const fn is_read_only(self) -> bool {
        self.0 >> 10 & 3 == 1
    }
}

open_enum! {
    /// Operand of VMREAD and VMWRITE.
    pub struct Field(u32) {
        /// Virtual processor id.
        VPID = 0x0000;
        /// Posted interrupt notification vector.
        POSTED_INTERRUPT_VECTOR = 0x0002;
        /// Guest ES selector.
        GUEST_ES_SELECTOR = 0x0800;
        /// Guest CS selector.
        GUEST_CS_SELECTOR = 0x0802;
        /// Guest SS selector.
        GUEST_SS_SELECTOR = 0x0804;
        /// Guest DS selector.
        GUEST_DS_SELECTOR = 0x0806;
        /// Guest FS selector.
        GUEST_FS_SELECTOR = 0x0808;
        /// Guest GS selector.
        GUEST_GS_SELECTOR = 0x080a;
        /// Guest LDTR selector.
        GUEST_LDTR_SELECTOR = 0x080c;
        /// Guest TR selector.
        GUEST_TR_SELECTOR = 0x080e;
        /// Guest interrupt status.
        GUEST_INTERRUPT_STATUS = 0x0810;
        /// Page modification log index.
        PML_INDEX = 0x0812;
        /// Host ES selector.
        HOST_ES_SELECTOR = 0x0c00;
        /// Host CS selector.
        HOST_CS_SELECTOR = 0x0c02;
        /// Host SS selector.
        HOST_SS_SELECTOR = 0x0c04;
        /// Host DS selector.
        HOST_DS_SELECTOR = 0x0c06;
        /// Host FS selector.
        HOST_FS_SELECTOR = 0x0c08;
        /// Host GS selector.
        HOST_GS_SELECTOR = 0x0c0a;
        /// Host TR selector.
        HOST_TR_SELECTOR = 0x0c0c;
        /// Address of I/O bitmap A.
        IO_BITMAP_A = 0x2000;
        /// Address of I/O bitmap B.
        IO_BITMAP_B = 0x2002;
        /// Address of the MSR bitmaps.
        MSR_BITMAP = 0x2004;
        /// Address of MSRs to store at exit.
        EXIT_MSR_STORE_ADDR = 0x2006;
        /// Address of MSRs to load at exit.
        EXIT_MSR_LOAD_ADDR = 0x2008;
        /// Address of MSRs to load at entry.
        ENTRY_MSR_LOAD_ADDR = 0x200a;
        /// Address of the page modification log.
        PML_ADDRESS = 0x200e;
        /// Added to the TSC that the guest reads.
        TSC_OFFSET = 0x2010;
        /// Address of the virtual APIC page.
        VIRTUAL_APIC_ADDR = 0x2012;
        /// Address of the APIC access page.
        APIC_ACCESS_ADDR = 0x2014;
        /// Address of the posted interrupt descriptor.
        POSTED_INTERRUPT_DESC_ADDR = 0x2016;
        /// EPT pointer.
        EPT_POINTER = 0x201a;
        /// End-of-interrupt exits: the first of four.
        EOI_EXIT_BITMAP0 = 0x201c;
        /// XSS bits whose use by XSAVES exits.
        XSS_EXIT_BITMAP = 0x202c;
        /// TSC multiplier.
        TSC_MULTIPLIER = 0x2032;
        /// Faulting guest physical address.
        GUEST_PHYSICAL_ADDRESS = 0x2400;
        /// Link pointer; all ones.
        VMCS_LINK_POINTER = 0x2800;
        /// Guest DEBUGCTL.
        GUEST_DEBUGCTL = 0x2802;
        /// Guest PAT.
        GUEST_PAT = 0x2804;
        /// Guest EFER.
        GUEST_EFER = 0x2806;
        /// Guest page directory pointer: the first of four.
        GUEST_PDPTE0 = 0x280a;
        /// Host PAT.
        HOST_PAT = 0x2c00;
        /// Host EFER.
        HOST_EFER = 0x2c02;
        /// Pin-based controls.
        PIN_CONTROLS = 0x4000;
        /// Primary controls.
        PRIMARY_CONTROLS = 0x4002;
        /// Exceptions that exit.
        EXCEPTION_BITMAP = 0x4004;
        /// Page fault error code mask.
        PAGE_FAULT_ERROR_MASK = 0x4006;
        /// Page fault error code match.
        PAGE_FAULT_ERROR_MATCH = 0x4008;
        /// How many CR3 targets.
        CR3_TARGET_COUNT = 0x400a;
        /// Exit controls.
        EXIT_CONTROLS = 0x400c;
        /// How many MSRs to store at exit.
        EXIT_MSR_STORE_COUNT = 0x400e;
        /// How many MSRs to load at exit.
        EXIT_MSR_LOAD_COUNT = 0x4010;
        /// Entry controls.
        ENTRY_CONTROLS = 0x4012;
        /// How many MSRs to load at entry.
        ENTRY_MSR_LOAD_COUNT = 0x4014;
        /// Event to deliver at entry.
        ENTRY_INTERRUPTION_INFO = 0x4016;
        /// Its error code.
        ENTRY_EXCEPTION_ERROR = 0x4018;
        /// Its instruction length.
        ENTRY_INSTRUCTION_LENGTH = 0x401a;
        /// TPR below which the guest exits.
        TPR_THRESHOLD = 0x401c;
        /// Secondary controls.
        SECONDARY_CONTROLS = 0x401e;
        /// PAUSE loop: gap.
        PLE_GAP = 0x4020;
        /// PAUSE loop: window.
        PLE_WINDOW = 0x4022;
        /// Error of the last VMX instruction.
        INSTRUCTION_ERROR = 0x4400;
        /// Exit reason.
        EXIT_REASON = 0x4402;
        /// Event that exited.
        EXIT_INTERRUPTION_INFO = 0x4404;
        /// Its error code.
        EXIT_INTERRUPTION_ERROR = 0x4406;
        /// Event whose delivery was interrupted.
        IDT_VECTORING_INFO = 0x4408;
        /// Its error code.
        IDT_VECTORING_ERROR = 0x440a;
        /// Length of the instruction that exited.
        EXIT_INSTRUCTION_LENGTH = 0x440c;
        /// More about it.
        EXIT_INSTRUCTION_INFO = 0x440e;
        /// Guest ES limit.
        GUEST_ES_LIMIT = 0x4800;
        /// Guest CS limit.
        GUEST_CS_LIMIT = 0x4802;
        /// Guest SS limit.
        GUEST_SS_LIMIT = 0x4804;
        /// Guest DS limit.
        GUEST_DS_LIMIT = 0x4806;
        /// Guest FS limit.
        GUEST_FS_LIMIT = 0x4808;
        /// Guest GS limit.
        GUEST_GS_LIMIT = 0x480a;
        /// Guest LDTR limit.
        GUEST_LDTR_LIMIT = 0x480c;
        /// Guest TR limit.
        GUEST_TR_LIMIT = 0x480e;
        /// Guest GDTR limit.
        GUEST_GDTR_LIMIT = 0x4810;
        /// Guest IDTR limit.
        GUEST_IDTR_LIMIT = 0x4812;
        /// Guest ES access rights.
        GUEST_ES_RIGHTS = 0x4814;
        /// Guest CS access rights.
        GUEST_CS_RIGHTS = 0x4816;
        /// Guest SS access rights.
        GUEST_SS_RIGHTS = 0x4818;
        /// Guest DS access rights.
        GUEST_DS_RIGHTS = 0x481a;
        /// Guest FS access rights.
        GUEST_FS_RIGHTS = 0x481c;
        /// Guest GS access rights.
        GUEST_GS_RIGHTS = 0x481e;
        /// Guest LDTR access rights.
        GUEST_LDTR_RIGHTS = 0x4820;
        /// Guest TR access rights.
        GUEST_TR_RIGHTS = 0x4822;
        /// Guest interruptibility.
        GUEST_INTERRUPTIBILITY = 0x4824;
        /// Guest activity.
        GUEST_ACTIVITY = 0x4826;
        /// Guest SMBASE.
        GUEST_SMBASE = 0x4828;
        /// Guest SYSENTER_CS.
        GUEST_SYSENTER_CS = 0x482a;
        /// Preemption timer.
        PREEMPTION_TIMER = 0x482e;
        /// Host SYSENTER_CS.
        HOST_SYSENTER_CS = 0x4c00;
        /// CR0 bits that the host owns.
        CR0_MASK = 0x6000;
        /// CR4 bits that the host owns.
        CR4_MASK = 0x6002;
        /// What the guest reads of them in CR0.
        CR0_READ_SHADOW = 0x6004;
        /// What the guest reads of them in CR4.
        CR4_READ_SHADOW = 0x6006;
        /// Exit qualification.
        EXIT_QUALIFICATION = 0x6400;
        /// Guest linear address.
        GUEST_LINEAR_ADDRESS = 0x640a;
        /// Guest CR0.
        GUEST_CR0 = 0x6800;
        /// Guest CR3.
        GUEST_CR3 = 0x6802;
        /// Guest CR4.
        GUEST_CR4 = 0x6804;
        /// Guest ES base.
        GUEST_ES_BASE = 0x6806;
        /// Guest CS base.
        GUEST_CS_BASE = 0x6808;
        /// Guest SS base.
        GUEST_SS_BASE = 0x680a;
        /// Guest DS base.
        GUEST_DS_BASE = 0x680c;
        /// Guest FS base.
        GUEST_FS_BASE = 0x680e;
        /// Guest GS base.
        GUEST_GS_BASE = 0x6810;
        /// Guest LDTR base.
        GUEST_LDTR_BASE = 0x6812;
        /// Guest TR base.
        GUEST_TR_BASE = 0x6814;
        /// Guest GDTR base.
        GUEST_GDTR_BASE = 0x6816;
        /// Guest IDTR base.
        GUEST_IDTR_BASE = 0x6818;
        /// Guest DR7.
        GUEST_DR7 = 0x681a;
        /// Guest RSP.
        GUEST_RSP = 0x681c;
        /// Guest RIP.
        GUEST_RIP = 0x681e;
        /// Guest RFLAGS.
        GUEST_RFLAGS = 0x6820;
        /// Guest pending debug exceptions.
        GUEST_PENDING_DEBUG = 0x6822;
        /// Guest SYSENTER_ESP.
        GUEST_SYSENTER_ESP = 0x6824;
        /// Guest SYSENTER_EIP.
        GUEST_SYSENTER_EIP = 0x6826;
        /// Host CR0.
        HOST_CR0 = 0x6c00;
        /// Host CR3.
        HOST_CR3 = 0x6c02;
        /// Host CR4.
        HOST_CR4 = 0x6c04;
        /// Host FS base.
        HOST_FS_BASE = 0x6c06;
        /// Host GS base.
        HOST_GS_BASE = 0x6c08;
        /// Host TR base.
        HOST_TR_BASE = 0x6c0a;
        /// Host GDTR base.
        HOST_GDTR_BASE = 0x6c0c;
        /// Host IDTR base.
        HOST_IDTR_BASE = 0x6c0e;
        /// Host SYSENTER_ESP.
        HOST_SYSENTER_ESP = 0x6c10;
        /// Host SYSENTER_EIP.
        HOST_SYSENTER_EIP = 0x6c12;
        /// Host RSP.
        HOST_RSP = 0x6c14;
        /// Host RIP.
        HOST_RIP = 0x6c16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_tell_width_and_kind() {
        assert_eq!(Field::VPID.width(), Width::Bits16);
        assert_eq!(Field::EPT_POINTER.width(), Width::Bits64);
        assert_eq!(Field::EXIT_REASON.width(), Width::Bits32);
        assert_eq!(Field::GUEST_RIP.width(), Width::Natural);
        assert!(Field::EXIT_REASON.is_read_only() && Field::EXIT_QUALIFICATION.is_read_only());
        assert!(!Field::GUEST_RIP.is_read_only() && !Field::HOST_RIP.is_read_only());
    }
}
