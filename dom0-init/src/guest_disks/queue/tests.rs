use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use proptest::prelude::*;
use xenctl::xen_abi::io::blkif::{
    BlkifOp, BlkifRequest, BlkifRequestIndirect, BlkifRequestSegment,
};
use zerocopy::{Immutable, IntoBytes};

use super::super::ring::tests::Guest;
use super::super::ring::{ANSWER, SLOT};
use super::*;
use crate::shared_page::tests::Memory;

const SECTORS: usize = 256;

/// A medium in memory, whose commits can fail.
#[derive(Debug)]
struct Bytes {
    bytes: Vec<u8>,
    commits: bool,
    flushes: u32,
}

impl Bytes {
    fn new() -> Self {
        Self { bytes: vec![0; SECTORS * 512], commits: true, flushes: 0 }
    }
}

impl Medium for Bytes {
    fn sectors(&self) -> u64 {
        self.bytes.len() as u64 / SECTOR
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> bool {
        let start = offset as usize;
        bytes.copy_from_slice(&self.bytes[start..start + bytes.len()]);
        true
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let start = offset as usize;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        true
    }

    fn discard(&mut self, offset: u64, length: u64) -> bool {
        self.bytes[offset as usize..(offset + length) as usize].fill(0);
        true
    }

    fn commit(&mut self) -> bool {
        self.commits
    }

    fn flush(&mut self) -> bool {
        self.flushes += 1;
        true
    }
}

/// A guest's pages, by their grants.
#[derive(Debug, Default)]
struct Pages {
    pages: RefCell<HashMap<u32, Vec<u8>>>,
    /// After so many copies the daemon is killed.
    life: Cell<Option<u32>>,
}

impl Pages {
    fn copy(&self, piece: &Piece, copy: impl FnOnce(&mut [u8])) -> anyhow::Result<()> {
        if let Some(life) = self.life.get() {
            assert!(life > 0, "killed");
            self.life.set(Some(life - 1));
        }
        let mut pages = self.pages.borrow_mut();
        let page = pages.get_mut(&piece.reference).context("not granted")?;
        let start = usize::from(piece.offset);
        copy(&mut page[start..start + usize::from(piece.length)]);
        Ok(())
    }
}

impl GuestMemory for Pages {
    fn read(&self, pieces: &[Piece], mut bytes: &mut [u8]) -> anyhow::Result<()> {
        for piece in pieces {
            let (part, rest) = bytes.split_at_mut(usize::from(piece.length));
            self.copy(piece, |page| part.copy_from_slice(page))?;
            bytes = rest;
        }
        Ok(())
    }

    fn write(&self, pieces: &[Piece], mut bytes: &[u8]) -> anyhow::Result<()> {
        for piece in pieces {
            let (part, rest) = bytes.split_at(usize::from(piece.length));
            self.copy(piece, |page| page.copy_from_slice(part))?;
            bytes = rest;
        }
        Ok(())
    }
}

struct Bench {
    guest: Guest,
    pages: Pages,
    medium: Bytes,
    queue: Queue<Memory>,
    buffer: Vec<u8>,
    journal: std::path::PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let guest = Guest::new();
        let journal =
            std::env::temp_dir().join(format!("disk-queue-{name}-{}", std::process::id()));
        let queue = Queue::new(guest.ring(), Journal::open(&journal, true).unwrap()).unwrap();
        let pages = Pages::default();
        for reference in 1..=16 {
            pages.pages.borrow_mut().insert(reference, vec![reference as u8; 4096]);
        }
        Self { guest, pages, medium: Bytes::new(), queue, buffer: Vec::new(), journal }
    }

    fn turn(&mut self) -> anyhow::Result<Turn> {
        let Self { pages, medium, queue, buffer, .. } = self;
        queue.turn(&mut Work { medium, memory: pages, buffer })
    }

    /// Makes a request and gives its status.
    fn ask(&mut self, request: impl IntoBytes + Immutable) -> i16 {
        self.guest.make(request.as_bytes());
        assert!(self.turn().unwrap().more);
        match self.guest.answers().as_slice() {
            [[.., low, high]] => i16::from_le_bytes([*low, *high]),
            other => panic!("{other:?}"),
        }
    }

