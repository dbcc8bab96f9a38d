//! `io/blkif.h`: block devices.

use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Operation of a request.
    pub struct BlkifOp(u8) {
        /// Reads.
        READ = 0, "BLKIF_OP_READ";
        /// Writes.
        WRITE = 1, "BLKIF_OP_WRITE";
        /// Writes, after all before it and before all after it.
        WRITE_BARRIER = 2, "BLKIF_OP_WRITE_BARRIER";
        /// Flushes.
        FLUSH_DISKCACHE = 3, "BLKIF_OP_FLUSH_DISKCACHE";
        /// Reserved.
        RESERVED_1 = 4, "BLKIF_OP_RESERVED_1";
        /// Discards: [`BlkifRequestDiscard`].
        DISCARD = 5, "BLKIF_OP_DISCARD";
        /// Segments are in other pages: [`BlkifRequestIndirect`].
        INDIRECT = 6, "BLKIF_OP_INDIRECT";
    }
}

constants! {
    // Limits.
    usize {
        /// Segments of a request.
        MAX_SEGMENTS_PER_REQUEST = 11, "BLKIF_MAX_SEGMENTS_PER_REQUEST";
        /// Segment pages of an indirect request.
        MAX_INDIRECT_PAGES_PER_REQUEST = 8, "BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST";
    }
}

/// Part of a granted page.
///
/// `blkif_request_segment` in `io/blkif.h`.
#[doc(alias = "blkif_request_segment")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BlkifRequestSegment {
    /// The page.
    pub gref: u32,
    /// First sector of 512 bytes.
    pub first_sect: u8,
    /// Last sector.
    pub last_sect: u8,
    /// Padding.
    pub _pad0: [u8; 2],
}

layout!(BlkifRequestSegment, size 8, { gref: 0, first_sect: 4, last_sect: 5, _pad0: 6 });

/// A request to read, write or flush.
///
/// `blkif_request` in `io/blkif.h`.
#[doc(alias = "blkif_request")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BlkifRequest {
    /// What.
    pub operation: BlkifOp,
    /// Segments.
    pub nr_segments: u8,
    /// Device.
    pub handle: u16,
    /// Padding.
    pub _pad0: [u8; 4],
    /// Echoed in the answer.
    pub id: u64,
    /// First sector of 512 bytes.
    pub sector_number: u64,
    /// The segments.
    pub seg: [BlkifRequestSegment; 11],
}

layout!(BlkifRequest, size 112, {
    operation: 0, nr_segments: 1, handle: 2, _pad0: 4, id: 8, sector_number: 16, seg: 24,
});

/// A request to discard.
///
/// `blkif_request_discard` in `io/blkif.h`.
#[doc(alias = "blkif_request_discard")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BlkifRequestDiscard {
    /// `DISCARD`.
    pub operation: BlkifOp,
    /// Bit 0: secure.
    pub flag: u8,
    /// Device.
    pub handle: u16,
    /// Padding.
    pub _pad0: [u8; 4],
    /// Echoed in the answer.
    pub id: u64,
    /// First sector of 512 bytes.
    pub sector_number: u64,
    /// How many.
    pub nr_sectors: u64,
}

layout!(BlkifRequestDiscard, size 32, {
    operation: 0, flag: 1, handle: 2, _pad0: 4, id: 8, sector_number: 16, nr_sectors: 24,
});

/// A request whose segments are in other pages.
///
/// `blkif_request_indirect` in `io/blkif.h`.
#[doc(alias = "blkif_request_indirect")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BlkifRequestIndirect {
    /// `INDIRECT`.
    pub operation: BlkifOp,
    /// What.
    pub indirect_op: BlkifOp,
    /// Segments.
    pub nr_segments: u16,
    /// Padding.
    pub _pad0: [u8; 4],
    /// Echoed in the answer.
    pub id: u64,
    /// First sector of 512 bytes.
    pub sector_number: u64,
    /// Device.
    pub handle: u16,
    /// Padding.
    pub _pad1: [u8; 2],
    /// Pages of [`BlkifRequestSegment`]s.
    pub indirect_grefs: [u32; 8],
    /// Padding.
    pub _pad2: [u8; 4],
}

layout!(BlkifRequestIndirect, size 64, {
    operation: 0, indirect_op: 1, nr_segments: 2, _pad0: 4, id: 8, sector_number: 16, handle: 24,
    _pad1: 26, indirect_grefs: 28, _pad2: 60,
});

/// An answer.
///
/// `blkif_response` in `io/blkif.h`.
#[doc(alias = "blkif_response")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BlkifResponse {
    /// Of the request.
    pub id: u64,
    /// Of the request.
    pub operation: BlkifOp,
    /// Padding.
    pub _pad0: [u8; 1],
    /// `RSP_*`.
    pub status: i16,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(BlkifResponse, size 16, { id: 0, operation: 8, _pad0: 9, status: 10, _pad1: 12 });

constants! {
    // Values of [`BlkifResponse::status`].
    i16 {
        /// Not supported.
        RSP_EOPNOTSUPP = -2, "BLKIF_RSP_EOPNOTSUPP";
        /// Failed.
        RSP_ERROR = -1, "BLKIF_RSP_ERROR";
        /// Done.
        RSP_OKAY = 0, "BLKIF_RSP_OKAY";
    }
}

constants! {
    // Bits of the xenstore node `info`.
    u32 {
        /// A CD-ROM.
        VDISK_CDROM = 1;
        /// Removable.
        VDISK_REMOVABLE = 2;
        /// Read-only.
        VDISK_READONLY = 4;
    }
}
