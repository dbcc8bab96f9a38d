//! `io/ring.h`: head of the shared rings of block and network devices. Requests and answers share
//! the entries that follow it; indices are free-running.

use crate::macros::layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Head of a shared ring.
///
/// `blkif_sring` in `io/ring.h`.
#[doc(alias = "blkif_sring")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SringHeader {
    /// Requests produced, by the frontend.
    pub req_prod: u32,
    /// The backend wants a notification at this request.
    pub req_event: u32,
    /// Answers produced, by the backend.
    pub rsp_prod: u32,
    /// The frontend wants a notification at this answer.
    pub rsp_event: u32,
    /// For the device class.
    pub pvt: [u8; 4],
    /// Padding; zero.
    pub _pad0: [u8; 44],
}

layout!(SringHeader, size 64, {
    req_prod: 0, req_event: 4, rsp_prod: 8, rsp_event: 12, pvt: 16, _pad0: 20,
});

/// Entries of a ring of `bytes` whose entries have `entry_bytes`: as many as fit, rounded down to
/// a power of two; 0 if none fits.
#[must_use]
pub const fn ring_entries(bytes: usize, entry_bytes: usize) -> usize {
    let room = bytes.saturating_sub(size_of::<SringHeader>());
    match room.checked_div(entry_bytes) {
        None | Some(0) => 0,
        Some(entries) => 1 << entries.ilog2(),
    }
}

#[cfg(test)]
mod tests {
    use super::ring_entries;

    #[test]
    fn block_and_network_rings() {
        assert_eq!(ring_entries(4096, 112), 32);
        assert_eq!(ring_entries(4096, 12), 256);
        assert_eq!(ring_entries(4096, 8), 256);
        assert_eq!(ring_entries(64, 8), 0);
        assert_eq!(ring_entries(4096, 0), 0);
    }
}
