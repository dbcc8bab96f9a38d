//! Event channels: one-bit notifications between domains, from the hypervisor, and between the
//! vCPUs of a domain.
//!
//! A domain's ports are in [`channel`]; what they can be bound to and how that changes is in
//! [`bind`]. An event is made pending in the guest's memory in one of two formats
//! ([`two_level`], [`fifo`]), which the guest chooses; then the vCPU gets an upcall: an
//! interrupt with the vector of its choice, or the domain's callback, for which the
//! architecture asks [`Hypervisor::callback_pending`] whenever it enters the guest.
//!
//! Sending is a hot path: it takes the locks of the two channels, one after the other, and
//! allocates nothing. Upcalls happen after they are given back.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod bind;
mod channel;
mod fifo;
mod poll;
mod report;
mod setup;
#[cfg(test)]
mod tests;
mod two_level;
mod vcpu_events;

use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use spin::Mutex;
use xen_abi::event_channel::{FIFO_NR_CHANNELS, TWO_LEVEL_NR_CHANNELS};
use xen_abi::xen::{VcpuInfo, Virq};

pub use bind::{PortInfo, Status};
pub use report::WaitingEvent;
pub use vcpu_events::VcpuEvents;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::event_channel::channel::{Binding, ChannelState, PortTable};
use crate::event_channel::fifo::EventArray;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::types::{DomId, Mfn, Port, VcpuId};
use crate::vcpu::Vcpu;

/// The event channels' part of a domain.
pub struct DomainEvents<P: Platform> {
    ports: PortTable<P>,
    array: EventArray,
    /// Held while the FIFO interface's memory changes.
    setup: Mutex<()>,
    /// How many of the domain's vCPUs poll.
    pollers: AtomicU32,
    /// The vector that enters a guest which has no vector per vCPU; 0 for none.
    callback_vector: AtomicU8,
}

impl<P: Platform> DomainEvents<P> {
    /// No ports in use, none above `max_port` ever; the 2-level interface.
    pub(crate) fn new(max_port: u32) -> Self {
        Self {
            ports: PortTable::new(max_port),
            array: EventArray::new(),
            setup: Mutex::new(()),
            pollers: AtomicU32::new(0),
            callback_vector: AtomicU8::new(0),
        }
    }

    /// Sets the vector of the domain's callback; 0 for none.
    pub(crate) fn set_callback_vector(&self, vector: u8) {
        self.callback_vector.store(vector, Ordering::Release);
    }

    /// How many ports the interface that the domain uses can have.
    fn abi_limit(&self) -> u32 {
        if self.array.is_active() { FIFO_NR_CHANNELS } else { TWO_LEVEL_NR_CHANNELS }
    }
}

/// What making an event pending did.
struct Pending {
    /// It wasn't pending before.
    fresh: bool,
    /// The vCPU to make an upcall to.
    upcall: Option<VcpuId>,
}

impl Pending {
    /// It was pending before.
    const ALREADY: Self = Self { fresh: false, upcall: None };
}

/// Tells a vCPU through its `vcpu_info` that events wait. Whether it hasn't been told before.
fn mark_upcall<P: Platform>(memory: &P, (page, offset): (Mfn, usize)) -> bool {
    let flag = offset.saturating_add(offset_of!(VcpuInfo, evtchn_upcall_pending));
    memory.swap_u8(page, flag, 1) == 0
}

/// Whether there is one such virtual interrupt for each vCPU.
fn is_per_vcpu(virq: Virq) -> bool {
    matches!(virq, Virq::TIMER | Virq::DEBUG | Virq::XENOPROF | Virq::XENPMU)
}

impl<P: Platform> Hypervisor<P> {
    /// Notifies the other end of a domain's channel.
    ///
    /// # Errors
    /// `EINVAL` if the port can't be sent on. An unbound one takes the event, and drops it.
    pub fn send_event(&self, domain: &Arc<Domain<P>>, port: Port) -> Result<(), Errno> {
        let channel = domain.events.ports.require(port)?;
        let mut state = channel.state.lock();
        let (remote, remote_port) = match &state.binding {
            Binding::Unbound { .. } => return Ok(()),
            Binding::Ipi => {
                let pending = self.set_pending(domain, port, &mut state);
                drop(state);
                self.deliver(domain, port, &pending);
                return Ok(());
            }
            Binding::Interdomain { remote, port, .. } => (remote.clone(), *port),
            Binding::Free | Binding::Reserved | Binding::Virq(_) => return Err(Errno::EINVAL),
        };
        // Not while the local channel is locked: the other end may be sending to us.
        drop(state);
        if let Some(remote) = remote.upgrade() {
            self.raise_if(&remote, remote_port, |binding| {
                matches!(binding, Binding::Interdomain { domid, port: peer, .. }
                    if *domid == domain.id && *peer == port)
            });
        }
        Ok(())
    }

    /// Raises a virtual interrupt that each vCPU has.
    pub fn raise_vcpu_virq(&self, vcpu: &Vcpu<P>, virq: Virq) {
        if let Some(port) = vcpu.events.virq_port(virq)
            && let Some(domain) = vcpu.domain()
        {
            self.raise_if(
                &domain,
                port,
                |binding| matches!(binding, Binding::Virq(bound) if *bound == virq),
            );
        }
    }

