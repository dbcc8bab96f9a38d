//! CPU policies: what the processor is, and what domains see of it.

use alloc::vec::Vec;

use hv_core::machine::{CpuPolicies, CpuPolicy, PolicyError};
use hv_x86::cpuid::CpuPolicy as Policy;
use xen_abi::arch_x86::xen::{CpuidLeaf, MsrEntry};
use xen_abi::errno::Errno;
use xen_abi::sysctl::{FeaturesetIndex, PolicyIndex};

use crate::arch::hvm;
use crate::platform::{Domain, Machine};

/// The machine's policy of this index.
fn policy(index: PolicyIndex) -> Result<Policy, Errno> {
    match index {
        PolicyIndex::RAW | PolicyIndex::HOST => Ok(hvm::host_cpu_policy()),
        PolicyIndex::HVM_MAX => Ok(hvm::guest_max_policy().clone()),
        PolicyIndex::HVM_DEFAULT => Ok(hvm::guest_max_policy().guest_default()),
        PolicyIndex::PV_MAX | PolicyIndex::PV_DEFAULT => Err(Errno::EOPNOTSUPP),
        _ => Err(Errno::EINVAL),
    }
}

fn leaves(policy: &Policy) -> CpuPolicy {
    CpuPolicy { leaves: policy.leaves().collect(), msrs: Vec::new() }
}

impl CpuPolicies for Machine {
    fn host_policy(&self, index: PolicyIndex) -> Result<CpuPolicy, Errno> {
        Ok(leaves(&policy(index)?))
    }

    fn featureset(&self, index: FeaturesetIndex) -> Result<Vec<u32>, Errno> {
        let policy = policy(match index {
            FeaturesetIndex::RAW => PolicyIndex::RAW,
            FeaturesetIndex::HOST => PolicyIndex::HOST,
            FeaturesetIndex::HVM => PolicyIndex::HVM_DEFAULT,
            FeaturesetIndex::HVM_MAX => PolicyIndex::HVM_MAX,
            FeaturesetIndex::PV => PolicyIndex::PV_DEFAULT,
            FeaturesetIndex::PV_MAX => PolicyIndex::PV_MAX,
            _ => return Err(Errno::EINVAL),
        })?;
        Ok(policy.features().0.to_vec())
    }

    fn domain_policy(&self, domain: &Domain) -> CpuPolicy {
        leaves(domain.arch.cpuid.read().policy())
    }

    fn set_domain_policy(
        &self,
        domain: &Domain,
        leaves: &[CpuidLeaf],
        msrs: &[MsrEntry],
    ) -> Result<(), PolicyError> {
        if let Some(msr) = msrs.first() {
            return Err(PolicyError::Msr(msr.idx));
        }
        domain.arch.set_policy(domain.id, domain.config.max_vcpus, leaves).map_err(|bad| {
            let subleaf = (bad.subleaf != u32::MAX).then_some(bad.subleaf);
            PolicyError::Leaf(bad.leaf, subleaf)
        })
    }
}
