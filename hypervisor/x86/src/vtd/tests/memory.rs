//! Machine memory that exists as far as it was touched, and counts its frames.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use hv_core::platform::FrameMemory;
use hv_core::types::{FRAME_BYTES, Mfn};

use crate::vtd::TableMemory;

/// Where frames for tables come from.
const FIRST_TABLE: u64 = 0x10_0000;

pub(super) struct TestMemory {
    frames: RefCell<BTreeMap<u64, Box<[u8; FRAME_BYTES]>>>,
    used: RefCell<BTreeSet<u64>>,
    /// How many frames can still be taken.
    pub(super) left: Cell<u64>,
    /// What was written since it was last written back.
    pub(super) dirty: RefCell<BTreeSet<(u64, usize)>>,
}

impl TestMemory {
    pub(super) fn new() -> Self {
        Self {
            frames: RefCell::default(),
            used: RefCell::default(),
            left: Cell::new(u64::MAX),
            dirty: RefCell::default(),
        }
    }

    /// Frames that were taken and not given back.
    pub(super) fn used(&self) -> usize {
        self.used.borrow().len()
    }

    fn with<R>(&self, mfn: Mfn, run: impl FnOnce(&mut [u8; FRAME_BYTES]) -> R) -> R {
        let mut frames = self.frames.borrow_mut();
        run(frames.entry(mfn.0).or_insert_with(|| Box::new([0xCC; FRAME_BYTES])))
    }

    fn word<const N: usize>(&self, mfn: Mfn, offset: usize) -> [u8; N] {
        assert_eq!(offset % N, 0, "aligned");
        self.with(mfn, |frame| frame[offset..offset + N].try_into().unwrap())
    }

    fn set<const N: usize>(&self, mfn: Mfn, offset: usize, value: [u8; N]) {
        assert_eq!(offset % N, 0, "aligned");
        self.with(mfn, |frame| frame[offset..offset + N].copy_from_slice(&value));
        self.dirty.borrow_mut().insert((mfn.0, offset));
    }
}

impl TableMemory for TestMemory {
    fn allocate(&self) -> Option<Mfn> {
        self.left.set(self.left.get().checked_sub(1)?);
        let mut used = self.used.borrow_mut();
        let mfn = (FIRST_TABLE..).find(|mfn| !used.contains(mfn))?;
        used.insert(mfn);
        Some(Mfn(mfn))
    }

    fn free(&self, frame: Mfn) {
        assert!(self.used.borrow_mut().remove(&frame.0), "freed twice");
        self.with(frame, |frame| frame.fill(0xDD));
    }

    fn write_back(&self, frame: Mfn, offset: usize, bytes: usize) {
        let written = (frame.0, offset)..(frame.0, offset + bytes);
        self.dirty.borrow_mut().retain(|place| !written.contains(place));
    }
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
        self.dirty.borrow_mut().insert((mfn.0, 0));
    }
    fn copy(&self, _: (Mfn, usize), _: (Mfn, usize), _: usize) {
        unimplemented!("tables are never copied")
    }
    fn load_u8(&self, mfn: Mfn, offset: usize) -> u8 {
        u8::from_le_bytes(self.word(mfn, offset))
    }
    fn load_u32(&self, mfn: Mfn, offset: usize) -> u32 {
        u32::from_le_bytes(self.word(mfn, offset))
    }
    fn load_u64(&self, mfn: Mfn, offset: usize) -> u64 {
        u64::from_le_bytes(self.word(mfn, offset))
    }
    fn store_u8(&self, mfn: Mfn, offset: usize, value: u8) {
        self.set(mfn, offset, value.to_le_bytes());
    }
    fn store_u32(&self, mfn: Mfn, offset: usize, value: u32) {
        self.set(mfn, offset, value.to_le_bytes());
    }
    fn store_u64(&self, mfn: Mfn, offset: usize, value: u64) {
        self.set(mfn, offset, value.to_le_bytes());
    }
    fn swap_u8(&self, _: Mfn, _: usize, _: u8) -> u8 {
        unimplemented!("tables are never shared")
    }
    fn fetch_or_u64(&self, _: Mfn, _: usize, _: u64) -> u64 {
        unimplemented!("tables are never shared")
    }
    fn fetch_and_u64(&self, _: Mfn, _: usize, _: u64) -> u64 {
        unimplemented!("tables are never shared")
    }
    fn fetch_or_u32(&self, _: Mfn, _: usize, _: u32) -> u32 {
        unimplemented!("tables are never shared")
    }
    fn fetch_and_u32(&self, _: Mfn, _: usize, _: u32) -> u32 {
        unimplemented!("tables are never shared")
    }
    fn cas_u16(&self, _: Mfn, _: usize, _: u16, _: u16) -> Result<u16, u16> {
        unimplemented!("tables are never shared")
    }
    fn cas_u32(&self, _: Mfn, _: usize, _: u32, _: u32) -> Result<u32, u32> {
        unimplemented!("tables are never shared")
    }
    fn cas_u64(&self, _: Mfn, _: usize, _: u64, _: u64) -> Result<u64, u64> {
        unimplemented!("tables are never shared")
    }
}
