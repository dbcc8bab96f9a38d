//! Controls of a VMCS (SDM volume 3, 25.6 to 25.8).

use crate::macros::flags;

flags! {
    /// Pin-based controls.
    pub struct PinControls(u32) {
        /// Interrupts exit.
        EXTERNAL_INTERRUPT = 1 << 0;
        /// NMIs exit.
        NMI = 1 << 3;
        /// NMIs are virtual.
        VIRTUAL_NMI = 1 << 5;
        /// The preemption timer runs.
        PREEMPTION_TIMER = 1 << 6;
        /// Posted interrupts are processed.
        POSTED_INTERRUPTS = 1 << 7;
    }
}

flags! {
    /// Primary controls.
    pub struct PrimaryControls(u32) {
        /// Exit when interrupts can be taken.
        INTERRUPT_WINDOW = 1 << 2;
        /// The TSC offset counts.
        TSC_OFFSETTING = 1 << 3;
        /// HLT exits.
        HLT = 1 << 7;
        /// INVLPG exits.
        INVLPG = 1 << 9;
        /// MWAIT exits.
        MWAIT = 1 << 10;
        /// RDPMC exits.
        RDPMC = 1 << 11;
        /// RDTSC exits.
        RDTSC = 1 << 12;
        /// Writes of CR3 exit.
        CR3_LOAD = 1 << 15;
        /// Reads of CR3 exit.
        CR3_STORE = 1 << 16;
        /// There are tertiary controls.
        TERTIARY = 1 << 17;
        /// Writes of CR8 exit.
        CR8_LOAD = 1 << 19;
        /// Reads of CR8 exit.
        CR8_STORE = 1 << 20;
        /// The TPR is virtual.
        TPR_SHADOW = 1 << 21;
        /// Exit when NMIs can be taken.
        NMI_WINDOW = 1 << 22;
        /// Debug register accesses exit.
        MOV_DR = 1 << 23;
        /// Ports exit.
        UNCONDITIONAL_IO = 1 << 24;
        /// Ports exit by the bitmaps.
        IO_BITMAPS = 1 << 25;
        /// Exit after every instruction.
        MONITOR_TRAP = 1 << 27;
        /// MSRs exit by the bitmaps.
        MSR_BITMAPS = 1 << 28;
        /// MONITOR exits.
        MONITOR = 1 << 29;
        /// PAUSE exits.
        PAUSE = 1 << 30;
        /// There are secondary controls.
        SECONDARY = 1 << 31;
    }
}

flags! {
    /// Secondary controls.
    pub struct SecondaryControls(u32) {
        /// The APIC page is virtual.
        VIRTUAL_APIC_ACCESS = 1 << 0;
        /// EPT.
        EPT = 1 << 1;
        /// Descriptor table instructions exit.
        DESCRIPTOR_TABLE = 1 << 2;
        /// RDTSCP works.
        RDTSCP = 1 << 3;
        /// x2APIC MSRs are virtual.
        VIRTUAL_X2APIC = 1 << 4;
        /// VPID.
        VPID = 1 << 5;
        /// WBINVD exits.
        WBINVD = 1 << 6;
        /// The guest may run unpaged and in real mode.
        UNRESTRICTED_GUEST = 1 << 7;
        /// APIC registers are virtual.
        APIC_REGISTERS = 1 << 8;
        /// Interrupt delivery is virtual.
        INTERRUPT_DELIVERY = 1 << 9;
        /// PAUSE loops exit.
        PAUSE_LOOP = 1 << 10;
        /// RDRAND exits.
        RDRAND = 1 << 11;
        /// INVPCID works.
        INVPCID = 1 << 12;
        /// VMFUNC works.
        VMFUNC = 1 << 13;
        /// VMCS shadowing.
        VMCS_SHADOWING = 1 << 14;
        /// RDSEED exits.
        RDSEED = 1 << 16;
        /// Page modification log.
        PML = 1 << 17;
        /// EPT violations can become exceptions.
        EPT_VE = 1 << 18;
        /// XSAVES works.
        XSAVES = 1 << 20;
        /// Execute permission by mode.
        MODE_BASED_EXECUTE = 1 << 22;
        /// The TSC is scaled.
        TSC_SCALING = 1 << 25;
        /// TPAUSE and UMWAIT work.
        USER_WAIT = 1 << 26;
    }
}

flags! {
    /// Exit controls.
    pub struct ExitControls(u32) {
        /// Save DR7 and DEBUGCTL.
        SAVE_DEBUG = 1 << 2;
        /// The host is in 64-bit mode.
        HOST_64 = 1 << 9;
        /// Load PERF_GLOBAL_CTRL.
        LOAD_PERF_GLOBAL_CTRL = 1 << 12;
        /// Acknowledge the interrupt.
        ACK_INTERRUPT = 1 << 15;
        /// Save PAT.
        SAVE_PAT = 1 << 18;
        /// Load PAT.
        LOAD_PAT = 1 << 19;
        /// Save EFER.
        SAVE_EFER = 1 << 20;
        /// Load EFER.
        LOAD_EFER = 1 << 21;
        /// Save the preemption timer.
        SAVE_PREEMPTION_TIMER = 1 << 22;
    }
}

flags! {
    /// Entry controls.
    pub struct EntryControls(u32) {
        /// Load DR7 and DEBUGCTL.
        LOAD_DEBUG = 1 << 2;
        /// The guest is in long mode.
        IA32E_GUEST = 1 << 9;
        /// Enter SMM.
        ENTRY_TO_SMM = 1 << 10;
        /// Load PERF_GLOBAL_CTRL.
        LOAD_PERF_GLOBAL_CTRL = 1 << 13;
        /// Load PAT.
        LOAD_PAT = 1 << 14;
        /// Load EFER.
        LOAD_EFER = 1 << 15;
    }
}

/// The value nearest to `wanted` that the CPU accepts, by the capability MSR of the control: its
/// low half has the bits that must be set, its high half those that may be. `None` if a bit of
/// `required` may not be set.
#[must_use]
pub const fn adjust(capability: u64, wanted: u32, required: u32) -> Option<u32> {
    let must = capability as u32;
    let may = (capability >> 32) as u32;
    if required & !may != 0 {
        return None;
    }
    Some((wanted | required | must) & may)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjusts_to_what_the_cpu_allows() {
        let capability = 0x0000_00ff_0000_0016;
        assert_eq!(adjust(capability, 0x100, 0x80), Some(0x96));
        assert_eq!(adjust(capability, 0, 0x100), None);
    }
}
