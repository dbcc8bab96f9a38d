//! What must outlive the store's process: nodes, and what rings rely on. Written down record by
//! record as it changes; a store that is made from these records goes on where the last one was.
//!
//! A record is a length (four bytes, little-endian), a letter, and fields; each field is a length
//! and bytes. A record that was cut off ends the journal: its change was never answered.

use std::collections::HashSet;
use std::sync::Arc;

use crate::path::Path;
use crate::permission::{Actor, DomId, Permission, Permissions};
use crate::tree::{Clock, Node, Tree};
use crate::view::Change;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A node has this value and these permissions.
    Node {
        /// Which.
        path: Box<str>,
        /// Its value.
        value: Arc<[u8]>,
        /// Its permissions.
        permissions: Vec<Permission>,
    },
    /// A node and everything below it went.
    Removed {
        /// Which.
        path: Box<str>,
    },
    /// A domain's ring is served.
    Introduced {
        /// Whose.
        domain: DomId,
        /// Where it lies in its memory.
        frame: u64,
        /// The port that was offered for it.
        port: u32,
    },
    /// A domain is gone.
    Released {
        /// Which.
        domain: DomId,
    },
    /// A domain watches something.
    Watched {
        /// Which.
        domain: DomId,
        /// As it was spelled.
        spelled: Box<str>,
        /// Comes with each event.
        token: Box<[u8]>,
        /// How many levels below still count.
        depth: Option<usize>,
    },
    /// A domain doesn't watch something any more.
    Unwatched {
        /// Which.
        domain: DomId,
        /// As it was spelled.
        spelled: Box<str>,
        /// The watch's token.
        token: Box<[u8]>,
    },
    /// A domain begins anew: no watches, no transactions.
    Reset {
        /// Which.
        domain: DomId,
    },
    /// A domain began a transaction.
    Began {
        /// Which.
        domain: DomId,
        /// The transaction's number.
        transaction: u32,
    },
    /// A domain ended a transaction.
    Ended {
        /// Which.
        domain: DomId,
        /// The transaction's number.
        transaction: u32,
    },
    /// What was taken from a domain's ring is done.
    Received {
        /// Whose.
        domain: DomId,
        /// The ring's index up to which it was taken.
        until: u32,
        /// The beginning of a message whose rest is to come.
        partial: Box<[u8]>,
    },
    /// What a domain is to be sent.
    Queued {
        /// Whose.
        domain: DomId,
        /// The ring's index at which it begins.
        from: u32,
        /// The bytes.
        bytes: Box<[u8]>,
    },
}

impl Record {
    /// Appends it to a journal.
    pub fn append(&self, to: &mut Vec<u8>) {
        let (letter, fields) = self.fields();
        let mut body = vec![letter];
        for field in fields {
            body.extend(length(&field));
            body.extend(field);
        }
        to.extend(length(&body));
        to.extend(body);
    }

