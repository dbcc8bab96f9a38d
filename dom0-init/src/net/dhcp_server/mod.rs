//! DHCP for guests (RFC 2131, 2132) behind address translation.
//!
//! [`leases`] knows who has which address, [`answers`] what to say; neither knows sockets nor
//! clocks. Only the bridge that it is for reaches it.

mod answers;
mod leases;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use toolstack::config::vif::Mac;
use xenstore::client::{Client, Tx};

use super::dhcp::{CLIENT_PORT, SERVER_PORT};
use super::status;
use crate::host_config::networks::Range;
use leases::{Leases, Reserved};

/// Where leases are kept while the machine runs.
const FOLDER: &str = "/run/xenolith/leases";

/// A server on one bridge.
pub struct Server {
    bridge: String,
    socket: UdpSocket,
    leases: Leases,
    begin: Instant,
}

impl Server {
    /// Opens its socket.
    ///
    /// # Errors
    /// As the system has it.
    pub fn open(bridge: &str, range: Range) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind_device(Some(bridge.as_bytes()))?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, SERVER_PORT).into())?;
        let mut leases = Leases::new(range);
        // There is none when this is the first server since the machine started.
        let kept = std::fs::read(file(bridge)).unwrap_or_default();
        leases.restore(serde_json::from_slice(&kept).unwrap_or_default());
        Ok(Self {
            bridge: bridge.to_owned(),
            socket: UdpSocket::from_std(socket.into())?,
            leases,
            begin: Instant::now(),
        })
    }

    /// Keeps the leases for a server after this one.
    fn keep(&self) -> anyhow::Result<()> {
        let file = file(&self.bridge);
        file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        Ok(status::replace(&file, &serde_json::to_vec(&self.leases.given())?)?)
    }

    /// Serves until its socket fails.
    pub async fn run(mut self) {
        let mut packet = [0; 1500];
        loop {
            let length = match self.socket.recv(&mut packet).await {
                Ok(length) => length,
                Err(error) => return log::warn!("{}: DHCP: {error}", self.bridge),
            };
            let question = packet.get(..length).unwrap_or_default();
            self.leases.reserve(reserved());
            let Some(answer) = answers::answer(&mut self.leases, question, self.begin.elapsed())
            else {
                continue;
            };
            if let Some((who, address)) = answer.leased {
                log::info!("{}: {} has {address}", self.bridge, Mac(who.0));
                if let Err(error) = self.keep() {
                    log::warn!("{}: the leases can't be kept: {error:#}", self.bridge);
                }
            }
            let to = SocketAddrV4::new(answer.to, CLIENT_PORT);
            if let Err(error) = self.socket.send_to(&answer.packet, to).await {
                log::info!("{}: DHCP: can't send to {to}: {error}", self.bridge);
            }
        }
    }
}

fn file(bridge: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{bridge}.json"))
}

/// The addresses that guests' configs name, with their hardware addresses: what the toolstack
/// wrote about their interfaces.
fn reserved() -> Vec<Reserved> {
    // Without the store there are no guests.
    let Ok(mut store) = Client::connect() else { return Vec::new() };
    let mut all = Vec::new();
    let root = "/local/domain/0/backend/vif";
    for domain in store.list(Tx::NONE, root).unwrap_or_default() {
        for number in store.list(Tx::NONE, &format!("{root}/{domain}")).unwrap_or_default() {
            let mut node = |name| {
                let node = store.read(Tx::NONE, &format!("{root}/{domain}/{number}/{name}"));
                node.ok().flatten().unwrap_or_default()
            };
            let (mac, addresses) = (node("mac"), node("ip"));
            let ipv4 = addresses.split_whitespace().filter_map(|text| text.parse().ok());
            all.extend(ipv4.map(|address| Reserved { mac: mac.clone(), address }));
        }
    }
    all
}
