//! The rings of the domains: their pages, their event channels, and which port is whose.

use std::collections::HashMap;
use std::io;

use anyhow::Context;
use xen_abi::grant_table::TAB_RESERVED_XENSTORE;
use xenctl::evtchn::{EventChannels, LocalPort};
use xenctl::gntdev::Grants;
use xenctl::xen_abi;
use xenctl::{Xen, xenbus};
use xenstore::wire::Assembler;
use xenstore::{ConnectionId, DomId, Host, RingState};

use super::ring::Ring;
use crate::shared_page::SharedPage;

/// A domain whose ring is served.
#[derive(Debug)]
pub struct Served {
    /// Its ring.
    pub ring: Ring<SharedPage>,
    /// Where its events come from and go to.
    pub port: LocalPort,
    /// Its connection to the store.
    pub connection: ConnectionId,
    /// Whether it broke the rules: nothing but a new beginning is listened to then.
    pub cut_off: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Rings {
    /// The way to their events.
    pub channels: EventChannels,
    xen: Xen,
    grants: Grants,
    served: HashMap<DomId, Served>,
    by_port: HashMap<LocalPort, DomId>,
    by_connection: HashMap<ConnectionId, DomId>,
}

impl Rings {
    /// None yet.
    ///
    /// # Errors
    /// When one of the Xen devices can't be opened.
    pub fn open() -> anyhow::Result<Self> {
        Ok(Self {
            channels: EventChannels::open()?,
            xen: Xen::open()?,
            grants: Grants::open()?,
            served: HashMap::new(),
            by_port: HashMap::new(),
            by_connection: HashMap::new(),
        })
    }

    /// Connects this domain's own kernel, which waits for it since it started.
    ///
    /// # Errors
    /// When the kernel offers no ring.
    pub fn connect_kernel(&mut self, connection: ConnectionId) -> anyhow::Result<()> {
        let (page, remote) = xenbus::kernel_ring()?;
        let port = self.channels.bind_interdomain(DomId::CONTROL.0, remote);
        let port = port.context("the kernel's own ring")?;
        self.insert(DomId::CONTROL, Ring::new(SharedPage::Mapped(page)), port, connection);
        self.channels.notify(port).context("the kernel's own ring")
    }

    /// The domain whose port this is.
    pub fn of_port(&self, port: LocalPort) -> Option<DomId> {
        self.by_port.get(&port).copied()
    }

    /// The domain whose connection this is.
    pub fn of_connection(&self, connection: ConnectionId) -> Option<DomId> {
        self.by_connection.get(&connection).copied()
    }

    /// A domain's ring.
    pub fn get(&mut self, domain: DomId) -> Option<&mut Served> {
        self.served.get_mut(&domain)
    }

    /// Tells a domain that its ring has changed.
    pub fn notify(&self, port: LocalPort) {
        if let Err(error) = self.channels.notify(port) {
            log::warn!("{error}");
        }
    }

    /// The domains that there are: their number, and whether they are shut down or dying.
    ///
    /// # Errors
    /// When the hypervisor doesn't say.
    pub fn present(&self) -> anyhow::Result<HashMap<DomId, Presence>> {
        use xen_abi::domctl::{DOMINF_DYING, DOMINF_SHUTDOWN};
        let presence = |flags: u32| match flags {
            f if f & DOMINF_DYING != 0 => Presence::Dying,
            f if f & DOMINF_SHUTDOWN != 0 => Presence::ShutDown,
            _ => Presence::Alive,
        };
        let domains = self.xen.domains()?;
        Ok(domains.iter().map(|info| (DomId(info.domain), presence(info.flags))).collect())
    }

    /// How far each ring is, and what has come of its next message.
    pub fn states(&self, incoming: &HashMap<DomId, Assembler>) -> Vec<RingState> {
        let state = |(domain, served): (&DomId, &Served)| {
            let (received, sent) = served.ring.indexes();
            let partial = incoming.get(domain).map(|incoming| incoming.pending().to_vec());
            RingState { domain: *domain, received, sent, partial: partial.unwrap_or_default() }
        };
        // One that is cut off begins anew.
        self.served.iter().filter(|(_, served)| !served.cut_off).map(state).collect()
    }

    fn insert(
        &mut self,
        domain: DomId,
        ring: Ring<SharedPage>,
        port: LocalPort,
        connection: ConnectionId,
    ) {
        self.by_port.insert(port, domain);
        self.by_connection.insert(connection, domain);
        self.served.insert(domain, Served { ring, port, connection, cut_off: false });
    }
}

/// What the hypervisor says about a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It runs, or could.
    Alive,
    /// It shut down, and is still there.
    ShutDown,
    /// It is being taken down.
    Dying,
}

impl Host for Rings {
    fn connect(
        &mut self,
        domain: DomId,
        frame: u64,
        port: u32,
        connection: ConnectionId,
    ) -> io::Result<()> {
        let told = |error: xenctl::Error| {
            log::warn!("domain {domain} can't be introduced: {error}");
            io::Error::other(error)
        };
        let (grants, xen, reference) = (&self.grants, &self.xen, TAB_RESERVED_XENSTORE);
        let ring =
            Ring::new(SharedPage::of_guest(grants, xen, domain.0, reference, frame).map_err(told)?);
        let port = self.channels.bind_interdomain(domain.0, port).map_err(told)?;
        self.insert(domain, ring, port, connection);
        self.notify(port);
        Ok(())
    }

    fn disconnect(&mut self, domain: DomId) {
        let Some(served) = self.served.remove(&domain) else { return };
        self.by_port.remove(&served.port);
        self.by_connection.remove(&served.connection);
        if let Err(error) = self.channels.unbind(served.port) {
            log::warn!("domain {domain}: {error}");
        }
    }
}
