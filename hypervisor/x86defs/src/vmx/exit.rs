//! Exit reasons and events (SDM volume 3, appendix C, 25.8.3, 25.9.2).

use crate::exception::Exception;
use crate::macros::{flags, open_enum};

open_enum! {
    /// Basic exit reason: the low 16 bits of the field.
    pub struct ExitReason(u16) {
        /// Exception or NMI.
        EXCEPTION_NMI = 0;
        /// Interrupt.
        EXTERNAL_INTERRUPT = 1;
        /// Triple fault.
        TRIPLE_FAULT = 2;
        /// INIT.
        INIT = 3;
        /// Startup IPI.
        SIPI = 4;
        /// I/O SMI.
        IO_SMI = 5;
        /// Other SMI.
        OTHER_SMI = 6;
        /// Interrupts can be taken.
        INTERRUPT_WINDOW = 7;
        /// NMIs can be taken.
        NMI_WINDOW = 8;
        /// Task switch.
        TASK_SWITCH = 9;
        /// CPUID.
        CPUID = 10;
        /// GETSEC.
        GETSEC = 11;
        /// HLT.
        HLT = 12;
        /// INVD.
        INVD = 13;
        /// INVLPG.
        INVLPG = 14;
        /// RDPMC.
        RDPMC = 15;
        /// RDTSC.
        RDTSC = 16;
        /// RSM.
        RSM = 17;
        /// VMCALL.
        VMCALL = 18;
        /// VMCLEAR.
        VMCLEAR = 19;
        /// VMLAUNCH.
        VMLAUNCH = 20;
        /// VMPTRLD.
        VMPTRLD = 21;
        /// VMPTRST.
        VMPTRST = 22;
        /// VMREAD.
        VMREAD = 23;
        /// VMRESUME.
        VMRESUME = 24;
        /// VMWRITE.
        VMWRITE = 25;
        /// VMXOFF.
        VMXOFF = 26;
        /// VMXON.
        VMXON = 27;
        /// Control register.
        CR_ACCESS = 28;
        /// Debug register.
        DR_ACCESS = 29;
        /// Port.
        IO_INSTRUCTION = 30;
        /// RDMSR.
        RDMSR = 31;
        /// WRMSR.
        WRMSR = 32;
        /// Entry failed: guest state.
        INVALID_GUEST_STATE = 33;
        /// Entry failed: MSRs.
        MSR_LOADING = 34;
        /// MWAIT.
        MWAIT = 36;
        /// After an instruction.
        MONITOR_TRAP = 37;
        /// MONITOR.
        MONITOR = 39;
        /// PAUSE.
        PAUSE = 40;
        /// Entry failed: machine check.
        MACHINE_CHECK = 41;
        /// TPR below its threshold.
        TPR_BELOW_THRESHOLD = 43;
        /// APIC page.
        APIC_ACCESS = 44;
        /// End of interrupt.
        VIRTUALIZED_EOI = 45;
        /// GDTR or IDTR.
        GDTR_IDTR = 46;
        /// LDTR or TR.
        LDTR_TR = 47;
        /// EPT violation.
        EPT_VIOLATION = 48;
        /// EPT misconfiguration.
        EPT_MISCONFIG = 49;
        /// INVEPT.
        INVEPT = 50;
        /// RDTSCP.
        RDTSCP = 51;
        /// Preemption timer.
        PREEMPTION_TIMER = 52;
        /// INVVPID.
        INVVPID = 53;
        /// WBINVD.
        WBINVD = 54;
        /// XSETBV.
        XSETBV = 55;
        /// APIC write.
        APIC_WRITE = 56;
        /// RDRAND.
        RDRAND = 57;
        /// INVPCID.
        INVPCID = 58;
        /// VMFUNC.
        VMFUNC = 59;
        /// ENCLS.
        ENCLS = 60;
        /// RDSEED.
        RDSEED = 61;
        /// Page modification log full.
        PML_FULL = 62;
        /// XSAVES.
        XSAVES = 63;
        /// XRSTORS.
        XRSTORS = 64;
        /// UMWAIT.
        UMWAIT = 67;
        /// TPAUSE.
        TPAUSE = 68;
        /// Bus lock.
        BUS_LOCK = 74;
        /// Notification of no progress.
        NOTIFY = 75;
    }
}

open_enum! {
    /// Type of an event.
    pub struct InterruptionKind(u8) {
        /// External interrupt.
        INTERRUPT = 0;
        /// Non-maskable interrupt.
        NMI = 2;
        /// Exception.
        HARDWARE_EXCEPTION = 3;
        /// INT n.
        SOFTWARE_INTERRUPT = 4;
        /// INT1.
        PRIVILEGED_SOFTWARE_EXCEPTION = 5;
        /// INT3 or INTO.
        SOFTWARE_EXCEPTION = 6;
        /// Not an event.
        OTHER = 7;
    }
}

/// An event in the VMCS: vector 7..0, type 10..8, error code valid 11, valid 31. Error codes are
/// in fields of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterruptionInfo(pub u32);

impl InterruptionInfo {
    /// No event.
    pub const NONE: Self = Self(0);

    /// An event.
    #[must_use]
    pub const fn new(kind: InterruptionKind, vector: u8) -> Self {
        let has_error =
            kind.0 == InterruptionKind::HARDWARE_EXCEPTION.0 && Exception(vector).has_error_code();
        Self(1 << 31 | (has_error as u32) << 11 | (kind.0 as u32 & 7) << 8 | vector as u32)
    }

    /// Whether there is an event.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & 1 << 31 != 0
    }

    /// Whether it has an error code.
    #[must_use]
    pub const fn has_error_code(self) -> bool {
        self.0 & 1 << 11 != 0
    }

    /// Its vector.
    #[must_use]
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// Its type.
    #[must_use]
    pub const fn kind(self) -> InterruptionKind {
        InterruptionKind((self.0 >> 8) as u8 & 7)
    }
}

flags! {
    /// What blocks interrupts in the guest.
    pub struct Interruptibility(u32) {
        /// STI came before.
        STI = 1 << 0;
        /// MOV SS came before.
        MOV_SS = 1 << 1;
        /// SMM.
        SMI = 1 << 2;
        /// An NMI is being handled.
        NMI = 1 << 3;
    }
}

open_enum! {
    /// What the guest's CPU does.
    pub struct Activity(u32) {
        /// It runs.
        ACTIVE = 0;
        /// HLT.
        HLT = 1;
        /// Shutdown.
        SHUTDOWN = 2;
        /// Waits for a startup IPI.
        WAIT_FOR_SIPI = 3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let fault = InterruptionInfo::new(InterruptionKind::HARDWARE_EXCEPTION, 14);
        assert_eq!(fault.0, 0x8000_0b0e);
        assert!(fault.is_valid() && fault.has_error_code());
        assert_eq!((fault.vector(), fault.kind()), (14, InterruptionKind::HARDWARE_EXCEPTION));
        assert_eq!(InterruptionInfo::new(InterruptionKind::INTERRUPT, 0x30).0, 0x8000_0030);
        assert_eq!(ExitReason(48).name(), Some("EPT_VIOLATION"));
    }
}
