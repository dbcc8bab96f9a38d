//! The model: a map from whole paths, copied for each transaction.

use std::collections::{BTreeMap, HashMap};

/// An answer's or error's payload.
pub type Reply = Result<String, String>;

/// What can be done inside a transaction.
#[derive(Debug, Clone)]
pub enum Op {
    Read(String),
    List(String),
    GetPermissions(String),
    Write(String, String),
    Make(String),
    Remove(String),
    SetPermissions(String, Vec<(char, u16)>),
}

#[derive(Debug, Clone, PartialEq)]
struct Node {
    value: String,
    permissions: Vec<(char, u16)>,
}

type Nodes = BTreeMap<String, Node>;

/// A change: the path, and who may learn of it.
#[derive(Debug, Clone)]
struct Change {
    path: String,
    permissions: Vec<Vec<(char, u16)>>,
    /// Only those that watch this very path are told.
    exact: bool,
}

struct Transaction {
    nodes: Nodes,
    /// [`Model::changes`] when it began.
    began_at: usize,
    log: Vec<(Op, Reply)>,
}

struct Watch {
    domain: u16,
    spelled: String,
    path: String,
    token: String,
    depth: Option<usize>,
}

pub struct Model {
    nodes: Nodes,
    /// How many changes there were, those to the same value too.
    changes: usize,
    transactions: HashMap<u16, Transaction>,
    watches: Vec<Watch>,
    events: HashMap<u16, Vec<String>>,
    quota: usize,
}

impl Model {
    pub fn new(quota: usize) -> Self {
        let root = Node { value: String::new(), permissions: vec![('n', 0)] };
        Self {
            nodes: BTreeMap::from([("/".to_owned(), root)]),
            changes: 0,
            transactions: HashMap::new(),
            watches: Vec::new(),
            events: HashMap::new(),
            quota,
        }
    }

    pub fn apply(&mut self, who: u16, op: &Op) -> Reply {
        let mut changes = Vec::new();
        let reply = perform(&mut self.nodes, who, op, self.quota, &mut changes);
        self.tell(&changes);
        reply
    }

    pub fn begin(&mut self, who: u16) {
        let nodes = self.nodes.clone();
        let began_at = self.changes;
        self.transactions.insert(who, Transaction { nodes, began_at, log: Vec::new() });
    }

    pub fn apply_inside(&mut self, who: u16, op: &Op) -> Reply {
        let transaction = self.transactions.get_mut(&who).unwrap();
        let reply = perform(&mut transaction.nodes, who, op, self.quota, &mut Vec::new());
        transaction.log.push((op.clone(), reply.clone()));
        reply
    }

    /// Ends a transaction as the store did; says what is wrong if it shouldn't have.
    pub fn end(&mut self, who: u16, keep: bool, done: bool) -> Result<(), String> {
        let transaction = self.transactions.remove(&who).unwrap();
        if !keep {
            return if done { Ok(()) } else { Err("giving up can't fail".into()) };
        }
        if !done {
            return if transaction.began_at == self.changes {
                Err("refused although nothing had happened".into())
            } else {
                Ok(())
            };
        }
        let mut changes = Vec::new();
        for (op, before) in &transaction.log {
            let now = perform(&mut self.nodes, who, op, self.quota, &mut changes);
            if now != *before {
                return Err(format!("{op:?} got {before:?} but would now get {now:?}"));
            }
        }
        self.tell(&changes);
        Ok(())
    }

    pub fn watch(&mut self, who: u16, spelled: &str, token: &str, depth: Option<usize>) -> Reply {
        let path = absolute(spelled, who);
        if self.watches.iter().any(|w| w.domain == who && w.path == path && w.token == token) {
            return Err("EEXIST\0".into());
        }
        let (spelled, token) = (spelled.to_owned(), token.to_owned());
        self.events.entry(who).or_default().push(format!("{spelled}\0{token}\0"));
        self.watches.push(Watch { domain: who, spelled, path, token, depth });
        Ok("OK\0".into())
    }

    pub fn unwatch(&mut self, who: u16, spelled: &str, token: &str) -> Reply {
        let path = absolute(spelled, who);
        let same = |w: &Watch| w.domain == who && w.path == path && w.token == token;
        let at = self.watches.iter().position(same).ok_or("ENOENT\0")?;
        self.watches.remove(at);
        Ok("OK\0".into())
    }

    pub fn take_events(&mut self) -> HashMap<u16, Vec<String>> {
        std::mem::take(&mut self.events)
    }

    fn tell(&mut self, changes: &[Change]) {
        self.changes += changes.len();
        for change in changes {
            for watch in &self.watches {
                let concerned = if change.exact {
                    watch.path == change.path
                } else {
                    is_at_or_below(&change.path, &watch.path)
                        && watch.depth.is_none_or(|d| names(&change.path) - names(&watch.path) <= d)
                };
                let now = self.nodes.get(&change.path).map(|node| &node.permissions);
                let mut seen = change.permissions.iter().chain(now);
                if concerned && seen.any(|p| allows(p, watch.domain, 'r')) {
                    let path = match watch.spelled.starts_with('/') {
                        true => change.path.clone(),
                        false => change.path.replacen(&watch.path, &watch.spelled, 1),
                    };
                    let event = format!("{path}\0{}\0", watch.token);
                    self.events.entry(watch.domain).or_default().push(event);
                }
            }
        }
    }
}

