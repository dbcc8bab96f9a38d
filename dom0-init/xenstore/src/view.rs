//! What a request may see and change: the tree, through its sender's permissions and quotas.
//!
//! The same code serves requests inside and outside of transactions. Inside, every answer is
//! noted in [`Reads`] as what it depends on, and every change in a list, to be done again on
//! the common tree at the end.

use std::collections::HashSet;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::path::Path;
use crate::permission::{Access, Actor, Permissions};
use crate::quota::Quota;
use crate::tree::{Clock, Node, Tree};

/// A change that was done, for the watches.
#[derive(Debug, Clone)]
pub enum Change {
    /// A node was created, or its value or permissions set.
    Set {
        /// Which.
        path: Path,
        /// The permissions that it had before.
        before: Option<Permissions>,
    },
    /// A node was removed.
    Removed {
        /// Which.
        path: Path,
        /// It, with everything below.
        node: Arc<Node>,
    },
}

/// A change that somebody asks for.
#[derive(Debug, Clone)]
pub enum Order {
    /// Set the value, creating the node if need be.
    Write(Path, Arc<[u8]>),
    /// Create the node if it isn't there.
    MakeDirectory(Path),
    /// Remove it and everything below.
    Remove(Path),
    /// Set the permissions.
    SetPermissions(Path, Permissions),
}

/// What answers have depended on: nodes' own state or absence, and lists of children.
#[derive(Debug, Clone, Default)]
pub struct Reads {
    nodes: HashSet<Path>,
    lists: HashSet<Path>,
}

impl Reads {
    /// Whether all of it is the same in two trees.
    pub fn same(&self, one: &Tree, other: &Tree) -> bool {
        let changed = |tree: &Tree, path| tree.get(path).map(Node::changed);
        let listed = |tree: &Tree, path| tree.get(path).map(Node::listed);
        self.nodes.iter().all(|path| changed(one, path) == changed(other, path))
            && self.lists.iter().all(|path| listed(one, path) == listed(other, path))
    }

    /// Notes the node; of one that isn't there, the nearest above, whose permissions decide,
    /// and the first that is missing, for if it comes its permissions decide.
    fn note(&mut self, tree: &Tree, path: &Path) {
        let reach = tree.reach(path);
        if reach.complete {
            self.nodes.insert(path.clone());
        } else {
            self.nodes.insert(path.ancestor(reach.depth));
            self.nodes.insert(path.ancestor(reach.depth + 1));
        }
    }
}

/// The tree as one request sees it.
#[derive(Debug)]
pub struct View<'a> {
    /// The nodes.
    pub tree: &'a mut Tree,
    /// For changes.
    pub clock: &'a mut Clock,
    /// Who asks.
    pub who: Actor,
    /// What guests may use.
    pub quota: &'a Quota,
    /// In a transaction: what the answers depend on.
    pub reads: Option<&'a mut Reads>,
}

impl View<'_> {
    /// A node that may be read.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Denied`].
    pub fn node(&mut self, path: &Path) -> Result<&Node> {
        self.note(path);
        self.get(path, Access::READ)
    }

    /// A node that may be read, for its children's names.
    ///
    /// # Errors
    /// As for [`Self::node`].
    pub fn directory(&mut self, path: &Path) -> Result<&Node> {
        if let Some(reads) = &mut self.reads {
            reads.lists.insert(path.clone());
        }
        self.node(path)
    }

    /// Does what is asked for; `None` if that changes nothing.
    ///
    /// # Errors
    /// When permissions or quotas don't allow it; nothing is changed then.
    pub fn change(&mut self, order: &Order) -> Result<Option<Change>> {
        match order {
            Order::Write(path, value) => self.write(path, value).map(Some),
            Order::MakeDirectory(path) => self.make_directory(path),
            Order::Remove(path) => self.remove(path),
            Order::SetPermissions(path, permissions) => {
                self.set_permissions(path, permissions).map(Some)
            }
        }
    }

    fn write(&mut self, path: &Path, value: &[u8]) -> Result<Change> {
        self.note(path);
        let before = self.may_change(path)?;
        let entries = before.as_ref().map_or(1, |before| before.entries().len());
        self.within_size(value.len(), entries)?;
        self.tree.write(path, value, &self.who, self.clock);
        Ok(Change::Set { path: path.clone(), before })
    }

    fn make_directory(&mut self, path: &Path) -> Result<Option<Change>> {
        self.note(path);
        if self.may_change(path)?.is_some() {
            return Ok(None);
        }
        self.tree.create(path, &self.who, self.clock);
        Ok(Some(Change::Set { path: path.clone(), before: None }))
    }

    fn remove(&mut self, path: &Path) -> Result<Option<Change>> {
        self.note(path);
        let parent = path.parent().ok_or(Error::Invalid)?;
        match self.get(path, Access::WRITE) {
            // That it is gone is what was asked for, if there is a place that it could be in.
            Err(Error::Missing) if self.get(&parent, Access::READ).is_ok() => return Ok(None),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let node = self.tree.remove(path, self.clock).ok_or(Error::Missing)?;
        Ok(Some(Change::Removed { path: path.clone(), node }))
    }

    fn set_permissions(&mut self, path: &Path, permissions: &Permissions) -> Result<Change> {
        self.note(path);
        let node = self.get(path, Access::NONE)?;
        let (before, bytes) = (node.permissions().clone(), node.value().len());
        if !before.owned_by(&self.who) {
            return Err(Error::Denied);
        }
        if !self.who.is_privileged() && permissions.owner() != before.owner() {
            return Err(Error::NotPrivileged);
        }
        self.within_size(bytes, permissions.entries().len())?;
        self.tree.set_permissions(path, permissions.clone(), self.clock);
        Ok(Change::Set { path: path.clone(), before: Some(before) })
    }

    /// The node, if it allows `wanted`. Whether one that isn't there is missing or denied is up
    /// to the nearest above it, so that nobody learns what is where he may not look.
    fn get(&self, path: &Path, wanted: Access) -> Result<&Node> {
        let reach = self.tree.reach(path);
        if !reach.node.permissions().allow(&self.who, wanted) {
            return Err(Error::Denied);
        }
        if reach.complete { Ok(reach.node) } else { Err(Error::Missing) }
    }

    /// Checks that a node may be changed, or created; its permissions if it is there.
    fn may_change(&self, path: &Path) -> Result<Option<Permissions>> {
        let reach = self.tree.reach(path);
        let permissions = reach.node.permissions();
        if !permissions.allow(&self.who, Access::WRITE) {
            return Err(Error::Denied);
        }
        if reach.complete {
            return Ok(Some(permissions.clone()));
        }
        let new = path.names().count().saturating_sub(reach.depth);
        let owned = self.tree.owned_by(self.who.domain).saturating_add(new);
        if !self.who.is_privileged() && owned > self.quota.nodes {
            return Err(Error::NoSpace);
        }
        Ok(None)
    }

    fn within_size(&self, value: usize, permissions: usize) -> Result<()> {
        let bytes = value.saturating_add(permissions.saturating_mul(4));
        let fits = bytes <= self.quota.node_bytes && permissions <= self.quota.permissions;
        if fits || self.who.is_privileged() { Ok(()) } else { Err(Error::NoSpace) }
    }

    fn note(&mut self, path: &Path) {
        if let Some(reads) = &mut self.reads {
            reads.note(self.tree, path);
        }
    }
}
