//! DNS for guests: what they ask on their bridge is passed on to the name servers that the control
//! domain was given, and the answers back. Nothing in them is looked at but the question's number.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::status;

const PORT: u16 = 53;
/// How long a server may take before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a connection may last.
const LONGEST: Duration = Duration::from_secs(60);
/// How many questions may be open at once.
const MOST: usize = 256;
/// The longest datagram.
const DATAGRAM: usize = 65_535;

/// A forwarder on one bridge.
pub struct Forwarder {
    datagrams: Arc<UdpSocket>,
    connections: TcpListener,
}

impl Forwarder {
    /// Opens its sockets, which only the bridge reaches.
    ///
    /// # Errors
    /// As the system has it.
    pub fn open(bridge: &str, address: Ipv4Addr) -> io::Result<Self> {
        let at = SocketAddrV4::new(address, PORT);
        let datagrams = socket(Type::DGRAM, Protocol::UDP, bridge, at)?;
        let connections = socket(Type::STREAM, Protocol::TCP, bridge, at)?;
        connections.listen(16)?;
        Ok(Self {
            datagrams: Arc::new(UdpSocket::from_std(datagrams.into())?),
            connections: TcpListener::from_std(connections.into())?,
        })
    }

    /// Serves until its sockets fail.
    pub async fn run(self) {
        let permits = Arc::new(Semaphore::new(MOST));
        let mut question = vec![0; DATAGRAM];
        loop {
            let arrived = tokio::select! {
                received = self.datagrams.recv_from(&mut question) => received.map(Arrived::Datagram),
                accepted = self.connections.accept() => accepted.map(Arrived::Connection),
            };
            // Too many open questions: this one is lost, and asked again.
            let permit = Arc::clone(&permits).try_acquire_owned();
            match (arrived, permit) {
                (Ok(Arrived::Datagram((length, from))), Ok(permit)) => {
                    let question = question.get(..length).unwrap_or_default().to_vec();
                    let socket = Arc::clone(&self.datagrams);
                    tokio::spawn(async move {
                        let _permit = permit;
                        if let Some(answer) = ask(&question, &servers()).await {
                            // A guest that is gone needs no answer.
                            let _lost = socket.send_to(&answer, from).await;
                        }
                    });
                }
                (Ok(Arrived::Connection((stream, _))), Ok(permit)) => {
                    tokio::spawn(async move {
                        let _permit = permit;
                        let _late = tokio::time::timeout(LONGEST, relay(stream, &servers())).await;
                    });
                }
                (Ok(_), Err(_)) => {}
                (Err(error), _) => {
                    log::warn!("DNS: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }
}

enum Arrived {
    Datagram((usize, SocketAddr)),
    Connection((TcpStream, SocketAddr)),
}

fn socket(kind: Type, protocol: Protocol, bridge: &str, at: SocketAddrV4) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, kind, Some(protocol))?;
    socket.set_reuse_address(true)?;
    socket.bind_device(Some(bridge.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    Ok(socket)
}

/// The name servers that there are now.
fn servers() -> Vec<SocketAddr> {
    let all = status::all().into_iter().flat_map(|interface| interface.name_servers);
    all.map(|server| SocketAddr::from((server, PORT))).collect()
}

/// Asks one server after the other, from a new port each time.
async fn ask(question: &[u8], servers: &[SocketAddr]) -> Option<Vec<u8>> {
    for server in servers {
        if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, ask_one(question, *server)).await {
            return Some(answer);
        }
    }
    None
}

async fn ask_one(question: &[u8], server: SocketAddr) -> io::Result<Vec<u8>> {
    let number = question.first_chunk::<2>().ok_or(io::ErrorKind::InvalidData)?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; DATAGRAM];
    loop {
        let length = socket.recv(&mut answer).await?;
        if answer.get(..length).is_some_and(|answer| answer.starts_with(number)) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

/// Passes a connection on to the first server that takes it.
async fn relay(mut guest: TcpStream, servers: &[SocketAddr]) -> io::Result<()> {
    for server in servers {
        if let Ok(Ok(mut server)) = tokio::time::timeout(PATIENCE, TcpStream::connect(server)).await
        {
            tokio::io::copy_bidirectional(&mut guest, &mut server).await?;
            return Ok(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_next_server_is_asked_when_one_does_not_answer() {
        let deaf = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let servers = [deaf.local_addr().unwrap(), server.local_addr().unwrap()];
        tokio::spawn(async move {
            let mut question = [0; 16];
            let (length, from) = server.recv_from(&mut question).await.unwrap();
            server.send_to(b"no answer", from).await.unwrap();
            let answer = [&question[..length], b" answered"].concat();
            server.send_to(&answer, from).await.unwrap();
        });
        assert_eq!(ask(b"\x01\x02question", &servers).await.unwrap(), b"\x01\x02question answered");
        assert_eq!(ask(b"\x01", &servers).await, None, "no question at all");
        assert_eq!(ask(b"\x01\x02question", &[]).await, None);
    }

    #[tokio::test]
    async fn connections_are_passed_on() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let servers = [server.local_addr().unwrap()];
        let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut guest = TcpStream::connect(inside.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = inside.accept().await.unwrap();
        tokio::spawn(async move { relay(accepted, &servers).await });
        guest.write_all(b"question").await.unwrap();
        guest.shutdown().await.unwrap();
        let (mut stream, _) = server.accept().await.unwrap();
        let mut question = String::new();
        stream.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        stream.write_all(b"answer").await.unwrap();
        drop(stream);
        let mut answer = String::new();
        guest.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}
