//! Where a guest wants its events: `vcpu_info`, upcall vectors, the FIFO interface's memory; and
//! the reset of all that.

use alloc::sync::Arc;
use core::mem::offset_of;

use xen_abi::event_channel::{FIFO_WORDS_PER_PAGE, FifoControlBlock};
use xen_abi::xen::{NR_VIRQS, VcpuInfo};
use zerocopy::IntoBytes;

use crate::domain::{Domain, Progress};
use crate::errno::Errno;
use crate::event_channel::fifo;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::types::{FRAME_BYTES, Gfn, Port, VcpuId};
use crate::vcpu::Vcpu;

/// The lowest vector that a local APIC accepts.
const FIRST_VECTOR: u8 = 16;
/// How many ports are closed between looks at whether others should run.
const PORTS_PER_LOOK: u32 = 32;

/// Whether a structure of `size` bytes can be at `offset` in a page, for atomic access.
fn fits(offset: u32, size: usize) -> bool {
    let offset = offset as usize;
    offset.is_multiple_of(size_of::<u64>()) && offset <= FRAME_BYTES.saturating_sub(size)
}

impl<P: Platform> Hypervisor<P> {
    /// Moves a vCPU's `vcpu_info` into the guest's own memory, for good. So that no event is lost
    /// on the way, everything is said to be pending then.
    ///
    /// # Errors
    /// `EINVAL` if that was done before, or there is no writable memory of the domain's own at
    /// `gfn`; `ENXIO` if the structure doesn't fit there.
    pub fn register_vcpu_info(
        &self,
        domain: &Domain<P>,
        vcpu: &Arc<Vcpu<P>>,
        gfn: Gfn,
        offset: u32,
    ) -> Result<(), Errno> {
        if !fits(offset, size_of::<VcpuInfo>()) {
            return Err(Errno::ENXIO);
        }
        let mut pinned = vcpu.events.pinned.lock();
        if pinned.info.is_some() {
            return Err(Errno::EINVAL);
        }
        let mfn = self.pin(domain, gfn)?;
        let place = (mfn, offset as usize);
        let mut info = VcpuInfo::default();
        if let Some((old, old_offset)) = vcpu.events.info() {
            self.platform.read(old, old_offset, info.as_mut_bytes());
        }
        self.platform.write(mfn, place.1, info.as_bytes());
        pinned.info = Some(mfn);
        vcpu.events.info.set(Some(place));
        drop(pinned);
        self.publish_time(domain, vcpu);

        let selector = place.1.saturating_add(offset_of!(VcpuInfo, evtchn_pending_sel));
        self.platform.fetch_or_u64(mfn, selector, u64::MAX);
        super::mark_upcall(&self.platform, place);
        self.upcall(vcpu);
        Ok(())
    }

    /// Makes a vCPU's upcalls interrupts of its local APIC, with this vector.
    ///
    /// # Errors
    /// `EINVAL` if a local APIC doesn't take such a vector.
    pub fn set_upcall_vector(&self, vcpu: &Arc<Vcpu<P>>, vector: u8) -> Result<(), Errno> {
        if vector < FIRST_VECTOR {
            return Err(Errno::EINVAL);
        }
        vcpu.events.set_upcall_vector(vector);
        self.repeat_upcall(vcpu);
        Ok(())
    }

    /// Interrupts a vCPU once more if events wait. For when an upcall may have been lost: its
    /// vector was changed, its local APIC was reset or has just been enabled.
    pub fn repeat_upcall(&self, vcpu: &Arc<Vcpu<P>>) {
        if self.upcall_is_pending(vcpu) {
            self.upcall(vcpu);
        }
    }

    /// Registers the FIFO interface's control block of a vCPU. The domain's first one switches
    /// it to this interface.
    ///
    /// # Errors
    /// `ENOENT` if there is no such vCPU; `EINVAL` if it has one, or can't have it there.
    pub fn init_fifo_control(
        &self,
        domain: &Arc<Domain<P>>,
        vcpu: VcpuId,
        gfn: Gfn,
        offset: u32,
    ) -> Result<(), Errno> {
        let vcpu = domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        if !fits(offset, size_of::<FifoControlBlock>()) {
            return Err(Errno::EINVAL);
        }
        let _setup = domain.events.setup.lock();
        let mut pinned = vcpu.events.pinned.lock();
        if pinned.control_block.is_some() || domain.is_dying() {
            return Err(Errno::EINVAL);
        }
        let mfn = self.pin(domain, gfn)?;
        pinned.control_block = Some(mfn);
        vcpu.events.control_block.set(Some((mfn, offset as usize)));
        if !domain.events.array.is_active() {
            self.carry_over_pending(domain);
            domain.events.array.activate();
        }
        Ok(())
    }

