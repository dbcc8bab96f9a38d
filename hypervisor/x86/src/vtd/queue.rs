//! Queued invalidation: requests in a ring of one frame, carried out in order.
//!
//! Source: Intel VT-d specification 4.1, 6.5.2.

use hv_core::types::{FRAME_BYTES, FRAME_SHIFT, Mfn};

use super::context::DomainTag;
use super::memory::{OutOfFrames, TableMemory, Writer};
use super::registers::{FAULT_STATUS, QUEUE_ADDRESS, QUEUE_ERRORS, QUEUE_TAIL, Registers};
use super::unit::{SPINS, UnitError};

const DESCRIPTOR_BYTES: usize = 16;

const SLOTS: usize = FRAME_BYTES / DESCRIPTOR_BYTES;

const CONTEXT_CACHE: u64 = 1;
const IOTLB: u64 = 2;
const WAIT: u64 = 5;
/// Of context-cache and IOTLB descriptors: everything.
const GLOBAL: u64 = 1 << 4;
/// Of IOTLB descriptors: one domain's.
const DOMAIN: u64 = 2 << 4;
/// Of IOTLB descriptors: wait for reads and writes that are on their way.
const DRAIN: u64 = 0b11 << 6;
/// Of wait descriptors: write a word when all before is done.
const WRITE_STATUS: u64 = 1 << 5;

/// What to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forget {
    Contexts,
    Translations,
    TranslationsOf(DomainTag),
}

impl Forget {
    const fn descriptor(self) -> u64 {
        match self {
            Self::Contexts => CONTEXT_CACHE | GLOBAL,
            Self::Translations => IOTLB | GLOBAL | DRAIN,
            Self::TranslationsOf(tag) => IOTLB | DOMAIN | DRAIN | tag.number() << 16,
        }
    }
}

/// A unit's ring, and the word that says how far it came.
#[derive(Debug)]
pub(super) struct Queue {
    ring: Mfn,
    status: Mfn,
    tail: usize,
    /// What the word becomes with the next wait.
    ticket: u32,
    coherent: bool,
}

impl Queue {
    /// Sets up a ring that the unit doesn't read yet.
    pub(super) fn new(
        memory: &impl TableMemory,
        registers: &impl Registers,
        coherent: bool,
    ) -> Result<Self, OutOfFrames> {
        let writer = Writer { memory, coherent };
        let ring = writer.table()?;
        let status = match writer.table() {
            Ok(status) => status,
            Err(error) => {
                memory.free(ring);
                return Err(error);
            }
        };
        registers.write64(QUEUE_TAIL, 0);
        registers.write64(QUEUE_ADDRESS, ring.0 << FRAME_SHIFT);
        Ok(Self { ring, status, tail: 0, ticket: 0, coherent })
    }

    /// Returns once the unit has forgotten what it was asked to.
    pub(super) fn forget(
        &mut self,
        memory: &impl TableMemory,
        registers: &impl Registers,
        what: Forget,
    ) -> Result<(), UnitError> {
        self.ticket = self.ticket.wrapping_add(1);
        self.push(memory, [what.descriptor(), 0]);
        let status = self.status.0 << FRAME_SHIFT;
        self.push(memory, [WAIT | WRITE_STATUS | u64::from(self.ticket) << 32, status]);
        registers.write64(QUEUE_TAIL, self.tail.wrapping_mul(DESCRIPTOR_BYTES) as u64);
        for _ in 0..SPINS {
            if memory.load_u32(self.status, 0) == self.ticket {
                return Ok(());
            }
            if registers.read32(FAULT_STATUS) & QUEUE_ERRORS != 0 {
                return Err(UnitError::QueueStopped);
            }
            core::hint::spin_loop();
        }
        Err(UnitError::Stuck { what: "invalidation queue" })
    }

    fn push(&mut self, memory: &impl TableMemory, descriptor: [u64; 2]) {
        let writer = Writer { memory, coherent: self.coherent };
        let [low, high] = descriptor;
        let slot = self.tail.wrapping_mul(2);
        writer.set(self.ring, slot, low);
        writer.set(self.ring, slot.wrapping_add(1), high);
        self.tail = self.tail.wrapping_add(1) % SLOTS;
    }

    /// Gives the ring back; the unit must not read it any more.
    pub(super) fn destroy(self, memory: &impl TableMemory) {
        memory.free(self.ring);
        memory.free(self.status);
    }
}
