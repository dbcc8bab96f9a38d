//! A domain: the container of vCPUs, memory, event channels and grants.
//!
//! Its life (pauses, shutdown) is in [`lifecycle`], its end in [`destroy`].

mod destroy;
mod info;
mod lifecycle;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};

use spin::{Mutex, MutexGuard, Once};
use xen_abi::xen::{SharedInfo, VcpuInfo};

use crate::errno::Errno;
use crate::event_channel::DomainEvents;
use crate::grant_table::{GrantLimits, GrantTable};
use crate::hypervisor::Hypervisor;
use crate::memory::{DomainMemory, Placement};
use crate::params::HvmParams;
use crate::platform::Platform;
use crate::sched::share::DomainShare;
use crate::time::guest::DomainTime;
use crate::types::{DomId, Mfn, Port, VcpuId};
use crate::vcpu::Vcpu;

use lifecycle::Lifecycle;
pub use lifecycle::{Progress, ShutdownState};

/// What is fixed when a domain is made.
#[derive(Clone, Debug)]
pub struct DomainConfig {
    /// Its number.
    pub id: DomId,
    /// The toolstack's identifier for it, a UUID.
    pub handle: [u8; 16],
    /// How many vCPUs it may have.
    pub max_vcpus: u32,
    /// The highest event channel port that it may use.
    pub max_event_port: u32,
    /// How many frames its grant table may grow to.
    pub max_grant_frames: u32,
    /// How many frames of mapping handles it may use (256 mappings to a frame).
    pub max_maptrack_frames: u32,
    /// Whether it may use the toolstack's hypercalls and act on every domain.
    pub privileged: bool,
    /// Whether it owns the machine's devices.
    pub hardware: bool,
    /// Where its frames may lie.
    pub placement: Placement,
    /// The `XEN_DOMCTL_CDF_*` flags that it was created with.
    pub flags: u32,
    /// The `XEN_X86_EMU_*` flags that it was created with.
    pub emulation_flags: u32,
}

/// A domain. Always held in an `Arc`.
pub struct Domain<P: Platform> {
    /// Its number.
    pub id: DomId,
    /// What it was made with.
    pub config: DomainConfig,
    /// The architecture's part.
    pub arch: P::DomainArch,
    /// Its share of the pCPUs.
    pub share: Arc<DomainShare>,
    /// Its memory.
    pub memory: DomainMemory,
    /// What it grants to others, and maps of theirs.
    pub grants: GrantTable,
    /// Its event channels.
    pub events: DomainEvents<P>,
    /// Its time.
    pub time: DomainTime,
    /// Its HVM parameters.
    pub params: HvmParams,
    vcpus: Box<[Once<Arc<Vcpu<P>>>]>,
    lifecycle: Mutex<Lifecycle>,
    /// Copy of the lifecycle's, for readers without the lock.
    dying: AtomicBool,
    /// The domain that this one may act for, as device models do; `DomId::INVALID` if none.
    target: AtomicU16,
    handle: Mutex<[u8; 16]>,
    marks_runstate_updates: AtomicBool,
    watchdogs: Mutex<()>,
    /// The port that the toolstack waits on for the domain's suspension; 0 for none.
    suspend_port: AtomicU32,
}

impl<P: Platform> Domain<P> {
    /// The page of [`SharedInfo`].
    pub fn shared_info(&self) -> Mfn {
        self.memory.shared_info()
    }

    /// The vCPU of this number, if the domain has it.
    pub fn vcpu(&self, id: VcpuId) -> Option<&Arc<Vcpu<P>>> {
        self.vcpus.get(id.0 as usize)?.get()
    }

    /// The domain's vCPUs, in order of their numbers.
    pub fn vcpus(&self) -> impl Iterator<Item = &Arc<Vcpu<P>>> {
        self.vcpus.iter().filter_map(Once::get)
    }

    /// Whether the domain may use the toolstack's hypercalls and act on every domain.
    pub fn is_privileged(&self) -> bool {
        self.config.privileged
    }

    /// Whether this domain may act on `other` as if it were `other`.
    pub fn is_privileged_for(&self, other: &Self) -> bool {
        self.config.privileged || self.target.load(Ordering::Relaxed) == other.id.0
    }

    /// Lets this domain act for another one.
    pub fn set_target(&self, target: DomId) {
        self.target.store(target.0, Ordering::Relaxed);
    }

    /// Whether the domain is being destroyed: nothing may be added to it any more.
    pub fn is_dying(&self) -> bool {
        self.dying.load(Ordering::Acquire)
    }

    /// The toolstack's identifier for the domain.
    pub fn handle(&self) -> [u8; 16] {
        *self.handle.lock()
    }

