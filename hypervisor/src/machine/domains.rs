//! The architecture's part of domains and vCPUs that the toolstack makes.

use alloc::sync::Arc;

use hv_core::domain::DomainConfig;
use hv_core::machine::DomainHost;
use hv_core::types::VcpuId;
use xen_abi::errno::Errno;

use crate::arch::hvm::{DomainArch, VcpuArch};
use crate::platform::{Domain, Machine};

impl DomainHost for Machine {
    const MAX_VCPUS: u32 = 128;

    fn create_domain_arch(&self, config: &DomainConfig) -> Result<DomainArch, Errno> {
        DomainArch::guest(config.id, config.max_vcpus).ok_or(Errno::ENOMEM)
    }

    fn create_vcpu_arch(&self, domain: &Arc<Domain>, id: VcpuId) -> Result<VcpuArch, Errno> {
        VcpuArch::new(id, domain).ok_or(Errno::ENOMEM)
    }

    fn release_domain(&self, _: &Domain) {
        // Only the hardware domain has devices, and it is never destroyed.
    }

    fn guest_address_bits(&self) -> u8 {
        DomainArch::GUEST_ADDRESS_BITS
    }
}