    fn fields(&self) -> (u8, Vec<Vec<u8>>) {
        let number = |domain: &DomId| domain.0.to_le_bytes().to_vec();
        match self {
            Self::Node { path, value, permissions } => {
                let list: Vec<String> = permissions.iter().map(ToString::to_string).collect();
                (b'n', vec![path.as_bytes().to_vec(), value.to_vec(), list.join(" ").into_bytes()])
            }
            Self::Removed { path } => (b'r', vec![path.as_bytes().to_vec()]),
            Self::Introduced { domain, frame, port } => {
                let (frame, port) = (frame.to_le_bytes().to_vec(), port.to_le_bytes().to_vec());
                (b'i', vec![number(domain), frame, port])
            }
            Self::Released { domain } => (b'd', vec![number(domain)]),
            Self::Watched { domain, spelled, token, depth } => {
                let depth = depth.map_or_else(Vec::new, |depth| depth.to_string().into_bytes());
                let spelled = spelled.as_bytes().to_vec();
                (b'w', vec![number(domain), spelled, token.to_vec(), depth])
            }
            Self::Unwatched { domain, spelled, token } => {
                (b'u', vec![number(domain), spelled.as_bytes().to_vec(), token.to_vec()])
            }
            Self::Reset { domain } => (b'x', vec![number(domain)]),
            Self::Began { domain, transaction } => {
                (b'b', vec![number(domain), transaction.to_le_bytes().to_vec()])
            }
            Self::Ended { domain, transaction } => {
                (b'e', vec![number(domain), transaction.to_le_bytes().to_vec()])
            }
            Self::Received { domain, until, partial } => {
                (b'p', vec![number(domain), until.to_le_bytes().to_vec(), partial.to_vec()])
            }
            Self::Queued { domain, from, bytes } => {
                (b'q', vec![number(domain), from.to_le_bytes().to_vec(), bytes.to_vec()])
            }
        }
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (letter, mut rest) = body.split_first()?;
        let mut field = || {
            let (field, left) = take(rest)?;
            rest = left;
            Some(field)
        };
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(Box::<str>::from);
        let domain = |bytes: &[u8]| Some(DomId(u16::from_le_bytes(bytes.try_into().ok()?)));
        let number = |bytes: &[u8]| Some(u32::from_le_bytes(bytes.try_into().ok()?));
        Some(match letter {
            b'n' => {
                let (path, value) = (text(field()?)?, field()?.into());
                let list = std::str::from_utf8(field()?).ok()?;
                let permissions =
                    list.split(' ').map(Permission::parse).collect::<Result<_, _>>().ok()?;
                Self::Node { path, value, permissions }
            }
            b'r' => Self::Removed { path: text(field()?)? },
            b'i' => Self::Introduced {
                domain: domain(field()?)?,
                frame: u64::from_le_bytes(field()?.try_into().ok()?),
                port: number(field()?)?,
            },
            b'd' => Self::Released { domain: domain(field()?)? },
            b'w' => Self::Watched {
                domain: domain(field()?)?,
                spelled: text(field()?)?,
                token: field()?.into(),
                depth: text(field()?)?.parse().ok(),
            },
            b'u' => Self::Unwatched {
                domain: domain(field()?)?,
                spelled: text(field()?)?,
                token: field()?.into(),
            },
            b'x' => Self::Reset { domain: domain(field()?)? },
            b'b' => Self::Began { domain: domain(field()?)?, transaction: number(field()?)? },
            b'e' => Self::Ended { domain: domain(field()?)?, transaction: number(field()?)? },
            b'p' => Self::Received {
                domain: domain(field()?)?,
                until: number(field()?)?,
                partial: field()?.into(),
            },
            b'q' => Self::Queued {
                domain: domain(field()?)?,
                from: number(field()?)?,
                bytes: field()?.into(),
            },
            _ => return None,
        })
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

/// Bytes behind their length, and what follows.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// The records of a journal, as far as they are whole.
pub fn records(mut journal: &[u8]) -> Vec<Record> {
    let mut all = Vec::new();
    while let Some((body, rest)) = take(journal) {
        let Some(record) = Record::parse(body) else { break };
        all.push(record);
        journal = rest;
    }
    all
}

/// A place where something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// The node was created, or its value or permissions set.
    Set(Path),
    /// The node went, with everything below.
    Removed(Path),
}

impl From<&Change> for Touched {
    fn from(change: &Change) -> Self {
        match change {
            Change::Set { path, .. } => Self::Set(path.clone()),
            Change::Removed { path, .. } => Self::Removed(path.clone()),
        }
    }
}

/// All nodes of a tree, parents first.
pub fn whole(tree: &Tree) -> Vec<Record> {
    let mut all = Vec::new();
    tree.root().walk(&Path::root(), &mut |path, node| all.push(record(path.as_str(), node)));
    all
}

/// What became of the places that changed, in this order, since the tree was of version `since`;
/// and of the nodes above that were created on the way.
pub fn changes(tree: &Tree, touched: &[Touched], since: u64) -> Vec<Record> {
    let mut all = Vec::new();
    // What was told of once is so still, unless something above went.
    let mut told = HashSet::new();
    for place in touched {
        match place {
            Touched::Removed(path) => {
                told.clear();
                all.push(Record::Removed { path: path.as_str().into() });
            }
            Touched::Set(path) => {
                for (path, node) in tree.lineage(path) {
                    if node.changed() > since && told.insert(path.to_owned()) {
                        all.push(record(path, node));
                    }
                }
            }
        }
    }
    all
}

fn record(path: &str, node: &Node) -> Record {
    Record::Node {
        path: path.into(),
        value: node.value().into(),
        permissions: node.permissions().entries().to_vec(),
    }
}

/// Does to a tree what records tell of nodes.
pub fn replay(tree: &mut Tree, clock: &mut Clock, records: &[Record]) {
    let control = Actor::domain(DomId::CONTROL);
    let place = |path: &str| Path::parse(path, DomId::CONTROL).ok();
    for record in records {
        match record {
            Record::Node { path, value, permissions } => {
                let permissions = Permissions::new(permissions);
                let (Some(path), Ok(permissions)) = (place(path), permissions) else { continue };
                tree.write(&path, value, &control, clock);
                tree.set_permissions(&path, permissions, clock);
            }
            Record::Removed { path } => {
                let _removed = place(path).and_then(|path| tree.remove(&path, clock));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::permission::Access;

    fn domain() -> DomId {
        DomId(3)
    }

    #[test]
    fn records_are_read_back_as_far_as_they_are_whole() {
        let permission = Permission { domain: domain(), access: Access::READ };
        let all = [
            Record::Node {
                path: "/a".into(),
                value: [0, 1, 255].into(),
                permissions: vec![permission, Permission { access: Access::BOTH, ..permission }],
            },
            Record::Removed { path: "/a".into() },
            Record::Introduced { domain: domain(), frame: u64::MAX, port: 7 },
            Record::Released { domain: domain() },
            Record::Watched {
                domain: domain(),
                spelled: "device".into(),
                token: [0].into(),
                depth: Some(2),
            },
            Record::Watched {
                domain: domain(),
                spelled: "/".into(),
                token: [].into(),
                depth: None,
            },
            Record::Unwatched { domain: domain(), spelled: "/".into(), token: [].into() },
            Record::Reset { domain: domain() },
            Record::Began { domain: domain(), transaction: 1 },
            Record::Ended { domain: domain(), transaction: 1 },
            Record::Received { domain: domain(), until: 9, partial: [1, 2].into() },
            Record::Queued { domain: domain(), from: u32::MAX, bytes: [3].into() },
        ];
        let (mut journal, mut ends) = (Vec::new(), Vec::new());
        for record in &all {
            record.append(&mut journal);
            ends.push(journal.len());
        }
        assert_eq!(records(&journal), all);
        for cut in 0..journal.len() {
            let whole = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(records(&journal[..cut]), all[..whole]);
        }
    }

    /// Every node with its value and permissions.
    fn listed(tree: &Tree) -> Vec<(String, Vec<u8>, Permissions)> {
        let mut all = Vec::new();
        tree.root().walk(&Path::root(), &mut |path, node| {
            all.push((path.to_string(), node.value().to_vec(), node.permissions().clone()));
        });
        all
    }

    proptest! {
        #[test]
        fn changes_make_the_same_tree(
            steps in prop::collection::vec((0..4_u8, "/[ab]/[abc]|/[ab]|/[ab]/[ab]/[ab]", any::<u8>()), 0..60),
            pause in 1..7_usize,
        ) {
            let control = Actor::domain(DomId::CONTROL);
            let mut clock = Clock::default();
            let mut tree = Tree::new(Permissions::control_only());
            let mut copy = Tree::new(Permissions::control_only());
            let (mut written, mut touched) = (tree.version(), Vec::new());
            for (number, (step, path, value)) in steps.iter().enumerate() {
                let path = Path::parse(path, DomId::CONTROL).unwrap();
                touched.push(match step {
                    2 => Touched::Removed(path.clone()),
                    _ => Touched::Set(path.clone()),
                });
                match step {
                    0 | 1 => tree.write(&path, &[*value], &control, &mut clock),
                    2 => drop(tree.remove(&path, &mut clock)),
                    _ => {
                        let entry = Permission { domain: DomId(u16::from(*value)), access: Access::READ };
                        let permissions = Permissions::new(&[entry]).unwrap();
                        tree.set_permissions(&path, permissions, &mut clock);
                    }
                }
                if number % pause == 0 {
                    let records = changes(&tree, &touched, written);
                    replay(&mut copy, &mut Clock::default(), &records);
                    (written, touched) = (tree.version(), Vec::new());
                    prop_assert_eq!(listed(&copy), listed(&tree));
                    let mut another = Tree::new(Permissions::control_only());
                    replay(&mut another, &mut Clock::default(), &whole(&tree));
                    prop_assert_eq!(listed(&another), listed(&tree));
                }
            }
        }
    }
}
