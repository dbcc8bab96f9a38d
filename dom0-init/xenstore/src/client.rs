//! A program's end of the socket: asks, waits for the answer, keeps events for later.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use thiserror::Error;
use xen_abi::io::xs_wire::MessageType;

use crate::error::Error as Refusal;
use crate::permission::{DomId, Permission};
use crate::wire::{self, Assembler, Garbled, Packet};

/// Where the store listens.
pub const SOCKET: &str = "/run/xenstored/socket";

/// Why a request wasn't done.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The store can't be reached.
    #[error("the store can't be reached at {SOCKET}: {0}")]
    Unreachable(io::Error),
    /// The connection broke.
    #[error(
        "the connection to the store broke: it ended, and is started again; try again in a moment"
    )]
    Io(#[from] io::Error),
    /// What came was no message.
    #[error("the store sends nonsense")]
    Garbled(#[from] Garbled),
    /// The store refuses.
    #[error("the store refuses to {what} {path}: {error}")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// Of which node.
        path: String,
        /// Why.
        error: Refusal,
    },
    /// The store refuses with an error that isn't known.
    #[error("the store refuses to {what} {path}: {name}")]
    Unknown {
        /// What was asked for.
        what: &'static str,
        /// Of which node.
        path: String,
        /// The error as it came.
        name: String,
    },
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, ClientError>;

impl ClientError {
    /// Why the store refused.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Refused { error, .. } => Some(*error),
            _ => None,
        }
    }
}

/// A transaction, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tx(u32);

impl Tx {
    /// None: each request by itself.
    pub const NONE: Self = Self(0);
}

