//! The store: connections, domains, and what each request does.
//!
//! [`answer`] does the requests, [`notify`] tells watches, [`domains`] knows who is there,
//! [`survive`] writes down what a later store goes on from.

mod answer;
mod connection;
mod domains;
mod notify;
mod survive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use crate::journal::{Record, Touched};
use crate::path::Path;
use crate::permission::{Actor, DomId, Permissions};
use crate::quota::Quota;
use crate::tree::{Clock, Tree};
use crate::watch::{ConnectionId, Watches};
use crate::wire::{self, Packet};
use connection::Connection;
use domains::Domain;
pub use survive::{Left, RingState};

/// What the store asks of the server around it.
pub trait Host {
    /// Connects a domain's ring, which lies at `frame` of its memory and is granted to the
    /// store's domain under its fixed reference, as `connection`.
    ///
    /// # Errors
    /// As the system has it.
    fn connect(
        &mut self,
        domain: DomId,
        frame: u64,
        port: u32,
        connection: ConnectionId,
    ) -> std::io::Result<()>;

    /// Lets go of a domain's ring.
    fn disconnect(&mut self, domain: DomId);
}

/// All of the store's state.
#[derive(Debug)]
pub struct Store {
    tree: Tree,
    clock: Clock,
    watches: Watches,
    quota: Quota,
    connections: HashMap<ConnectionId, Connection>,
    domains: BTreeMap<DomId, Domain>,
    /// Who may watch domains come and go, besides the control domain.
    introduced: Permissions,
    released: Permissions,
    last: ConnectionId,
    /// Connections that have got something to send.
    awake: Vec<ConnectionId>,
    /// What was changed since the journal was taken last, but for nodes.
    journal: Vec<Record>,
    /// Where nodes changed since then.
    touched: Vec<Touched>,
    /// The tree's version then.
    written: u64,
}

impl Store {
    /// An empty one.
    pub fn new(quota: Quota) -> Self {
        Self {
            tree: Tree::new(Permissions::control_only()),
            clock: Clock::default(),
            watches: Watches::default(),
            quota,
            connections: HashMap::new(),
            domains: BTreeMap::new(),
            introduced: Permissions::control_only(),
            released: Permissions::control_only(),
            last: ConnectionId(0),
            awake: Vec::new(),
            journal: Vec::new(),
            touched: Vec::new(),
            written: 0,
        }
    }

    /// Opens a connection of a program in the control domain.
    pub fn open(&mut self) -> ConnectionId {
        self.open_for(DomId::CONTROL)
    }

    /// Closes a connection: its watches and transactions end.
    pub fn close(&mut self, connection: ConnectionId) {
        if self.connections.remove(&connection).is_some() {
            self.watches.remove_all(connection);
        }
    }

    /// Begins anew with a connection: no watches, no transactions, nothing waits.
    pub fn restart(&mut self, connection: ConnectionId) {
        self.watches.remove_all(connection);
        self.note(connection, |domain| Record::Reset { domain });
        if let Some(known) = self.connections.get_mut(&connection) {
            *known = Connection::new(known.actor);
        }
    }

    /// Does a request; the answer and events are put into outboxes.
    pub fn receive(&mut self, connection: ConnectionId, packet: &Packet, host: &mut dyn Host) {
        let Some(sender) = self.connections.get(&connection) else { return };
        let who = sender.actor;
        let result = self.answer(connection, who, packet, host);
        let head = &packet.head;
        let message = match result {
            Ok(answer) => {
                self.send(
                    connection,
                    wire::encode(head.ty, head.req_id, head.tx_id, &answer.payload),
                );
                return self.after(connection, answer.then);
            }
            Err(error) => wire::refusal(head, error),
        };
        self.send(connection, message);
    }

    /// The bytes that a connection is to send next; empty if there are none, or if there is no
    /// such connection.
    pub fn outgoing(&self, connection: ConnectionId) -> &[u8] {
        self.connections.get(&connection).map_or(&[], |known| known.outbox.next())
    }

    /// Takes off what was sent.
    pub fn sent(&mut self, connection: ConnectionId, count: usize) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.outbox.sent(count);
        }
    }

    /// The connections that have got something to send since this was asked last.
    pub fn awake(&mut self) -> Vec<ConnectionId> {
        let mut awake = std::mem::take(&mut self.awake);
        awake.sort_unstable();
        awake.dedup();
        awake
    }

    /// The same, without forgetting them.
    pub fn still_awake(&self) -> Vec<ConnectionId> {
        let mut awake = self.awake.clone();
        awake.sort_unstable();
        awake.dedup();
        awake
    }

    /// Whether more waits for a guest than it may have waiting.
    pub fn is_choked(&self, connection: ConnectionId) -> bool {
        self.connections.get(&connection).is_some_and(|known| {
            !known.actor.is_privileged() && known.outbox.len() > self.quota.waiting_bytes
        })
    }

    /// Sets a value as the control domain would, for what the server itself has to say.
    pub fn write(&mut self, path: &Path, value: &[u8]) {
        let control = Actor::domain(DomId::CONTROL);
        self.tree.write(path, value, &control, &mut self.clock);
        self.touched.push(Touched::Set(path.clone()));
    }

    /// The nodes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    fn open_for(&mut self, domain: DomId) -> ConnectionId {
        self.last = ConnectionId(self.last.0.wrapping_add(1));
        self.connections.insert(self.last, Connection::new(Actor::domain(domain)));
        self.last
    }

    fn send(&mut self, connection: ConnectionId, message: Box<[u8]>) {
        if let Some(known) = self.connections.get_mut(&connection) {
            known.outbox.answer(message);
            self.awake.push(connection);
        }
    }
}
