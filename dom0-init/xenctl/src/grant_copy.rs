//! Copies between this process and pages that other domains grant, without mapping them: the
//! hypervisor does it, and looks at each grant.
#![expect(unsafe_code, reason = "ioctls")]

use std::io;

use rustix::ioctl::Opcode;
use xen_abi::PAGE_SIZE;
use xen_abi::grant_table::{COPY_DEST_GREF, COPY_SOURCE_GREF, GrantStatus};

use crate::error::{Error, Result};
use crate::gntdev::Grants;
use crate::ioctl::{address_of, address_of_mut, call, xen_opcode};

const DEVICE: &str = "/dev/xen/gntdev";

/// A part of a granted page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// The page's grant.
    pub reference: u32,
    /// Where the part begins in the page, in bytes.
    pub offset: u16,
    /// Its length in bytes.
    pub length: u16,
}

/// `struct gntdev_grant_copy_segment` of `xen/gntdev.h`. Each end is an address of this process,
/// or a grant reference, an offset and a domain.
#[repr(C)]
struct Segment {
    source: u64,
    dest: u64,
    length: u16,
    flags: u16,
    status: i16,
    padding: u16,
}

/// `struct ioctl_gntdev_grant_copy`.
#[repr(C)]
struct CopyArgument {
    count: u32,
    padding: u32,
    segments: u64,
}

const _: () = assert!(size_of::<Segment>() == 24);
const _: () = assert!(size_of::<CopyArgument>() == 16);

const COPY: Opcode = xen_opcode::<CopyArgument>(b'G', 8);

impl Grants {
    /// Copies parts of a domain's pages, one behind the other, into `bytes`.
    ///
    /// # Errors
    /// When the parts aren't as long as `bytes` together, or one of them isn't inside of a page,
    /// or isn't granted to this domain.
    pub fn copy_in(&self, domain: u16, pieces: &[Piece], bytes: &mut [u8]) -> Result<()> {
        let length = bytes.len();
        self.copy(domain, pieces, address_of_mut(bytes), length, COPY_SOURCE_GREF)
    }

    /// Copies `bytes` into parts of a domain's pages, one behind the other.
    ///
    /// # Errors
    /// As [`Self::copy_in`], or when one may only be read.
    pub fn copy_out(&self, domain: u16, pieces: &[Piece], bytes: &[u8]) -> Result<()> {
        self.copy(domain, pieces, address_of(bytes), bytes.len(), COPY_DEST_GREF)
    }

    /// Copies between parts of pages and as many bytes from `address` on, which the caller has
    /// borrowed, mutably if they are copied to.
    fn copy(
        &self,
        domain: u16,
        pieces: &[Piece],
        address: u64,
        length: usize,
        flags: u16,
    ) -> Result<()> {
        let is_inside = |piece: &Piece| {
            usize::from(piece.offset) + usize::from(piece.length) <= PAGE_SIZE && piece.length > 0
        };
        let total: usize = pieces.iter().map(|piece| usize::from(piece.length)).sum();
        if total != length || !pieces.iter().all(is_inside) {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        let mut next = address;
        let segment = |piece: &Piece| {
            let there = u64::from(piece.reference)
                | u64::from(piece.offset) << 32
                | u64::from(domain) << 48;
            let here = next;
            next += u64::from(piece.length);
            let (source, dest) =
                if flags == COPY_SOURCE_GREF { (there, here) } else { (here, there) };
            Segment { source, dest, length: piece.length, flags, status: 0, padding: 0 }
        };
        let mut segments: Vec<Segment> = pieces.iter().map(segment).collect();
        let count = u32::try_from(segments.len()).map_err(io::Error::other).map_err(failed)?;
        let mut argument =
            CopyArgument { count, padding: 0, segments: address_of_mut(&mut segments) };
        // SAFETY: the call reads and writes `count` segments, which live until it returns, and
        // accesses the bytes that they lead to, all of which are in the caller's slice.
        unsafe { call(&*self.device, COPY, &mut argument) }.map_err(failed)?;
        let refused = segments.iter().find(|segment| segment.status != GrantStatus::OKAY.0);
        match refused {
            None => Ok(()),
            Some(segment) => {
                let why = GrantStatus(segment.status).name().unwrap_or("an unknown status");
                Err(failed(io::Error::other(why)))
            }
        }
    }
}

fn failed(source: io::Error) -> Error {
    Error::Device { device: DEVICE, what: "can't copy from or to granted pages", source }
}
