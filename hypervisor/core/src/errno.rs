//! The error numbers of the ABI, under the name that handlers use.

pub use xen_abi::errno::Errno;
