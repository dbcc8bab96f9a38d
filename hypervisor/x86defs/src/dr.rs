//! Debug registers (APM volume 2, 13.1).

use crate::macros::{constants, flags};

flags! {
    /// DR6: what raised the debug exception.
    pub struct Dr6(u64) {
        /// Breakpoint 0.
        B0 = 1 << 0;
        /// Breakpoint 1.
        B1 = 1 << 1;
        /// Breakpoint 2.
        B2 = 1 << 2;
        /// Breakpoint 3.
        B3 = 1 << 3;
        /// Clear: a bus lock.
        BLD = 1 << 11;
        /// A debug register was touched.
        BD = 1 << 13;
        /// Single step.
        BS = 1 << 14;
        /// Task switch.
        BT = 1 << 15;
    }
}

flags! {
    /// DR7: which breakpoints are on.
    pub struct Dr7(u64) {
        /// Breakpoint 0, local.
        L0 = 1 << 0;
        /// Breakpoint 0, global.
        G0 = 1 << 1;
        /// Breakpoint 1, local.
        L1 = 1 << 2;
        /// Breakpoint 1, global.
        G1 = 1 << 3;
        /// Breakpoint 2, local.
        L2 = 1 << 4;
        /// Breakpoint 2, global.
        G2 = 1 << 5;
        /// Breakpoint 3, local.
        L3 = 1 << 6;
        /// Breakpoint 3, global.
        G3 = 1 << 7;
        /// Local exact breakpoints.
        LE = 1 << 8;
        /// Global exact breakpoints.
        GE = 1 << 9;
        /// Touching a debug register raises #DB.
        GD = 1 << 13;
    }
}

constants! {
    u64 {
        /// DR6 after reset; the bits that are always set.
        DR6_RESET = 0xffff_0ff0;
        /// DR7 after reset.
        DR7_RESET = 0x400;
        /// DR7: the enable bits of all breakpoints.
        DR7_ENABLE_MASK = 0xff;
    }
}
