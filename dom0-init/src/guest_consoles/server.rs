//! Waits for guests, viewers and the store, and connects them.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::Context;
use mio::net::{UnixListener, UnixStream};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use xen_abi::domctl::DOMINF_DYING;
use xen_abi::grant_table::TAB_RESERVED_CONSOLE;
use xenctl::Xen;
use xenctl::evtchn::{EventChannels, LocalPort};
use xenctl::gntdev::Grants;
use xenctl::xen_abi;
use xenstore::client::{Client as Store, Tx};
use xenstore::path::{INTRODUCE_DOMAIN, RELEASE_DOMAIN};

use super::SOCKET;
use super::logfile::Logfile;
use super::ring::Ring;
use super::scrollback::Scrollback;
use crate::local_socket::listen_nonblocking;
use crate::shared_page::SharedPage;
use crate::xend;

const LISTENER: Token = Token(0);
const CHANNELS: Token = Token(1);
const STORE: Token = Token(2);
/// Viewers' tokens start here.
const FIRST_VIEWER: usize = 16;
/// A viewer for whom more than this waits has stopped reading.
const MOST_WAITING: usize = 512 << 10;
/// What is typed and not read by the guest beyond this is dropped.
const MOST_TYPED: usize = 4096;

/// A guest whose console is served.
struct Guest {
    ring: Ring<SharedPage>,
    port: LocalPort,
    scrollback: Scrollback,
    log: Logfile,
    /// Typed, but there was no room.
    typed: Vec<u8>,
}

/// Somebody who looks at a console.
struct Viewer {
    stream: UnixStream,
    /// Whose; unknown until the viewer said it.
    domain: Option<u16>,
    /// The beginning of what it says.
    greeting: Vec<u8>,
    waiting: Vec<u8>,
}

/// The daemon.
pub struct Server {
    poll: Poll,
    listener: UnixListener,
    channels: EventChannels,
    grants: Grants,
    xen: Xen,
    store: Store,
    guests: HashMap<u16, Guest>,
    viewers: HashMap<Token, Viewer>,
    last_viewer: usize,
}

impl Server {
    /// Opens everything that is to be served.
    ///
    /// # Errors
    /// Names what can't be opened.
    pub fn new() -> anyhow::Result<Self> {
        let mut store = xend::connect()?;
        store.watch(INTRODUCE_DOMAIN, "come")?;
        store.watch(RELEASE_DOMAIN, "go")?;
        let channels = EventChannels::open()?;
        let mut listener = UnixListener::from_std(listen_nonblocking(SOCKET)?);
        let poll = Poll::new().context("can't wait for events")?;
        let registry = poll.registry();
        registry.register(&mut listener, LISTENER, Interest::READABLE)?;
        registry.register(
            &mut SourceFd(&channels.as_fd().as_raw_fd()),
            CHANNELS,
            Interest::READABLE,
        )?;
        registry.register(&mut SourceFd(&store.as_fd().as_raw_fd()), STORE, Interest::READABLE)?;
        Ok(Self {
            poll,
            listener,
            channels,
            grants: Grants::open()?,
            xen: Xen::open()?,
            store,
            guests: HashMap::new(),
            viewers: HashMap::new(),
            last_viewer: FIRST_VIEWER,
        })
    }

