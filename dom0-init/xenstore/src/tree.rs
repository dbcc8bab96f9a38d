//! The nodes: a tree that is copied in no time and shares what doesn't change.
//!
//! A [`Tree`] is a handle. A clone of it is a snapshot: a change to either copies the nodes on
//! the way to the change if the other still has them, and changes them in place if not. Each
//! change is stamped with a number that is never used again, so that two snapshots tell what
//! differs between them by comparing stamps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::path::Path;
use crate::permission::{Actor, DomId, Permissions};

/// Gives out the stamps.
#[derive(Debug, Clone, Default)]
pub struct Clock(u64);

impl Clock {
    fn tick(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

/// A node: a value, permissions, children.
#[derive(Debug, Clone)]
pub struct Node {
    value: Arc<[u8]>,
    permissions: Permissions,
    children: BTreeMap<Arc<str>, Arc<Node>>,
    /// When it was created, or its value or permissions changed.
    changed: u64,
    /// When a child came or went.
    listed: u64,
}

impl Node {
    fn new(permissions: Permissions, stamp: u64) -> Self {
        let value = Arc::new([]);
        Self { value, permissions, children: BTreeMap::new(), changed: stamp, listed: stamp }
    }

    /// Its value.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Its permissions.
    pub fn permissions(&self) -> &Permissions {
        &self.permissions
    }

    /// Its children's names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.children.keys().map(|name| &**name)
    }

    /// Its children.
    pub fn children(&self) -> impl Iterator<Item = (&str, &Self)> {
        self.children.iter().map(|(name, node)| (&**name, &**node))
    }

    /// One of its children.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.get(name).map(|node| &**node)
    }

    /// When it was created, or its value or permissions changed.
    pub fn changed(&self) -> u64 {
        self.changed
    }

    /// When a child came or went.
    pub fn listed(&self) -> u64 {
        self.listed
    }

    /// The node that `names` lead to.
    pub fn descendant<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<&Self> {
        let mut node = self;
        for name in names {
            node = node.children.get(name)?;
        }
        Some(node)
    }

    /// Calls `visit` for itself and everything below, parents first.
    pub fn walk(&self, path: &Path, visit: &mut impl FnMut(&Path, &Self)) {
        visit(path, self);
        for (name, child) in self.children() {
            child.walk(&path.child(name), visit);
        }
    }

    fn count_owners(&self, count: &mut impl FnMut(DomId)) {
        count(self.permissions.owner());
        self.children.values().for_each(|child| child.count_owners(count));
    }
}

/// All nodes, and how many each domain owns.
#[derive(Debug, Clone)]
pub struct Tree {
    root: Arc<Node>,
    owned: Arc<BTreeMap<DomId, usize>>,
    version: u64,
}

/// How far a path exists.
#[derive(Debug)]
pub struct Reach<'a> {
    /// The last node that exists.
    pub node: &'a Node,
    /// How many of the path's names lead to it.
    pub depth: usize,
    /// Whether that is all of them.
    pub complete: bool,
}

impl Tree {
    /// An empty root that everybody may read.
    pub fn new(permissions: Permissions) -> Self {
        let owned = Arc::new(BTreeMap::from([(permissions.owner(), 1)]));
        Self { root: Arc::new(Node::new(permissions, 0)), owned, version: 0 }
    }

    /// The stamp of the last change: two trees of the same version are the same.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The root.
    pub fn root(&self) -> &Node {
        &self.root
    }

    /// A node.
    pub fn get(&self, path: &Path) -> Option<&Node> {
        self.root.descendant(path.names())
    }

