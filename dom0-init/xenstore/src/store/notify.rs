//! Telling watches what happened.

use crate::path::{INTRODUCE_DOMAIN, Path, RELEASE_DOMAIN};
use crate::permission::{Access, Actor, Permissions};
use crate::tree::Node;
use crate::view::Change;
use crate::watch::{ConnectionId, Target, Watch};
use crate::wire;

use super::Store;

/// An event for a connection.
type Told = (ConnectionId, Box<[u8]>);

impl Store {
    /// Tells watches of changes, in order.
    pub(super) fn notify(&mut self, changes: &[Change]) {
        for change in changes {
            let mut told: Vec<Told> = Vec::new();
            match change {
                Change::Set { path, before } => {
                    let now = self.tree.get(path).map(Node::permissions);
                    self.tell_above(path, &[before.as_ref(), now], &mut told);
                }
                Change::Removed { path, node } => {
                    self.tell_above(path, &[Some(node.permissions())], &mut told);
                    self.tell_below(path, node, &mut told);
                }
            }
            self.deliver(told);
        }
    }

    /// Tells those that watch domains come or go.
    pub(super) fn notify_special(&mut self, target: &Target) {
        let (name, permissions) = match target {
            Target::Introduced => (INTRODUCE_DOMAIN, &self.introduced),
            Target::Released => (RELEASE_DOMAIN, &self.released),
            Target::Node(_) => return,
        };
        let told: Vec<Told> = self
            .watches
            .special(target)
            .iter()
            .filter(|watch| self.may_read(watch, permissions))
            .map(|watch| (watch.connection, wire::event(name, &watch.token)))
            .collect();
        self.deliver(told);
    }

    /// The first event of a new watch, which comes at once.
    pub(super) fn notify_first(&mut self, connection: ConnectionId, spelled: &str, token: &[u8]) {
        self.deliver(vec![(connection, wire::event(spelled, token))]);
    }

    /// Whoever may read a node, or might before, learns of its change.
    fn tell_above(&self, path: &Path, permissions: &[Option<&Permissions>], told: &mut Vec<Told>) {
        for (watched, watch) in self.watches.above(path) {
            if permissions.iter().flatten().any(|permissions| self.may_read(watch, permissions)) {
                let spelled = watch.spell(watched, path.as_str());
                told.push((watch.connection, wire::event(&spelled, &watch.token)));
            }
        }
    }

    /// Whoever watches a node that went with one above it.
    fn tell_below(&self, path: &Path, node: &Node, told: &mut Vec<Told>) {
        for (watched, watch) in self.watches.below(path) {
            let names = watched.get(path.as_str().len()..).unwrap_or_default();
            let names = names.split('/').filter(|name| !name.is_empty());
            let was = node.descendant(names);
            if was.is_some_and(|was| self.may_read(watch, was.permissions())) {
                let spelled = watch.spell(watched, watched);
                told.push((watch.connection, wire::event(&spelled, &watch.token)));
            }
        }
    }

    fn may_read(&self, watch: &Watch, permissions: &Permissions) -> bool {
        let actor: Option<&Actor> = self.connections.get(&watch.connection).map(|c| &c.actor);
        actor.is_some_and(|actor| permissions.allow(actor, Access::READ))
    }

    fn deliver(&mut self, told: Vec<Told>) {
        for (connection, message) in told {
            if let Some(known) = self.connections.get_mut(&connection) {
                known.outbox.event(message);
                self.awake.push(connection);
            }
        }
    }
}
