//! What ports can be bound to, and how that changes.

use alloc::sync::Arc;

use spin::MutexGuard;
use xen_abi::event_channel::{FIFO_PRIORITY_DEFAULT, FIFO_PRIORITY_MIN};
use xen_abi::xen::{NR_VIRQS, Virq};

use crate::domain::Domain;
use crate::errno::Errno;
use crate::event_channel::channel::{Binding, Channel, ChannelState};
use crate::event_channel::{fifo, is_per_vcpu, two_level};
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::types::{DomId, Port, VcpuId};

type Locked<'a, P> = MutexGuard<'a, ChannelState<P>>;

/// What a port is bound to, for whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// What it is bound to.
    pub status: Status,
    /// The vCPU that it notifies.
    pub vcpu: VcpuId,
}

/// What a port is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing.
    Closed,
    /// Nothing yet; this domain may bind to it.
    Unbound(DomId),
    /// This port of this domain.
    Interdomain(DomId, Port),
    /// A virtual interrupt.
    Virq(Virq),
    /// Whoever sends on it in the same domain.
    Ipi,
}

impl<P: Platform> Hypervisor<P> {
    /// Allocates a port of `domain` that `remote` may bind to.
    ///
    /// # Errors
    /// `ENOSPC` if all ports are in use, `EINVAL` if the domain is dying.
    pub fn alloc_unbound(&self, domain: &Domain<P>, remote: DomId) -> Result<Port, Errno> {
        self.new_port(domain, |_, state| {
            state.binding = Binding::Unbound { remote };
            Ok(())
        })
    }

    /// Connects a new port of `domain` to an unbound one of `remote`, which may be the same
    /// domain, and makes the new one pending.
    ///
    /// # Errors
    /// `EINVAL` if the remote port doesn't wait for this domain; else as
    /// [`Self::alloc_unbound`].
    pub fn bind_interdomain(
        &self,
        domain: &Arc<Domain<P>>,
        remote: &Arc<Domain<P>>,
        remote_port: Port,
    ) -> Result<Port, Errno> {
        let port = self.reserve_port(domain)?;
        let connected = self.connect((domain, port), (remote, remote_port));
        if let Err(errno) = connected {
            self.give_port_back(domain, port);
            return Err(errno);
        }
        // The other end may have sent before this one existed.
        self.raise_if(domain, port, |binding| matches!(binding, Binding::Interdomain { .. }));
        Ok(port)
    }

    fn connect(
        &self,
        local: (&Arc<Domain<P>>, Port),
        remote: (&Arc<Domain<P>>, Port),
    ) -> Result<(), Errno> {
        let local_channel = local.0.events.ports.require(local.1)?;
        let remote_channel = remote.0.events.ports.require(remote.1)?;
        let ends = [(local.0.id, local.1), (remote.0.id, remote.1)];
        let Some((mut state, mut peer)) = lock_both(local_channel, remote_channel, ends) else {
            return Err(Errno::EINVAL);
        };
        if !matches!(peer.binding, Binding::Unbound { remote } if remote == local.0.id) {
            return Err(Errno::EINVAL);
        }
        let binding = |(domain, port): (&Arc<Domain<P>>, Port)| Binding::Interdomain {
            remote: Arc::downgrade(domain),
            domid: domain.id,
            port,
        };
        peer.binding = binding(local);
        state.binding = binding(remote);
        Ok(())
    }

    /// Binds a virtual interrupt of a vCPU to a new port.
    ///
    /// # Errors
    /// `EINVAL` if there is no such interrupt, or it is a global one and not asked for on vCPU
    /// 0; `ENOENT` if there is no such vCPU; `EEXIST` if it is bound; else as
    /// [`Self::alloc_unbound`].
    pub fn bind_virq(&self, domain: &Domain<P>, virq: Virq, vcpu: VcpuId) -> Result<Port, Errno> {
        if virq.0 >= NR_VIRQS || (!is_per_vcpu(virq) && vcpu.0 != 0) {
            return Err(Errno::EINVAL);
        }
        let owner = domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        self.new_port(domain, |port, state| {
            if !owner.events.bind_virq(virq, port) {
                return Err(Errno::EEXIST);
            }
            state.binding = Binding::Virq(virq);
            state.vcpu = vcpu;
            Ok(())
        })
    }

