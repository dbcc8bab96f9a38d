//! One disk of a guest: its backend in the store, its rings, its medium.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use xenctl::evtchn::{EventChannels, LocalPort};
use xenctl::gntdev::Grants;
use xenctl::xen_abi::PAGE_SIZE;
use xenctl::xen_abi::io::blkif::{VDISK_CDROM, VDISK_READONLY, VDISK_REMOVABLE};
use xenctl::xen_abi::io::xenbus::XenbusState;
use xenstore::client::{Client, Tx};

use super::in_use::{Claim, DiskId, InUse};
use super::journal::Journal;
use super::medium::{Empty, Medium, Qcow2};
use super::queue::{self, Granted, Queue, Work};
use super::request::{MOST_SEGMENTS, SECTOR};
use super::ring::{Abi, Ring};
use super::states::{self, Situation, Step};
use super::statistics::Statistics;
use crate::shared_page::SharedPage;
use crate::xend;
use crate::xend::devices::{Device, Kind};

/// How many rings a disk may have, and how many pages a ring, as a power of two.
const MOST_QUEUES: u32 = 4;
const LARGEST_ORDER: u32 = 2;
/// So often a guest's mistakes are told.
const MOST_COMPLAINTS: u32 = 10;
/// A look at whether something is there.
const AT_ONCE: Duration = Duration::from_millis(1);

/// What is in the drive.
enum Drive {
    Empty(Empty),
    Image(Box<Qcow2>),
}

/// The rings of a guest that uses the disk.
struct Connection {
    channels: EventChannels,
    queues: Vec<(LocalPort, Queue<SharedPage>)>,
}

/// A disk.
pub struct Disk {
    id: DiskId,
    store: Client,
    backend: String,
    frontend: String,
    folder: PathBuf,
    drive: Drive,
    read_only: bool,
    /// While the files of the image are nobody else's.
    _claims: Vec<Claim>,
    memory: Granted,
    buffer: Vec<u8>,
    connection: Option<Connection>,
    statistics: Statistics,
    stop: Arc<OwnedFd>,
    complaints: u32,
}

/// Why a disk isn't served any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is gone.
    Gone,
    /// The daemon ends; another one goes on.
    Stopped,
}

/// Serves a disk until its backend vanishes from the store, or `stop` can be read. Tells `opened`,
/// by dropping it, when its files are in use, or can't be.
///
/// # Errors
/// When store or hypervisor fail.
pub fn serve(
    id: DiskId,
    in_use: &InUse,
    stop: Arc<OwnedFd>,
    opened: Sender<()>,
) -> anyhow::Result<()> {
    let mut store = xend::connect()?;
    let device = Device { domain: id.domain, kind: Kind::Qdisk, number: id.number };
    let backend = device.backend();
    store.watch(&backend, "backend")?;
    let folder = super::folder(id.domain, id.number);
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut claims = Vec::new();
    let drive = open(&mut store, &device, in_use, &mut claims);
    drop(opened);
    let (drive, read_only) = match drive {
        Ok(drive) => drive,
        Err(error) => {
            // Whoever made it looks there for the reason, and takes it away.
            log::warn!("{backend}: {error:#}");
            report(&mut store, &backend, &format!("{error:#}"), XenbusState::CLOSED)?;
            while store.read(Tx::NONE, &format!("{backend}/state"))?.is_some() {
                store.event(None)?;
            }
            return leave(&mut store, &backend, &folder);
        }
    };
    let frontend = device.frontend();
    store.watch(&format!("{frontend}/state"), "frontend")?;
    let memory = Granted { grants: Grants::open()?, domain: id.domain };
    let (buffer, connection) = Default::default();
    let statistics = Statistics::of(&folder);
    let mut disk = Disk {
        id,
        store,
        backend,
        frontend,
        folder,
        drive,
        read_only,
        _claims: claims,
        memory,
        buffer,
        connection,
        statistics,
        stop,
        complaints: 0,
    };
    let end = disk.run()?;
    if let Drive::Image(image) = &mut disk.drive {
        image.close();
    }
    match end {
        End::Gone => leave(&mut disk.store, &disk.backend, &disk.folder),
        End::Stopped => Ok(()),
    }
}

