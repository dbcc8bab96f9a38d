//! What every test guest shares: the way from the PVH entry to a Rust function, hypercalls,
//! interrupts, time, and the report.
//!
//! A guest is one directory beside this one: a PVH kernel that checks one part of the
//! hypervisor's interface from inside and says on the console how that went, as
//! `XENOLITH-TEST: name: SUCCESS`, `SKIP: reason`, `FAILURE: what` or `ERROR: what`
//! ([`report`]). It runs as dom0, from QEMU's `-kernel HYPERVISOR -initrd GUEST`, and as well on
//! Xen 4.20 (`dom0=pvh`, with `-device intel-iommu,intremap=on`), which proves the tests
//! themselves. Memory is mapped one to one below 4 GiB; there is one address space, no heap and,
//! unless [`smp`] starts more, one CPU.
#![no_std]
#![cfg_attr(
    not(freestanding),
    allow(dead_code, reason = "only the entry in boot.S leads to some functions")
)]

pub mod acpi;
pub mod apic;
pub mod clock;
pub mod console;
pub mod cpu;
#[cfg(freestanding)]
mod entry;
pub mod events;
pub mod grants;
pub mod hypercall;
pub mod interrupts;
pub mod memory;
pub mod report;
pub mod rng;
pub mod smp;
pub mod start_info;
mod symbols;
pub mod toolstack;

pub use xen_abi::Errno;

/// Makes a binary a test guest: `guest!("name", function)`. Returning from the function is
/// success.
#[macro_export]
macro_rules! guest {
    ($name:literal, $test:path) => {
        #[cfg(freestanding)]
        #[expect(unsafe_code, reason = "the entry in boot.S leads to this name")]
        #[unsafe(no_mangle)]
        extern "C" fn guest_main() -> ! {
            $crate::report::run($name, $test)
        }

        #[cfg(not(freestanding))]
        const _: fn() = $test;

        #[cfg(not(freestanding))]
        fn main() {
            eprintln!(concat!(
                "this is not the test guest ",
                $name,
                ": build it with tests/guests/build.toml"
            ));
            std::process::exit(1);
        }
    };
}

/// Fails the test unless a condition holds: `ensure!(condition, "message {}", value)`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::report::failure(format_args!($($message)+));
        }
    };
}

/// Fails the test unless two values are equal: `ensure_eq!(left, right, "what this is")`.
#[macro_export]
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($message:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if *left != *right {
                    $crate::report::failure(format_args!(
                        "{}: is {left:x?}, should be {right:x?}", format_args!($($message)+)
                    ));
                }
            }
        }
    };
}

/// Prints a line of progress.
#[macro_export]
macro_rules! note {
    ($($message:tt)+) => { $crate::console::line(format_args!($($message)+)) };
}
