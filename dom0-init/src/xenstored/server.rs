//! Waits for programs, guests and the hypervisor, and serves each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use anyhow::Context;
use mio::net::UnixListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use xen_abi::io::xs_wire::{ERROR_COMM, ERROR_PROTO, ERROR_RINGIDX};
use xen_abi::xen::Virq;
use xenctl::evtchn::LocalPort;
use xenctl::xen_abi;
use xenstore::wire::{Assembler, Garbled};
use xenstore::{ConnectionId, DomId, Left, Store};

use super::journal::Journal;
use super::rings::{Presence, Rings};
use super::sockets::{self, Clients, Goes};
use crate::local_socket::listen_nonblocking;

/// Tokens that are no connection's.
const LISTENER: Token = Token(usize::MAX - 1);
const CHANNELS: Token = Token(usize::MAX - 2);

/// The daemon.
pub struct Server {
    store: Store,
    rings: Rings,
    clients: Clients,
    listener: UnixListener,
    poll: Poll,
    /// Tells that some domain shut down or died.
    domain_exception: LocalPort,
    /// Domains whose rings held something when they were last looked at, and may hold more
    /// without an event.
    look_again: BTreeSet<DomId>,
    /// What has come of the messages on rings.
    incoming: HashMap<DomId, Assembler>,
    /// What a later process goes on from.
    journal: Journal,
}

impl Server {
    /// Opens everything that is to be served.
    ///
    /// # Errors
    /// Names what can't be opened.
    pub fn new(mut store: Store, left: &BTreeMap<DomId, Left>) -> anyhow::Result<Self> {
        let mut rings = Rings::open()?;
        let domain_exception = rings.channels.bind_virq(Virq::DOM_EXC.0)?;
        let kernel = store.introduce(DomId::CONTROL);
        if let Some(left) = left.get(&DomId::CONTROL) {
            store.go_on(DomId::CONTROL, left);
        }
        rings.connect_kernel(kernel)?;
        let incoming = go_on(&mut store, &mut rings, left)?;
        let journal = Journal::begin(&mut store, &rings.states(&incoming))?;
        let mut listener = UnixListener::from_std(listen_nonblocking(sockets::SOCKET)?);
        let poll = Poll::new().context("can't wait for events")?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let channels = rings.channels.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&channels), CHANNELS, Interest::READABLE)?;
        let clients = Clients::default();
        let mut server = Self {
            store,
            rings,
            clients,
            listener,
            poll,
            domain_exception,
            look_again: BTreeSet::new(),
            incoming,
            journal,
        };
        // What came while nobody served.
        left.keys().for_each(|domain| server.ring(*domain));
        server.look_after_domains();
        server.write_down();
        server.flush();
        Ok(server)
    }

    /// Serves until the system fails it.
    ///
    /// # Errors
    /// When events can't be waited for any more.
    pub fn serve(mut self) -> anyhow::Result<()> {
        log::info!("serving the store on {}", sockets::SOCKET);
        let mut events = Events::with_capacity(256);
        loop {
            let patience = (!self.look_again.is_empty()).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.context("can't wait for events")?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    CHANNELS => self.channels()?,
                    Token(number) => {
                        let connection = ConnectionId(u64::try_from(number)?);
                        let comes = event.is_readable().then(|| event.is_read_closed());
                        self.client(connection, comes);
                    }
                }
            }
            for domain in std::mem::take(&mut self.look_again) {
                self.ring(domain);
            }
            self.write_down();
            self.flush();
        }
    }

    /// Writes down what changed and what is to be sent: before it is answered, and before the
    /// room of requests is given back. What was answered is never forgotten, what was done is
    /// never done again, and nobody waits for an answer in vain.
    fn write_down(&mut self) {
        for connection in self.store.still_awake() {
            let Some(domain) = self.rings.of_connection(connection) else { continue };
            if let Some(served) = self.rings.get(domain) {
                let (_received, sent) = served.ring.indexes();
                self.store.note_queued(domain, sent);
            }
        }
        let (rings, incoming) = (&self.rings, &self.incoming);
        self.journal.add(&mut self.store, || rings.states(incoming));
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    let connection = self.store.open();
                    if let Err(error) = self.clients.add(connection, stream, self.poll.registry()) {
                        log::warn!("a program can't be served: {error}");
                        self.store.close(connection);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return log::warn!("{}: {error}", sockets::SOCKET),
            }
        }
    }

    /// Serves every domain that told of something.
    fn channels(&mut self) -> anyhow::Result<()> {
        while let Some(port) = self.rings.channels.pending()? {
            // First, so that what comes while the ring is looked at is told again.
            self.rings.channels.unmask(port)?;
            if port == self.domain_exception {
                self.look_after_domains();
            } else if let Some(domain) = self.rings.of_port(port) {
                self.ring(domain);
            }
        }
        Ok(())
    }

    fn ring(&mut self, domain: DomId) {
        let Some(served) = self.rings.get(domain) else { return };
        if served.ring.wants_restart() {
            return self.restart(domain);
        }
        if served.cut_off {
            return;
        }
        let (connection, port) = (served.connection, served.port);
        let taken = match served.ring.receive() {
            Err(broken) => return self.cut_off(domain, ERROR_RINGIDX, &broken),
            Ok(bytes) => bytes,
        };
        if !taken.is_empty() {
            let (until, _sent) = served.ring.indexes();
            self.look_again.insert(domain);
            let mut incoming = self.incoming.remove(&domain).unwrap_or_default();
            incoming.add(&taken);
            let done = serve(&mut self.store, &mut self.rings, connection, &mut incoming);
            if let Err(garbled) = done {
                return self.cut_off(domain, ERROR_PROTO, &garbled);
            }
            self.store.note_received(domain, until, incoming.pending());
            self.incoming.insert(domain, incoming);
        }
        self.write_down();
        if let Some(served) = self.rings.get(domain).filter(|_| !taken.is_empty()) {
            served.ring.received();
            self.rings.notify(port);
        }
        // It may have made room.
        self.flush_ring(domain);
    }

    /// Serves a program; something `comes` from it, or the end.
    fn client(&mut self, connection: ConnectionId, comes: Option<bool>) {
        let Some(client) = self.clients.get(connection) else { return };
        let goes = comes.map_or(Goes::On, |closed| client.receive(closed));
        let done = serve(&mut self.store, &mut self.rings, connection, &mut client.incoming);
        self.write_down();
        let Some(client) = self.clients.get(connection) else { return };
        if done.is_err()
            || goes == Goes::Away
            || client.send(connection, &mut self.store, self.poll.registry()) == Goes::Away
        {
            self.store.close(connection);
            self.clients.remove(connection);
        }
    }

    /// Sends what waits, as far as it goes.
    fn flush(&mut self) {
        for connection in self.store.awake() {
            if let Some(client) = self.clients.get(connection) {
                let registry = self.poll.registry();
                if client.send(connection, &mut self.store, registry) == Goes::Away {
                    self.store.close(connection);
                    self.clients.remove(connection);
                }
            } else if let Some(domain) = self.rings.of_connection(connection) {
                self.flush_ring(domain);
                if self.store.is_choked(connection) {
                    self.cut_off(domain, ERROR_COMM, &"it doesn't read what it is sent");
                }
            }
        }
    }

    fn flush_ring(&mut self, domain: DomId) {
        let Some(served) = self.rings.get(domain) else { return };
        let (connection, port) = (served.connection, served.port);
        let mut any = false;
        loop {
            let bytes = self.store.outgoing(connection);
            if bytes.is_empty() {
                break;
            }
            match served.ring.send(bytes) {
                Ok(0) => break,
                Ok(count) => {
                    self.store.sent(connection, count);
                    any = true;
                }
                Err(broken) => return self.cut_off(domain, ERROR_RINGIDX, &broken),
            }
        }
        if any {
            self.rings.notify(port);
        }
    }

    /// Begins anew with a domain that asks for it.
    fn restart(&mut self, domain: DomId) {
        let Some(served) = self.rings.get(domain) else { return };
        let (connection, port) = (served.connection, served.port);
        self.store.restart(connection);
        self.incoming.remove(&domain);
        // First, because the indexes begin anew as well.
        self.write_down();
        if let Some(served) = self.rings.get(domain) {
            served.ring.restart();
            served.cut_off = false;
        }
        self.rings.notify(port);
    }

    /// Stops serving a domain that breaks the rules, until it begins anew or is gone.
    fn cut_off(&mut self, domain: DomId, error: u32, why: &dyn std::fmt::Display) {
        log::warn!("domain {domain} is cut off the store: {why}");
        let Some(served) = self.rings.get(domain) else { return };
        served.ring.fail(error);
        served.cut_off = true;
        let connection = served.connection;
        self.store.restart(connection);
        self.incoming.remove(&domain);
    }

    /// Finds the domains that shut down or are gone.
    fn look_after_domains(&mut self) {
        let present = match self.rings.present() {
            Ok(present) => present,
            Err(error) => return log::warn!("{error:#}"),
        };
        for domain in self.store.guests() {
            match present.get(&domain) {
                Some(Presence::Alive) => {}
                Some(Presence::ShutDown) => self.store.shut_down(domain),
                Some(Presence::Dying) | None => {
                    // It is known: it has just been listed.
                    let _known = self.store.release(domain, &mut self.rings);
                    self.incoming.remove(&domain);
                }
            }
        }
    }
}

