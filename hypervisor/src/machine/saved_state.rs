//! Saving and restoring a domain's state.

use alloc::sync::Arc;
use alloc::vec::Vec;

use hv_core::machine::SavedState;
use hv_x86::state::records;
use xen_abi::errno::Errno;
use xen_abi::hvm::save::RecordType;

use crate::arch::hvm;
use crate::platform::{Domain, Hypervisor, Machine};

impl SavedState for Machine {
    fn save_context(&self, domain: &Domain) -> Result<Vec<u8>, Errno> {
        Ok(hvm::save_state(domain))
    }

    fn save_record(&self, domain: &Domain, kind: u32, instance: u32) -> Result<Vec<u8>, Errno> {
        let kind = RecordType(u16::try_from(kind).map_err(|_| Errno::EINVAL)?);
        let instance = u16::try_from(instance).map_err(|_| Errno::ENOENT)?;
        let all = hvm::save_state(domain);
        records::find(&all, kind, instance).map(<[u8]>::to_vec).ok_or(Errno::ENOENT)
    }

    fn load_context(
        &self,
        hv: &Hypervisor,
        domain: &Arc<Domain>,
        records: &[u8],
    ) -> Result<(), Errno> {
        hvm::load_state(hv, domain, records)
    }
}
