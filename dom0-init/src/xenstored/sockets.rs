//! The programs that are connected over the socket.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use mio::net::UnixStream;
use mio::{Interest, Registry, Token};
use xenstore::wire::Assembler;
use xenstore::{ConnectionId, Store};

/// Where libxenstore looks for it.
pub const SOCKET: &str = "/run/xenstored/socket";

/// One program.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    /// What has come of its messages.
    pub incoming: Assembler,
    /// What is sent has to wait for room: only then is it of interest that there is some, which
    /// would otherwise be told after each answer.
    blocked: bool,
}

/// Whether a connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// It does.
    On,
    /// The other side has left.
    Away,
}

/// All of them, by their connection's number, which is also their token.
#[derive(Debug, Default)]
pub struct Clients(HashMap<ConnectionId, Client>);

/// The token of a connection's stream.
pub fn token(connection: ConnectionId) -> Token {
    Token(usize::try_from(connection.0).unwrap_or(usize::MAX))
}

impl Clients {
    /// Adds one.
    ///
    /// # Errors
    /// When it can't be waited for.
    pub fn add(
        &mut self,
        connection: ConnectionId,
        mut stream: UnixStream,
        registry: &Registry,
    ) -> io::Result<()> {
        registry.register(&mut stream, token(connection), Interest::READABLE)?;
        let incoming = Assembler::default();
        self.0.insert(connection, Client { stream, incoming, blocked: false });
        Ok(())
    }

    /// One of them.
    pub fn get(&mut self, connection: ConnectionId) -> Option<&mut Client> {
        self.0.get_mut(&connection)
    }

    /// Removes one.
    pub fn remove(&mut self, connection: ConnectionId) {
        self.0.remove(&connection);
    }
}

impl Client {
    /// Takes in what has come; the stream tells again only after it was read empty. One whose
    /// other side `closed` it doesn't tell again.
    pub fn receive(&mut self, closed: bool) -> Goes {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Goes::Away,
                Ok(count) => {
                    self.incoming.add(buffer.get(..count).unwrap_or_default());
                    if count < buffer.len() && !closed {
                        return Goes::On;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Goes::On,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Goes::Away,
            }
        }
    }

    /// Sends what waits, as far as the stream takes it.
    pub fn send(
        &mut self,
        connection: ConnectionId,
        store: &mut Store,
        registry: &Registry,
    ) -> Goes {
        let goes = loop {
            let bytes = store.outgoing(connection);
            if bytes.is_empty() {
                break Ok(false);
            }
            match self.stream.write(bytes) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => store.sent(connection, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        match goes.and_then(|blocked| self.wait_for_room(blocked, connection, registry)) {
            Ok(()) => Goes::On,
            Err(_) => Goes::Away,
        }
    }

    /// Is told of room, or not any more.
    fn wait_for_room(
        &mut self,
        blocked: bool,
        connection: ConnectionId,
        registry: &Registry,
    ) -> io::Result<()> {
        if self.blocked != blocked {
            let room = blocked.then_some(Interest::WRITABLE);
            let interest = room.map_or(Interest::READABLE, |room| room | Interest::READABLE);
            registry.reregister(&mut self.stream, token(connection), interest)?;
            self.blocked = blocked;
        }
        Ok(())
    }
}