    /// Raises a virtual interrupt that there is one of, in the domain that handles it.
    pub fn raise_global_virq(&self, virq: Virq) {
        if let Some(domain) = self.virq_handler(virq)
            && let Some(vcpu) = domain.vcpu(VcpuId(0))
        {
            self.raise_vcpu_virq(vcpu, virq);
        }
    }

    /// Unmasks a port, and makes the upcall that was held back.
    ///
    /// # Errors
    /// `EINVAL` if there is no such port.
    pub fn unmask_event(&self, domain: &Arc<Domain<P>>, port: Port) -> Result<(), Errno> {
        let channel = domain.events.ports.require(port)?;
        let mut state = channel.state.lock();
        let upcall = if domain.events.array.is_active() {
            fifo::unmask(&self.platform, domain, port, &mut state)
        } else {
            two_level::unmask(&self.platform, domain, port, state.vcpu)
        };
        drop(state);
        self.deliver(domain, port, &Pending { fresh: false, upcall });
        Ok(())
    }

    /// The vector with which the guest must be entered now, because events wait and the vCPU
    /// gets no interrupt for them. Its own acknowledgement is to look at its `vcpu_info`.
    pub fn callback_pending(&self, domain: &Domain<P>, vcpu: &Vcpu<P>) -> Option<u8> {
        let vector = domain.events.callback_vector.load(Ordering::Acquire);
        if vector == 0 || vcpu.events.upcall_vector().is_some() {
            return None;
        }
        self.upcall_is_pending(vcpu).then_some(vector)
    }

    /// Whether the vCPU's `vcpu_info` says that events wait.
    pub fn upcall_is_pending(&self, vcpu: &Vcpu<P>) -> bool {
        vcpu.events.info().is_some_and(|(page, offset)| {
            let flag = offset.saturating_add(offset_of!(VcpuInfo, evtchn_upcall_pending));
            self.platform.load_u8(page, flag) != 0
        })
    }

    /// The domain that gets a global virtual interrupt.
    fn virq_handler(&self, virq: Virq) -> Option<Arc<Domain<P>>> {
        let handler = self.virq_handlers.get(virq.0 as usize)?.load(Ordering::Acquire);
        self.domain(DomId(handler))
    }

    /// Makes a domain the one that gets a global virtual interrupt.
    ///
    /// # Errors
    /// `EINVAL` if there is no such interrupt, or each vCPU has its own.
    pub fn set_virq_handler(&self, virq: Virq, domain: &Domain<P>) -> Result<(), Errno> {
        let handler = self.virq_handlers.get(virq.0 as usize).ok_or(Errno::EINVAL)?;
        if is_per_vcpu(virq) {
            return Err(Errno::EINVAL);
        }
        handler.store(domain.id.0, Ordering::Release);
        Ok(())
    }

    /// Makes a port's event pending and delivers it, if the port is still bound as expected.
    fn raise_if(
        &self,
        domain: &Arc<Domain<P>>,
        port: Port,
        expected: impl FnOnce(&Binding<P>) -> bool,
    ) {
        let Some(channel) = domain.events.ports.get(port) else { return };
        let mut state = channel.state.lock();
        if !expected(&state.binding) {
            return;
        }
        let pending = self.set_pending(domain, port, &mut state);
        drop(state);
        self.deliver(domain, port, &pending);
    }

    /// Makes a port's event pending in the guest's memory. Under the channel's lock.
    fn set_pending(
        &self,
        domain: &Arc<Domain<P>>,
        port: Port,
        state: &mut ChannelState<P>,
    ) -> Pending {
        if domain.events.array.is_active() {
            fifo::set_pending(&self.platform, domain, port, state)
        } else {
            two_level::set_pending(&self.platform, domain, port, state.vcpu)
        }
    }

    fn is_pending(&self, domain: &Domain<P>, port: Port) -> bool {
        if domain.events.array.is_active() {
            fifo::is_pending(&self.platform, domain, port)
        } else {
            two_level::is_pending(&self.platform, domain, port)
        }
    }

    /// Lets vCPUs know of what was made pending. No channel may be locked.
    fn deliver(&self, domain: &Arc<Domain<P>>, port: Port, pending: &Pending) {
        if let Some(vcpu) = pending.upcall.and_then(|id| domain.vcpu(id)) {
            self.upcall(vcpu);
        }
        if pending.fresh {
            self.wake_pollers(domain, port);
        }
    }

    /// Interrupts a vCPU whose `vcpu_info` says that events wait.
    fn upcall(&self, vcpu: &Arc<Vcpu<P>>) {
        if let Some(vector) = vcpu.events.upcall_vector() {
            self.platform.inject(vcpu.domid, vcpu.id, &vcpu.arch, vector);
        }
        self.notify(vcpu);
    }
}

#[cfg(test)]
impl<P: Platform> Hypervisor<P> {
    /// Whether a port's event is pending.
    pub(crate) fn port_is_pending(&self, domain: &Domain<P>, port: Port) -> bool {
        self.is_pending(domain, port)
    }

    /// Takes a port's event, as the guest would that uses the 2-level interface.
    pub(crate) fn clear_port(&self, domain: &Domain<P>, port: Port) {
        two_level::clear_pending(&self.platform, domain, port);
    }
}
