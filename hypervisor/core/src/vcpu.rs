//! A vCPU: one thread of execution of a domain.

use alloc::sync::{Arc, Weak};

use crate::domain::Domain;
use crate::platform::Platform;
use crate::types::{DomId, VcpuId};

/// A vCPU. Always held in an `Arc`; its domain holds it, it doesn't hold its domain.
pub struct Vcpu<P: Platform> {
    /// Its index in its domain.
    pub id: VcpuId,
    /// Its domain's number.
    pub domid: DomId,
    domain: Weak<Domain<P>>,
    /// The architecture's part.
    pub arch: P::VcpuArch,
}

impl<P: Platform> Vcpu<P> {
    pub(crate) fn new(
        domain: Weak<Domain<P>>,
        domid: DomId,
        id: VcpuId,
        arch: P::VcpuArch,
    ) -> Arc<Self> {
        Arc::new(Self { id, domid, domain, arch })
    }

    /// The vCPU's domain; `None` while that is being dropped.
    pub fn domain(&self) -> Option<Arc<Domain<P>>> {
        self.domain.upgrade()
    }
}