fn perform(nodes: &mut Nodes, who: u16, op: &Op, quota: usize, changes: &mut Vec<Change>) -> Reply {
    let ok = || Ok("OK\0".to_owned());
    match op {
        Op::Read(path) => visible(nodes, who, path, 'r').map(|(_, node)| node.value.clone()),
        Op::GetPermissions(path) => visible(nodes, who, path, 'r')
            .map(|(_, node)| node.permissions.iter().map(|(l, d)| format!("{l}{d}\0")).collect()),
        Op::List(path) => {
            let (path, _) = visible(nodes, who, path, 'r')?;
            let is_child = |other: &&String| **other != path && parent(other) == path;
            let name = |child: &String| format!("{}\0", child.rsplit('/').next().unwrap());
            Ok(nodes.keys().filter(is_child).map(name).collect())
        }
        Op::Write(path, value) => {
            let before = place(nodes, who, path, quota)?;
            let path = absolute(path, who);
            create(nodes, who, &path);
            nodes.get_mut(&path).unwrap().value = value.clone();
            changes.push(Change { path, permissions: before.into_iter().collect(), exact: false });
            ok()
        }
        Op::Make(path) => {
            if place(nodes, who, path, quota)?.is_none() {
                let path = absolute(path, who);
                create(nodes, who, &path);
                changes.push(Change { path, permissions: vec![], exact: false });
            }
            ok()
        }
        Op::Remove(path) => remove(nodes, who, &absolute(path, who), changes),
        Op::SetPermissions(path, new) => {
            let (path, node) = visible(nodes, who, path, '-')?;
            let before = node.permissions.clone();
            if who != 0 && before[0].1 != who {
                return Err("EACCES\0".into());
            }
            if who != 0 && new[0].1 != who {
                return Err("EPERM\0".into());
            }
            nodes.get_mut(&path).unwrap().permissions = new.clone();
            changes.push(Change { path, permissions: vec![before], exact: false });
            ok()
        }
    }
}

fn remove(nodes: &mut Nodes, who: u16, path: &str, changes: &mut Vec<Change>) -> Reply {
    if path == "/" {
        return Err("EINVAL\0".into());
    }
    match visible(nodes, who, path, 'w') {
        Err(error) if error == "ENOENT\0" => {
            let there = visible(nodes, who, &parent(path), 'r').is_ok();
            return if there { Ok("OK\0".into()) } else { Err(error) };
        }
        Err(error) => return Err(error),
        Ok(_) => {}
    }
    let gone: Vec<String> =
        nodes.keys().filter(|other| is_at_or_below(other, path)).cloned().collect();
    for other in gone {
        let node = nodes.remove(&other).unwrap();
        let exact = other != path;
        changes.push(Change { path: other, permissions: vec![node.permissions], exact });
    }
    Ok("OK\0".into())
}

/// The node if it allows something, else the error that the nearest above allows to be told.
fn visible<'a>(
    nodes: &'a Nodes,
    who: u16,
    path: &str,
    wanted: char,
) -> Result<(String, &'a Node), String> {
    let path = absolute(path, who);
    let near = nearest(nodes, &path);
    if !allows(&nodes[&near].permissions, who, wanted) {
        return Err("EACCES\0".into());
    }
    match nodes.get(&path) {
        Some(node) => Ok((path, node)),
        None => Err("ENOENT\0".into()),
    }
}

/// Checks that a node may be written or made; its permissions if it is there.
fn place(
    nodes: &Nodes,
    who: u16,
    path: &str,
    quota: usize,
) -> Result<Option<Vec<(char, u16)>>, String> {
    let path = absolute(path, who);
    let near = nearest(nodes, &path);
    if !allows(&nodes[&near].permissions, who, 'w') {
        return Err("EACCES\0".into());
    }
    if near == path {
        return Ok(Some(nodes[&path].permissions.clone()));
    }
    let owned = nodes.values().filter(|node| node.permissions[0].1 == who).count();
    if who != 0 && owned + names(&path) - names(&near) > quota {
        return Err("ENOSPC\0".into());
    }
    Ok(None)
}

fn create(nodes: &mut Nodes, who: u16, path: &str) {
    if nodes.contains_key(path) {
        return;
    }
    let above = parent(path);
    create(nodes, who, &above);
    let mut permissions = nodes[&above].permissions.clone();
    if who != 0 {
        permissions[0].1 = who;
    }
    nodes.insert(path.to_owned(), Node { value: String::new(), permissions });
}

fn allows(permissions: &[(char, u16)], who: u16, wanted: char) -> bool {
    if who == 0 || permissions[0].1 == who || wanted == '-' {
        return true;
    }
    let own = permissions[1..].iter().find(|(_, domain)| *domain == who);
    let letter = own.unwrap_or(&permissions[0]).0;
    letter == 'b' || letter == wanted
}

fn absolute(path: &str, who: u16) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/local/domain/{who}/{path}") }
}

fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/".into(),
        Some((above, _)) => above.into(),
    }
}

fn nearest(nodes: &Nodes, path: &str) -> String {
    if nodes.contains_key(path) { path.to_owned() } else { nearest(nodes, &parent(path)) }
}

fn names(path: &str) -> usize {
    path.split('/').filter(|name| !name.is_empty()).count()
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    path == above || above == "/" || path.strip_prefix(above).is_some_and(|r| r.starts_with('/'))
}
