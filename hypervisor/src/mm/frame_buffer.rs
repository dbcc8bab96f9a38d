//! Bytes in frames of their own, for what is too large for the heap and not kept for long.
#![expect(unsafe_code, reason = "makes a slice out of frames")]

use core::ops::{Deref, DerefMut};

use hv_core::types::{FRAME_BYTES, Hpa};

use super::{frames, phys};

/// A run of bytes in contiguous frames, which are given back when it is dropped.
#[derive(Debug)]
pub struct FrameBuffer {
    start: Hpa,
    len: usize,
    order: u32,
}

impl FrameBuffer {
    /// `len` zeroes. `None` if there are no frames for it in one piece.
    pub fn new(len: usize) -> Option<Self> {
        let order = len.div_ceil(FRAME_BYTES).next_power_of_two().ilog2();
        let start = frames::take(order)?;
        phys::zero(start, len);
        Some(Self { start, len, order })
    }
}

impl Deref for FrameBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let place = phys::pointer(self.start, self.len);
        // SAFETY: the frames are this buffer's own, mapped, and were zeroed.
        unsafe { core::slice::from_raw_parts(place, self.len) }
    }
}

impl DerefMut for FrameBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        let place = phys::pointer(self.start, self.len);
        // SAFETY: the frames are this buffer's own, mapped, and were zeroed.
        unsafe { core::slice::from_raw_parts_mut(place, self.len) }
    }
}

impl Drop for FrameBuffer {
    fn drop(&mut self) {
        frames::give(self.start, self.order);
    }
}
