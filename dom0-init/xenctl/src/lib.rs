//! Safe access to the hypervisor and to the kernel's Xen devices.
//!
//! [`Xen`] asks the hypervisor: about itself ([`version`]), the machine ([`host`], [`counters`]),
//! its domains ([`domain`]). [`evtchn`] and [`gntdev`] are the kernel's devices for event
//! channels and granted pages, [`xenbus`] the ring of the kernel itself, [`mapping`] is memory
//! shared with other domains. Structures are
//! those of `xen-abi`, Xen's public headers.
//!
//! All the unsafe code of user space is in this package, so that an audit reads nothing else:
//! addresses that go to the kernel or the hypervisor are made here and never leave.

mod buffer;
mod control;
pub mod counters;
pub mod domain;
mod error;
pub mod evtchn;
pub mod gntdev;
mod grant_copy;
pub mod host;
pub mod hvm;
mod ioctl;
pub mod lifecycle;
pub mod linux;
pub mod loopback;
pub mod mapping;
pub mod physmap;
pub mod privcmd;
mod text;
pub mod version;
pub mod xenbus;

pub use error::{Error, Result};
pub use grant_copy::Piece;
use privcmd::{Privcmd, Resource};
pub use xen_abi;

/// The way to the hypervisor.
#[derive(Debug)]
pub struct Xen {
    privcmd: Privcmd,
}

impl Xen {
    /// Opens it.
    ///
    /// # Errors
    /// When this isn't a control domain, or not root.
    pub fn open() -> Result<Self> {
        Ok(Self { privcmd: Privcmd::open()? })
    }

    /// Maps pages of another domain, given by their frame numbers there.
    ///
    /// # Errors
    /// When the domain is gone, or one of the frames isn't there; nothing is mapped then.
    pub fn map_foreign(&self, domain: u16, frames: &[u64]) -> Result<mapping::Mapping> {
        self.privcmd.map_foreign(domain, frames)
    }

    /// Maps a resource of another domain.
    ///
    /// # Errors
    /// When the domain is gone or has no such resource.
    pub fn map_resource(&self, domain: u16, resource: Resource) -> Result<mapping::Mapping> {
        self.privcmd.map_resource(domain, resource)
    }
}
