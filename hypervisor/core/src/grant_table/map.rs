//! Mapping granted frames, and unmapping them.

use xen_abi::grant_table::{GrantStatus, MAP_DEVICE_MAP, MAP_HOST_MAP, MAP_READONLY};

use super::maptrack::{Mapping, Target};
use super::pin::{Access, Pinned, Use, pin};
use super::{GrantResult, GrantTable, Party};
use crate::p2m::{FlushBatch, Frames, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{DomId, Gpa, GrantRef, Hpa, Mfn};

/// A mapping that a domain asks for.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest {
    /// The guest-physical address to map at.
    pub host_addr: Gpa,
    /// `GNTMAP_*`.
    pub flags: u32,
    /// The granter's entry.
    pub gref: GrantRef,
}

/// A mapping that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// How the domain names it.
    pub handle: u32,
    /// The machine address of the frame.
    pub device_address: Hpa,
}

/// A mapping that a domain wants undone. Addresses of 0 are not looked at.
#[derive(Clone, Copy, Debug)]
pub struct UnmapRequest {
    /// Where it is mapped.
    pub host_addr: Gpa,
    /// Its machine address, for a device's mapping.
    pub device_address: Hpa,
    /// Its handle.
    pub handle: u32,
}

/// A mapping that is undone but for the granter's knowing it, which must wait for the flush.
#[derive(Debug)]
#[must_use = "the granter's entry stays in use until `GrantTable::finish_unmap`"]
pub struct Unmapped {
    /// The handle to give back.
    handle: Option<u32>,
    mapping: Mapping,
    /// The frame to give a reference back to.
    reference: Option<Mfn>,
}

impl Unmapped {
    /// The domain whose table has to learn of it.
    pub fn granter(&self) -> DomId {
        self.mapping.granter
    }
}

impl<F: Stage2Format> Party<'_, F> {
    /// Maps an entry of `granter` into this domain's memory. `granter` is `None` if there is no
    /// such domain.
    ///
    /// # Errors
    /// The status for the caller.
    pub fn map_grant(
        self,
        frames: Frames<'_, impl FrameMemory>,
        granter: Option<Party<'_, F>>,
        request: &MapRequest,
        batch: &mut FlushBatch<'_>,
    ) -> GrantResult<Mapped> {
        if request.flags & (MAP_DEVICE_MAP | MAP_HOST_MAP) == 0 {
            return Err(GrantStatus::BAD_GNTREF);
        }
        let granter = granter.ok_or(GrantStatus::BAD_DOMAIN)?;
        let handle = self.grants.maptrack.lock().reserve()?;
        let made = self.map_with_handle(frames, granter, request, handle, batch);
        if made.is_err() {
            self.grants.maptrack.lock().free(handle);
        }
        made
    }

    fn map_with_handle(
        self,
        frames: Frames<'_, impl FrameMemory>,
        granter: Party<'_, F>,
        request: &MapRequest,
        handle: u32,
        batch: &mut FlushBatch<'_>,
    ) -> GrantResult<Mapped> {
        let access = if request.flags & MAP_READONLY != 0 { Access::Read } else { Access::Write };
        let grantee = self.memory.owner();
        let pinned = pin(frames, granter, request.gref, grantee, access, Use::Map)?;
        let target = self.place(frames, request, &pinned, access, batch);
        let target = target.inspect_err(|_| {
            // Before the reference goes: see `finish_unmap`.
            granter.grants.unpin(frames.memory, request.gref, access);
        })?;
        let device_address = pinned.frame.keep().hpa();
        let mapping = Mapping {
            granter: granter.memory.owner(),
            serial: granter.grants.serial,
            gref: request.gref,
            access,
            target,
        };
        self.grants.maptrack.lock().set(handle, mapping);
        Ok(Mapped { handle, device_address })
    }

    /// Puts a pinned frame where it is wanted. On success its reference belongs there.
    fn place(
        self,
        frames: Frames<'_, impl FrameMemory>,
        request: &MapRequest,
        pinned: &Pinned<'_>,
        access: Access,
        batch: &mut FlushBatch<'_>,
    ) -> GrantResult<Target> {
        if request.flags & MAP_HOST_MAP == 0 {
            return Ok(Target::Device(pinned.frame.mfn()));
        }
        if request.flags & !MAP_READONLY != MAP_HOST_MAP || pinned.wants_cache_type {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        let gfn = request.host_addr.gfn();
        let writable = access == Access::Write;
        let placed = self.memory.map_grant(frames, gfn, &pinned.frame, writable, batch);
        placed.map_err(|_| GrantStatus::GENERAL_ERROR)?;
        Ok(Target::Host(gfn))
    }

    /// Undoes a mapping of this domain. Once `batch` is committed, the result goes to
    /// [`GrantTable::finish_unmap`]; it is `None` if both addresses are 0, so that nothing is to
    /// be done.
    ///
    /// # Errors
    /// The status for the caller.
    pub fn begin_unmap(
        self,
        frames: Frames<'_, impl FrameMemory>,
        request: &UnmapRequest,
        batch: &mut FlushBatch<'_>,
    ) -> GrantResult<Option<Unmapped>> {
        let handle = request.handle;
        let mut maptrack = self.grants.maptrack.lock();
        let mapping = maptrack.get(handle)?;
        let (wanted, fits) = match mapping.target {
            Target::Host(gfn) => (request.host_addr.0, request.host_addr.gfn() == gfn),
            Target::Device(mfn) => (request.device_address.0, request.device_address == mfn.hpa()),
        };
        if wanted == 0 {
            return Ok(None);
        }
        if !fits {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        maptrack.begin_unmap(handle);
        drop(maptrack);
        let reference = match mapping.target {
            Target::Device(mfn) => Some(mfn),
            Target::Host(gfn) => {
                let writable = mapping.access == Access::Write;
                let gone = self.memory.unmap_grant(frames, gfn, writable, batch);
                debug_assert!(gone.is_ok(), "nothing else unmaps a grant");
                gone.ok()
            }
        };
        Ok(Some(Unmapped { handle: Some(handle), mapping, reference }))
    }
}

impl GrantTable {
    /// Ends what [`Party::begin_unmap`] or [`Self::take_mapping`] began, after the flush: tells
    /// the granter, whose table is `None` if it is gone, and gives frame and handle back.
    pub fn finish_unmap(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        granter: Option<&GrantTable>,
        unmapped: Unmapped,
    ) {
        let Unmapped { handle, mapping, reference } = unmapped;
        // The pin goes first: while there is one, it vouches for the frame that it names.
        if let Some(granter) = granter.filter(|granter| granter.serial == mapping.serial) {
            granter.unpin(frames.memory, mapping.gref, mapping.access);
        }
        if let Some(mfn) = reference {
            frames.table.put(mfn);
        }
        if let Some(handle) = handle {
            self.maptrack.lock().free(handle);
        }
    }

    /// Takes any of the mappings that are left of a domain whose vCPUs will never run again and
    /// whose translations were flushed since; `None` when there are no more. Each goes to
    /// [`Self::finish_unmap`]; only after the last one may the domain's memory be torn down,
    /// which gives the frames back.
    pub fn take_mapping(&self) -> Option<Unmapped> {
        let mapping = self.maptrack.lock().pop()?;
        let reference = match mapping.target {
            Target::Host(_) => None,
            Target::Device(mfn) => Some(mfn),
        };
        Some(Unmapped { handle: None, mapping, reference })
    }
}