/// Opens what the store says is in the drive; tells whether it may only be read.
fn open(
    store: &mut Client,
    device: &Device,
    in_use: &InUse,
    claims: &mut Vec<Claim>,
) -> anyhow::Result<(Drive, bool)> {
    let backend = device.backend();
    let mut node = |name: &str| store.read(Tx::NONE, &format!("{backend}/{name}"));
    let path = node("params")?.unwrap_or_default();
    let read_only = node("mode")?.as_deref() != Some("w");
    if path.is_empty() {
        return Ok((Drive::Empty(Empty), true));
    }
    let id = DiskId { domain: device.domain, number: device.number };
    let image = Qcow2::open(&path, !read_only, |file, path, writes| {
        let is_there = |other: DiskId| {
            let device = Device { domain: other.domain, kind: Kind::Qdisk, number: other.number };
            device.exists(store)
        };
        match in_use.claim(file, id, writes, is_there)? {
            Ok(claim) => claims.push(claim),
            Err(other) => bail!(
                "{} is in use by disk {} of domain {}: `xm block-detach` it there, or give this \
                 guest an image of its own (`qemu-img create -b` makes one that begins as a copy)",
                path.display(),
                other.number,
                other.domain
            ),
        }
        Ok(())
    })?;
    Ok((Drive::Image(Box::new(image)), read_only))
}

/// Says what is wrong where others look for it, and makes the backend so.
fn report(
    store: &mut Client,
    backend: &str,
    error: &str,
    state: XenbusState,
) -> anyhow::Result<()> {
    put(store, backend, &[(&Device::error_node(backend), error.to_owned())], state)?;
    Ok(())
}

/// Writes nodes of a backend and its state, unless it is gone: it must not come back by that.
/// Names with a slash are whole paths.
fn put(
    store: &mut Client,
    backend: &str,
    nodes: &[(&str, String)],
    state: XenbusState,
) -> anyhow::Result<()> {
    let place = format!("{backend}/state");
    store.transact(|store, tx| {
        if store.read(tx, &place)?.is_none() {
            return Ok(());
        }
        for (name, value) in nodes {
            let whole = format!("{backend}/{name}");
            store.write(tx, if name.starts_with('/') { name } else { &whole }, value)?;
        }
        store.write(tx, &place, &state.0.to_string())
    })?;
    Ok(())
}

/// Forgets a disk that is gone.
fn leave(store: &mut Client, backend: &str, folder: &Path) -> anyhow::Result<()> {
    store.remove(Tx::NONE, &Device::error_node(backend))?;
    std::fs::remove_dir_all(folder).with_context(|| folder.display().to_string())
}