/// Something happened where a watch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where.
    pub path: String,
    /// The watch's token.
    pub token: String,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    incoming: Assembler,
    events: VecDeque<Event>,
    last_request: u32,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub fn connect() -> Result<Self> {
        UnixStream::connect(SOCKET).map(Self::over).map_err(ClientError::Unreachable)
    }

    /// Speaks over a stream that is connected.
    pub fn over(stream: UnixStream) -> Self {
        let (incoming, events) = Default::default();
        Self { stream, incoming, events, last_request: 0 }
    }

    /// A node's value; `None` if there is no such node.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn read(&mut self, tx: Tx, path: &str) -> Result<Option<String>> {
        let answer = self.ask(MessageType::READ, tx, "read", path, &[path.as_bytes(), b"\0"]);
        optional(answer.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    /// The names of a node's children; none if there is no such node.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn list(&mut self, tx: Tx, path: &str) -> Result<Vec<String>> {
        loop {
            let answer =
                self.ask(MessageType::DIRECTORY, tx, "list", path, &[path.as_bytes(), b"\0"]);
            match optional(answer) {
                Err(error) if error.refusal() == Some(Refusal::TooBig) => {}
                other => return Ok(texts(&other?.unwrap_or_default())),
            }
            if let Some(names) = self.list_parts(tx, path)? {
                return Ok(names);
            }
        }
    }

    /// The same in parts; `None` if the list changed meanwhile.
    fn list_parts(&mut self, tx: Tx, path: &str) -> Result<Option<Vec<String>>> {
        let (mut names, mut stamp) = (Vec::new(), None);
        loop {
            let offset = names.len().to_string();
            let payload = [path.as_bytes(), b"\0", offset.as_bytes(), b"\0"];
            let part = self.ask(MessageType::DIRECTORY_PART, tx, "list", path, &payload)?;
            let end = part.iter().position(|&byte| byte == 0).unwrap_or(part.len());
            let (now, rest) = part.split_at(end);
            if stamp.get_or_insert_with(|| now.to_vec()).as_slice() != now {
                return Ok(None);
            }
            let rest = rest.get(1..).unwrap_or_default();
            match rest.strip_suffix(b"\0") {
                Some(last) if last.is_empty() || last.ends_with(b"\0") => {
                    names.extend_from_slice(last);
                    return Ok(Some(texts(&names)));
                }
                _ => names.extend_from_slice(rest),
            }
        }
    }

    /// Sets a value, creating the node if need be.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn write(&mut self, tx: Tx, path: &str, value: &str) -> Result<()> {
        let payload = [path.as_bytes(), b"\0", value.as_bytes()];
        self.ask(MessageType::WRITE, tx, "write", path, &payload).map(|_ok| ())
    }

    /// Creates a node if it isn't there.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn make(&mut self, tx: Tx, path: &str) -> Result<()> {
        self.ask(MessageType::MKDIR, tx, "make", path, &[path.as_bytes(), b"\0"]).map(|_ok| ())
    }

    /// Removes a node and everything below; that there is none is fine.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn remove(&mut self, tx: Tx, path: &str) -> Result<()> {
        let answer = self.ask(MessageType::RM, tx, "remove", path, &[path.as_bytes(), b"\0"]);
        optional(answer).map(|_ok| ())
    }

    /// Sets a node's permissions; the first entry names the owner.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn set_permissions(&mut self, tx: Tx, path: &str, entries: &[Permission]) -> Result<()> {
        let entries: String = entries.iter().map(|entry| format!("{entry}\0")).collect();
        let payload = [path.as_bytes(), b"\0", entries.as_bytes()];
        self.ask(MessageType::SET_PERMS, tx, "set the permissions of", path, &payload).map(|_ok| ())
    }

    /// Watches a node and everything below; its events carry the token.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn watch(&mut self, path: &str, token: &str) -> Result<()> {
        let payload = [path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
        self.ask(MessageType::WATCH, Tx::NONE, "watch", path, &payload).map(|_ok| ())
    }

    /// Ends a watch.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn unwatch(&mut self, path: &str, token: &str) -> Result<()> {
        let payload = [path.as_bytes(), b"\0", token.as_bytes(), b"\0"];
        self.ask(MessageType::UNWATCH, Tx::NONE, "unwatch", path, &payload)?;
        self.events.retain(|event| event.token != token);
        Ok(())
    }

    /// Makes a domain known: its ring's frame and event channel.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn introduce(&mut self, domain: DomId, frame: u64, port: u32) -> Result<()> {
        let payload = format!("{domain}\0{frame}\0{port}\0");
        let name = domain.to_string();
        self.ask(MessageType::INTRODUCE, Tx::NONE, "introduce domain", &name, &[payload.as_bytes()])
            .map(|_ok| ())
    }

    /// Makes the store forget a domain; that it doesn't know it is fine.
    ///
    /// # Errors
    /// As the store or the socket has it.
    pub fn release(&mut self, domain: DomId) -> Result<()> {
        let payload = format!("{domain}\0");
        let name = domain.to_string();
        let ty = MessageType::RELEASE;
        let answer = self.ask(ty, Tx::NONE, "release domain", &name, &[payload.as_bytes()]);
        optional(answer).map(|_ok| ())
    }

    /// Does several things at once: `work` is done again when others changed what it relied on.
    ///
    /// # Errors
    /// What `work` fails with, or as the store or the socket has it; nothing is changed then.
    pub fn transact<T>(&mut self, mut work: impl FnMut(&mut Self, Tx) -> Result<T>) -> Result<T> {
        loop {
            let begun =
                self.ask(MessageType::TRANSACTION_START, Tx::NONE, "begin", "", &[b"\0"])?;
            let id = texts(&begun).first().and_then(|text| text.parse().ok());
            let tx = Tx(id.ok_or_else(|| io::Error::other("no transaction number came"))?);
            let done = work(self, tx);
            let end: &[u8] = if done.is_ok() { b"T\0" } else { b"F\0" };
            let ended = self.ask(MessageType::TRANSACTION_END, tx, "end", "a transaction", &[end]);
            match (done, ended) {
                (Err(error), _) => return Err(error),
                (Ok(value), Ok(_)) => return Ok(value),
                (_, Err(error)) if error.refusal() == Some(Refusal::Conflict) => {}
                (_, Err(error)) => return Err(error),
            }
        }
    }

    /// The next event, waiting for it as long as `patience` (for ever if `None`).
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn event(&mut self, patience: Option<Duration>) -> Result<Option<Event>> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        self.stream.set_read_timeout(patience)?;
        let packet = self.packet();
        self.stream.set_read_timeout(None)?;
        match packet {
            Ok(packet) => {
                self.keep(&packet);
                Ok(self.events.pop_front())
            }
            Err(ClientError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn ask(
        &mut self,
        ty: MessageType,
        tx: Tx,
        what: &'static str,
        path: &str,
        payload: &[&[u8]],
    ) -> Result<Vec<u8>> {
        self.last_request = self.last_request.wrapping_add(1);
        let request = self.last_request;
        self.stream.write_all(&wire::encode(ty, request, tx.0, &payload.concat()))?;
        loop {
            let packet = self.packet()?;
            if packet.head.ty == MessageType::WATCH_EVENT {
                self.keep(&packet);
            } else if packet.head.req_id == request {
                return answer(packet, what, path);
            }
        }
    }

    fn packet(&mut self) -> Result<Packet> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(packet) = self.incoming.take()? {
                return Ok(packet);
            }
            let count = self.stream.read(&mut buffer)?;
            if count == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.incoming.add(buffer.get(..count).unwrap_or_default());
        }
    }

    fn keep(&mut self, packet: &Packet) {
        if let [path, token, ..] = texts(&packet.payload).as_slice() {
            self.events.push_back(Event { path: path.clone(), token: token.clone() });
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn answer(packet: Packet, what: &'static str, path: &str) -> Result<Vec<u8>> {
    if packet.head.ty != MessageType::ERROR {
        return Ok(packet.payload);
    }
    let name = texts(&packet.payload).into_iter().next().unwrap_or_default();
    let path = path.to_owned();
    Err(match Refusal::from_name(&name) {
        Some(error) => ClientError::Refused { what, path, error },
        None => ClientError::Unknown { what, path, name },
    })
}

fn optional<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.refusal() == Some(Refusal::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The strings of a payload, each of which ends with a zero.
fn texts(payload: &[u8]) -> Vec<String> {
    let whole = payload.strip_suffix(b"\0").unwrap_or(payload);
    if payload.is_empty() {
        return Vec::new();
    }
    whole.split(|&byte| byte == 0).map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}
