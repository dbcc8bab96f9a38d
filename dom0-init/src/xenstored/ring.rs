//! The protocol of a ring page: two streams of bytes with free-running indexes.
//!
//! The other side can write the page at any time. Our own indexes are kept here, its are checked
//! each time they are read, and bytes are copied before anything looks at them.

use thiserror::Error;
use xen_abi::io::xs_wire::{
    CONNECTED, RECONNECT, RING_SIZE, SERVER_FEATURE_ERROR, SERVER_FEATURE_RECONNECTION,
};
use xenctl::xen_abi;

use crate::shared_page::Page;

/// Where the parts of the page are (`xenstore_domain_interface`).
mod at {
    pub const REQUESTS: usize = 0;
    pub const ANSWERS: usize = 1024;
    pub const REQUESTS_CONSUMED: usize = 2048;
    pub const REQUESTS_PRODUCED: usize = 2052;
    pub const ANSWERS_CONSUMED: usize = 2056;
    pub const ANSWERS_PRODUCED: usize = 2060;
    pub const FEATURES: usize = 2064;
    pub const CONNECTION: usize = 2068;
    pub const ERROR: usize = 2072;
}

/// The other side's index makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("its ring claims {0} bytes, and has room for {RING_SIZE}")]
pub struct Broken(u32);

/// One domain's ring.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
    consumed: u32,
    produced: u32,
}

impl<P: Page> Ring<P> {
    /// Takes a page up where it was left.
    pub fn new(page: P) -> Self {
        page.store(at::FEATURES, SERVER_FEATURE_RECONNECTION | SERVER_FEATURE_ERROR);
        let (consumed, produced) =
            (page.load(at::REQUESTS_CONSUMED), page.load(at::ANSWERS_PRODUCED));
        Self { page, consumed, produced }
    }

    /// Whether the other side wants to begin anew; it waits until [`Self::restart`].
    pub fn wants_restart(&self) -> bool {
        self.page.load(at::CONNECTION) == RECONNECT
    }

    /// Empties the ring and tells the other side that it may begin.
    pub fn restart(&mut self) {
        for index in [
            at::REQUESTS_CONSUMED,
            at::REQUESTS_PRODUCED,
            at::ANSWERS_CONSUMED,
            at::ANSWERS_PRODUCED,
            at::ERROR,
        ] {
            self.page.store(index, 0);
        }
        (self.consumed, self.produced) = (0, 0);
        self.page.store(at::CONNECTION, CONNECTED);
    }

    /// Takes all bytes that are there.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn receive(&mut self) -> Result<Vec<u8>, Broken> {
        let count = filled(self.page.load(at::REQUESTS_PRODUCED), self.consumed)?;
        let mut bytes = vec![0; count];
        let (first, second) = bytes.split_at_mut(until_end(self.consumed).min(count));
        let inside = self.page.read(at::REQUESTS + place(self.consumed), first)
            && self.page.read(at::REQUESTS, second);
        debug_assert!(inside, "rings lie in a page");
        self.consumed = advance(self.consumed, count);
        self.page.store(at::REQUESTS_CONSUMED, self.consumed);
        Ok(bytes)
    }

    /// Sends as many bytes as there is room for; gives how many.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let room = RING_SIZE - filled(self.produced, self.page.load(at::ANSWERS_CONSUMED))?;
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let (first, second) = bytes.split_at(until_end(self.produced).min(bytes.len()));
        let inside = self.page.write(at::ANSWERS + place(self.produced), first)
            && self.page.write(at::ANSWERS, second);
        debug_assert!(inside, "rings lie in a page");
        self.produced = advance(self.produced, bytes.len());
        self.page.store(at::ANSWERS_PRODUCED, self.produced);
        Ok(bytes.len())
    }

    /// Tells the other side why nothing is served any more.
    pub fn fail(&self, error: u32) {
        self.page.store(at::ERROR, error);
    }
}

