//! The handles of a domain's mappings.

use alloc::vec::Vec;

use xen_abi::grant_table::GrantStatus;

use super::GrantResult;
use super::pin::Access;
use crate::types::{DomId, Gfn, GrantRef, Mfn};

/// Handles that the toolstack counts as one frame.
const HANDLES_PER_FRAME: u32 = 256;

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) granter: DomId,
    /// The granter's table at that time.
    pub(super) serial: u64,
    pub(super) gref: GrantRef,
    pub(super) access: Access,
    pub(super) target: Target,
}

/// Where a grant is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// At this guest frame, whose entry holds the reference.
    Host(Gfn),
    /// For devices only: the handle itself holds a reference to the frame.
    Device(Mfn),
}

#[derive(Clone, Copy, Debug)]
enum Slot {
    /// Free, with the next free one.
    Free(Option<u32>),
    /// Being mapped or unmapped.
    Busy,
    Used(Mapping),
}

/// All handles of a domain.
#[derive(Debug)]
pub(super) struct Maptrack {
    slots: Vec<Slot>,
    free: Option<u32>,
    limit: usize,
}

impl Maptrack {
    pub(super) fn new(frames: u32) -> Self {
        let limit = frames.saturating_mul(HANDLES_PER_FRAME) as usize;
        Self { slots: Vec::new(), free: None, limit }
    }

    /// Takes a handle that stands for nothing yet.
    pub(super) fn reserve(&mut self) -> GrantResult<u32> {
        if let Some(handle) = self.free
            && let Some(slot) = self.slots.get_mut(handle as usize)
            && let Slot::Free(next) = *slot
        {
            self.free = next;
            *slot = Slot::Busy;
            return Ok(handle);
        }
        let handle = u32::try_from(self.slots.len()).map_err(|_| GrantStatus::NO_SPACE)?;
        if self.slots.len() >= self.limit || self.slots.try_reserve(1).is_err() {
            return Err(GrantStatus::NO_SPACE);
        }
        self.slots.push(Slot::Busy);
        Ok(handle)
    }

    /// Makes a reserved handle stand for a mapping.
    pub(super) fn set(&mut self, handle: u32, mapping: Mapping) {
        if let Some(slot @ Slot::Busy) = self.slots.get_mut(handle as usize) {
            *slot = Slot::Used(mapping);
        }
    }

    /// What a handle stands for.
    pub(super) fn get(&self, handle: u32) -> GrantResult<Mapping> {
        match self.slots.get(handle as usize) {
            Some(Slot::Used(mapping)) => Ok(*mapping),
            _ => Err(GrantStatus::BAD_HANDLE),
        }
    }

    /// Keeps others from using a handle that is being unmapped.
    pub(super) fn begin_unmap(&mut self, handle: u32) {
        if let Some(slot @ Slot::Used(_)) = self.slots.get_mut(handle as usize) {
            *slot = Slot::Busy;
        }
    }

    /// Gives a reserved handle back.
    pub(super) fn free(&mut self, handle: u32) {
        if let Some(slot @ Slot::Busy) = self.slots.get_mut(handle as usize) {
            *slot = Slot::Free(self.free.replace(handle));
        }
    }

    /// Takes any mapping away, if there is one left: for emptying it all.
    pub(super) fn pop(&mut self) -> Option<Mapping> {
        self.free = None;
        loop {
            if let Slot::Used(mapping) = self.slots.pop()? {
                return Some(mapping);
            }
        }
    }
}
