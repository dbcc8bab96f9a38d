//! A domain: the container of vCPUs, memory, event channels and grants.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use spin::Once;

use crate::errno::Errno;
use crate::platform::Platform;
use crate::types::{DomId, VcpuId};
use crate::vcpu::Vcpu;

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
    vcpus: Box<[Once<Arc<Vcpu<P>>>]>,
    /// The domain that this one may act for, as device models do; `DomId::INVALID` if none.
    target: AtomicU16,
    dying: AtomicBool,
}

impl<P: Platform> Domain<P> {
    /// Makes a domain without vCPUs.
    pub fn new(config: DomainConfig, arch: P::DomainArch) -> Arc<Self> {
        let vcpus = (0..config.max_vcpus).map(|_| Once::new()).collect();
        Arc::new(Self {
            id: config.id,
            arch,
            vcpus,
            target: AtomicU16::new(DomId::INVALID.0),
            dying: AtomicBool::new(false),
            config,
        })
    }

    /// Gives the domain its vCPU number `id`.
    ///
    /// # Errors
    /// `EINVAL` if `id` is beyond what the domain may have; `EEXIST` if it has that one.
    pub fn add_vcpu(self: &Arc<Self>, id: VcpuId, arch: P::VcpuArch) -> Result<(), Errno> {
        let slot = self.vcpus.get(id.0 as usize).ok_or(Errno::EINVAL)?;
        if slot.is_completed() {
            return Err(Errno::EEXIST);
        }
        slot.call_once(|| Vcpu::new(Arc::downgrade(self), self.id, id, arch));
        Ok(())
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

    /// Whether the domain is being destroyed: nothing may be added to it any more.
    pub fn is_dying(&self) -> bool {
        self.dying.load(Ordering::Acquire)
    }
}

/// A domain that may be gone.
pub type WeakDomain<P> = Weak<Domain<P>>;
