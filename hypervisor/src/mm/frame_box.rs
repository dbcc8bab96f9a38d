//! A frame of the hypervisor's own that hardware reads or writes by its physical address.
#![expect(unsafe_code, reason = "makes a place for a value out of a frame")]

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use hv_core::types::{FRAME_BYTES, Hpa};
use zerocopy::FromZeros;

use super::{frames, phys};

/// A value alone in a run of frames (a power of two of them), which it owns until it is dropped.
#[derive(Debug)]
pub struct FrameBox<T> {
    place: NonNull<T>,
    hpa: Hpa,
    _owns: PhantomData<T>,
}

// SAFETY: it owns the value, as `Box` does.
unsafe impl<T: Send> Send for FrameBox<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for FrameBox<T> {}

impl<T> FrameBox<T> {
    const ORDER: u32 = size_of::<T>().div_ceil(FRAME_BYTES).next_power_of_two().ilog2();

    /// Frames of zeroes, which are a valid `T`. `None` if there are none.
    pub fn try_zeroed() -> Option<Self>
    where
        T: FromZeros,
    {
        const { assert!(align_of::<T>() <= FRAME_BYTES) };
        let hpa = frames::take(Self::ORDER)?;
        phys::zero(hpa, size_of::<T>());
        let place = NonNull::new(phys::pointer(hpa, size_of::<T>()).cast::<T>())?;
        Some(Self { place, hpa, _owns: PhantomData })
    }

    /// Where the value is, for hardware.
    pub fn hpa(&self) -> Hpa {
        self.hpa
    }
}

impl<T> Deref for FrameBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the box owns the value, which `try_new` wrote.
        unsafe { self.place.as_ref() }
    }
}

impl<T> DerefMut for FrameBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the box owns the value, which `try_new` wrote.
        unsafe { self.place.as_mut() }
    }
}

impl<T> Drop for FrameBox<T> {
    fn drop(&mut self) {
        // SAFETY: the box owned the value, and is never used again.
        unsafe { self.place.drop_in_place() };
        frames::give(self.hpa, Self::ORDER);
    }
}
