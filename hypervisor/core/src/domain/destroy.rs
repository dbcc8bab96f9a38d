//! A domain's end: everything that it had is given back, in steps that let others run.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use xen_abi::xen::Virq;

use crate::domain::{Domain, Progress};
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::types::DomId;

impl<P: Machine> Hypervisor<P> {
    /// Destroys a domain, which must not be the caller's. Only under the domctl lock; to be
    /// called until it is done. Each step can be repeated.
    pub fn destroy_domain(&self, domain: &Arc<Domain<P>>) -> Progress {
        if !domain.dying.swap(true, Ordering::AcqRel) {
            self.condemn(domain);
        }
        if self.reset_events(domain) == Progress::Again {
            return Progress::Again;
        }
        self.release_event_memory(domain);
        for vcpu in domain.vcpus() {
            self.release_areas(vcpu);
        }
        if self.relinquish_memory(domain) == Progress::Again {
            return Progress::Again;
        }
        self.bury(domain);
        Progress::Done
    }

    /// From now on the domain never runs again, and nothing can be added to it.
    fn condemn(&self, domain: &Domain<P>) {
        self.hold_domain_sync(domain);
        for vcpu in domain.vcpus() {
            self.timers.cancel_all(vcpu);
        }
        self.platform.release_domain(domain);
    }

    /// The last step. What others still map of the domain stays until they unmap it.
    fn bury(&self, domain: &Domain<P>) {
        self.remove_domain(domain.id);
        for vcpu in domain.vcpus() {
            self.disown(vcpu);
        }
        for handler in &self.virq_handlers {
            // A number that is given to another domain must not bring it this one's interrupts.
            let _ = handler.compare_exchange(
                domain.id.0,
                DomId::DOM0.0,
                Ordering::AcqRel,
                Ordering::Relaxed,
            );
        }
        domain.time.close();
        domain.memory.free_shared_info(self.frames());
        self.raise_global_virq(Virq::DOM_EXC);
    }
}
