//! `/dev/xen/privcmd`: hypercalls, and the memory of other domains.
#![expect(unsafe_code, reason = "ioctls that read and write memory by address")]

use std::fs::{File, OpenOptions};
use std::io;

use rustix::ioctl::Opcode;
use xen_abi::PAGE_SIZE;

use crate::buffer::HypercallBuffer;
use crate::error::{Error, Result};
use crate::ioctl::{address_of, call, xen_opcode};
use crate::mapping::Mapping;

const PRIVCMD: &str = "/dev/xen/privcmd";
const HYPERCALL: &str = "/dev/xen/hypercall";

/// `struct privcmd_hypercall` of `xen/privcmd.h`.
#[repr(C)]
struct HypercallArgument {
    operation: u64,
    arguments: [u64; 5],
}

/// `struct privcmd_mmapbatch_v2`.
#[repr(C)]
struct MapBatchArgument {
    count: u32,
    domain: u16,
    address: u64,
    frames: u64,
    errors: u64,
}

/// `struct privcmd_mmap_resource`.
#[repr(C)]
struct MapResourceArgument {
    domain: u16,
    kind: u32,
    id: u32,
    index: u32,
    count: u64,
    address: u64,
}

const _: () = assert!(size_of::<HypercallArgument>() == 48);
const _: () = assert!(size_of::<MapBatchArgument>() == 32);
const _: () = assert!(size_of::<MapResourceArgument>() == 32);

const CALL: Opcode = xen_opcode::<HypercallArgument>(b'P', 0);
const MAP_BATCH: Opcode = xen_opcode::<MapBatchArgument>(b'P', 4);
const MAP_RESOURCE: Opcode = xen_opcode::<MapResourceArgument>(b'P', 7);

/// The two devices behind every hypercall.
#[derive(Debug)]
pub struct Privcmd {
    privcmd: File,
    hypercall: File,
}

impl Privcmd {
    /// Opens them.
    ///
    /// # Errors
    /// When this isn't a control domain, or not root.
    pub fn open() -> Result<Self> {
        let open = |device| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(device)
                .map_err(|source| Error::opening(device, source))
        };
        Ok(Self { privcmd: open(PRIVCMD)?, hypercall: open(HYPERCALL)? })
    }

    /// A buffer for a hypercall's arguments.
    pub(crate) fn buffer(&self, bytes: usize) -> Result<HypercallBuffer> {
        HypercallBuffer::new(&self.hypercall, bytes).map_err(Self::no_buffer)
    }

    /// A buffer that holds a value.
    pub(crate) fn buffer_with<T: zerocopy::IntoBytes + zerocopy::Immutable>(
        &self,
        value: &T,
    ) -> Result<HypercallBuffer> {
        HypercallBuffer::holding(&self.hypercall, value).map_err(Self::no_buffer)
    }

    fn no_buffer(source: io::Error) -> Error {
        Error::Device { device: HYPERCALL, what: "can't allocate a buffer", source }
    }

    /// Makes a hypercall; `name` is for the error.
    ///
    /// # Safety
    /// Whatever memory of this process the call reads or writes must belong to `buffers`, and
    /// the call must not change how this process's memory is mapped.
    pub(crate) unsafe fn hypercall(
        &self,
        name: &'static str,
        operation: u64,
        arguments: [u64; 5],
        _buffers: &mut [&mut HypercallBuffer],
    ) -> Result<u32> {
        let mut argument = HypercallArgument { operation, arguments };
        // SAFETY: the structure is this call's, and the caller vouches for the addresses.
        let result = unsafe { call(&self.privcmd, CALL, &mut argument) };
        match result {
            Ok(value) => Ok(value.cast_unsigned()),
            Err(source) => Err(match source.raw_os_error() {
                Some(errno) => Error::Hypercall { call: name, errno },
                None => Error::Device { device: PRIVCMD, what: name, source },
            }),
        }
    }

    /// Maps pages of another domain, given by their frame numbers there.
    ///
    /// # Errors
    /// When the domain is gone, or one of the frames isn't there; nothing is mapped then.
    pub fn map_foreign(&self, domain: u16, frames: &[u64]) -> Result<Mapping> {
        let failed = |source| Error::Device {
            device: PRIVCMD,
            what: "can't map another domain's memory",
            source,
        };
        let mapping =
            Mapping::of_device(&self.privcmd, frames.len() * PAGE_SIZE, 0).map_err(failed)?;
        let errors = vec![0_i32; frames.len()];
        let mut argument = MapBatchArgument {
            count: u32::try_from(frames.len()).map_err(io::Error::other).map_err(failed)?,
            domain,
            address: mapping.address(),
            frames: address_of(frames),
            errors: address_of(&errors),
        };
        // SAFETY: frames and errors have `count` entries and live until the call returns, and
        // the mapping is ours and has that many pages, which nothing refers to yet.
        unsafe { call(&self.privcmd, MAP_BATCH, &mut argument) }.map_err(failed)?;
        match errors.iter().find(|&&error| error != 0) {
            None => Ok(mapping),
            Some(error) => Err(failed(io::Error::from_raw_os_error(error.wrapping_neg()))),
        }
    }

    /// Maps a resource of another domain (`XENMEM_acquire_resource`): its grant table, or a
    /// device model's ring.
    ///
    /// # Errors
    /// When the domain is gone or has no such resource.
    pub fn map_resource(&self, domain: u16, resource: Resource) -> Result<Mapping> {
        let failed = |source| Error::Device {
            device: PRIVCMD,
            what: "can't map another domain's resource",
            source,
        };
        let Resource { kind, id, first_frame, frames } = resource;
        let length = usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(PAGE_SIZE);
        let mapping = Mapping::of_device(&self.privcmd, length, 0).map_err(failed)?;
        let mut argument = MapResourceArgument {
            domain,
            kind,
            id,
            index: first_frame,
            count: u64::from(frames),
            address: mapping.address(),
        };
        // SAFETY: the mapping is ours and has `frames` pages, which nothing refers to yet.
        unsafe { call(&self.privcmd, MAP_RESOURCE, &mut argument) }.map_err(failed)?;
        Ok(mapping)
    }
}

/// Which part of which resource to map; see `memory.h`, `XENMEM_resource_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// What it is.
    pub kind: u32,
    /// Which of that kind.
    pub id: u32,
    /// From which of its frames.
    pub first_frame: u32,
    /// How many frames.
    pub frames: u32,
}
