//! `hvm/params.h`: parameters of an HVM container.

use crate::macros::{constants, open_enum};

open_enum! {
    /// Index of a parameter.
    pub struct HvmParam(u32) {
        /// How upcalls are delivered: type in bits 63..56, value below.
        CALLBACK_IRQ = 0, "HVM_PARAM_CALLBACK_IRQ";
        /// gfn of the xenstore ring.
        STORE_PFN = 1, "HVM_PARAM_STORE_PFN";
        /// Port of the xenstore ring.
        STORE_EVTCHN = 2, "HVM_PARAM_STORE_EVTCHN";
        /// Obsolete.
        PAE_ENABLED = 4, "HVM_PARAM_PAE_ENABLED";
        /// gfn of the I/O request page.
        IOREQ_PFN = 5, "HVM_PARAM_IOREQ_PFN";
        /// gfn of the buffered I/O request page.
        BUFIOREQ_PFN = 6, "HVM_PARAM_BUFIOREQ_PFN";
        /// Hyper-V interfaces.
        VIRIDIAN = 9, "HVM_PARAM_VIRIDIAN";
        /// How missed ticks are made up for.
        TIMER_MODE = 10, "HVM_PARAM_TIMER_MODE";
        /// Obsolete.
        HPET_ENABLED = 11, "HVM_PARAM_HPET_ENABLED";
        /// Identity page table for real mode.
        IDENT_PT = 12, "HVM_PARAM_IDENT_PT";
        /// Domain of the device model.
        DM_DOMAIN = 13, "HVM_PARAM_DM_DOMAIN";
        /// ACPI sleep state.
        ACPI_S_STATE = 14, "HVM_PARAM_ACPI_S_STATE";
        /// TSS for real mode.
        VM86_TSS = 15, "HVM_PARAM_VM86_TSS";
        /// Whether timers are aligned.
        VPT_ALIGN = 16, "HVM_PARAM_VPT_ALIGN";
        /// gfn of the console ring.
        CONSOLE_PFN = 17, "HVM_PARAM_CONSOLE_PFN";
        /// Port of the console ring.
        CONSOLE_EVTCHN = 18, "HVM_PARAM_CONSOLE_EVTCHN";
        /// Where the ACPI ports are.
        ACPI_IOPORTS_LOCATION = 19, "HVM_PARAM_ACPI_IOPORTS_LOCATION";
        /// Obsolete.
        MEMORY_EVENT_CR0 = 20, "HVM_PARAM_MEMORY_EVENT_CR0";
        /// Obsolete.
        MEMORY_EVENT_CR3 = 21, "HVM_PARAM_MEMORY_EVENT_CR3";
        /// Obsolete.
        MEMORY_EVENT_CR4 = 22, "HVM_PARAM_MEMORY_EVENT_CR4";
        /// Obsolete.
        MEMORY_EVENT_INT3 = 23, "HVM_PARAM_MEMORY_EVENT_INT3";
        /// Obsolete.
        NESTEDHVM = 24, "HVM_PARAM_NESTEDHVM";
        /// Obsolete.
        MEMORY_EVENT_SINGLE_STEP = 25, "HVM_PARAM_MEMORY_EVENT_SINGLE_STEP";
        /// Port of buffered I/O requests.
        BUFIOREQ_EVTCHN = 26, "HVM_PARAM_BUFIOREQ_EVTCHN";
        /// gfn of the paging ring.
        PAGING_RING_PFN = 27, "HVM_PARAM_PAGING_RING_PFN";
        /// gfn of the monitor ring.
        MONITOR_RING_PFN = 28, "HVM_PARAM_MONITOR_RING_PFN";
        /// gfn of the sharing ring.
        SHARING_RING_PFN = 29, "HVM_PARAM_SHARING_RING_PFN";
        /// Obsolete.
        MEMORY_EVENT_MSR = 30, "HVM_PARAM_MEMORY_EVENT_MSR";
        /// Shutdown reason of a triple fault.
        TRIPLE_FAULT_REASON = 31, "HVM_PARAM_TRIPLE_FAULT_REASON";
        /// First gfn for I/O request servers.
        IOREQ_SERVER_PFN = 32, "HVM_PARAM_IOREQ_SERVER_PFN";
        /// How many.
        NR_IOREQ_SERVER_PAGES = 33, "HVM_PARAM_NR_IOREQ_SERVER_PAGES";
        /// Address of the generation id.
        VM_GENERATION_ID_ADDR = 34, "HVM_PARAM_VM_GENERATION_ID_ADDR";
        /// Alternate p2m mode.
        ALTP2M = 35, "HVM_PARAM_ALTP2M";
        /// Width of the saved FPU instruction pointer.
        X87_FIP_WIDTH = 36, "HVM_PARAM_X87_FIP_WIDTH";
        /// TSS for real mode, with its size.
        VM86_TSS_SIZED = 37, "HVM_PARAM_VM86_TSS_SIZED";
        /// Machine check capabilities.
        MCA_CAP = 38, "HVM_PARAM_MCA_CAP";
    }
}

constants! {
    // The number of parameters.
    u32 {
        /// One more than the highest index.
        NR_PARAMS = 39, "HVM_NR_PARAMS";
    }
}

constants! {
    // Parts of `HVM_PARAM_CALLBACK_IRQ`.
    u64 {
        /// The type.
        CALLBACK_IRQ_TYPE_MASK = 0xff00_0000_0000_0000, "HVM_PARAM_CALLBACK_IRQ_TYPE_MASK";
        /// The value is a GSI; zero disables.
        CALLBACK_TYPE_GSI = 0, "HVM_PARAM_CALLBACK_TYPE_GSI";
        /// The value is a PCI interrupt line.
        CALLBACK_TYPE_PCI_INTX = 1, "HVM_PARAM_CALLBACK_TYPE_PCI_INTX";
        /// The value is a vector.
        CALLBACK_TYPE_VECTOR = 2, "HVM_PARAM_CALLBACK_TYPE_VECTOR";
        /// Where the type starts.
        CALLBACK_IRQ_TYPE_SHIFT = 56;
    }
}

constants! {
    // Values of `HVM_PARAM_TIMER_MODE`.
    u64 {
        /// Guest time is delayed.
        TIMER_DELAY_FOR_MISSED_TICKS = 0, "HVMPTM_delay_for_missed_ticks";
        /// Missed ticks come as fast as possible.
        TIMER_NO_DELAY_FOR_MISSED_TICKS = 1, "HVMPTM_no_delay_for_missed_ticks";
        /// Missed ticks are dropped.
        TIMER_NO_MISSED_TICKS_PENDING = 2, "HVMPTM_no_missed_ticks_pending";
        /// Missed ticks are merged into one.
        TIMER_ONE_MISSED_TICK_PENDING = 3, "HVMPTM_one_missed_tick_pending";
    }
}
