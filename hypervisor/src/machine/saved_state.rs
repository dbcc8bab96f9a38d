//! Saving and restoring a domain's state.
//!
//! Domains can't be saved yet: every call says so.

use alloc::sync::Arc;
use alloc::vec::Vec;

use hv_core::machine::SavedState;
use xen_abi::errno::Errno;

use crate::platform::{Domain, Hypervisor, Machine};

impl SavedState for Machine {
    fn save_context(&self, _: &Domain) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn save_record(&self, _: &Domain, _: u32, _: u32) -> Result<Vec<u8>, Errno> {
        Err(Errno::EOPNOTSUPP)
    }

    fn load_context(&self, _: &Hypervisor, _: &Arc<Domain>, _: &[u8]) -> Result<(), Errno> {
        Err(Errno::EOPNOTSUPP)
    }
}
