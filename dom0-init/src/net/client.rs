//! Runs one interface's DHCP client: the state machine, a socket and the clock.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::Context;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::Instant;

use super::dhcp::{Action, CLIENT_PORT, Machine, SERVER_PORT};
use super::links::Links;
use super::status::{self, Status};
use super::{interfaces, resolver};

/// A pause after something went wrong with the socket.
const PAUSE: Duration = Duration::from_secs(5);

/// Keeps the interface configured, for as long as it is there.
pub async fn run(links: Links, name: String, mut carrier: watch::Receiver<bool>) {
    let Some(address) = interfaces::hardware_address(&name) else {
        log::error!("{name}: has no hardware address");
        return;
    };
    let begin = Instant::now();
    let seed = u64::from(std::process::id()) ^ u64::from_le_bytes(random_bytes());
    let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let machine = Machine::new(address, host_name, seed);
    let mut client = Client { links, name, machine, begin };
    status::publish(&Status::unconfigured(&client.name, *carrier.borrow()));
    loop {
        if let Err(error) = client.serve(&mut carrier).await {
            log::warn!("{}: {error:#}; trying again", client.name);
        }
        if carrier.has_changed().is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn random_bytes() -> [u8; 8] {
    let mut bytes = [0; 8];
    // Without the kernel's random numbers the process id alone tells clients apart.
    let _none = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    bytes
}

struct Client {
    links: Links,
    name: String,
    machine: Machine,
    begin: Instant,
}

impl Client {
    async fn serve(&mut self, carrier: &mut watch::Receiver<bool>) -> anyhow::Result<()> {
        loop {
            while !*carrier.borrow_and_update() {
                carrier.changed().await.context("the interface is gone")?;
            }
            let socket = open_socket(&self.name).context("can't open a socket for DHCP")?;
            let actions = self.machine.link_is_up(self.begin.elapsed());
            self.act(&socket, actions).await?;
            self.serve_link(&socket, carrier).await?;
            log::info!("{}: no carrier", self.name);
        }
    }

    /// Serves until the carrier is lost.
    async fn serve_link(
        &mut self,
        socket: &UdpSocket,
        carrier: &mut watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        let mut packet = [0; 1500];
        loop {
            let deadline = self.begin + self.machine.deadline();
            let actions = tokio::select! {
                received = socket.recv(&mut packet) => {
                    let length = received.context("can't receive")?;
                    let packet = packet.get(..length).unwrap_or_default();
                    self.machine.receive(self.begin.elapsed(), packet)
                }
                () = tokio::time::sleep_until(deadline) => {
                    self.machine.time_passed(self.begin.elapsed())
                }
                changed = carrier.changed() => {
                    changed.context("the interface is gone")?;
                    if *carrier.borrow_and_update() { continue } else { return Ok(()) }
                }
            };
            self.act(socket, actions).await?;
        }
    }

    async fn act(&mut self, socket: &UdpSocket, actions: Vec<Action>) -> anyhow::Result<()> {
        for action in actions {
            match action {
                Action::Send { to, packet } => {
                    let to = SocketAddrV4::new(to, SERVER_PORT);
                    // A lost packet is sent again by the state machine.
                    if let Err(error) = socket.send_to(&packet, to).await {
                        log::info!("{}: can't send to {to}: {error}", self.name);
                    }
                }
                Action::Configure(lease) => {
                    log::info!("{}: {lease}", self.name);
                    self.links.configure(&self.name, &lease).await?;
                    status::publish(&Status::leased(&self.name, &lease));
                    resolver::update();
                }
                Action::Deconfigure => {
                    log::warn!("{}: the lease is lost", self.name);
                    self.links.clear(&self.name).await?;
                    status::publish(&Status::unconfigured(&self.name, true));
                    resolver::update();
                }
            }
        }
        Ok(())
    }
}

/// A UDP socket that sends and receives broadcasts on one interface, before it has an address.
fn open_socket(interface: &str) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT).into())?;
    UdpSocket::from_std(socket.into())
}
