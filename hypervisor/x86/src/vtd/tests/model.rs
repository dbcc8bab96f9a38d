//! A remapping unit in software, written from the specification and not from the driver: its
//! registers, its queue, its caches (which keep all they ever saw until told), its walk.

use std::cell::RefCell;
use std::collections::BTreeMap;

use hv_core::platform::FrameMemory;
use hv_core::types::Mfn;

use super::memory::TestMemory;
use crate::vtd::Registers;

/// What a unit is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    pub(super) levels: u32,
    pub(super) queue: bool,
    pub(super) coherent: bool,
    pub(super) write_buffer: bool,
    /// Commands are ignored.
    pub(super) dead: bool,
}

pub(super) const TYPICAL: Kind =
    Kind { levels: 4, queue: true, coherent: true, write_buffer: false, dead: false };

/// Where the fault records and the IOTLB registers are.
const RECORDS: u64 = 0x220;
const IOTLB: u64 = 0xF0;

/// Why a request was refused (7.3.1).
pub(super) const NO_ROOT: u8 = 1;
pub(super) const NO_CONTEXT: u8 = 2;
pub(super) const BEYOND: u8 = 4;
pub(super) const NO_WRITE: u8 = 5;
pub(super) const NO_READ: u8 = 6;

#[derive(Clone, Copy)]
struct Context {
    root: Mfn,
    levels: u32,
    domain: u16,
}

#[derive(Default)]
struct State {
    status: u32,
    root: u64,
    root_in_use: u64,
    queue: u64,
    head: u64,
    fault_status: u32,
    protected: u32,
    record: [u64; 2],
    contexts: BTreeMap<u16, Context>,
    translations: BTreeMap<(u16, u64), (u64, bool)>,
}

pub(super) struct Model<'a> {
    kind: Kind,
    memory: &'a TestMemory,
    state: RefCell<State>,
}

impl<'a> Model<'a> {
    pub(super) fn new(memory: &'a TestMemory, kind: Kind) -> Self {
        Self { kind, memory, state: RefCell::default() }
    }

    /// As some firmware leaves it: everything on, memory protected.
    pub(super) fn left_on(self) -> Self {
        self.state.borrow_mut().status = 1 << 31 | 1 << 26 | 1 << 25;
        self.state.borrow_mut().protected = 1 << 31 | 1;
        self
    }

    pub(super) fn status(&self) -> u32 {
        self.state.borrow().status
    }

    pub(super) fn is_protected(&self) -> bool {
        self.state.borrow().protected != 0
    }

    /// A request of a device: where it goes.
    pub(super) fn dma(&self, requester: u16, address: u64, write: bool) -> Result<u64, u8> {
        let mut state = self.state.borrow_mut();
        if state.status & 1 << 31 == 0 {
            return Ok(address);
        }
        let result = self.translate(&mut state, requester, address, write);
        if let Err(reason) = result {
            if state.record[1] >> 63 != 0 {
                state.fault_status |= 1;
            } else {
                let read = u64::from(!write) << 62;
                let high = 1 << 63 | read | u64::from(reason) << 32 | u64::from(requester);
                state.record = [address & !0xFFF, high];
                state.fault_status |= 2;
            }
        }
        result
    }

    fn translate(
        &self,
        state: &mut State,
        requester: u16,
        address: u64,
        write: bool,
    ) -> Result<u64, u8> {
        let context = match state.contexts.get(&requester) {
            Some(context) => *context,
            None => self.context(state.root_in_use, requester)?,
        };
        state.contexts.insert(requester, context);
        if address >> (12 + 9 * context.levels) != 0 {
            return Err(BEYOND);
        }
        let key = (context.domain, address >> 12);
        let (frame, writable) = match state.translations.get(&key) {
            Some(found) => *found,
            None => self.walk(context, address).ok_or(if write { NO_WRITE } else { NO_READ })?,
        };
        state.translations.insert(key, (frame, writable));
        if write && !writable {
            return Err(NO_WRITE);
        }
        Ok(frame << 12 | address & 0xFFF)
    }

    fn context(&self, root: u64, requester: u16) -> Result<Context, u8> {
        let entry = |table: u64, index: u64| {
            let at =
                |offset| self.memory.load_u64(Mfn(table >> 12), (index * 16 + offset) as usize);
            [at(0), at(8)]
        };
        let [root, _] = entry(root, u64::from(requester >> 8));
        if root & 1 == 0 {
            return Err(NO_ROOT);
        }
        let [low, high] = entry(root, u64::from(requester & 0xFF));
        if low & 1 == 0 {
            return Err(NO_CONTEXT);
        }
        assert_eq!(low & 0xFFE, 0, "untranslated requests, faults processed");
        let levels = (high & 7) as u32 + 2;
        assert_eq!(levels, self.kind.levels, "a width that the unit supports");
        assert_ne!(high >> 8 & 0xFFFF, 0, "domain 0 is reserved");
        Ok(Context { root: Mfn(low >> 12), levels, domain: (high >> 8) as u16 })
    }