    /// Allocates a port that notifies a vCPU of the same domain when someone sends on it.
    ///
    /// # Errors
    /// `ENOENT` if there is no such vCPU; else as [`Self::alloc_unbound`].
    pub fn bind_ipi(&self, domain: &Domain<P>, vcpu: VcpuId) -> Result<Port, Errno> {
        domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        self.new_port(domain, |_, state| {
            state.binding = Binding::Ipi;
            state.vcpu = vcpu;
            Ok(())
        })
    }

    /// Closes a port. The other end of an interdomain channel waits to be bound again.
    ///
    /// # Errors
    /// `EINVAL` if the port isn't in use.
    pub fn close_port(&self, domain: &Arc<Domain<P>>, port: Port) -> Result<(), Errno> {
        let channel = domain.events.ports.require(port)?;
        let mut state = self.part_from_peer(domain, port, channel)?;
        if !state.is_open() {
            return Err(Errno::EINVAL);
        }
        if let Binding::Virq(virq) = state.binding {
            self.unbind_virq(domain, virq, &state);
        }
        if domain.events.array.is_active() {
            fifo::clear_pending(&self.platform, domain, port);
        } else {
            two_level::clear_pending(&self.platform, domain, port);
        }
        state.clear();
        drop(state);
        domain.events.ports.release(port);
        Ok(())
    }

