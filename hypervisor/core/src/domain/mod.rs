//! A domain: the container of vCPUs, memory, event channels and grants.
//!
//! Its life (pauses, shutdown, destruction) is in [`lifecycle`].

mod lifecycle;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};

use spin::{Mutex, Once};
use xen_abi::xen::{SharedInfo, VcpuInfo, VmAssistType};

use crate::errno::Errno;
use crate::event_channel::DomainEvents;
use crate::frame::{FrameKind, Request};
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::sched::share::DomainShare;
use crate::types::{DomId, Mfn, VcpuId};
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
    /// How many frames of mapping handles it may use (1024 mappings to a frame, or so).
    pub max_maptrack_frames: u32,
    /// Whether it may use the toolstack's hypercalls and act on every domain.
    pub privileged: bool,
    /// Whether it owns the machine's devices.
    pub hardware: bool,
    /// Whether its own frames are at gfn == mfn.
    pub identity_mapped: bool,
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
    /// Its event channels.
    pub events: DomainEvents<P>,
    vcpus: Box<[Once<Arc<Vcpu<P>>>]>,
    shared_info: Mfn,
    lifecycle: Mutex<Lifecycle>,
    /// Copy of the lifecycle's, for readers without the lock.
    dying: AtomicBool,
    /// The domain that this one may act for, as device models do; `DomId::INVALID` if none.
    target: AtomicU16,
    handle: Mutex<[u8; 16]>,
    /// The [`VmAssistType`]s that are on, as bits.
    assists: AtomicU32,
}

impl<P: Platform> Domain<P> {
    /// The page of [`SharedInfo`]. It is zeroed when the domain is made, and the hypervisor's
    /// for as long as the domain exists.
    pub fn shared_info(&self) -> Mfn {
        self.shared_info
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

    /// Whether a behaviour that the guest can choose is on.
    pub fn assists(&self, kind: VmAssistType) -> bool {
        self.assists.load(Ordering::Relaxed) & assist_bit(kind) != 0
    }

    /// Switches a behaviour that the guest can choose.
    pub fn set_assist(&self, kind: VmAssistType, on: bool) {
        if on {
            self.assists.fetch_or(assist_bit(kind), Ordering::Relaxed);
        } else {
            self.assists.fetch_and(!assist_bit(kind), Ordering::Relaxed);
        }
    }

    /// Where the vCPU's part of the shared info page is, for those that have one there.
    fn shared_vcpu_info(&self, vcpu: VcpuId) -> Option<(Mfn, usize)> {
        let index = vcpu.0 as usize;
        let places = (offset_of!(SharedInfo, evtchn_pending) - offset_of!(SharedInfo, vcpu_info))
            / size_of::<VcpuInfo>();
        (index < places).then(|| (self.shared_info, index * size_of::<VcpuInfo>()))
    }
}

fn assist_bit(kind: VmAssistType) -> u32 {
    1_u32.checked_shl(kind.0).unwrap_or(0)
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
        let request = Request::new(0, FrameKind::Shared, config.id);
        let shared_info =
            self.frames.alloc_zeroed(&self.platform, &request).ok_or(Errno::ENOMEM)?;
        let domain = Arc::new(Domain {
            id: config.id,
            arch,
            share: Arc::new(DomainShare::new()),
            events: DomainEvents::new(config.max_event_port),
            vcpus: (0..config.max_vcpus).map(|_| Once::new()).collect(),
            shared_info,
            lifecycle: Mutex::new(Lifecycle::new()),
            dying: AtomicBool::new(false),
            target: AtomicU16::new(DomId::INVALID.0),
            handle: Mutex::new(config.handle),
            assists: AtomicU32::new(0),
            config,
        });
        domain.share.pause();
        let inserted = self.insert_domain(domain.clone());
        if let Err(errno) = inserted {
            self.frames.put(shared_info);
            return Err(errno);
        }
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
        Ok(vcpu.clone())
    }
}
