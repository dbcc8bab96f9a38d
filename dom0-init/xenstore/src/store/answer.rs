//! What each request does.

use std::fmt::Write;

use xen_abi::io::xs_wire::PAYLOAD_MAX;

use crate::error::{Error, Result};
use crate::journal::Record;
use crate::path::Path;
use crate::permission::{Actor, Permissions};
use crate::request::Request;
use crate::tree::Node;
use crate::view::{Change, Order, View};
use crate::watch::{ConnectionId, Target, Watch};
use crate::wire::Packet;

use super::{Host, Store};

/// The payload of most answers.
const OK: &[u8] = b"OK\0";

/// An answer, and what comes after it is sent.
pub struct Answer {
    /// The payload.
    pub payload: Vec<u8>,
    /// What comes then.
    pub then: Then,
}

/// What follows an answer.
pub enum Then {
    /// Nothing.
    Nothing,
    /// Watches are told of changes.
    Notify(Vec<Change>),
    /// Those that watch domains come or go are told, and other watches of changes.
    Special(Target, Vec<Change>),
    /// A new watch is told for the first time.
    FirstEvent(Box<str>, Box<[u8]>),
}

impl From<&[u8]> for Answer {
    fn from(payload: &[u8]) -> Self {
        Self { payload: payload.to_vec(), then: Then::Nothing }
    }
}

impl From<String> for Answer {
    /// A text ends with a zero.
    fn from(mut text: String) -> Self {
        text.push('\0');
        Self { payload: text.into_bytes(), then: Then::Nothing }
    }
}

impl Store {
    /// Does a request of `connection`, made on behalf of `who`.
    pub(super) fn answer(
        &mut self,
        connection: ConnectionId,
        who: Actor,
        packet: &Packet,
        host: &mut dyn Host,
    ) -> Result<Answer> {
        let request = Request::parse(packet.head.ty, &packet.payload, who.domain)?;
        let transaction = packet.head.tx_id;
        match request {
            Request::Read(path) => {
                self.look(connection, transaction, |view| Ok(view.node(&path)?.value().into()))
            }
            Request::GetPermissions(path) => self.look(connection, transaction, |view| {
                Ok(list(view.node(&path)?.permissions()).as_slice().into())
            }),
            Request::Directory(path) => self.look(connection, transaction, |view| {
                let names = names(view.directory(&path)?);
                if names.len() > PAYLOAD_MAX {
                    Err(Error::TooBig)
                } else {
                    Ok(names.as_slice().into())
                }
            }),
            Request::DirectoryPart(path, offset) => self.look(connection, transaction, |view| {
                Ok(part(view.directory(&path)?, offset)?.as_slice().into())
            }),
            Request::Change(order) => self.change(connection, transaction, order),
            Request::Begin => self.begin(connection, transaction),
            Request::End(keep) => self.end(connection, transaction, keep),
            Request::Watch { target, spelled, token, depth } => {
                self.watch(target, Watch { connection, spelled, token, depth })
            }
            Request::Unwatch(target, token) => self.unwatch(&target, connection, &token),
            Request::ResetWatches => self.reset(connection),
            Request::HomeOf(domain) => Ok(Path::home(domain).to_string().into()),
            other if who.is_privileged() => self.manage(other, host),
            _ => Err(Error::NotPrivileged),
        }
    }

    /// What only the control domain may ask for.
    fn manage(&mut self, request: Request, host: &mut dyn Host) -> Result<Answer> {
        match request {
            Request::GetSpecial(Target::Introduced) => Ok(list(&self.introduced).as_slice().into()),
            Request::GetSpecial(_) => Ok(list(&self.released).as_slice().into()),
            Request::SetSpecial(target, permissions) => {
                match target {
                    Target::Introduced => self.introduced = permissions,
                    _ => self.released = permissions,
                }
                Ok(OK.into())
            }
            Request::Introduce(domain, frame, port) => {
                self.connect(domain, frame, port, host)?;
                let then = Then::Special(Target::Introduced, Vec::new());
                Ok(Answer { payload: OK.to_vec(), then })
            }
            Request::Release(domain) => {
                let then = Then::Special(Target::Released, self.forget(domain, host)?);
                Ok(Answer { payload: OK.to_vec(), then })
            }
            Request::IsIntroduced(domain) => {
                let known = self.connection_of(domain).is_some();
                Ok(if known { b"T\0".as_slice() } else { b"F\0" }.into())
            }
            Request::Resume(domain) => self.resume(domain).map(|()| OK.into()),
            Request::SetTarget(domain, target) => {
                self.set_target(domain, target).map(|()| OK.into())
            }
            Request::Control(words) => self.control(&words),
            _ => Err(Error::Unknown),
        }
    }

