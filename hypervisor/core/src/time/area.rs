//! Where a vCPU wants to see its runstate and its clock's parameters: registration of the areas.
//!
//! A virtual address is translated once, with the page tables of the caller; the area then stays
//! with the memory that was found.

use alloc::sync::Arc;

use xen_abi::vcpu::RunstateInfo;
use xen_abi::xen::VcpuTimeInfo;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::guest_area::GuestArea;
use crate::hypercall::{GuestCopy, Width};
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::types::{FRAME_BYTES, Gpa, Gva};
use crate::vcpu::Vcpu;

/// How a guest names an area.
pub(crate) enum AreaAddress<'a> {
    /// By virtual address, in this address space. Null is no area.
    Virtual(Gva, &'a dyn GuestCopy),
    /// By guest-physical address. All ones is no area.
    Physical(Gpa),
}

impl<P: Platform> Hypervisor<P> {
    /// Sets where a vCPU's runstate is shown, and how it is laid out there.
    ///
    /// # Errors
    /// `EFAULT`, `EINVAL` or `ENXIO` if there can't be such an area at the address.
    pub(crate) fn register_runstate(
        &self,
        domain: &Domain<P>,
        vcpu: &Arc<Vcpu<P>>,
        address: &AreaAddress<'_>,
        width: Width,
    ) -> Result<(), Errno> {
        let area = self.pin_area(domain, address, width.size_of::<RunstateInfo>())?;
        let is_physical = matches!(address, AreaAddress::Physical(_));
        let mut runstate = vcpu.runstate.lock();
        if !is_physical && runstate.is_physical && !runstate.area.is_none() {
            // While there is one by physical address, those by virtual address rest.
            drop(runstate);
            self.unpin_area(area);
            return Ok(());
        }
        let old = core::mem::replace(&mut runstate.area, area);
        (runstate.is_physical, runstate.width) = (is_physical, width);
        runstate.marks_updates = is_physical || domain.marks_runstate_updates();
        runstate.publish(&self.platform);
        drop(runstate);
        self.unpin_area(old);
        Ok(())
    }

    /// Sets where a vCPU's clock parameters are shown beside its `vcpu_info`.
    ///
    /// # Errors
    /// As [`Self::register_runstate`].
    pub(crate) fn register_time(
        &self,
        domain: &Domain<P>,
        vcpu: &Arc<Vcpu<P>>,
        address: &AreaAddress<'_>,
    ) -> Result<(), Errno> {
        let area = self.pin_area(domain, address, size_of::<VcpuTimeInfo>())?;
        let is_physical = matches!(address, AreaAddress::Physical(_));
        let mut time = vcpu.time.lock();
        if !is_physical && time.is_physical && !time.area.is_none() {
            drop(time);
            self.unpin_area(area);
            return Ok(());
        }
        let old = core::mem::replace(&mut time.area, area);
        time.is_physical = is_physical;
        drop(time);
        self.unpin_area(old);
        self.publish_time(domain, vcpu);
        Ok(())
    }

    /// Gives back the areas of a vCPU that will never run again.
    pub(crate) fn release_areas(&self, vcpu: &Vcpu<P>) {
        let runstate = core::mem::replace(&mut vcpu.runstate.lock().area, GuestArea::NONE);
        let time = core::mem::replace(&mut vcpu.time.lock().area, GuestArea::NONE);
        self.unpin_area(runstate);
        self.unpin_area(time);
    }

    fn pin_area(
        &self,
        domain: &Domain<P>,
        address: &AreaAddress<'_>,
        len: usize,
    ) -> Result<GuestArea, Errno> {
        match address {
            AreaAddress::Physical(Gpa(u64::MAX)) | AreaAddress::Virtual(Gva(0), _) => {
                Ok(GuestArea::NONE)
            }
            AreaAddress::Physical(gpa) => {
                let room = FRAME_BYTES.saturating_sub(gpa.offset());
                if len > room || !gpa.0.is_multiple_of(size_of::<u64>() as u64) {
                    return Err(Errno::ENXIO);
                }
                let mfn = self.pin(domain, gpa.gfn())?;
                Ok(GuestArea::new(gpa.offset(), len, mfn, None))
            }
            AreaAddress::Virtual(gva, guest) => {
                let first = guest.translate(*gva)?;
                let room = FRAME_BYTES.saturating_sub(first.offset());
                let second = if len > room {
                    let next = gva.0.checked_add(room as u64).ok_or(Errno::EFAULT)?;
                    Some(guest.translate(Gva(next))?)
                } else {
                    None
                };
                self.pin_pieces(domain, len, first, second)
            }
        }
    }

    fn pin_pieces(
        &self,
        domain: &Domain<P>,
        len: usize,
        first: Gpa,
        second: Option<Gpa>,
    ) -> Result<GuestArea, Errno> {
        let offset = first.offset();
        let first = self.pin(domain, first.gfn())?;
        let second = match second {
            None => None,
            Some(gpa) => Some(self.pin(domain, gpa.gfn()).inspect_err(|_| self.unpin(first))?),
        };
        Ok(GuestArea::new(offset, len, first, second))
    }

    fn unpin_area(&self, area: GuestArea) {
        for mfn in area.frames() {
            self.unpin(mfn);
        }
    }
}
