//! Events that a guest hasn't taken, for reports: what to look at when somebody sleeps who
//! shouldn't.

use core::iter;

use crate::domain::Domain;
use crate::event_channel::{PortInfo, fifo, two_level};
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::types::Port;

/// An event that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingEvent {
    /// Whose event it is.
    pub port: Port,
    /// What it is bound to, and the vCPU that it notifies.
    pub info: PortInfo,
    /// Whether the guest doesn't want to hear of it now.
    pub masked: bool,
}

impl<P: Platform> Hypervisor<P> {
    /// The events of a domain that are pending, by port.
    pub fn waiting_events(&self, domain: &Domain<P>) -> impl Iterator<Item = WaitingEvent> {
        let ports = &domain.events.ports;
        let next = |port: &Port| ports.next_used(Port(port.0.saturating_add(1)));
        let used = iter::successors(ports.next_used(Port(0)), next);
        used.filter(|port| self.is_pending(domain, *port)).filter_map(|port| {
            let info = self.port_info(domain, port).ok()?;
            Some(WaitingEvent { port, info, masked: self.is_masked(domain, port) })
        })
    }

    fn is_masked(&self, domain: &Domain<P>, port: Port) -> bool {
        if domain.events.array.is_active() {
            fifo::is_masked(&self.platform, domain, port)
        } else {
            two_level::is_masked(&self.platform, domain, port)
        }
    }
}