    /// Notes which events are pending in the 2-level format, for when their words exist.
    fn carry_over_pending(&self, domain: &Domain<P>) {
        self.for_each_port(domain, Port(1), None, |port, state| {
            state.early_event = super::two_level::is_pending(&self.platform, domain, port);
        });
    }

    /// Appends a page of event words to the domain's event array.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if the domain doesn't use the FIFO interface; `ENOSPC` if the array is
    /// complete; `EINVAL` if there is no writable memory of the domain's own at `gfn`.
    pub fn expand_event_array(&self, domain: &Arc<Domain<P>>, gfn: Gfn) -> Result<(), Errno> {
        let _setup = domain.events.setup.lock();
        if !domain.events.array.is_active() {
            return Err(Errno::EOPNOTSUPP);
        }
        let page = domain.events.array.page_count();
        if page as usize >= fifo::MAX_PAGES {
            return Err(Errno::ENOSPC);
        }
        let mfn = self.pin(domain, gfn)?;
        if let Err(mfn) = domain.events.array.push(mfn) {
            self.unpin(mfn);
            return Err(Errno::ENOSPC);
        }
        let first = Port(page.saturating_mul(FIFO_WORDS_PER_PAGE));
        let end = Port(first.0.saturating_add(FIFO_WORDS_PER_PAGE));
        let mut upcalls = alloc::vec::Vec::new();
        self.for_each_port(domain, first, Some(end), |port, state| {
            if core::mem::take(&mut state.early_event) {
                upcalls.push((port, self.set_pending(domain, port, state)));
            }
        });
        for (port, pending) in upcalls {
            self.deliver(domain, port, &pending);
        }
        Ok(())
    }

    fn for_each_port(
        &self,
        domain: &Domain<P>,
        from: Port,
        end: Option<Port>,
        mut visit: impl FnMut(Port, &mut super::ChannelState<P>),
    ) {
        let mut next = domain.events.ports.next_used(from);
        while let Some(port) = next
            && end.is_none_or(|end| port < end)
        {
            if let Some(channel) = domain.events.ports.get(port) {
                visit(port, &mut channel.state.lock());
            }
            next = domain.events.ports.next_used(Port(port.0.saturating_add(1)));
        }
    }

    /// Closes all of a domain's ports and leaves the FIFO interface. `vcpu_info` and the upcall
    /// vectors stay.
    pub fn reset_events(&self, domain: &Arc<Domain<P>>) -> Progress {
        let mut closed: u32 = 0;
        let mut next = domain.events.ports.next_used(Port(1));
        while let Some(port) = next {
            // A port that another vCPU is only about to bind is left to the next round.
            let _ = self.close_port(domain, port);
            closed = closed.wrapping_add(1);
            if closed.is_multiple_of(PORTS_PER_LOOK) && self.platform.preemption_pending() {
                return Progress::Again;
            }
            next = domain.events.ports.next_used(Port(port.0.saturating_add(1)));
        }
        let _setup = domain.events.setup.lock();
        let dissolved = domain.events.ports.if_unused(|| {
            domain.events.array.dissolve(|mfn| self.unpin(mfn));
            for vcpu in domain.vcpus() {
                vcpu.events.control_block.set(None);
                vcpu.events.queues.reset();
                if let Some(mfn) = vcpu.events.pinned.lock().control_block.take() {
                    self.unpin(mfn);
                }
            }
        });
        if dissolved.is_some() { Progress::Done } else { Progress::Again }
    }

    /// Gives back what guest memory the events of a domain use, once none of its ports is open
    /// and none of its vCPUs will run again.
    pub(crate) fn release_event_memory(&self, domain: &Domain<P>) {
        for vcpu in domain.vcpus() {
            debug_assert!(
                (0..NR_VIRQS)
                    .all(|virq| { vcpu.events.virq_port(xen_abi::xen::Virq(virq)).is_none() })
            );
            let mut pinned = vcpu.events.pinned.lock();
            vcpu.events.info.set(None);
            if let Some(mfn) = pinned.info.take() {
                self.unpin(mfn);
            }
        }
    }
}