fn filled(produced: u32, consumed: u32) -> Result<usize, Broken> {
    let count = produced.wrapping_sub(consumed);
    let bytes = usize::try_from(count).unwrap_or(usize::MAX);
    if bytes <= RING_SIZE { Ok(bytes) } else { Err(Broken(count)) }
}

fn place(index: u32) -> usize {
    usize::try_from(index).unwrap_or(0) % RING_SIZE
}

fn until_end(index: u32) -> usize {
    RING_SIZE - place(index)
}

fn advance(index: u32, count: usize) -> u32 {
    index.wrapping_add(u32::try_from(count).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shared_page::tests::Memory;

    /// The guest's end of the same page.
    fn guest_sends(page: &Memory, bytes: &[u8]) {
        let mut index = page.load(at::REQUESTS_PRODUCED);
        for byte in bytes {
            page.write(at::REQUESTS + place(index), &[*byte]);
            index = index.wrapping_add(1);
        }
        page.store(at::REQUESTS_PRODUCED, index);
    }

    fn guest_receives(page: &Memory, most: usize) -> Vec<u8> {
        let mut index = page.load(at::ANSWERS_CONSUMED);
        let mut bytes = Vec::new();
        while index != page.load(at::ANSWERS_PRODUCED) && bytes.len() < most {
            let mut byte = [0];
            page.read(at::ANSWERS + place(index), &mut byte);
            bytes.push(byte[0]);
            index = index.wrapping_add(1);
        }
        page.store(at::ANSWERS_CONSUMED, index);
        bytes
    }

    proptest! {
        #[test]
        fn streams_arrive_whole(
            start: u32,
            steps in prop::collection::vec((0..1024_usize, 0..1500_usize, 0..1024_usize), 1..30),
        ) {
            let page = Memory::new();
            for index in [
                at::REQUESTS_CONSUMED, at::REQUESTS_PRODUCED,
                at::ANSWERS_CONSUMED, at::ANSWERS_PRODUCED,
            ] {
                page.store(index, start);
            }
            let mut ring = Ring::new(page.clone());
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for (round, (incoming, outgoing, taken)) in steps.into_iter().enumerate() {
                let bytes = vec![round as u8; incoming];
                guest_sends(&page, &bytes);
                prop_assert_eq!(ring.receive().unwrap(), bytes);
                let bytes: Vec<u8> = (0..outgoing).map(|i| (i + round) as u8).collect();
                let count = ring.send(&bytes).unwrap();
                sent.extend_from_slice(&bytes[..count]);
                prop_assert!(count == outgoing || sent.len() - received.len() == RING_SIZE);
                received.extend(guest_receives(&page, taken));
            }
            received.extend(guest_receives(&page, usize::MAX));
            prop_assert_eq!(sent, received);
        }

        #[test]
        fn no_indexes_break_it(indexes: [u32; 4], bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let page = Memory::new();
            let mut ring = Ring::new(page.clone());
            for (place, index) in [at::REQUESTS_CONSUMED, at::REQUESTS_PRODUCED,
                at::ANSWERS_CONSUMED, at::ANSWERS_PRODUCED].iter().zip(indexes) {
                page.store(*place, index);
            }
            if let Ok(received) = ring.receive() {
                prop_assert!(received.len() <= RING_SIZE);
            }
            if let Ok(sent) = ring.send(&bytes) {
                prop_assert!(sent <= RING_SIZE);
            }
        }
    }

    #[test]
    fn impossible_indexes_are_found_and_a_restart_mends_them() {
        let page = Memory::new();
        let mut ring = Ring::new(page.clone());
        page.store(at::REQUESTS_PRODUCED, 1025);
        assert_eq!(ring.receive(), Err(Broken(1025)));
        page.store(at::ANSWERS_CONSUMED, 1);
        assert_eq!(ring.send(b"x"), Err(Broken(u32::MAX)));
        page.store(at::CONNECTION, RECONNECT);
        assert!(ring.wants_restart());
        ring.restart();
        assert!(!ring.wants_restart());
        assert_eq!((ring.receive(), ring.send(b"x")), (Ok(vec![]), Ok(1)));
    }
}
