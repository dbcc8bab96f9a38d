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
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, token(connection), interest)?;
        self.0.insert(connection, Client { stream, incoming: Assembler::default() });
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
    /// Takes in what has come; the stream tells again only after it was read empty.
    pub fn receive(&mut self) -> Goes {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Goes::Away,
                Ok(count) => self.incoming.add(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Goes::On,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Goes::Away,
            }
        }
    }

    /// Sends what waits, as far as the stream takes it.
    pub fn send(&mut self, connection: ConnectionId, store: &mut Store) -> Goes {
        loop {
            let bytes = store.outgoing(connection);
            if bytes.is_empty() {
                return Goes::On;
            }
            match self.stream.write(bytes) {
                Ok(0) => return Goes::Away,
                Ok(count) => store.sent(connection, count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Goes::On,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Goes::Away,
            }
        }
    }
}
