//! One ring of a disk: takes its requests, does them, answers.

use std::io;

use anyhow::Context;
use xenctl::Piece;
use xenctl::gntdev::Grants;
use xenctl::xen_abi::io::blkif::{RSP_EOPNOTSUPP, RSP_ERROR, RSP_OKAY};

use super::journal::{self, Journal};
use super::medium::Medium;
use super::request::{Action, Request, SECTOR, Segments, pieces, segments};
use super::ring::{Broken, Ring};
use crate::shared_page::Page;

/// The pages that a guest lends.
pub trait GuestMemory {
    /// Copies out of them.
    ///
    /// # Errors
    /// When one isn't lent.
    fn read(&self, pieces: &[Piece], bytes: &mut [u8]) -> anyhow::Result<()>;
    /// Copies into them.
    ///
    /// # Errors
    /// When one isn't lent, or only to be read.
    fn write(&self, pieces: &[Piece], bytes: &[u8]) -> anyhow::Result<()>;
}

/// The pages that a domain grants.
#[derive(Debug)]
pub struct Granted {
    /// By which they are copied.
    pub grants: Grants,
    /// The domain.
    pub domain: u16,
}

impl GuestMemory for Granted {
    fn read(&self, pieces: &[Piece], bytes: &mut [u8]) -> anyhow::Result<()> {
        Ok(self.grants.copy_in(self.domain, pieces, bytes)?)
    }

    fn write(&self, pieces: &[Piece], bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.grants.copy_out(self.domain, pieces, bytes)?)
    }
}

/// What became of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// There may be more to do.
    pub more: bool,
    /// The guest wants to know of answers.
    pub notify: bool,
}

/// A ring of a disk.
#[derive(Debug)]
pub struct Queue<P> {
    ring: Ring<P>,
    journal: Journal,
}

/// What all rings of a disk share.
pub struct Work<'a> {
    /// What is read and written.
    pub medium: &'a mut dyn Medium,
    /// Where the guest has its bytes.
    pub memory: &'a dyn GuestMemory,
    /// Room for a request's bytes.
    pub buffer: &'a mut Vec<u8>,
}

impl<P: Page> Queue<P> {
    /// Takes up a ring where it was left; gives first what answers an earlier daemon was giving.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn new(mut ring: Ring<P>, journal: Journal) -> io::Result<Self> {
        let pending = journal.pending(ring.answered())?;
        // A guest that lies about its requests gets no answers to them.
        let waiting = ring.waiting().unwrap_or(0);
        if !pending.is_empty() && pending.len() as u64 <= u64::from(waiting) {
            ring.answer(&pending);
        }
        Ok(Self { ring, journal })
    }

    /// Does some of the requests that wait, and answers them.
    ///
    /// # Errors
    /// When the ring makes no sense, or the journal fails.
    pub fn turn(&mut self, work: &mut Work<'_>) -> anyhow::Result<Turn> {
        let mut waiting = self.ring.waiting()?;
        if waiting == 0 {
            waiting = self.ring.rest()?;
        }
        let count = waiting.min(u32::try_from(journal::MOST).unwrap_or(1));
        if count == 0 {
            return Ok(Turn { more: false, notify: false });
        }
        let mut done = Vec::new();
        for number in 0..count {
            let request = Request::read(&self.ring.request(number));
            let status = work.act(&request.action);
            done.push((request, status));
        }
        // From here on what was written is found by whoever serves this disk next.
        let is_kept = work.medium.commit();
        let answer = |(request, status): &(Request, i16)| {
            let lost = !is_kept && request.action.changes();
            request.answer(if lost { RSP_ERROR } else { *status })
        };
        let answers: Vec<_> = done.iter().map(answer).collect();
        self.journal.keep(self.ring.answered(), &answers).context("the journal")?;
        Ok(Turn { more: true, notify: self.ring.answer(&answers) })
    }
}

impl Action {
    fn changes(&self) -> bool {
        !matches!(self, Self::Transfer { write: false, .. } | Self::Unsupported | Self::Invalid)
    }
}

impl Work<'_> {
    /// Does what is asked; gives the answer's status.
    fn act(&mut self, action: &Action) -> i16 {
        let done = match action {
            Action::Transfer { write, flush, sector, segments } => {
                (!flush || self.medium.flush())
                    && self.transfer(*write, *sector, segments).is_some()
            }
            Action::Flush => self.medium.flush(),
            Action::Discard { sector, count } => match bytes(self.medium, *sector, *count) {
                Some((offset, length)) => self.medium.discard(offset, length),
                None => false,
            },
            Action::Unsupported => return RSP_EOPNOTSUPP,
            Action::Invalid => false,
        };
        if done { RSP_OKAY } else { RSP_ERROR }
    }

    fn transfer(&mut self, write: bool, sector: u64, place: &Segments) -> Option<()> {
        let pieces = match place {
            Segments::Here(segments) => pieces(segments)?,
            Segments::There { pages } => {
                let length = pages.iter().map(|page| usize::from(page.length)).sum();
                let mut copy = vec![0; length];
                self.memory.read(pages, &mut copy).ok()?;
                pieces(&segments(&copy))?
            }
        };
        let length: u64 = pieces.iter().map(|piece| u64::from(piece.length)).sum();
        let (offset, length) = bytes(self.medium, sector, length / SECTOR)?;
        self.buffer.resize(usize::try_from(length).ok()?, 0);
        if write {
            self.memory.read(&pieces, self.buffer).ok()?;
            self.medium.write(offset, self.buffer).then_some(())
        } else {
            if !self.medium.read(offset, self.buffer) {
                return None;
            }
            self.memory.write(&pieces, self.buffer).ok()
        }
    }
}

/// Offset and length in bytes of sectors, if the medium has them all.
fn bytes(medium: &dyn Medium, sector: u64, count: u64) -> Option<(u64, u64)> {
    let end = sector.checked_add(count)?;
    (end <= medium.sectors()).then(|| (sector * SECTOR, count * SECTOR))
}

/// The guest's own fault, unlike what else can go wrong with a queue.
pub fn is_broken(error: &anyhow::Error) -> bool {
    error.is::<Broken>()
}

#[cfg(test)]
mod tests;
