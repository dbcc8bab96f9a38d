//! Where loaded bytes go: a domain's memory before it runs.

use hv_core::types::Gpa;

/// A domain's memory while it is being built.
///
/// The caller promises nothing about the domain: implementations check that the range is memory
/// that this domain owns, and assert so, as the layout that chose it is the hypervisor's own.
pub trait LoadMemory {
    /// Copies `bytes` to `at`.
    fn write(&mut self, at: Gpa, bytes: &[u8]);
    /// Zeroes `len` bytes at `at`.
    fn zero(&mut self, at: Gpa, len: u64);
}
