//! `grant_table.h`: `grant_table_op(cmd, args, count)` and the entries of a grant table.

use crate::GuestHandle;
use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `grant_table_op`, each on an array of arguments.
    pub struct GrantTableCmd(u32) {
        /// Maps granted pages; [`MapGrantRef`].
        MAP_GRANT_REF = 0, "GNTTABOP_map_grant_ref";
        /// Unmaps; [`UnmapGrantRef`].
        UNMAP_GRANT_REF = 1, "GNTTABOP_unmap_grant_ref";
        /// Grows the table and tells its frames; [`SetupTable`].
        SETUP_TABLE = 2, "GNTTABOP_setup_table";
        /// Prints a table; [`DumpTable`].
        DUMP_TABLE = 3, "GNTTABOP_dump_table";
        /// PV only.
        TRANSFER = 4, "GNTTABOP_transfer";
        /// Copies between granted or own pages; [`GrantCopy`].
        COPY = 5, "GNTTABOP_copy";
        /// Tells the table's size; [`QuerySize`].
        QUERY_SIZE = 6, "GNTTABOP_query_size";
        /// Unmaps, and moves another mapping there; [`UnmapAndReplace`].
        UNMAP_AND_REPLACE = 7, "GNTTABOP_unmap_and_replace";
        /// Chooses version 1 or 2; [`SetVersion`].
        SET_VERSION = 8, "GNTTABOP_set_version";
        /// Version 2: frames of the status words; [`GetStatusFrames`].
        GET_STATUS_FRAMES = 9, "GNTTABOP_get_status_frames";
        /// Tells a domain's version; [`GetVersion`].
        GET_VERSION = 10, "GNTTABOP_get_version";
        /// Exchanges two entries; [`SwapGrantRef`].
        SWAP_GRANT_REF = 11, "GNTTABOP_swap_grant_ref";
        /// Arm only.
        CACHE_FLUSH = 12, "GNTTABOP_cache_flush";
    }
}

open_enum! {
    /// Status of one grant operation.
    pub struct GrantStatus(i16) {
        /// Done.
        OKAY = 0, "GNTST_okay";
        /// Undefined error.
        GENERAL_ERROR = -1, "GNTST_general_error";
        /// Unknown domain.
        BAD_DOMAIN = -2, "GNTST_bad_domain";
        /// Invalid grant reference.
        BAD_GNTREF = -3, "GNTST_bad_gntref";
        /// Invalid mapping handle.
        BAD_HANDLE = -4, "GNTST_bad_handle";
        /// Invalid virtual address.
        BAD_VIRT_ADDR = -5, "GNTST_bad_virt_addr";
        /// Invalid device address.
        BAD_DEV_ADDR = -6, "GNTST_bad_dev_addr";
        /// No space in the IOMMU.
        NO_DEVICE_SPACE = -7, "GNTST_no_device_space";
        /// Not allowed.
        PERMISSION_DENIED = -8, "GNTST_permission_denied";
        /// The page can't be granted.
        BAD_PAGE = -9, "GNTST_bad_page";
        /// A copy crosses a page boundary.
        BAD_COPY_ARG = -10, "GNTST_bad_copy_arg";
        /// Frame number too large.
        ADDRESS_TOO_BIG = -11, "GNTST_address_too_big";
        /// Try again.
        EAGAIN = -12, "GNTST_eagain";
        /// Out of handles.
        NO_SPACE = -13, "GNTST_no_space";
    }
}

constants! {
    // [`EntryV1::flags`]: type of an entry and its bits.
    u16 {
        /// No grant.
        GTF_INVALID = 0, "GTF_invalid";
        /// `domid` may map and copy `frame`.
        GTF_PERMIT_ACCESS = 1, "GTF_permit_access";
        /// `domid` may transfer a page here (PV only).
        GTF_ACCEPT_TRANSFER = 2, "GTF_accept_transfer";
        /// Version 2: the grant of another domain is passed on.
        GTF_TRANSITIVE = 3, "GTF_transitive";
        /// The type.
        GTF_TYPE_MASK = 3, "GTF_type_mask";
        /// Access: read only.
        GTF_READONLY = 1 << 2, "GTF_readonly";
        /// Access: mapped for reading; written by the hypervisor.
        GTF_READING = 1 << 3, "GTF_reading";
        /// Access: mapped for writing; written by the hypervisor.
        GTF_WRITING = 1 << 4, "GTF_writing";
        /// Access: cache attribute for mappings.
        GTF_PWT = 1 << 5;
        /// Access: cache attribute for mappings.
        GTF_PCD = 1 << 6;
        /// Access: cache attribute for mappings.
        GTF_PAT = 1 << 7;
        /// Version 2: only part of the page, by copy.
        GTF_SUB_PAGE = 1 << 8, "GTF_sub_page";
        /// Transfer: begun.
        GTF_TRANSFER_COMMITTED = 1 << 2, "GTF_transfer_committed";
        /// Transfer: done.
        GTF_TRANSFER_COMPLETED = 1 << 3, "GTF_transfer_completed";
    }
}

