//! The argument unions of `domctl`, `sysctl` and `platform_op`: raw bytes that are read as the
//! one structure that the command names.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A C union of `WORDS` 64-bit words. [`read`](Self::read) and [`write`](Self::write) view its
/// start as one of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(transparent)]
pub struct Payload<const WORDS: usize>(pub [u64; WORDS]);

impl<const WORDS: usize> Payload<WORDS> {
    /// All bytes zero.
    pub const ZERO: Self = Self([0; WORDS]);

    /// A union that holds `value`, the rest zero. A `value` larger than the union doesn't compile.
    #[must_use]
    pub fn new<T: IntoBytes + Immutable>(value: &T) -> Self {
        let mut payload = Self::ZERO;
        payload.write(value);
        payload
    }

    /// The union's start as a `T`. A `T` larger than the union doesn't compile.
    #[must_use]
    pub fn read<T: FromBytes>(&self) -> T {
        const { assert!(size_of::<T>() <= WORDS * 8) };
        match T::read_from_prefix(self.0.as_bytes()) {
            Ok((value, _rest)) => value,
            Err(_too_small) => T::new_zeroed(),
        }
    }

    /// Overwrites the union's start with `value`; the bytes behind it stay.
    pub fn write<T: IntoBytes + Immutable>(&mut self, value: &T) {
        const { assert!(size_of::<T>() <= WORDS * 8) };
        for (to, from) in self.0.as_mut_bytes().iter_mut().zip(value.as_bytes()) {
            *to = *from;
        }
    }
}

impl<const WORDS: usize> Default for Payload<WORDS> {
    fn default() -> Self {
        Self::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_value_reads_back_and_leaves_the_rest() {
        let mut payload = Payload::<2>([u64::MAX; 2]);
        payload.write(&0x1234_5678_u32);
        assert_eq!(payload.read::<u32>(), 0x1234_5678);
        assert_eq!(payload.0, [0xffff_ffff_1234_5678, u64::MAX]);
        assert_eq!(Payload::<2>::new(&7_u8).0, [7, 0]);
    }

    #[test]
    fn whole_union_reads_as_an_array() {
        assert_eq!(Payload::<2>([1, 2]).read::<[u64; 2]>(), [1, 2]);
    }
}
