//! Starts a thread for each disk that appears in the store.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;
use xenctl::xen_abi::io::xenbus::XenbusState;
use xenstore::client::{Client, Tx};

use super::in_use::{DiskId, InUse};
use super::{FOLDER, KIND, disk};
use crate::xend;
use crate::xend::devices::{Device, Kind};

/// How long a disk that was served may take to be opened again, before others are.
const PATIENCE: Duration = Duration::from_secs(30);
/// Before a disk is served again whose thread failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long images may take to be closed.
const FAREWELL: Duration = Duration::from_secs(5);
/// A look at whether something is there.
const AT_ONCE: Duration = Duration::from_millis(1);

/// The daemon.
pub struct Server {
    store: Client,
    in_use: InUse,
    disks: HashMap<DiskId, JoinHandle<()>>,
    /// Threads that end say so here, and that there is something to read.
    ended: Sender<DiskId>,
    endings: Receiver<DiskId>,
    wake: Arc<OwnedFd>,
    /// Can be read once the daemon is to end in order.
    stop: Arc<OwnedFd>,
}

/// Says that a disk isn't served any more, however that came.
struct Ending {
    id: DiskId,
    ended: Sender<DiskId>,
    wake: Arc<OwnedFd>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::thread::sleep(PAUSE);
        }
        // Without a server nobody wants to know; and the other is a counter, which can't be full.
        let _told = self.ended.send(self.id);
        let _woken = rustix::io::write(&*self.wake, &1_u64.to_ne_bytes());
    }
}

impl Server {
    /// Connects to the store.
    ///
    /// # Errors
    /// When it can't be reached.
    pub fn new() -> anyhow::Result<Self> {
        let mut store = xend::connect()?;
        store.watch(&format!("/local/domain/0/backend/{KIND}"), "disks")?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (ended, endings) = mpsc::channel();
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        forward_termination(Arc::clone(&stop))?;
        let (in_use, disks) = Default::default();
        Ok(Self { store, in_use, disks, ended, endings, wake, stop })
    }

    /// Serves until it is told to end. Then the images are left as if nobody used them, though
    /// guests may: another daemon goes on.
    ///
    /// # Errors
    /// When the store is gone.
    pub fn serve(mut self) -> anyhow::Result<()> {
        self.adopt()?;
        loop {
            let mut changed = true;
            while changed {
                self.look()?;
                changed = self.store.event(Some(AT_ONCE))?.is_some();
                while self.store.event(Some(AT_ONCE))?.is_some() {}
            }
            let mut ends = [
                PollFd::new(&self.store, PollFlags::IN),
                PollFd::new(&*self.wake, PollFlags::IN),
                PollFd::new(&*self.stop, PollFlags::IN),
            ];
            match poll(&mut ends, None) {
                Err(rustix::io::Errno::INTR) => continue,
                other => other.context("can't wait for events")?,
            };
            let [_store, _wake, stop] = ends.map(|end| !end.revents().is_empty());
            if stop {
                self.end();
                return Ok(());
            }
            let mut count = [0; 8];
            // Nobody ended; or how many did doesn't matter.
            let _count = rustix::io::read(&*self.wake, &mut count);
        }
    }

    /// Waits for the threads, which have been told too. One that waits for its disk to go has
    /// nothing to leave in order.
    fn end(&mut self) {
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline && !self.disks.values().all(JoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Takes up the disks that guests use already: nobody else may have their files before them.
    fn adopt(&mut self) -> anyhow::Result<()> {
        let mut opening = Vec::new();
        for id in self.all()? {
            let state = format!("{}/state", device(id).backend());
            let state = self.store.read(Tx::NONE, &state)?.and_then(|state| state.parse().ok());
            if state.map(XenbusState) == Some(XenbusState::CONNECTED) {
                opening.push(self.start(id)?);
            }
        }
        for opened in opening {
            // It ends when the sender is dropped.
            let _ended = opened.recv_timeout(PATIENCE);
        }
        self.sweep()
    }

    /// Removes what an earlier daemon left of disks that are gone.
    fn sweep(&mut self) -> anyhow::Result<()> {
        let present: Vec<String> =
            self.all()?.iter().map(|id| format!("{}-{}", id.domain, id.number)).collect();
        for entry in std::fs::read_dir(FOLDER).into_iter().flatten().flatten() {
            if !present.iter().any(|name| **name == *entry.file_name()) {
                let removed = std::fs::remove_dir_all(entry.path());
                removed.with_context(|| entry.path().display().to_string())?;
            }
        }
        Ok(())
    }

    /// Starts to serve disks that are new, or whose thread failed.
    fn look(&mut self) -> anyhow::Result<()> {
        while let Ok(id) = self.endings.try_recv() {
            self.disks.remove(&id);
        }
        for id in self.all()? {
            if !self.disks.contains_key(&id) && device(id).exists(&mut self.store)? {
                self.start(id)?;
            }
        }
        Ok(())
    }

    /// All disks in the store.
    fn all(&mut self) -> anyhow::Result<Vec<DiskId>> {
        let top = format!("/local/domain/0/backend/{KIND}");
        let mut all = Vec::new();
        for domain in self.store.list(Tx::NONE, &top)? {
            for number in self.store.list(Tx::NONE, &format!("{top}/{domain}"))? {
                if let (Ok(domain), Ok(number)) = (domain.parse(), number.parse()) {
                    all.push(DiskId { domain, number });
                }
            }
        }
        Ok(all)
    }

    fn start(&mut self, id: DiskId) -> anyhow::Result<Receiver<()>> {
        let (sender, opened) = mpsc::channel();
        let (in_use, stop) = (self.in_use.clone(), Arc::clone(&self.stop));
        let (ended, wake) = (self.ended.clone(), Arc::clone(&self.wake));
        let thread = std::thread::Builder::new()
            .name(format!("{}-{}", id.domain, id.number))
            .spawn(move || {
                let _ending = Ending { id, ended, wake };
                if let Err(error) = disk::serve(id, &in_use, stop, sender) {
                    log::error!("disk {} of domain {}: {error:#}", id.number, id.domain);
                    std::thread::sleep(PAUSE);
                }
            })
            .context("can't start a thread")?;
        self.disks.insert(id, thread);
        Ok(opened)
    }
}

/// Says where threads wait that the daemon is to end.
fn forward_termination(stop: Arc<OwnedFd>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGTERM]).context("can't collect signals")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if signals.forever().next().is_some() {
                // It can't be full: it is a counter.
                let _said = rustix::io::write(&*stop, &1_u64.to_ne_bytes());
            }
        })
        .context("can't start a thread")?;
    Ok(())
}

fn device(id: DiskId) -> Device {
    Device { domain: id.domain, kind: Kind::Qdisk, number: id.number }
}