constants! {
    // Reserved entries, and flags of [`MapGrantRef`].
    u32 {
        /// Entries that the toolstack uses.
        TAB_NR_RESERVED_ENTRIES = 8, "GNTTAB_NR_RESERVED_ENTRIES";
        /// Entry of the console ring.
        TAB_RESERVED_CONSOLE = 0, "GNTTAB_RESERVED_CONSOLE";
        /// Entry of the xenstore ring.
        TAB_RESERVED_XENSTORE = 1, "GNTTAB_RESERVED_XENSTORE";
        /// Map for devices.
        MAP_DEVICE_MAP = 1 << 0, "GNTMAP_device_map";
        /// Map for the CPU.
        MAP_HOST_MAP = 1 << 1, "GNTMAP_host_map";
        /// Read only.
        MAP_READONLY = 1 << 2, "GNTMAP_readonly";
        /// PV only.
        MAP_APPLICATION_MAP = 1 << 3, "GNTMAP_application_map";
        /// PV only.
        MAP_CONTAINS_PTE = 1 << 4, "GNTMAP_contains_pte";
    }
}

constants! {
    // Flags of [`GrantCopy`].
    u16 {
        /// The source is a grant reference.
        COPY_SOURCE_GREF = 1 << 0, "GNTCOPY_source_gref";
        /// The destination is a grant reference.
        COPY_DEST_GREF = 1 << 1, "GNTCOPY_dest_gref";
    }
}

/// One entry of a version 1 table. Write `domid` and `frame` first, then `flags`.
///
/// `grant_entry_v1` in `grant_table.h`.
#[doc(alias = "grant_entry_v1")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EntryV1 {
    /// `GTF_*`.
    pub flags: u16,
    /// Who is granted access.
    pub domid: u16,
    /// The gfn.
    pub frame: u32,
}

layout!(EntryV1, size 8, { flags: 0, domid: 2, frame: 4 });

/// Argument of `GNTTABOP_map_grant_ref`.
///
/// `gnttab_map_grant_ref` in `grant_table.h`.
#[doc(alias = "gnttab_map_grant_ref")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MapGrantRef {
    /// IN: where: a guest physical address.
    pub host_addr: u64,
    /// IN: `MAP_*`.
    pub flags: u32,
    /// IN: the grant reference.
    pub gref: u32,
    /// IN: who granted.
    pub dom: u16,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// OUT: names the mapping for unmapping.
    pub handle: u32,
    /// OUT: the machine address.
    pub dev_bus_addr: u64,
}

layout!(MapGrantRef, size 32, {
    host_addr: 0, flags: 8, gref: 12, dom: 16, status: 18, handle: 20, dev_bus_addr: 24,
});

/// Argument of `GNTTABOP_unmap_grant_ref`.
///
/// `gnttab_unmap_grant_ref` in `grant_table.h`.
#[doc(alias = "gnttab_unmap_grant_ref")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct UnmapGrantRef {
    /// IN: where it is mapped.
    pub host_addr: u64,
    /// IN: its device address, or zero.
    pub dev_bus_addr: u64,
    /// IN: the mapping's handle.
    pub handle: u32,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// Padding.
    pub _pad0: [u8; 2],
}

layout!(UnmapGrantRef, size 24, {
    host_addr: 0, dev_bus_addr: 8, handle: 16, status: 20, _pad0: 22,
});

/// Argument of `GNTTABOP_setup_table`.
///
/// `gnttab_setup_table` in `grant_table.h`.
#[doc(alias = "gnttab_setup_table")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetupTable {
    /// IN: whose table.
    pub dom: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// IN: frames wanted.
    pub nr_frames: u32,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// Padding.
    pub _pad1: [u8; 6],
    /// OUT: u64 frame numbers.
    pub frame_list: GuestHandle,
}

layout!(SetupTable, size 24, {
    dom: 0, _pad0: 2, nr_frames: 4, status: 8, _pad1: 10, frame_list: 16,
});

