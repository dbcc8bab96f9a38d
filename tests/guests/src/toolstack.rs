//! What only dom0 may do: `domctl` and `sysctl`.

use crate::hypercall::privileged;
use crate::{Errno, report};
use xen_abi::Payload;
use xen_abi::domctl::{self, Domctl, DomctlCmd, GetDomainInfo};
use xen_abi::sysctl::{self, PhysInfo, Sysctl, SysctlCmd};
use xen_abi::xen::Hypercall;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Makes a `sysctl`; `arg` is what it says afterwards. Handles in it must lead to pages.
pub fn sysctl<T: FromBytes + IntoBytes + Immutable>(cmd: SysctlCmd, arg: &mut T) -> i64 {
    let interface_version = sysctl::INTERFACE_VERSION;
    let mut call = Sysctl { cmd, interface_version, u: Payload::new(arg) };
    let result = raw_sysctl(&mut call);
    *arg = call.u.read();
    result
}

/// Makes a `domctl` on a domain; `arg` is what it says afterwards, and so is `domain`. Handles in
/// it must lead to pages.
pub fn domctl<T: FromBytes + IntoBytes + Immutable>(
    cmd: DomctlCmd,
    domain: &mut u16,
    arg: &mut T,
) -> i64 {
    let interface_version = domctl::INTERFACE_VERSION;
    let u = Payload::new(arg);
    let mut call = Domctl { cmd, interface_version, domain: *domain, u, ..Domctl::default() };
    let result = raw_domctl(&mut call);
    *arg = call.u.read();
    *domain = call.domain;
    result
}

/// Makes a `domctl` as it is. Handles in it must lead to pages.
pub fn raw_domctl(call: &mut Domctl) -> i64 {
    privileged(Hypercall::DOMCTL, call)
}

/// Makes a `sysctl` as it is. Handles in it must lead to pages.
pub fn raw_sysctl(call: &mut Sysctl) -> i64 {
    privileged(Hypercall::SYSCTL, call)
}

/// Makes a `domctl` without an argument.
pub fn domctl_plain(cmd: DomctlCmd, domain: u16) -> i64 {
    domctl(cmd, &mut { domain }, &mut 0_u64)
}

/// Describes a domain; `None` if there is none.
#[must_use]
pub fn domain_info(domain: u16) -> Option<GetDomainInfo> {
    let mut info = GetDomainInfo::default();
    match domctl(DomctlCmd::GETDOMAININFO, &mut { domain }, &mut info) {
        0 => Some(info),
        error if error == Errno::ESRCH.negated() => None,
        error => report::failure(format_args!("getdomaininfo of {domain} returned {error}")),
    }
}

/// Describes the host.
#[must_use]
pub fn physinfo() -> PhysInfo {
    let mut info = PhysInfo::default();
    match sysctl(SysctlCmd::PHYSINFO, &mut info) {
        0 => info,
        error => report::failure(format_args!("physinfo returned {error}")),
    }
}
