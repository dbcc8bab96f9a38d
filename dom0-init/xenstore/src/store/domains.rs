//! The domains that the store knows, and their coming and going.

use crate::error::{Error, Result};
use crate::journal::{Record, Touched};
use crate::path::Path;
use crate::permission::DomId;
use crate::tree::Node;
use crate::view::Change;
use crate::watch::{ConnectionId, Target};

use super::{Host, Store};

/// A known domain.
#[derive(Debug, Clone, Copy)]
pub struct Domain {
    /// Its ring's connection.
    pub connection: ConnectionId,
    /// Whether it was told that it shut down.
    pub shut_down: bool,
    /// Where its ring lies, and its port; none for the control domain.
    pub ring: Option<(u64, u32)>,
}

impl Store {
    /// Makes a domain known and gives its connection, whose ring is to be served.
    pub fn introduce(&mut self, domain: DomId) -> ConnectionId {
        let connection = self.open_for(domain);
        self.domains.insert(domain, Domain { connection, shut_down: false, ring: None });
        self.notify_special(&Target::Introduced);
        connection
    }

    /// A domain's connection, if it is known.
    pub fn connection_of(&self, domain: DomId) -> Option<ConnectionId> {
        self.domains.get(&domain).map(|known| known.connection)
    }

    /// The domains that are known, besides the control domain.
    pub fn guests(&self) -> Vec<DomId> {
        self.domains.keys().copied().filter(|domain| *domain != DomId::CONTROL).collect()
    }

    /// A domain shut down: whoever watches for that is told, once.
    pub fn shut_down(&mut self, domain: DomId) {
        let Some(known) = self.domains.get_mut(&domain) else { return };
        if !std::mem::replace(&mut known.shut_down, true) {
            self.notify_special(&Target::Released);
        }
    }

    /// A domain is gone: its connection closes, what it owned goes, and a later domain of its
    /// number inherits no permission.
    ///
    /// # Errors
    /// [`Error::Missing`] if it isn't known, [`Error::Invalid`] if it is the control domain.
    pub fn release(&mut self, domain: DomId, host: &mut dyn Host) -> Result<()> {
        let changes = self.forget(domain, host)?;
        self.notify(&changes);
        self.notify_special(&Target::Released);
        Ok(())
    }

    /// Forgets a domain; what went with it is for the watches.
    pub(super) fn forget(&mut self, domain: DomId, host: &mut dyn Host) -> Result<Vec<Change>> {
        if domain == DomId::CONTROL {
            return Err(Error::Invalid);
        }
        let known = self.domains.remove(&domain).ok_or(Error::Missing)?;
        self.close(known.connection);
        self.journal.push(Record::Released { domain });
        host.disconnect(domain);
        Ok(self.remove_traces(domain))
    }

    /// Makes a domain known, or its ring if it is known.
    pub(super) fn connect(
        &mut self,
        domain: DomId,
        frame: u64,
        port: u32,
        host: &mut dyn Host,
    ) -> Result<()> {
        if domain == DomId::CONTROL {
            return Err(Error::Invalid);
        }
        if self.domains.contains_key(&domain) {
            // Introduced again: nothing but its ring and port may have changed.
            let connection = self.connection_of(domain).ok_or(Error::Missing)?;
            host.disconnect(domain);
            host.connect(domain, frame, port, connection).map_err(|_| Error::Io)?;
            self.introduced_at(domain, frame, port);
            return Ok(());
        }
        let connection = self.open_for(domain);
        if host.connect(domain, frame, port, connection).is_err() {
            self.close(connection);
            return Err(Error::Io);
        }
        self.domains.insert(domain, Domain { connection, shut_down: false, ring: None });
        self.introduced_at(domain, frame, port);
        Ok(())
    }

    pub(super) fn resume(&mut self, domain: DomId) -> Result<()> {
        self.domains.get_mut(&domain).ok_or(Error::Missing)?.shut_down = false;
        Ok(())
    }

    pub(super) fn set_target(&mut self, domain: DomId, target: DomId) -> Result<()> {
        let connection = self.connection_of(domain).ok_or(Error::Missing)?;
        let known = self.connections.get_mut(&connection).ok_or(Error::Missing)?;
        known.actor.target = Some(target);
        Ok(())
    }

    fn introduced_at(&mut self, domain: DomId, frame: u64, port: u32) {
        if let Some(known) = self.domains.get_mut(&domain) {
            known.ring = Some((frame, port));
            self.journal.push(Record::Introduced { domain, frame, port });
        }
    }

    pub(super) fn remove_traces(&mut self, domain: DomId) -> Vec<Change> {
        let (mut owned, mut named) = (Vec::new(), Vec::new());
        self.tree.root().walk(&Path::root(), &mut |path: &Path, node: &Node| {
            if node.permissions().owner() == domain {
                owned.push(path.clone());
            } else if let Some(permissions) = node.permissions().without(domain) {
                named.push((path.clone(), permissions));
            }
        });
        for (path, permissions) in named {
            self.tree.set_permissions(&path, permissions, &mut self.clock);
            self.touched.push(Touched::Set(path));
        }
        for connection in self.connections.values_mut() {
            connection.actor.target = connection.actor.target.filter(|target| *target != domain);
        }
        let remove = |path: Path| {
            // What lies below another that it owned is gone with that.
            let node = self.tree.remove(&path, &mut self.clock)?;
            Some(Change::Removed { path, node })
        };
        let changes: Vec<Change> = owned.into_iter().filter_map(remove).collect();
        self.touch(&changes);
        changes
    }
}
