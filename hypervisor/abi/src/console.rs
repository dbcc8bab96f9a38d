//! The console hypercall of `xen.h`: `console_io(cmd, count, buffer)`.

use crate::macros::open_enum;

open_enum! {
    /// First argument of `console_io`.
    pub struct ConsoleIoCmd(u32) {
        /// Writes `count` bytes of `buffer` to the hypervisor's console.
        WRITE = 0, "CONSOLEIO_write";
        /// Reads at most `count` received bytes into `buffer`; returns how many.
        READ = 1, "CONSOLEIO_read";
    }
}
