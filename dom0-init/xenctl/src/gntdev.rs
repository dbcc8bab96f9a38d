//! `/dev/xen/gntdev`: pages that other domains grant to this one.
#![expect(unsafe_code, reason = "ioctls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::sync::Arc;

use rustix::ioctl::Opcode;
use xen_abi::PAGE_SIZE;

use crate::error::{Error, Result};
use crate::ioctl::{call, xen_opcode};
use crate::mapping::Mapping;

const DEVICE: &str = "/dev/xen/gntdev";

/// How many grants one mapping may have, so that its argument stays a fixed structure.
pub const MOST_GRANTS: usize = 16;

#[derive(Clone, Copy)]
#[repr(C)]
struct GrantReference {
    domain: u32,
    reference: u32,
}

/// `struct ioctl_gntdev_map_grant_ref` of `xen/gntdev.h`, with room for more references.
#[repr(C)]
struct MapArgument {
    count: u32,
    padding: u32,
    index: u64,
    references: [GrantReference; MOST_GRANTS],
}

/// The same with one reference, whose size the opcode carries.
#[repr(C)]
struct MapOneArgument {
    count: u32,
    padding: u32,
    index: u64,
    reference: GrantReference,
}

/// `struct ioctl_gntdev_unmap_grant_ref`.
#[repr(C)]
struct UnmapArgument {
    index: u64,
    count: u32,
    padding: u32,
}

const _: () = assert!(size_of::<MapOneArgument>() == 24);
const _: () = assert!(size_of::<UnmapArgument>() == 16);

const MAP: Opcode = xen_opcode::<MapOneArgument>(b'G', 0);
const UNMAP: Opcode = xen_opcode::<UnmapArgument>(b'G', 1);

/// Maps granted pages.
#[derive(Debug)]
pub struct Grants {
    pub(crate) device: Arc<File>,
}

/// Granted pages; they are given back when this is dropped.
#[derive(Debug)]
pub struct GrantMapping {
    device: Arc<File>,
    pages: Option<Mapping>,
    index: u64,
    count: u32,
}

impl Grants {
    /// Opens the device.
    ///
    /// # Errors
    /// When this isn't a domain of Xen, or not root.
    pub fn open() -> Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(DEVICE)
            .map_err(|source| Error::opening(DEVICE, source))?;
        Ok(Self { device: Arc::new(device) })
    }

    /// Maps the pages that a domain grants under these references, one behind the other.
    ///
    /// # Errors
    /// When there are more than [`MOST_GRANTS`], or one of them isn't granted to this domain.
    pub fn map(&self, domain: u16, references: &[u32]) -> Result<GrantMapping> {
        if references.is_empty() || references.len() > MOST_GRANTS {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let count = u32::try_from(references.len()).map_err(io::Error::other).map_err(failed)?;
        let nothing = GrantReference { domain: 0, reference: 0 };
        let mut argument =
            MapArgument { count, padding: 0, index: 0, references: [nothing; MOST_GRANTS] };
        for (slot, &reference) in argument.references.iter_mut().zip(references) {
            *slot = GrantReference { domain: u32::from(domain), reference };
        }
        // SAFETY: the call reads `count` references behind the fixed part, which the structure
        // has room for, and writes the index.
        unsafe { call(&*self.device, MAP, &mut argument) }.map_err(failed)?;
        let device = Arc::clone(&self.device);
        let mut grants = GrantMapping { device, pages: None, index: argument.index, count };
        let length = references.len() * PAGE_SIZE;
        let pages = Mapping::of_device(&self.device, length, argument.index).map_err(failed)?;
        grants.pages = Some(pages);
        Ok(grants)
    }
}

impl GrantMapping {
    /// The pages.
    pub fn pages(&self) -> Option<&Mapping> {
        self.pages.as_ref()
    }
}

impl Drop for GrantMapping {
    fn drop(&mut self) {
        // The kernel wants the pages unmapped before their grants are released.
        self.pages = None;
        let mut argument = UnmapArgument { index: self.index, count: self.count, padding: 0 };
        // SAFETY: the call reads the index and count and writes no memory of ours.
        let released = unsafe { call(&*self.device, UNMAP, &mut argument) };
        debug_assert!(released.is_ok(), "the grants were ours: {released:?}");
    }
}

fn failed(source: io::Error) -> Error {
    Error::Device { device: DEVICE, what: "can't map granted pages", source }
}
