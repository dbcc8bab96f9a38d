//! Making, pausing, describing and destroying domains.

use xen_abi::domctl::{
    CDF_HAP, CDF_HVM, CDF_IOMMU, CDF_KNOWN, CDF_NESTED_VIRT, CDF_VPMU, CreateDomain, Domctl,
    GRANT_VERSION_MASK, MaxVcpus, SetTarget,
};

use super::Request;
use crate::domain::{DomainConfig, Progress};
use crate::errno::Errno;
use crate::hypercall::Call;
use crate::machine::Machine;
use crate::memory::Placement;
use crate::types::{DomId, VcpuId};

/// What a negative number of frames stands for.
const DEFAULT_GRANT_FRAMES: u32 = 64;
/// What a negative number of frames stands for.
const DEFAULT_MAPTRACK_FRAMES: u32 = 1024;

/// `XEN_DOMCTL_createdomain`.
pub(super) fn create<P: Machine>(call: &Call<'_, P>, op: &mut Domctl) -> Result<(), Errno> {
    let wanted: CreateDomain = op.u.read();
    check::<P>(&wanted)?;
    let id = match DomId(op.domain) {
        id if id == DomId::DOM0 || id >= DomId::FIRST_RESERVED => {
            call.hv.free_domain_id().ok_or(Errno::ENOMEM)?
        }
        id if call.hv.domain(id).is_some() => return Err(Errno::EEXIST),
        id => id,
    };
    let or_default = |frames: i32, default| u32::try_from(frames).unwrap_or(default);
    let config = DomainConfig {
        id,
        handle: wanted.handle,
        max_vcpus: wanted.max_vcpus,
        max_event_port: wanted.max_evtchn_port,
        max_grant_frames: or_default(wanted.max_grant_frames, DEFAULT_GRANT_FRAMES),
        max_maptrack_frames: or_default(wanted.max_maptrack_frames, DEFAULT_MAPTRACK_FRAMES),
        privileged: false,
        hardware: false,
        placement: Placement::Anywhere,
        flags: wanted.flags,
        emulation_flags: wanted.arch.emulation_flags,
    };
    let arch = call.hv.platform.create_domain_arch(&config)?;
    call.hv.create_domain(config, arch)?;
    op.domain = id.0;
    Ok(())
}

/// Whether there can be such a domain.
fn check<P: Machine>(wanted: &CreateDomain) -> Result<(), Errno> {
    let container = CDF_HVM | CDF_HAP;
    let absent = CDF_IOMMU | CDF_NESTED_VIRT | CDF_VPMU;
    let fine = wanted.flags & !CDF_KNOWN == 0
        && wanted.flags & container == container
        && wanted.flags & absent == 0
        && wanted.iommu_opts == 0
        && (1..=P::MAX_VCPUS).contains(&wanted.max_vcpus)
        && wanted.max_evtchn_port != 0
        && wanted.max_grant_frames != 0
        && wanted.grant_opts & !GRANT_VERSION_MASK == 0
        // Version 1 is the only one that there is.
        && wanted.grant_opts & GRANT_VERSION_MASK == 1
        && wanted.altp2m_opts == 0
        && wanted.vmtrace_size == 0
        && wanted.cpupool_id == 0
        && wanted.arch.misc_flags == 0;
    if fine { Ok(()) } else { Err(Errno::EINVAL) }
}

impl<P: Machine> Request<'_, P> {
    pub(super) fn destroy(self) -> Result<Progress, Errno> {
        self.not_self()?;
        if self.domain.config.hardware {
            return Err(Errno::EINVAL);
        }
        Ok(self.call.hv.destroy_domain(self.domain))
    }

    pub(super) fn pause(&self) -> Result<(), Errno> {
        self.not_self()?;
        self.call.hv.pause_domain(self.domain);
        Ok(())
    }

    pub(super) fn resume(&self) -> Result<(), Errno> {
        self.not_self()?;
        self.call.hv.resume_domain(self.domain);
        Ok(())
    }

    pub(super) fn info(&mut self) {
        let info = self.call.hv.domain_info(self.domain);
        self.op.domain = info.domain;
        self.op.u.write(&info);
    }

    pub(super) fn set_target(&self) -> Result<(), Errno> {
        self.not_self()?;
        let target = DomId(self.op.u.read::<SetTarget>().target);
        let target = self.call.hv.domain(target).ok_or(Errno::ESRCH)?;
        if target.id == self.domain.id {
            return Err(Errno::EINVAL);
        }
        self.domain.set_target(target.id);
        Ok(())
    }

    /// The number must be what the domain was created with; the vCPUs are made here.
    pub(super) fn max_vcpus(&self) -> Result<(), Errno> {
        self.not_self()?;
        let (hv, domain) = (self.call.hv, self.domain);
        if self.op.u.read::<MaxVcpus>().max != domain.config.max_vcpus || domain.is_dying() {
            return Err(Errno::EINVAL);
        }
        for id in (0..domain.config.max_vcpus).map(VcpuId) {
            if domain.vcpu(id).is_none() {
                let arch = hv.platform.create_vcpu_arch(domain, id)?;
                hv.add_vcpu(domain, id, arch)?;
            }
        }
        Ok(())
    }
}