    /// Serves until the system fails it.
    ///
    /// # Errors
    /// When events can't be waited for any more, or the store is gone.
    pub fn serve(mut self) -> anyhow::Result<()> {
        self.look_for_guests()?;
        let mut events = Events::with_capacity(256);
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.context("can't wait for events")?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    CHANNELS => self.channels()?,
                    STORE => self.look_for_guests()?,
                    viewer => self.viewer(viewer)?,
                }
            }
        }
    }

    /// Connects the consoles of guests that came, and lets go of those that went.
    fn look_for_guests(&mut self) -> anyhow::Result<()> {
        const AT_ONCE: std::time::Duration = std::time::Duration::from_millis(1);
        while self.store.event(Some(AT_ONCE))?.is_some() {}
        // One that is being destroyed stays until nobody uses its pages any more.
        let mut domains = self.xen.domains()?;
        domains.retain(|info| info.flags & DOMINF_DYING == 0);
        let present: Vec<u16> = domains.iter().map(|info| info.domain).collect();
        let gone: Vec<u16> =
            self.guests.keys().copied().filter(|domain| !present.contains(domain)).collect();
        for domain in gone {
            self.let_go(domain);
        }
        for domain in present {
            let new = domain != 0 && !self.guests.contains_key(&domain);
            if new && let Err(error) = self.connect(domain) {
                log::warn!("domain {domain} has no console: {error:#}");
            }
        }
        Ok(())
    }

    /// Connects a guest's console, if the store says how already.
    fn connect(&mut self, domain: u16) -> anyhow::Result<()> {
        let home = format!("/local/domain/{domain}");
        let mut read = |node: &str| self.store.read(Tx::NONE, &format!("{home}/{node}"));
        let (port, frame) = (read("console/port")?, read("console/ring-ref")?);
        let (Some(port), Some(frame)) = (port, frame) else { return Ok(()) };
        let name = read("name")?.unwrap_or_else(|| domain.to_string());
        let (port, frame) = (port.parse()?, frame.parse()?);
        let reference = TAB_RESERVED_CONSOLE;
        let page = SharedPage::of_guest(&self.grants, &self.xen, domain, reference, frame)?;
        let port = self.channels.bind_interdomain(domain, port)?;
        let (scrollback, typed) = Default::default();
        let log = Logfile::of(&name);
        let guest = Guest { ring: Ring::new(page), port, scrollback, log, typed };
        self.guests.insert(domain, guest);
        self.guest(domain);
        Ok(())
    }

    fn let_go(&mut self, domain: u16) {
        // The last words may still be in the ring.
        self.guest(domain);
        if let Some(guest) = self.guests.remove(&domain)
            && let Err(error) = self.channels.unbind(guest.port)
        {
            log::warn!("domain {domain}: {error}");
        }
        self.viewers.retain(|_, viewer| viewer.domain != Some(domain));
    }

    fn channels(&mut self) -> anyhow::Result<()> {
        while let Some(port) = self.channels.pending()? {
            // First, so that what comes while the ring is looked at is told again.
            self.channels.unmask(port)?;
            let found = self.guests.iter().find(|(_, guest)| guest.port == port);
            if let Some(domain) = found.map(|(domain, _)| *domain) {
                self.guest(domain);
            }
        }
        Ok(())
    }

    /// Passes on what a guest has written, and what was typed.
    fn guest(&mut self, domain: u16) {
        let Some(guest) = self.guests.get_mut(&domain) else { return };
        let written = guest.ring.receive();
        let sent = guest.ring.send(&guest.typed);
        guest.typed.drain(..sent);
        if !written.is_empty() {
            guest.scrollback.add(&written);
            guest.log.add(&written);
        }
        if !written.is_empty() || sent > 0 {
            // A guest that is gone needs no telling.
            let _gone = self.channels.notify(guest.port);
        }
        if !written.is_empty() {
            self.viewers
                .retain(|_, viewer| viewer.domain != Some(domain) || viewer.show(&written).is_ok());
        }
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            self.last_viewer += 1;
            let token = Token(self.last_viewer);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, token, interest).is_ok() {
                let (greeting, waiting) = Default::default();
                self.viewers.insert(token, Viewer { stream, domain: None, greeting, waiting });
            }
        }
    }

    fn viewer(&mut self, token: Token) -> anyhow::Result<()> {
        let Some(viewer) = self.viewers.get_mut(&token) else { return Ok(()) };
        let (typed, stays) = viewer.receive();
        let known = viewer.domain;
        let goes_on = match known {
            Some(domain) => {
                self.typed(domain, &typed);
                true
            }
            None => self.greeted(token, &typed)?,
        };
        let shown = self.viewers.get_mut(&token).is_some_and(|viewer| viewer.show(&[]).is_ok());
        if !stays || !goes_on || !shown {
            self.viewers.remove(&token);
        }
        Ok(())
    }

    /// A viewer says whose console it wants; false if there is no such one.
    fn greeted(&mut self, token: Token, said: &[u8]) -> anyhow::Result<bool> {
        let Some(viewer) = self.viewers.get_mut(&token) else { return Ok(false) };
        viewer.greeting.extend_from_slice(said);
        let Some(end) = viewer.greeting.iter().position(|&byte| byte == b'\n') else {
            return Ok(viewer.greeting.len() < 16);
        };
        let rest = viewer.greeting.split_off(end);
        let number = std::str::from_utf8(&viewer.greeting).ok().and_then(|text| text.parse().ok());
        let Some(domain) = number else { return Ok(false) };
        // It may just have been started.
        self.look_for_guests()?;
        let Some(guest) = self.guests.get(&domain) else { return Ok(false) };
        let text = guest.scrollback.text();
        if let Some(viewer) = self.viewers.get_mut(&token) {
            viewer.domain = Some(domain);
            viewer.waiting = text;
        }
        self.typed(domain, rest.get(1..).unwrap_or_default());
        Ok(true)
    }

    fn typed(&mut self, domain: u16, typed: &[u8]) {
        let Some(guest) = self.guests.get_mut(&domain) else { return };
        if typed.is_empty() || guest.typed.len() > MOST_TYPED {
            return;
        }
        guest.typed.extend_from_slice(typed);
        self.guest(domain);
    }
}

impl Viewer {
    /// What was typed, and whether the viewer stays.
    fn receive(&mut self) -> (Vec<u8>, bool) {
        let (mut typed, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return (typed, false),
                Ok(count) => typed.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return (typed, true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return (typed, false),
            }
        }
    }

    /// Shows something, or what waits; an error if the viewer is gone or doesn't read.
    fn show(&mut self, written: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(written);
        while !self.waiting.is_empty() {
            match self.stream.write(&self.waiting) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.waiting.drain(..count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.waiting.len() > MOST_WAITING { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}
