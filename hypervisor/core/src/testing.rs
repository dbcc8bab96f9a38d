//! Test doubles: machine memory over a map, in which untouched frames hold garbage.

pub(crate) mod machine;
pub(crate) mod platform;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::sync::atomic::AtomicU64;

use spin::Mutex;

use crate::frame::{FrameLayout, FrameRange, FrameTable};
use crate::platform::FrameMemory;
use crate::types::{FRAME_BYTES, Mfn};

/// What frames hold that no one has written: something that a guest must never see.
pub(crate) const GARBAGE: u8 = 0xcc;

/// Machine memory that exists as far as it was touched.
#[derive(Default)]
pub(crate) struct TestMemory {
    chunks: Mutex<BTreeMap<u64, Chunk>>,
}

type Frame = Box<[u8; FRAME_BYTES]>;
/// 512 frames.
type Chunk = Vec<Option<Frame>>;

impl TestMemory {
    fn with<R>(&self, mfn: Mfn, run: impl FnOnce(&mut [u8; FRAME_BYTES]) -> R) -> R {
        let mut chunks = self.chunks.lock();
        let chunk = chunks.entry(mfn.0 >> 9).or_insert_with(|| (0..512).map(|_| None).collect());
        let frame = &mut chunk[mfn.0 as usize & 511];
        run(frame.get_or_insert_with(|| Box::new([GARBAGE; FRAME_BYTES])))
    }

    fn bytes<const N: usize>(&self, mfn: Mfn, offset: usize) -> [u8; N] {
        assert_eq!(offset % N, 0, "aligned");
        self.with(mfn, |frame| frame[offset..offset + N].try_into().unwrap())
    }

    fn update<const N: usize>(
        &self,
        mfn: Mfn,
        offset: usize,
        change: impl FnOnce([u8; N]) -> Option<[u8; N]>,
    ) -> Result<[u8; N], [u8; N]> {
        assert_eq!(offset % N, 0, "aligned");
        self.with(mfn, |frame| {
            let old: [u8; N] = frame[offset..offset + N].try_into().unwrap();
            match change(old) {
                Some(new) => {
                    frame[offset..offset + N].copy_from_slice(&new);
                    Ok(old)
                }
                None => Err(old),
            }
        })
    }

    /// The frame's content.
    pub(crate) fn frame(&self, mfn: Mfn) -> [u8; FRAME_BYTES] {
        self.with(mfn, |frame| *frame)
    }
}

/// A compare-and-swap, a swap or a fetch-op of one width.
macro_rules! atomic {
    ($self:ident, $mfn:ident, $offset:ident, $int:ty, $old:ident => $new:expr) => {
        $self
            .update($mfn, $offset, |bytes| {
                let $old = <$int>::from_le_bytes(bytes);
                let new: Option<$int> = $new;
                new.map(<$int>::to_le_bytes)
            })
            .map(<$int>::from_le_bytes)
            .map_err(<$int>::from_le_bytes)
    };
}

impl FrameMemory for TestMemory {
    fn read(&self, mfn: Mfn, offset: usize, into: &mut [u8]) {
        self.with(mfn, |frame| into.copy_from_slice(&frame[offset..offset + into.len()]));
    }
    fn write(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        self.with(mfn, |frame| frame[offset..offset + from.len()].copy_from_slice(from));
    }
    fn zero(&self, mfn: Mfn) {
        self.with(mfn, |frame| frame.fill(0));
    }
    fn copy(&self, from: (Mfn, usize), to: (Mfn, usize), len: usize) {
        let source = self.frame(from.0);
        self.write(to.0, to.1, &source[from.1..from.1 + len]);
    }
    fn load_u8(&self, mfn: Mfn, offset: usize) -> u8 {
        u8::from_le_bytes(self.bytes(mfn, offset))
    }
    fn load_u32(&self, mfn: Mfn, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes(mfn, offset))
    }
    fn load_u64(&self, mfn: Mfn, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes(mfn, offset))
    }
    fn store_u8(&self, mfn: Mfn, offset: usize, value: u8) {
        self.write(mfn, offset, &value.to_le_bytes());
    }
    fn store_u32(&self, mfn: Mfn, offset: usize, value: u32) {
        self.write(mfn, offset, &value.to_le_bytes());
    }
    fn store_u64(&self, mfn: Mfn, offset: usize, value: u64) {
        self.write(mfn, offset, &value.to_le_bytes());
    }
    fn swap_u8(&self, mfn: Mfn, offset: usize, value: u8) -> u8 {
        atomic!(self, mfn, offset, u8, _old => Some(value)).unwrap()
    }
    fn fetch_or_u64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        atomic!(self, mfn, offset, u64, old => Some(old | bits)).unwrap()
    }
    fn fetch_and_u64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        atomic!(self, mfn, offset, u64, old => Some(old & bits)).unwrap()
    }
    fn fetch_or_u32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        atomic!(self, mfn, offset, u32, old => Some(old | bits)).unwrap()
    }
    fn fetch_and_u32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        atomic!(self, mfn, offset, u32, old => Some(old & bits)).unwrap()
    }
    fn cas_u16(&self, mfn: Mfn, offset: usize, old: u16, new: u16) -> Result<u16, u16> {
        atomic!(self, mfn, offset, u16, now => (now == old).then_some(new))
    }
    fn cas_u32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32> {
        atomic!(self, mfn, offset, u32, now => (now == old).then_some(new))
    }
    fn cas_u64(&self, mfn: Mfn, offset: usize, old: u64, new: u64) -> Result<u64, u64> {
        atomic!(self, mfn, offset, u64, now => (now == old).then_some(new))
    }
}

/// A frame table whose RAM is these ranges.
pub(crate) fn frame_table(ram: &[FrameRange]) -> FrameTable {
    let layout = FrameLayout::of(ram);
    let storage: Vec<AtomicU64> = (0..layout.words()).map(|_| AtomicU64::new(!0)).collect();
    FrameTable::new(layout, ram, Vec::leak(storage))
}
