//! A domain in the toolstack's eyes.

use xen_abi::arch_x86::xen::DomainConfig as ArchConfig;
use xen_abi::domctl::{
    CDF_XS_DOMAIN, DOMINF_BLOCKED, DOMINF_DYING, DOMINF_HAP, DOMINF_HVM_GUEST, DOMINF_PAUSED,
    DOMINF_RUNNING, DOMINF_SHUTDOWN, DOMINF_SHUTDOWNMASK, DOMINF_SHUTDOWNSHIFT, DOMINF_XS_DOMAIN,
    GetDomainInfo, INVALID_MAX_VCPU_ID,
};

use crate::domain::{Domain, ShutdownState};
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;

impl<P: Machine> Hypervisor<P> {
    /// What `XEN_DOMCTL_getdomaininfo` tells of a domain.
    pub fn domain_info(&self, domain: &Domain<P>) -> GetDomainInfo {
        let now = self.platform.now();
        let vcpus = || domain.vcpus();
        let shared_info = domain.memory.shared_info_gfn(&self.platform);
        GetDomainInfo {
            domain: domain.id.0,
            flags: state_flags(domain),
            tot_pages: domain.memory.pages(),
            max_pages: domain.memory.max_pages(),
            outstanding_pages: domain.memory.claimed_pages(),
            shared_info_frame: shared_info.map_or(u64::MAX, |gfn| gfn.0),
            cpu_time: vcpus().map(|vcpu| vcpu.running_ns(now)).fold(0, u64::saturating_add),
            nr_online_vcpus: vcpus().filter(|vcpu| vcpu.sched.is_up()).count() as u32,
            max_vcpu_id: vcpus().last().map_or(INVALID_MAX_VCPU_ID, |vcpu| vcpu.id.0),
            handle: domain.handle(),
            gpaddr_bits: self.platform.guest_address_bits(),
            arch_config: ArchConfig {
                emulation_flags: domain.config.emulation_flags,
                ..ArchConfig::default()
            },
            ..GetDomainInfo::default()
        }
    }
}

fn state_flags<P: Machine>(domain: &Domain<P>) -> u32 {
    let mut flags = DOMINF_HVM_GUEST | DOMINF_HAP;
    let mut set = |on: bool, flag: u32| flags |= if on { flag } else { 0 };
    set(domain.is_dying(), DOMINF_DYING);
    set(domain.is_paused_by_controller(), DOMINF_PAUSED);
    set(domain.config.flags & CDF_XS_DOMAIN != 0, DOMINF_XS_DOMAIN);

    let mut up = domain.vcpus().filter(|vcpu| vcpu.sched.is_up());
    set(domain.vcpus().any(|vcpu| vcpu.sched.running_on().is_some()), DOMINF_RUNNING);
    set(up.all(|vcpu| vcpu.sched.is_blocked()), DOMINF_BLOCKED);
    if let ShutdownState::Stopped(reason) = domain.shutdown_state() {
        set(true, DOMINF_SHUTDOWN);
        set(true, (reason.0 & DOMINF_SHUTDOWNMASK) << DOMINF_SHUTDOWNSHIFT);
    }
    flags
}