/// Argument of `GNTTABOP_dump_table`.
///
/// `gnttab_dump_table` in `grant_table.h`.
#[doc(alias = "gnttab_dump_table")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DumpTable {
    /// IN: whose table.
    pub dom: u16,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
}

layout!(DumpTable, size 4, { dom: 0, status: 2 });

/// One end of a [`GrantCopy`].
///
/// `gnttab_copy_ptr` in `grant_table.h`.
#[doc(alias = "gnttab_copy_ptr")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CopyPtr {
    /// A grant reference (low 32 bits; the others are undefined) or a gfn, by the flags.
    pub u: u64,
    /// Whose page.
    pub domid: u16,
    /// Byte in the page.
    pub offset: u16,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(CopyPtr, size 16, { u: 0, domid: 8, offset: 10, _pad0: 12 });

/// Argument of `GNTTABOP_copy`.
///
/// `gnttab_copy` in `grant_table.h`.
#[doc(alias = "gnttab_copy")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GrantCopy {
    /// IN: from.
    pub source: CopyPtr,
    /// IN: to.
    pub dest: CopyPtr,
    /// IN: bytes.
    pub len: u16,
    /// IN: `COPY_*`.
    pub flags: u16,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// Padding.
    pub _pad0: [u8; 2],
}

layout!(GrantCopy, size 40, { source: 0, dest: 16, len: 32, flags: 34, status: 36, _pad0: 38 });

/// Argument of `GNTTABOP_query_size`.
///
/// `gnttab_query_size` in `grant_table.h`.
#[doc(alias = "gnttab_query_size")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct QuerySize {
    /// IN: whose table.
    pub dom: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// OUT: frames it has.
    pub nr_frames: u32,
    /// OUT: frames it may have.
    pub max_nr_frames: u32,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// Padding.
    pub _pad1: [u8; 2],
}

layout!(QuerySize, size 16, {
    dom: 0, _pad0: 2, nr_frames: 4, max_nr_frames: 8, status: 12, _pad1: 14,
});

/// Argument of `GNTTABOP_unmap_and_replace`.
///
/// `gnttab_unmap_and_replace` in `grant_table.h`.
#[doc(alias = "gnttab_unmap_and_replace")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct UnmapAndReplace {
    /// IN: where it is mapped.
    pub host_addr: u64,
    /// IN: the mapping to move there.
    pub new_addr: u64,
    /// IN: the mapping's handle.
    pub handle: u32,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// Padding.
    pub _pad0: [u8; 2],
}

layout!(UnmapAndReplace, size 24, { host_addr: 0, new_addr: 8, handle: 16, status: 20, _pad0: 22 });

/// Argument of `GNTTABOP_set_version`.
///
/// `gnttab_set_version` in `grant_table.h`.
#[doc(alias = "gnttab_set_version")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetVersion {
    /// IN: 1 or 2; OUT: the version in use.
    pub version: u32,
}

layout!(SetVersion, size 4, { version: 0 });

/// Argument of `GNTTABOP_get_status_frames`.
///
/// `gnttab_get_status_frames` in `grant_table.h`.
#[doc(alias = "gnttab_get_status_frames")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetStatusFrames {
    /// IN: frames wanted.
    pub nr_frames: u32,
    /// IN: whose table.
    pub dom: u16,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// OUT: u64 frame numbers.
    pub frame_list: GuestHandle,
}

layout!(GetStatusFrames, size 16, { nr_frames: 0, dom: 4, status: 6, frame_list: 8 });

/// Argument of `GNTTABOP_get_version`.
///
/// `gnttab_get_version` in `grant_table.h`.
#[doc(alias = "gnttab_get_version")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetVersion {
    /// IN: whose table.
    pub dom: u16,
    /// Padding; zero.
    pub _pad0: u16,
    /// OUT: 1 or 2.
    pub version: u32,
}

layout!(GetVersion, size 8, { dom: 0, _pad0: 2, version: 4 });

/// Argument of `GNTTABOP_swap_grant_ref`.
///
/// `gnttab_swap_grant_ref` in `grant_table.h`.
#[doc(alias = "gnttab_swap_grant_ref")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SwapGrantRef {
    /// IN: one.
    pub ref_a: u32,
    /// IN: the other.
    pub ref_b: u32,
    /// OUT: one of the `GNTST_*` codes.
    pub status: GrantStatus,
    /// Padding.
    pub _pad0: [u8; 2],
}

layout!(SwapGrantRef, size 12, { ref_a: 0, ref_b: 4, status: 8, _pad0: 10 });