impl Disk {
    fn run(&mut self) -> anyhow::Result<End> {
        if !self.settle()? {
            return Ok(End::Gone);
        }
        loop {
            let busy = self.turn()?;
            let patience = if busy { Some(Duration::ZERO) } else { self.tell()? };
            let patience = patience.map(Timespec::try_from).transpose()?;
            let mut ends = vec![
                PollFd::new(&self.store, PollFlags::IN),
                PollFd::new(&*self.stop, PollFlags::IN),
            ];
            if let Some(connection) = &self.connection {
                ends.push(PollFd::from_borrowed_fd(connection.channels.as_fd(), PollFlags::IN));
            }
            match poll(&mut ends, patience.as_ref()) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other.context("can't wait for events")?,
            };
            let is_ready =
                |end: Option<&PollFd<'_>>| end.is_some_and(|end| !end.revents().is_empty());
            let [store, stop, channels] = [0, 1, 2].map(|end| is_ready(ends.get(end)));
            if stop {
                return Ok(End::Stopped);
            }
            if channels && let Some(connection) = &self.connection {
                // Which one doesn't matter: all are looked at.
                while let Some(port) = connection.channels.pending()? {
                    connection.channels.unmask(port)?;
                }
            }
            if store && !self.settle()? {
                return Ok(End::Gone);
            }
        }
    }

    /// Does what the states of both ends ask for; false once the backend is gone.
    fn settle(&mut self) -> anyhow::Result<bool> {
        loop {
            match states::next(self.situation()?) {
                Step::Wait => {
                    let mut changed = false;
                    while self.store.event(Some(AT_ONCE))?.is_some() {
                        changed = true;
                    }
                    if !changed {
                        return Ok(true);
                    }
                }
                Step::Announce => self.announce()?,
                Step::Connect => self.connect(false)?,
                Step::Resume => self.connect(true)?,
                Step::Closing => self.become_state(XenbusState::CLOSING)?,
                Step::Close => {
                    self.disconnect();
                    self.become_state(XenbusState::CLOSED)?;
                }
                Step::Leave => {
                    self.disconnect();
                    return Ok(false);
                }
            }
        }
    }

    fn situation(&mut self) -> anyhow::Result<Situation> {
        let mut number = |place: String| -> anyhow::Result<Option<u32>> {
            let text = self.store.read(Tx::NONE, &place)?;
            // What is no number is a state that nobody knows.
            Ok(text.map(|text| text.parse().unwrap_or(u32::MAX)))
        };
        let backend = number(format!("{}/state", self.backend))?.map(XenbusState);
        let frontend = number(format!("{}/state", self.frontend))?.map(XenbusState);
        let online = number(format!("{}/online", self.backend))? == Some(1);
        Ok(Situation { backend, frontend, online, connected: self.connection.is_some() })
    }

    fn become_state(&mut self, state: XenbusState) -> anyhow::Result<()> {
        put(&mut self.store, &self.backend, &[], state)
    }

    /// Tells the guest what there is.
    fn announce(&mut self) -> anyhow::Result<()> {
        let mut info = if self.read_only { VDISK_READONLY } else { 0 };
        let kind = self.store.read(Tx::NONE, &format!("{}/device-type", self.backend))?;
        if kind.as_deref() == Some("cdrom") {
            info |= VDISK_CDROM | VDISK_REMOVABLE;
        }
        let sectors = self.drive.medium().sectors();
        let mut nodes = vec![
            ("sectors", sectors.to_string()),
            ("sector-size", SECTOR.to_string()),
            ("info", info.to_string()),
            ("feature-flush-cache", "1".to_owned()),
            ("feature-max-indirect-segments", MOST_SEGMENTS.to_string()),
            ("max-ring-page-order", LARGEST_ORDER.to_string()),
            ("multi-queue-max-queues", MOST_QUEUES.to_string()),
        ];
        if let Drive::Image(image) = &self.drive
            && !self.read_only
        {
            nodes.push(("feature-discard", "1".to_owned()));
            nodes.push(("discard-granularity", image.cluster().to_string()));
            nodes.push(("discard-alignment", "0".to_owned()));
            nodes.push(("discard-secure", "0".to_owned()));
        }
        put(&mut self.store, &self.backend, &nodes, XenbusState::INIT_WAIT)
    }

    /// Serves the guest's rings; with `resume` as an earlier daemon left them.
    fn connect(&mut self, resume: bool) -> anyhow::Result<()> {
        match self.rings(resume) {
            Ok(connection) => {
                // Whatever an earlier daemon was about to tell the guest.
                for (port, _queue) in connection.queues.iter().filter(|_| resume) {
                    connection.channels.notify(*port)?;
                }
                self.connection = Some(connection);
                if resume {
                    log::info!("{}: goes on", self.backend);
                    return Ok(());
                }
                self.become_state(XenbusState::CONNECTED)
            }
            Err(error) => {
                let error = format!("can't connect: {error:#}");
                self.complain(&error);
                report(&mut self.store, &self.backend, &error, XenbusState::CLOSING)
            }
        }
    }

    fn rings(&mut self, resume: bool) -> anyhow::Result<Connection> {
        let frontend = self.frontend.clone();
        let mut node = |name: &str| self.store.read(Tx::NONE, &format!("{frontend}/{name}"));
        let mut number = |name: &str| -> anyhow::Result<Option<u32>> {
            let text = node(name)?;
            text.map(|text| text.parse().map_err(|_| anyhow!("{name} is no number"))).transpose()
        };
        let count = number("multi-queue-num-queues")?.unwrap_or(1);
        ensure!(
            (1..=MOST_QUEUES).contains(&count),
            "it wants {count} rings, not 1 to {MOST_QUEUES}"
        );
        let order = number("ring-page-order")?;
        ensure!(order.is_none_or(|order| order <= LARGEST_ORDER), "its rings are too large");
        let mut wanted = Vec::new();
        for queue in 0..count {
            let place = if count == 1 { String::new() } else { format!("queue-{queue}/") };
            let mut needed = |name: String| {
                let name = format!("{place}{name}");
                number(&name)?.ok_or_else(|| anyhow!("it doesn't tell its {name}"))
            };
            let references: Vec<u32> = match order {
                None => vec![needed("ring-ref".to_owned())?],
                Some(order) => (0..1 << order)
                    .map(|page| needed(format!("ring-ref{page}")))
                    .collect::<anyhow::Result<_>>()?,
            };
            wanted.push((references, needed("event-channel".to_owned())?));
        }
        let protocol = node("protocol")?;
        let abi = Abi::named(protocol.as_deref())
            .ok_or_else(|| anyhow!("its protocol {protocol:?} isn't known"))?;
        let channels = EventChannels::open()?;
        let mut queues = Vec::new();
        for (number, (references, port)) in wanted.iter().enumerate() {
            let pages = self.memory.grants.map(self.id.domain, references)?;
            let length = references.len() * PAGE_SIZE;
            let ring = Ring::new(SharedPage::Granted(pages), length, abi);
            let journal = Journal::open(&self.folder.join(number.to_string()), !resume)?;
            let port = channels.bind_interdomain(self.id.domain, *port)?;
            queues.push((port, Queue::new(ring, journal)?));
        }
        Ok(Connection { channels, queues })
    }

    fn disconnect(&mut self) {
        if self.connection.take().is_some() {
            // That it fails is told by the medium.
            let _flushed = self.drive.medium().flush();
        }
    }

    /// Gives each ring a turn; tells whether there may be more to do.
    fn turn(&mut self) -> anyhow::Result<bool> {
        let Some(connection) = &mut self.connection else { return Ok(false) };
        let mut busy = false;
        let mut broken = Vec::new();
        let mut complaint = None;
        for (port, queue) in &mut connection.queues {
            let medium = self.drive.medium();
            let mut work = Work { medium, memory: &self.memory, buffer: &mut self.buffer };
            match queue.turn(&mut work) {
                Ok(turn) => {
                    busy |= turn.more;
                    if turn.notify {
                        connection.channels.notify(*port)?;
                    }
                }
                Err(error) if queue::is_broken(&error) => {
                    complaint = Some(format!("{error}; it isn't served any more"));
                    broken.push(*port);
                }
                Err(error) => return Err(error),
            }
        }
        for port in &broken {
            connection.channels.unbind(*port)?;
        }
        connection.queues.retain(|(port, _)| !broken.contains(port));
        if let Some(complaint) = complaint {
            self.complain(&complaint);
        }
        Ok(busy)
    }

    /// Tells what the disk did; gives when it is to be told next, if there is anything to tell.
    fn tell(&mut self) -> anyhow::Result<Option<Duration>> {
        match &self.drive {
            Drive::Empty(_) => Ok(None),
            Drive::Image(image) => {
                Ok(self.statistics.tell(image.counts()).context("statistics")?)
            }
        }
    }

    /// Tells the log what a guest does wrong, but not as often as the guest may like.
    fn complain(&mut self, complaint: &str) {
        if self.complaints < MOST_COMPLAINTS {
            self.complaints += 1;
            log::warn!("{}: {complaint}", self.backend);
        }
    }
}

impl Drive {
    fn medium(&mut self) -> &mut dyn Medium {
        match self {
            Self::Empty(medium) => medium,
            Self::Image(medium) => &mut **medium,
        }
    }
}
