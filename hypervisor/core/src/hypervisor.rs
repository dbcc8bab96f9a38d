//! The context of everything: one value of [`Hypervisor`] exists, and every call gets it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU16;

use spin::RwLock;
use xen_abi::xen::NR_VIRQS;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::frame::FrameTable;
use crate::hypercall::version::BuildInfo;
use crate::platform::Platform;
use crate::sched::Scheduler;
use crate::timer::Timers;
use crate::types::DomId;

/// The hypervisor's state that isn't a domain's own.
pub struct Hypervisor<P: Platform> {
    /// The machine.
    pub platform: P,
    /// The machine's frames.
    pub frames: FrameTable,
    /// The hypervisor's command line, as the boot loader gave it.
    pub cmdline: String,
    /// How it was built.
    pub build: BuildInfo,
    /// Which vCPU runs where.
    pub scheduler: Scheduler<P>,
    /// The vCPUs' timers.
    pub timers: Timers<P>,
    /// By number, the domain that gets each global virtual interrupt.
    pub(crate) virq_handlers: [AtomicU16; NR_VIRQS as usize],
    domains: RwLock<BTreeMap<DomId, Arc<Domain<P>>>>,
}

impl<P: Platform> Hypervisor<P> {
    /// Makes the context for a machine of up to `max_cpus` pCPUs, with no domain yet. pCPUs take
    /// part in scheduling from [`Scheduler::set_online`] on.
    pub fn new(
        platform: P,
        frames: FrameTable,
        cmdline: String,
        build: BuildInfo,
        max_cpus: u32,
    ) -> Self {
        Self {
            platform,
            frames,
            cmdline,
            build,
            scheduler: Scheduler::new(max_cpus),
            timers: Timers::new(max_cpus),
            virq_handlers: [const { AtomicU16::new(DomId::DOM0.0) }; NR_VIRQS as usize],
            domains: RwLock::new(BTreeMap::new()),
        }
    }

    /// The domain of this number.
    pub fn domain(&self, id: DomId) -> Option<Arc<Domain<P>>> {
        self.domains.read().get(&id).cloned()
    }

    /// Every domain, in order of their numbers, as of now.
    pub fn domains(&self) -> Vec<Arc<Domain<P>>> {
        self.domains.read().values().cloned().collect()
    }

    /// Makes a domain known by its number.
    pub(crate) fn insert_domain(&self, domain: Arc<Domain<P>>) -> Result<(), Errno> {
        let mut domains = self.domains.write();
        if domains.contains_key(&domain.id) {
            return Err(Errno::EEXIST);
        }
        domains.insert(domain.id, domain);
        Ok(())
    }

    /// Forgets a domain that is gone.
    pub(crate) fn remove_domain(&self, id: DomId) {
        self.domains.write().remove(&id);
    }
}