    fn walk(&self, context: Context, address: u64) -> Option<(u64, bool)> {
        let mut table = context.root;
        let mut writable = true;
        for level in (0..context.levels).rev() {
            let index = address >> (12 + 9 * level) & 511;
            let entry = self.memory.load_u64(table, index as usize * 8);
            if entry & 3 == 0 {
                return None;
            }
            writable &= entry & 2 != 0;
            let frame = entry >> 12 & 0xFF_FFFF_FFFF;
            if level == 0 || entry & 1 << 7 != 0 {
                let size = 1u64 << (9 * level);
                assert_eq!(frame & (size - 1), 0, "reserved bits");
                return Some((frame | address >> 12 & (size - 1), writable));
            }
            table = Mfn(frame);
        }
        None
    }

    fn command(&self, state: &mut State, command: u32) {
        const LASTING: u32 = 1 << 31 | 1 << 26 | 1 << 25;
        if self.kind.dead {
            return;
        }
        state.status = state.status & !LASTING | command & LASTING;
        if command & 1 << 30 != 0 {
            state.root_in_use = state.root;
            state.status |= 1 << 30;
        }
        assert!(command & 1 << 27 == 0 || self.kind.write_buffer, "no write buffer");
    }

    fn run_queue(&self, state: &mut State, tail: u64) {
        assert_ne!(state.status & 1 << 26, 0, "the queue is on");
        while state.head != tail {
            let at = |offset| {
                self.memory.load_u64(Mfn(state.queue >> 12), (state.head + offset) as usize)
            };
            let (low, high) = (at(0), at(8));
            match low & 0xF {
                1 => self.forget_contexts(state, low >> 4 & 3),
                2 => self.forget_translations(state, low >> 4 & 3, (low >> 16) as u16),
                5 => {
                    assert_ne!(low & 1 << 5, 0, "a status is written");
                    let status = (low >> 32) as u32;
                    let offset = (high & 0xFFC) as usize;
                    self.memory.write(Mfn(high >> 12), offset, &status.to_le_bytes());
                }
                other => panic!("descriptor of type {other}"),
            }
            state.head = (state.head + 16) % 4096;
        }
    }

    fn forget_contexts(&self, state: &mut State, scope: u64) {
        assert_eq!(scope, 1, "global");
        assert!(self.kind.coherent || self.memory.dirty.borrow().is_empty(), "written back");
        state.contexts.clear();
    }

    fn forget_translations(&self, state: &mut State, scope: u64, domain: u16) {
        assert!(self.kind.coherent || self.memory.dirty.borrow().is_empty(), "written back");
        state.translations.retain(|(of, _), _| scope == 2 && *of != domain);
    }
}

impl Registers for &Model<'_> {
    fn read32(&self, offset: u64) -> u32 {
        let state = self.state.borrow();
        match offset {
            0x1C => state.status,
            0x34 => state.fault_status,
            0x64 => state.protected,
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn read64(&self, offset: u64) -> u64 {
        let state = self.state.borrow();
        let kind = self.kind;
        match offset {
            0x08 => {
                let levels = 1u64 << (kind.levels + 6);
                let pages = 0b11 << 34;
                2 | u64::from(kind.write_buffer) << 4
                    | 0b11 << 5
                    | levels
                    | pages
                    | (RECORDS / 16) << 24
            }
            0x10 => u64::from(kind.coherent) | u64::from(kind.queue) << 1 | (IOTLB / 16) << 8,
            0x28 | 0xF8 => 0,
            RECORDS => state.record[0],
            0x228 => state.record[1],
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write32(&self, offset: u64, value: u32) {
        let state = &mut *self.state.borrow_mut();
        match offset {
            0x18 => self.command(state, value),
            0x34 => state.fault_status &= !(value & 0x7D),
            0x38 => assert_eq!(value, 1 << 31),
            0x64 => state.protected = value & 1 << 31 | value >> 31,
            0x22C if value >> 31 != 0 => {
                state.record[1] &= !(1 << 63);
                state.fault_status &= !2;
            }
            _ => panic!("write of {offset:#x}"),
        }
    }

    fn write64(&self, offset: u64, value: u64) {
        let state = &mut *self.state.borrow_mut();
        match offset {
            0x20 => state.root = value,
            0x28 if value >> 63 != 0 => self.forget_contexts(state, value >> 61 & 3),
            0xF8 if value >> 63 != 0 => {
                self.forget_translations(state, value >> 60 & 3, (value >> 32) as u16);
            }
            0x88 if state.status & 1 << 26 == 0 => assert_eq!(value, 0),
            0x88 => self.run_queue(state, value),
            0x90 => (state.queue, state.head) = (value, 0),
            _ => panic!("write of {offset:#x}"),
        }
    }
}
