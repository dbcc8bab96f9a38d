//! What CPUs guests can have.

use xen_abi::sysctl::{CpuFeatureset, CpuLevellingCaps, CpuPolicy, Sysctl};

use crate::errno::Errno;
use crate::hypercall::Call;
use crate::machine::Machine;

/// Features are hidden by intercepting CPUID, not by masking MSRs.
pub(super) fn levelling_caps(op: &mut Sysctl) {
    op.u.write(&CpuLevellingCaps { caps: 0 });
}

pub(super) fn featureset<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut get: CpuFeatureset = op.u.read();
    let features = call.hv.platform.featureset(get.index)?;
    get.nr_features = call.write_counted(&features, get.nr_features, get.features)?;
    op.u.write(&get);
    Ok(())
}

pub(super) fn policy<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut get: CpuPolicy = op.u.read();
    let policy = call.hv.platform.host_policy(get.index)?;
    let room = (&mut get.nr_leaves, &mut get.nr_msrs);
    call.write_policy(&policy, room, (get.leaves, get.msrs))?;
    op.u.write(&get);
    Ok(())
}