    /// Another daemon takes up the ring.
    fn restart(&mut self) {
        let journal = Journal::open(&self.journal, false).unwrap();
        self.queue = Queue::new(self.guest.ring(), journal).unwrap();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.journal);
    }
}

fn segment(gref: u32, first_sect: u8, last_sect: u8) -> BlkifRequestSegment {
    BlkifRequestSegment { gref, first_sect, last_sect, _pad0: [0; 2] }
}

fn request(operation: BlkifOp, sector: u64, segments: &[BlkifRequestSegment]) -> BlkifRequest {
    let mut request = BlkifRequest {
        operation,
        id: sector.wrapping_add(1000),
        sector_number: sector,
        ..Default::default()
    };
    request.nr_segments = segments.len() as u8;
    request.seg[..segments.len()].copy_from_slice(segments);
    request
}

#[test]
fn sectors_go_both_ways() {
    let mut bench = Bench::new("ways");
    let segments = [segment(1, 0, 7), segment(2, 3, 3)];
    assert_eq!(bench.ask(request(BlkifOp::WRITE, 10, &segments)), RSP_OKAY);
    assert_eq!(bench.medium.bytes[10 * 512..18 * 512], [1; 4096]);
    assert_eq!(bench.medium.bytes[18 * 512..20 * 512], [[2; 512], [0; 512]].concat());
    assert_eq!(bench.ask(request(BlkifOp::READ, 17, &[segment(5, 1, 2)])), RSP_OKAY);
    assert_eq!(
        bench.pages.pages.borrow()[&5][..2048],
        [[5; 512], [1; 512], [2; 512], [5; 512]].concat()
    );
    assert_eq!(bench.ask(request(BlkifOp::FLUSH_DISKCACHE, 0, &[])), RSP_OKAY);
    assert_eq!(bench.medium.flushes, 1);
    assert_eq!(bench.ask(request(BlkifOp::WRITE_BARRIER, 0, &[])), RSP_EOPNOTSUPP);
}

#[test]
fn segments_in_pages_of_their_own() {
    let mut bench = Bench::new("indirect");
    let list: Vec<BlkifRequestSegment> = (1..=16).map(|gref| segment(gref, 0, 7)).collect();
    bench.pages.pages.borrow_mut().get_mut(&9).unwrap()[..128].copy_from_slice(list.as_bytes());
    let request = BlkifRequestIndirect {
        operation: BlkifOp::INDIRECT,
        indirect_op: BlkifOp::WRITE,
        nr_segments: 16,
        indirect_grefs: [9, 0, 0, 0, 0, 0, 0, 0],
        ..Default::default()
    };
    assert_eq!(bench.ask(request), RSP_OKAY);
    assert_eq!(bench.medium.bytes[15 * 4096..16 * 4096], [16; 4096]);
    assert_eq!(bench.ask(BlkifRequestIndirect { nr_segments: 17, ..request }), RSP_ERROR);
    assert_eq!(bench.ask(BlkifRequestIndirect { indirect_grefs: [99; 8], ..request }), RSP_ERROR);
}

#[test]
fn what_cannot_be_done_is_answered() {
    let mut bench = Bench::new("errors");
    let last = SECTORS as u64 - 1;
    for (sector, segment) in [
        (last, segment(1, 0, 1)),
        (u64::MAX, segment(1, 0, 0)),
        (u64::MAX / 512, segment(1, 0, 0)),
        (0, segment(99, 0, 0)),
        (0, segment(1, 0, 8)),
        (0, segment(1, 4, 3)),
    ] {
        for operation in [BlkifOp::READ, BlkifOp::WRITE] {
            assert_eq!(bench.ask(request(operation, sector, &[segment])), RSP_ERROR);
        }
    }
    assert_eq!(bench.ask(request(BlkifOp::WRITE, last, &[segment(1, 0, 0)])), RSP_OKAY);
    // What isn't in the image isn't answered as done.
    bench.medium.commits = false;
    assert_eq!(bench.ask(request(BlkifOp::WRITE, 0, &[segment(1, 0, 0)])), RSP_ERROR);
    assert_eq!(bench.ask(request(BlkifOp::READ, 0, &[segment(1, 0, 0)])), RSP_OKAY);
    bench.guest.page.store(0, bench.guest.made + 33);
    let broken = bench.turn().unwrap_err();
    assert!(is_broken(&broken), "{broken}");
}

