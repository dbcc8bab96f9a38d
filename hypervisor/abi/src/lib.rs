//! The Xen 4.20 public ABI as plain data: structures, constants, command numbers.
//!
//! One module per public header (MIT; Debian's `libxen-dev`), rendered for x86-64 guests and
//! tools; [`compat`] has what 32-bit guests lay out differently. There is no logic here and no
//! unsafe code. Every structure is `repr(C)` with explicit padding, converts from and to bytes by
//! `zerocopy`, and has its size and offsets asserted at compile time. Values that come from
//! outside are open enums: integer newtypes with named constants. Each constant is found in the
//! documentation by its C name.
#![no_std]
#![forbid(unsafe_code)]

mod guest_handle;
mod macros;
mod payload;

pub mod compat;
pub mod console;
pub mod domctl;
pub mod elfnote;
pub mod errno;
pub mod event_channel;
pub mod features;
pub mod grant_table;
pub mod memory;
pub mod physdev;
pub mod platform;
pub mod sched;
pub mod sysctl;
pub mod vcpu;
pub mod version;
pub mod xen;

/// Headers below `arch-x86/`.
pub mod arch_x86 {
    pub mod context;
    pub mod cpuid;
    pub mod xen;

    /// Headers below `arch-x86/hvm/`.
    pub mod hvm {
        pub mod start_info;
    }
}

/// Headers below `hvm/`.
pub mod hvm {
    pub mod dm_op;
    pub mod hvm_op;
    pub mod hvm_vcpu;
    pub mod ioreq;
    pub mod params;
    pub mod save;
}

/// Headers below `io/`: protocols between frontends and backends.
pub mod io {
    pub mod blkif;
    pub mod console;
    pub mod netif;
    pub mod ring;
    pub mod xenbus;
    pub mod xs_wire;
}

pub use compat::Argument;
pub use errno::Errno;
pub use guest_handle::GuestHandle;
pub use payload::Payload;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