    /// The nodes on the way to a path, from the root down, as far as they are there; each with its
    /// own path.
    pub fn lineage<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let mut node = Some(&*self.root);
        path.lineage().map_while(move |path| {
            if path != "/" {
                node = node?.child(path.rsplit('/').next()?);
            }
            Some((path, node?))
        })
    }

    /// The node, or the nearest one above it.
    pub fn reach(&self, path: &Path) -> Reach<'_> {
        let mut reach = Reach { node: &self.root, depth: 0, complete: true };
        for name in path.names() {
            match reach.node.children.get(name) {
                Some(child) => reach = Reach { node: child, depth: reach.depth + 1, ..reach },
                None => return Reach { complete: false, ..reach },
            }
        }
        reach
    }

    /// How many nodes a domain owns.
    pub fn owned_by(&self, domain: DomId) -> usize {
        self.owned.get(&domain).copied().unwrap_or(0)
    }

    /// Sets a node's value; creates it, and what misses on the way, for `who`.
    pub fn write(&mut self, path: &Path, value: &[u8], who: &Actor, clock: &mut Clock) {
        let stamp = self.stamp(clock);
        let node = self.make(path, who, stamp);
        node.value = value.into();
        node.changed = stamp;
    }

    /// Creates a node, and what misses on the way, for `who`, if it isn't there.
    pub fn create(&mut self, path: &Path, who: &Actor, clock: &mut Clock) {
        let stamp = self.stamp(clock);
        self.make(path, who, stamp);
    }

    /// Sets the permissions of a node that exists.
    pub fn set_permissions(&mut self, path: &Path, permissions: Permissions, clock: &mut Clock) {
        let Some(node) = self.get(path) else { return };
        let (before, after) = (node.permissions.owner(), permissions.owner());
        let stamp = self.stamp(clock);
        // It exists, so nobody's permissions are inherited.
        let node = self.make(path, &Actor::domain(DomId::CONTROL), stamp);
        node.permissions = permissions;
        node.changed = stamp;
        self.count(before, -1);
        self.count(after, 1);
    }

    /// Takes a node and everything below it out; the root stays.
    pub fn remove(&mut self, path: &Path, clock: &mut Clock) -> Option<Arc<Node>> {
        self.get(path)?;
        let parent = path.parent()?;
        let stamp = self.stamp(clock);
        let mut node = Arc::make_mut(&mut self.root);
        for name in parent.names() {
            node = Arc::make_mut(node.children.get_mut(name)?);
        }
        let removed = node.children.remove(path.name())?;
        node.listed = stamp;
        let mut owners = Vec::new();
        removed.count_owners(&mut |owner| owners.push(owner));
        owners.into_iter().for_each(|owner| self.count(owner, -1));
        Some(removed)
    }

    fn stamp(&mut self, clock: &mut Clock) -> u64 {
        self.version = clock.tick();
        self.version
    }

    /// The node, to change, with what misses on the way to it.
    fn make(&mut self, path: &Path, who: &Actor, stamp: u64) -> &mut Node {
        let owned = &mut self.owned;
        let mut node = Arc::make_mut(&mut self.root);
        for name in path.names() {
            let Node { children, permissions, listed, .. } = node;
            let child = match children.entry(name.into()) {
                Entry::Occupied(child) => child.into_mut(),
                Entry::Vacant(place) => {
                    let permissions = permissions.inherited(who);
                    *Arc::make_mut(owned).entry(permissions.owner()).or_default() += 1;
                    *listed = stamp;
                    place.insert(Arc::new(Node::new(permissions, stamp)))
                }
            };
            node = Arc::make_mut(child);
        }
        node
    }

    fn count(&mut self, owner: DomId, change: isize) {
        let owned = Arc::make_mut(&mut self.owned);
        let count = owned.entry(owner).or_default();
        *count = count.saturating_add_signed(change);
        if *count == 0 {
            owned.remove(&owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text, DomId(0)).unwrap()
    }

    fn tree() -> (Tree, Clock) {
        (Tree::new(Permissions::control_only()), Clock::default())
    }

    const CONTROL: Actor = Actor::domain(DomId(0));

    #[test]
    fn a_snapshot_stays_as_it_was() {
        let (mut tree, mut clock) = tree();
        tree.write(&path("/a/b"), b"1", &CONTROL, &mut clock);
        let snapshot = tree.clone();
        tree.write(&path("/a/b"), b"2", &CONTROL, &mut clock);
        tree.remove(&path("/a"), &mut clock);
        assert_eq!(snapshot.get(&path("/a/b")).unwrap().value(), b"1");
        assert!(tree.get(&path("/a")).is_none());
        assert_eq!((snapshot.owned_by(DomId(0)), tree.owned_by(DomId(0))), (3, 1));
        assert_ne!(snapshot.version(), tree.version());
    }

    #[test]
    fn stamps_tell_values_from_lists() {
        let (mut tree, mut clock) = tree();
        tree.write(&path("/a"), b"1", &CONTROL, &mut clock);
        let stamps = |tree: &Tree| {
            let node = tree.get(&path("/a")).unwrap();
            (node.changed(), node.listed())
        };
        let before = stamps(&tree);
        tree.create(&path("/a/b"), &CONTROL, &mut clock);
        let listed = stamps(&tree);
        assert!(listed.0 == before.0 && listed.1 > before.1);
        tree.write(&path("/a"), b"2", &CONTROL, &mut clock);
        let changed = stamps(&tree);
        assert!(changed.0 > listed.0 && changed.1 == listed.1);
        tree.write(&path("/a/b"), b"2", &CONTROL, &mut clock);
        assert_eq!(stamps(&tree), changed, "what is below is its own affair");
    }

    #[test]
    fn owners_are_counted() {
        let (mut tree, mut clock) = tree();
        tree.create(&path("/x/y/z"), &Actor::domain(DomId(4)), &mut clock);
        assert_eq!((tree.owned_by(DomId(4)), tree.owned_by(DomId(0))), (3, 1));
        tree.set_permissions(&path("/x/y"), Permissions::control_only(), &mut clock);
        assert_eq!((tree.owned_by(DomId(4)), tree.owned_by(DomId(0))), (2, 2));
        tree.remove(&path("/x"), &mut clock);
        assert_eq!((tree.owned_by(DomId(4)), tree.owned_by(DomId(0))), (0, 1));
        assert!(tree.remove(&Path::root(), &mut clock).is_none());
    }

    #[test]
    fn reaching_what_is_not_there() {
        let (mut tree, mut clock) = tree();
        tree.create(&path("/a/b"), &CONTROL, &mut clock);
        let target = path("/a/b/c/d");
        let reach = tree.reach(&target);
        assert_eq!((reach.depth, reach.complete), (2, false));
        assert!(tree.reach(&path("/a/b")).complete);
    }
}