#[test]
fn answers_that_were_being_given_are_given_again() {
    let mut bench = Bench::new("journal");
    bench.guest.make(request(BlkifOp::WRITE, 1, &[segment(1, 0, 0)]).as_bytes());
    bench.guest.make(request(BlkifOp::WRITE, 2, &[segment(2, 0, 0)]).as_bytes());
    // The first answer is in its slot, the guest wasn't told, and the daemon is killed.
    let first = Request::read(&bench.guest.ring().request(0)).answer(RSP_OKAY);
    let second = Request::read(&bench.guest.ring().request(1)).answer(RSP_ERROR);
    Journal::open(&bench.journal, false).unwrap().keep(0, &[first, second]).unwrap();
    bench.guest.page.write(64, &first);
    bench.restart();
    assert_eq!(bench.guest.answers(), [first, second]);
    assert!(!bench.turn().unwrap().more);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// A guest writes and reads sectors, the daemon is killed again and again in the middle of
    /// that: each request is answered once, in order, and what is read is what was written.
    #[test]
    fn guests_do_not_notice_that_the_daemon_is_killed(
        rounds in prop::collection::vec(
            (prop::collection::vec((0..32_u64, 1..=8_u32, any::<bool>()), 1..20), 0..40_u32), 1..12),
    ) {
        let mut bench = Bench::new("kills");
        let mut expected = vec![0; SECTORS * 512];
        let mut asked = Vec::new();
        let mut answered = Vec::new();
        for (requests, life) in rounds {
            for (place, page, write) in requests {
                if !bench.guest.has_room() {
                    break;
                }
                let operation = if write { BlkifOp::WRITE } else { BlkifOp::READ };
                // Pages above eight are only read into.
                let page = if write { page } else { page + 8 };
                let request = request(operation, place, &[segment(page, 0, 7)]);
                bench.guest.make(request.as_bytes());
                asked.push(Request::read(&whole(&request)).answer(RSP_OKAY));
                if write {
                    let at = place as usize * 512;
                    expected[at..at + 4096].fill(page as u8);
                }
            }
            bench.pages.life.set(Some(life));
            let killed = std::panic::AssertUnwindSafe(|| while bench.turn().unwrap().more {});
            let _killed = std::panic::catch_unwind(killed);
            bench.pages.life.set(None);
            bench.restart();
            answered.extend(bench.guest.answers());
        }
        while bench.turn().unwrap().more {}
        answered.extend(bench.guest.answers());
        prop_assert_eq!(answered, asked);
        prop_assert!(bench.medium.bytes == expected);
    }

    #[test]
    fn any_requests_are_answered(slots in prop::collection::vec(slot(), 1..32)) {
        let mut bench = Bench::new("random");
        for slot in &slots {
            bench.guest.make(slot);
        }
        while bench.turn().unwrap().more {}
        let answers = bench.guest.answers();
        prop_assert_eq!(answers.len(), slots.len());
        for (answer, slot) in answers.iter().zip(&slots) {
            prop_assert_eq!(&answer[..8], &slot[8..16]);
        }
    }
}

fn whole(request: &BlkifRequest) -> [u8; SLOT] {
    request.as_bytes().try_into().unwrap()
}

/// Slots whose first bytes are likely to mean something.
fn slot() -> impl Strategy<Value = [u8; SLOT]> {
    (any::<[u8; SLOT]>(), 0..8_u8, 0..4_u8, any::<bool>()).prop_map(|(mut slot, op, count, low)| {
        (slot[0], slot[1]) = (op, count);
        if low {
            slot[17..24].fill(0);
            for segment in 0..11 {
                slot[25 + segment * 8..28 + segment * 8].fill(0);
                slot[28 + segment * 8] &= 7;
                slot[29 + segment * 8] |= slot[28 + segment * 8];
            }
        }
        slot
    })
}

const _: () = assert!(ANSWER == 12);