    pub(super) fn after(&mut self, connection: ConnectionId, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Notify(changes) => self.notify(&changes),
            Then::Special(target, changes) => {
                self.notify(&changes);
                self.notify_special(&target);
            }
            Then::FirstEvent(spelled, token) => self.notify_first(connection, &spelled, &token),
        }
    }

    /// Answers from the tree as the connection sees it.
    fn look(
        &mut self,
        connection: ConnectionId,
        transaction: u32,
        answer: impl FnOnce(&mut View<'_>) -> Result<Answer>,
    ) -> Result<Answer> {
        let known = self.connections.get_mut(&connection).ok_or(Error::Missing)?;
        let (who, clock, quota) = (known.actor, &mut self.clock, &self.quota);
        if transaction == 0 {
            return answer(&mut View { tree: &mut self.tree, clock, who, quota, reads: None });
        }
        answer(&mut known.transaction(transaction)?.view(clock, who, quota))
    }

    fn change(
        &mut self,
        connection: ConnectionId,
        transaction: u32,
        order: Order,
    ) -> Result<Answer> {
        let known = self.connections.get_mut(&connection).ok_or(Error::Missing)?;
        let (who, clock, quota) = (known.actor, &mut self.clock, &self.quota);
        let mut answer = Answer::from(OK);
        if transaction == 0 {
            let mut view = View { tree: &mut self.tree, clock, who, quota, reads: None };
            let changes: Vec<Change> = view.change(&order)?.into_iter().collect();
            self.touch(&changes);
            answer.then = Then::Notify(changes);
        } else {
            known.transaction(transaction)?.change(order, clock, who, quota)?;
        }
        Ok(answer)
    }

    fn begin(&mut self, connection: ConnectionId, within: u32) -> Result<Answer> {
        if within != 0 {
            return Err(Error::Nested);
        }
        let known = self.connections.get_mut(&connection).ok_or(Error::Missing)?;
        let transaction = known.begin(&self.tree, &self.quota)?;
        self.note(connection, |domain| Record::Began { domain, transaction });
        Ok(transaction.to_string().into())
    }

    fn end(&mut self, connection: ConnectionId, id: u32, keep: bool) -> Result<Answer> {
        let known = self.connections.get_mut(&connection).ok_or(Error::Missing)?;
        let (who, transaction) = (known.actor, known.end(id)?);
        self.note(connection, |domain| Record::Ended { domain, transaction: id });
        let mut answer = Answer::from(OK);
        if keep {
            let (tree, changes) =
                transaction.commit(&self.tree, &mut self.clock, who, &self.quota)?;
            self.tree = tree;
            self.touch(&changes);
            answer.then = Then::Notify(changes);
        }
        Ok(answer)
    }

    fn watch(&mut self, target: Target, watch: Watch) -> Result<Answer> {
        let known = self.connections.get_mut(&watch.connection).ok_or(Error::Missing)?;
        if !known.actor.is_privileged() && known.watches >= self.quota.watches {
            return Err(Error::TooBig);
        }
        let then = Then::FirstEvent(watch.spelled.clone(), watch.token.clone());
        self.watches.add(&target, watch.clone())?;
        known.watches = known.watches.saturating_add(1);
        self.note(watch.connection, |domain| Record::Watched {
            domain,
            spelled: watch.spelled,
            token: watch.token,
            depth: watch.depth,
        });
        Ok(Answer { payload: OK.to_vec(), then })
    }

    fn unwatch(
        &mut self,
        target: &Target,
        connection: ConnectionId,
        token: &[u8],
    ) -> Result<Answer> {
        self.watches.remove(target, connection, token)?;
        if let Some(known) = self.connections.get_mut(&connection) {
            known.watches = known.watches.saturating_sub(1);
        }
        self.note(connection, |domain| Record::Unwatched {
            domain,
            spelled: target.key().into(),
            token: token.into(),
        });
        Ok(OK.into())
    }

    fn reset(&mut self, connection: ConnectionId) -> Result<Answer> {
        self.watches.remove_all(connection);
        self.note(connection, |domain| Record::Reset { domain });
        if let Some(known) = self.connections.get_mut(&connection) {
            known.watches = 0;
            known.forget_transactions();
        }
        Ok(OK.into())
    }

    /// Commands to the store itself (`xenstore-control`).
    fn control(&self, words: &[String]) -> Result<Answer> {
        match words.first().map(String::as_str) {
            Some("help") => Ok("commands: help, quota\n".to_owned().into()),
            Some("quota") => {
                let mut text = String::new();
                for (name, limit) in self.quota.entries() {
                    // Writing to a string can't fail.
                    let _infallible = writeln!(text, "{name:<20} {limit}");
                }
                Ok(text.into())
            }
            _ => Err(Error::Invalid),
        }
    }
}

fn list(permissions: &Permissions) -> Vec<u8> {
    permissions.entries().iter().flat_map(|entry| format!("{entry}\0").into_bytes()).collect()
}

fn names(node: &Node) -> Vec<u8> {
    node.names().flat_map(|name| name.bytes().chain([0])).collect()
}

/// Names from a byte offset on, as many as fit, behind the list's stamp; an empty name ends the
/// last part.
fn part(node: &Node, offset: usize) -> Result<Vec<u8>> {
    let mut payload = format!("{}\0", node.listed()).into_bytes();
    let all = names(node);
    let rest = all.get(offset..).ok_or(Error::Invalid)?;
    let room = PAYLOAD_MAX.saturating_sub(payload.len());
    if rest.len() < room {
        payload.extend_from_slice(rest);
        payload.push(0);
        return Ok(payload);
    }
    let fitting = rest.get(..room).unwrap_or(rest);
    let end = fitting.iter().rposition(|&byte| byte == 0).map_or(0, |last| last.saturating_add(1));
    payload.extend_from_slice(fitting.get(..end).unwrap_or_default());
    Ok(payload)
}
