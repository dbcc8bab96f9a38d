//! The context of everything: one value of [`Hypervisor`] exists, and every call gets it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU16, Ordering};

use spin::{Mutex, RwLock};
use xen_abi::xen::NR_VIRQS;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::frame::{FrameRef, FrameTable};
use crate::hypercall::version::BuildInfo;
use crate::p2m::{Frames, HostFormat};
use crate::platform::Platform;
use crate::sched::Scheduler;
use crate::timer::Timers;
use crate::types::{DomId, Gfn, Mfn};

/// What the boot has found out and chosen.
pub struct Setup {
    /// The machine's frames.
    pub frames: FrameTable,
    /// The format of second-stage tables.
    pub stage2_format: HostFormat,
    /// The hypervisor's command line, as the boot loader gave it.
    pub cmdline: String,
    /// How the hypervisor was built.
    pub build: BuildInfo,
    /// pCPU numbers are below this.
    pub max_cpus: u32,
}

/// The hypervisor's state that isn't a domain's own.
pub struct Hypervisor<P: Platform> {
    /// The machine.
    pub platform: P,
    /// The machine's frames.
    pub frames: FrameTable,
    /// The format of every domain's second-stage tables.
    pub stage2_format: HostFormat,
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
    /// Nanoseconds since 1970 when system time was 0.
    pub(crate) wallclock_base_ns: Mutex<u64>,
    /// Held during a domctl. It is only ever tried: who finds it taken tries again later.
    pub(crate) domctl_lock: Mutex<()>,
    /// The number that was given to a domain last.
    last_domain_id: AtomicU16,
    domains: RwLock<BTreeMap<DomId, Arc<Domain<P>>>>,
}

impl<P: Platform> Hypervisor<P> {
    /// Makes the context, with no domain yet. pCPUs take part in scheduling from
    /// [`Scheduler::set_online`] on.
    pub fn new(platform: P, setup: Setup) -> Self {
        Self {
            platform,
            frames: setup.frames,
            stage2_format: setup.stage2_format,
            cmdline: setup.cmdline,
            build: setup.build,
            scheduler: Scheduler::new(setup.max_cpus),
            timers: Timers::new(setup.max_cpus),
            virq_handlers: [const { AtomicU16::new(DomId::DOM0.0) }; NR_VIRQS as usize],
            wallclock_base_ns: Mutex::new(0),
            domctl_lock: Mutex::new(()),
            last_domain_id: AtomicU16::new(0),
            domains: RwLock::new(BTreeMap::new()),
        }
    }

    /// The machine's frames and access to what is in them.
    pub fn frames(&self) -> Frames<'_, P> {
        Frames { memory: &self.platform, table: &self.frames }
    }

    /// Takes a reference to the writable memory of its own that a domain has at `gfn`.
    pub(crate) fn pin(&self, domain: &Domain<P>, gfn: Gfn) -> Result<Mfn, Errno> {
        let frame = domain.memory.own_frame(self.frames(), gfn, true);
        frame.map(FrameRef::keep).map_err(|_| Errno::EINVAL)
    }

    /// Gives a reference back.
    pub(crate) fn unpin(&self, mfn: Mfn) {
        self.frames.put(mfn);
    }

    /// The domain of this number.
    pub fn domain(&self, id: DomId) -> Option<Arc<Domain<P>>> {
        self.domains.read().get(&id).cloned()
    }

    /// Every domain, in order of their numbers, as of now.
    pub fn domains(&self) -> Vec<Arc<Domain<P>>> {
        self.domains.read().values().cloned().collect()
    }

    /// A number that no domain has. They are given in turn, so that one isn't soon used again.
    pub(crate) fn free_domain_id(&self) -> Option<DomId> {
        let domains = self.domains.read();
        let last = self.last_domain_id.load(Ordering::Relaxed);
        let limit = DomId::FIRST_RESERVED.0;
        let id = (last.saturating_add(1)..limit)
            .chain(1..=last.min(limit.saturating_sub(1)))
            .map(DomId)
            .find(|id| !domains.contains_key(id))?;
        self.last_domain_id.store(id.0, Ordering::Relaxed);
        Some(id)
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
