//! The hypervisor's memory.

mod heap;
