//! The domains and their vCPUs.
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::domctl::{
    DomctlCmd, GetDomainInfo, GetVcpuInfo, VCPUAFFINITY_HARD, VCPUAFFINITY_SOFT, VcpuAffinity,
};
use xen_abi::sysctl::{GetDomainInfoList, SysctlCmd};
use xen_abi::xen::CtlBitmap;

use crate::Xen;
use crate::error::Result;

/// How many domains are asked for at once.
const AT_ONCE: u32 = 256;

/// The CPUs that a vCPU may run on, and those that it had better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    /// Where it may run, a flag for each CPU.
    pub hard: Vec<bool>,
    /// Where it had better run.
    pub soft: Vec<bool>,
}

impl Xen {
    /// Every domain, by domid.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn domains(&self) -> Result<Vec<GetDomainInfo>> {
        let mut all: Vec<GetDomainInfo> = Vec::new();
        let mut first_domain = 0;
        loop {
            let room = usize::try_from(AT_ONCE).unwrap_or(0) * size_of::<GetDomainInfo>();
            let mut list = self.privcmd.buffer(room)?;
            let question = GetDomainInfoList {
                first_domain,
                max_domains: AT_ONCE,
                buffer: list.handle(),
                ..GetDomainInfoList::default()
            };
            // SAFETY: the handle is the buffer's, which has room for that many domains.
            let answer =
                unsafe { self.sysctl(SysctlCmd::GETDOMAININFOLIST, &question, &mut [&mut list]) }?;
            let count = usize::try_from(answer.num_domains.min(AT_ONCE)).unwrap_or(0);
            all.extend(list.list::<GetDomainInfo>(count));
            match all.last().and_then(|last| last.domain.checked_add(1)) {
                Some(next) if answer.num_domains >= AT_ONCE => first_domain = next,
                _ => return Ok(all),
            }
        }
    }

    /// One vCPU.
    ///
    /// # Errors
    /// When there is no such domain or vCPU.
    pub fn vcpu(&self, domain: u16, vcpu: u32) -> Result<GetVcpuInfo> {
        let question = GetVcpuInfo { vcpu, ..GetVcpuInfo::default() };
        // SAFETY: the structure holds no address.
        unsafe { self.domctl(DomctlCmd::GETVCPUINFO, domain, &question, &mut []) }
    }

    /// Where a vCPU may run, on a machine of `cpus` CPUs.
    ///
    /// # Errors
    /// When there is no such domain or vCPU.
    pub fn affinity(&self, domain: u16, vcpu: u32, cpus: u32) -> Result<Affinity> {
        let bytes = usize::try_from(cpus.div_ceil(8)).unwrap_or(0);
        let mut hard = self.privcmd.buffer(bytes)?;
        let mut soft = self.privcmd.buffer(bytes)?;
        let bitmap = |bitmap| CtlBitmap { bitmap, nr_bits: cpus, ..CtlBitmap::default() };
        let question = VcpuAffinity {
            vcpu,
            flags: VCPUAFFINITY_HARD | VCPUAFFINITY_SOFT,
            cpumap_hard: bitmap(hard.handle()),
            cpumap_soft: bitmap(soft.handle()),
        };
        let buffers = &mut [&mut hard, &mut soft];
        // SAFETY: the bitmaps' handles are the buffers', which have that many bits.
        unsafe { self.domctl(DomctlCmd::GETVCPUAFFINITY, domain, &question, buffers) }?;
        Ok(Affinity { hard: flags(hard.bytes(), cpus), soft: flags(soft.bytes(), cpus) })
    }
}

fn flags(bytes: &[u8], count: u32) -> Vec<bool> {
    let bits = bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
    bits.take(usize::try_from(count).unwrap_or(0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_bits_lowest_first() {
        assert_eq!(
            flags(&[0b101, 1], 9),
            [true, false, true, false, false, false, false, false, true]
        );
        assert_eq!(flags(&[0xff], 2), [true, true]);
    }
}