    /// Locks a port's channel, having made the other end wait to be bound again if there is one.
    fn part_from_peer<'a>(
        &self,
        domain: &Domain<P>,
        port: Port,
        channel: &'a Channel<P>,
    ) -> Result<Locked<'a, P>, Errno> {
        loop {
            let state = channel.state.lock();
            let Binding::Interdomain { remote, port: peer_port, .. } = &state.binding else {
                return Ok(state);
            };
            let (remote, peer_port) = (remote.upgrade(), *peer_port);
            let Some(remote) = remote else { return Ok(state) };
            // Both ends must be locked, in order: let go, and see whether it is still so.
            drop(state);
            let peer = remote.events.ports.require(peer_port)?;
            let ends = [(domain.id, port), (remote.id, peer_port)];
            let (state, mut peer) = lock_both(channel, peer, ends).ok_or(Errno::EINVAL)?;
            let still = matches!(&state.binding, Binding::Interdomain { domid, port, .. }
                if (*domid, *port) == (remote.id, peer_port));
            if still {
                peer.binding = Binding::Unbound { remote: domain.id };
                return Ok(state);
            }
        }
    }

    fn unbind_virq(&self, domain: &Domain<P>, virq: Virq, state: &ChannelState<P>) {
        // A global one may notify another vCPU by now, but belongs to vCPU 0.
        let owner = if is_per_vcpu(virq) { state.vcpu } else { VcpuId(0) };
        if let Some(owner) = domain.vcpu(owner) {
            owner.events.unbind_virq(virq);
        }
    }

    /// What a port is bound to.
    ///
    /// # Errors
    /// `EINVAL` if there can't be such a port.
    pub fn port_info(&self, domain: &Domain<P>, port: Port) -> Result<PortInfo, Errno> {
        if port.0 >= domain.events.abi_limit() {
            return Err(Errno::EINVAL);
        }
        let closed = PortInfo { status: Status::Closed, vcpu: VcpuId(0) };
        let Some(channel) = domain.events.ports.get(port) else { return Ok(closed) };
        let state = channel.state.lock();
        let status = match &state.binding {
            Binding::Free | Binding::Reserved => Status::Closed,
            Binding::Unbound { remote } => Status::Unbound(*remote),
            Binding::Interdomain { domid, port, .. } => Status::Interdomain(*domid, *port),
            Binding::Virq(virq) => Status::Virq(*virq),
            Binding::Ipi => Status::Ipi,
        };
        Ok(PortInfo { status, vcpu: state.vcpu })
    }

    /// Makes a port notify another vCPU.
    ///
    /// # Errors
    /// `ENOENT` if there is no such vCPU; `EINVAL` if the port isn't in use, or what it is bound
    /// to belongs to one vCPU.
    pub fn bind_vcpu(&self, domain: &Domain<P>, port: Port, vcpu: VcpuId) -> Result<(), Errno> {
        domain.vcpu(vcpu).ok_or(Errno::ENOENT)?;
        let channel = domain.events.ports.require(port)?;
        let mut state = channel.state.lock();
        match state.binding {
            Binding::Unbound { .. } | Binding::Interdomain { .. } => {}
            Binding::Virq(virq) if !is_per_vcpu(virq) => {}
            Binding::Virq(_) | Binding::Ipi | Binding::Free | Binding::Reserved => {
                return Err(Errno::EINVAL);
            }
        }
        state.vcpu = vcpu;
        Ok(())
    }

    /// Sets a port's priority, for the events from now on.
    ///
    /// # Errors
    /// `ENOSYS` unless the domain uses the FIFO interface; `EINVAL` if there is no such port or
    /// priority.
    pub fn set_port_priority(
        &self,
        domain: &Domain<P>,
        port: Port,
        priority: u32,
    ) -> Result<(), Errno> {
        if !domain.events.array.is_active() {
            return Err(Errno::ENOSYS);
        }
        if priority > FIFO_PRIORITY_MIN {
            return Err(Errno::EINVAL);
        }
        let channel = domain.events.ports.require(port)?;
        let mut state = channel.state.lock();
        if !state.is_open() {
            return Err(Errno::EINVAL);
        }
        state.priority = u8::try_from(priority).unwrap_or(FIFO_PRIORITY_DEFAULT as u8);
        Ok(())
    }

    fn reserve_port(&self, domain: &Domain<P>) -> Result<Port, Errno> {
        if domain.is_dying() {
            return Err(Errno::EINVAL);
        }
        domain.events.ports.reserve(domain.events.abi_limit())
    }

    fn new_port(
        &self,
        domain: &Domain<P>,
        bind: impl FnOnce(Port, &mut ChannelState<P>) -> Result<(), Errno>,
    ) -> Result<Port, Errno> {
        let port = self.reserve_port(domain)?;
        let bound = {
            let channel = domain.events.ports.require(port)?;
            bind(port, &mut channel.state.lock())
        };
        if let Err(errno) = bound {
            self.give_port_back(domain, port);
            return Err(errno);
        }
        Ok(port)
    }

    /// Undoes [`Self::reserve_port`].
    fn give_port_back(&self, domain: &Domain<P>, port: Port) {
        if let Some(channel) = domain.events.ports.get(port) {
            channel.state.lock().clear();
        }
        domain.events.ports.release(port);
    }
}

/// Locks the two ends of a channel in the order that everyone uses; `None` if they are one.
fn lock_both<'a, 'b, P: Platform>(
    local: &'a Channel<P>,
    remote: &'b Channel<P>,
    [local_end, remote_end]: [(DomId, Port); 2],
) -> Option<(Locked<'a, P>, Locked<'b, P>)> {
    match local_end.cmp(&remote_end) {
        core::cmp::Ordering::Less => {
            let local = local.state.lock();
            Some((local, remote.state.lock()))
        }
        core::cmp::Ordering::Equal => None,
        core::cmp::Ordering::Greater => {
            let remote = remote.state.lock();
            Some((local.state.lock(), remote))
        }
    }
}