    /// Changes the toolstack's identifier for the domain.
    pub fn set_handle(&self, handle: [u8; 16]) {
        *self.handle.lock() = handle;
    }

    /// Sets the port on which the toolstack is told that the domain has suspended itself; 0 for
    /// none.
    pub(crate) fn subscribe(&self, port: Port) {
        self.suspend_port.store(port.0, Ordering::Release);
    }

    /// Sets whether guests are told, in the areas that they registered for runstates by virtual
    /// address, that an update is under way.
    pub fn mark_runstate_updates(&self, on: bool) {
        self.marks_runstate_updates.store(on, Ordering::Release);
        for vcpu in self.vcpus() {
            let mut runstate = vcpu.runstate.lock();
            runstate.marks_updates = on || runstate.is_physical;
        }
    }

    /// See [`Self::mark_runstate_updates`].
    pub(crate) fn marks_runstate_updates(&self) -> bool {
        self.marks_runstate_updates.load(Ordering::Acquire)
    }

    /// Keeps other vCPUs from changing the domain's watchdogs.
    pub(crate) fn lock_watchdogs(&self) -> MutexGuard<'_, ()> {
        self.watchdogs.lock()
    }

    /// Where the vCPU's part of the shared info page is, for those that have one there.
    fn shared_vcpu_info(&self, vcpu: VcpuId) -> Option<(Mfn, usize)> {
        let index = vcpu.0 as usize;
        let places = (offset_of!(SharedInfo, evtchn_pending) - offset_of!(SharedInfo, vcpu_info))
            / size_of::<VcpuInfo>();
        (index < places).then(|| (self.shared_info(), index * size_of::<VcpuInfo>()))
    }
}

impl<P: Platform> Hypervisor<P> {
    /// Makes a domain without vCPUs, paused once as if by [`Self::pause_domain`], and makes it
    /// known by its number.
    ///
    /// # Errors
    /// `EEXIST` if there is one of that number; `ENOMEM`.
    pub fn create_domain(
        &self,
        config: DomainConfig,
        arch: P::DomainArch,
    ) -> Result<Arc<Domain<P>>, Errno> {
        if self.domain(config.id).is_some() {
            return Err(Errno::EEXIST);
        }
        let memory =
            DomainMemory::new(self.frames(), self.stage2_format, config.id, config.placement)
                .map_err(|_| Errno::ENOMEM)?;
        let limits = GrantLimits {
            frames: config.max_grant_frames,
            maptrack_frames: config.max_maptrack_frames,
        };
        let grants = GrantTable::new(self.frames(), config.id, limits).map_err(|_| {
            memory.tear_down(self.frames(), u64::MAX);
            memory.free_shared_info(self.frames());
            Errno::ENOMEM
        })?;
        let domain = Arc::new(Domain {
            id: config.id,
            arch,
            share: Arc::new(DomainShare::new()),
            memory,
            grants,
            events: DomainEvents::new(config.max_event_port),
            time: DomainTime::new(self.platform.clock()),
            params: HvmParams::new(),
            vcpus: (0..config.max_vcpus).map(|_| Once::new()).collect(),
            lifecycle: Mutex::new(Lifecycle::new()),
            dying: AtomicBool::new(false),
            target: AtomicU16::new(DomId::INVALID.0),
            handle: Mutex::new(config.handle),
            marks_runstate_updates: AtomicBool::new(false),
            watchdogs: Mutex::new(()),
            suspend_port: AtomicU32::new(0),
            config,
        });
        domain.share.pause();
        if let Err(errno) = self.insert_domain(domain.clone()) {
            domain.grants.free_frames(self.frames());
            domain.memory.tear_down(self.frames(), u64::MAX);
            domain.memory.free_shared_info(self.frames());
            return Err(errno);
        }
        self.publish_wallclock(&domain);
        Ok(domain)
    }

    /// Gives a domain its vCPU number `id`, which is down.
    ///
    /// # Errors
    /// `EINVAL` if `id` is beyond what the domain may have; `EEXIST` if it has that one.
    pub fn add_vcpu(
        &self,
        domain: &Arc<Domain<P>>,
        id: VcpuId,
        arch: P::VcpuArch,
    ) -> Result<Arc<Vcpu<P>>, Errno> {
        let slot = domain.vcpus.get(id.0 as usize).ok_or(Errno::EINVAL)?;
        if slot.is_completed() {
            return Err(Errno::EEXIST);
        }
        let info = domain.shared_vcpu_info(id);
        let vcpu = slot.call_once(|| Vcpu::new(domain, id, arch, info, self.platform.now()));
        self.adopt(vcpu);
        self.publish_time(domain, vcpu);
        Ok(vcpu.clone())
    }
}