/// Goes on with the rings of guests that an earlier process served; gives what had come of their
/// messages.
fn go_on(
    store: &mut Store,
    rings: &mut Rings,
    left: &BTreeMap<DomId, Left>,
) -> anyhow::Result<HashMap<DomId, Assembler>> {
    let present = rings.present()?;
    let mut incoming = HashMap::new();
    for (domain, left) in left {
        if *domain != DomId::CONTROL {
            if !present.contains_key(domain) {
                log::info!("domain {domain} went while there was no store");
                store.bury(*domain);
                continue;
            }
            if let Err(error) = store.connect_again(*domain, left, rings) {
                log::error!("domain {domain} isn't served any more: {error}");
                continue;
            }
        }
        let mut assembler = Assembler::default();
        if let (Some(served), Some((until, partial))) = (rings.get(*domain), &left.received)
            && !served.ring.wants_restart()
        {
            served.ring.resume(*until);
            let (port, (_received, sent)) = (served.port, served.ring.indexes());
            rings.notify(port);
            assembler.add(partial);
            store.go_on_sending(*domain, left.unsent(sent));
        }
        incoming.insert(*domain, assembler);
    }
    Ok(incoming)
}

/// Does every request that has come whole.
fn serve(
    store: &mut Store,
    rings: &mut Rings,
    connection: ConnectionId,
    incoming: &mut Assembler,
) -> Result<(), Garbled> {
    while let Some(packet) = incoming.take()? {
        store.receive(connection, &packet, rings);
    }
    Ok(())
}
