//! The protocol of a ring page: two streams of bytes with free-running indexes.
//!
//! The other side can write the page at any time. Our own indexes are kept here, its are checked
//! each time they are read, and bytes are copied before anything looks at them.

use thiserror::Error;
use xen_abi::io::xs_wire::{
    CONNECTED, RECONNECT, RING_SIZE, SERVER_FEATURE_ERROR, SERVER_FEATURE_RECONNECTION,
};
use xenctl::xen_abi;

use crate::byte_stream::{Incoming, Outgoing, Place};
use crate::shared_page::Page;

// Where things lie in the page (`xenstore_domain_interface`).
const REQUESTS: Place = Place { bytes: 0, length: RING_SIZE, consumed: 2048, produced: 2052 };
const ANSWERS: Place = Place { bytes: 1024, length: RING_SIZE, consumed: 2056, produced: 2060 };
const FEATURES: usize = 2064;
const CONNECTION: usize = 2068;
const ERROR: usize = 2072;

/// The other side's index makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("its ring claims {0} bytes, and has room for {RING_SIZE}")]
pub struct Broken(u32);

/// One domain's ring.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
    requests: Incoming,
    answers: Outgoing,
}

impl<P: Page> Ring<P> {
    /// Takes a page up where it was left.
    pub fn new(page: P) -> Self {
        page.store(FEATURES, SERVER_FEATURE_RECONNECTION | SERVER_FEATURE_ERROR);
        let requests = Incoming::resume(REQUESTS, &page);
        let answers = Outgoing::resume(ANSWERS, &page);
        Self { page, requests, answers }
    }

    /// Whether the other side wants to begin anew; it waits until [`Self::restart`].
    pub fn wants_restart(&self) -> bool {
        self.page.load(CONNECTION) == RECONNECT
    }

    /// Empties the ring and tells the other side that it may begin.
    pub fn restart(&mut self) {
        for place in [REQUESTS, ANSWERS] {
            self.page.store(place.consumed, 0);
            self.page.store(place.produced, 0);
        }
        self.page.store(ERROR, 0);
        (self.requests, self.answers) = (Incoming::new(REQUESTS), Outgoing::new(ANSWERS));
        self.page.store(CONNECTION, CONNECTED);
    }

    /// Goes on with the requests after those that an earlier process had taken.
    pub fn resume(&mut self, received: u32) {
        self.requests = Incoming::resume_at(REQUESTS, received);
        self.received();
    }

    /// Takes all bytes that are there. The other side may send more without an event until this
    /// has given none. Until [`Self::received`] a later process takes the same bytes.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn receive(&mut self) -> Result<Vec<u8>, Broken> {
        let claimed = possible(self.requests.waiting(&self.page))?;
        Ok(self.requests.read(&self.page, claimed))
    }

    /// Gives the room of what was taken back.
    pub fn received(&self) {
        self.requests.publish(&self.page);
    }

    /// The indexes of what was taken and of what was sent.
    pub fn indexes(&self) -> (u32, u32) {
        (self.requests.consumed(), self.answers.produced())
    }

    /// Sends as many bytes as there is room for; gives how many.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let waiting = possible(self.answers.waiting(&self.page))?;
        Ok(self.answers.put(&self.page, waiting, bytes))
    }

    /// Tells the other side why nothing is served any more.
    pub fn fail(&self, error: u32) {
        self.page.store(ERROR, error);
    }
}

/// A count that the other side's index gave, if it can be one.
fn possible(count: u32) -> Result<u32, Broken> {
    let fits = usize::try_from(count).is_ok_and(|bytes| bytes <= RING_SIZE);
    if fits { Ok(count) } else { Err(Broken(count)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shared_page::tests::Memory;

    /// The guest's end of the same page.
    fn guest_sends(page: &Memory, bytes: &[u8]) {
        let mut index = page.load(REQUESTS.produced);
        for byte in bytes {
            page.write(REQUESTS.bytes + usize::try_from(index).unwrap() % RING_SIZE, &[*byte]);
            index = index.wrapping_add(1);
        }
        page.store(REQUESTS.produced, index);
    }

    fn guest_receives(page: &Memory, most: usize) -> Vec<u8> {
        let mut index = page.load(ANSWERS.consumed);
        let mut bytes = Vec::new();
        while index != page.load(ANSWERS.produced) && bytes.len() < most {
            let mut byte = [0];
            page.read(ANSWERS.bytes + usize::try_from(index).unwrap() % RING_SIZE, &mut byte);
            bytes.push(byte[0]);
            index = index.wrapping_add(1);
        }
        page.store(ANSWERS.consumed, index);
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
                REQUESTS.consumed, REQUESTS.produced,
                ANSWERS.consumed, ANSWERS.produced,
            ] {
                page.store(index, start);
            }
            let mut ring = Ring::new(page.clone());
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for (round, (incoming, outgoing, taken)) in steps.into_iter().enumerate() {
                let bytes = vec![round as u8; incoming];
                guest_sends(&page, &bytes);
                prop_assert_eq!(ring.receive().unwrap(), bytes);
                ring.received();
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
            for (place, index) in [REQUESTS.consumed, REQUESTS.produced,
                ANSWERS.consumed, ANSWERS.produced].iter().zip(indexes) {
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

    /// A page on which the guest sends more while the reader's index is on its way.
    #[derive(Debug, Clone)]
    struct Busy(Memory);

    impl Page for Busy {
        fn read(&self, offset: usize, into: &mut [u8]) -> bool {
            self.0.read(offset, into)
        }

        fn write(&self, offset: usize, bytes: &[u8]) -> bool {
            self.0.write(offset, bytes)
        }

        fn load(&self, offset: usize) -> u32 {
            self.0.load(offset)
        }

        fn store(&self, offset: usize, value: u32) {
            if offset == REQUESTS.consumed && value < 20 {
                guest_sends(&self.0, b"payload");
            }
            self.0.store(offset, value);
        }
    }

    #[test]
    fn what_comes_while_it_is_read_is_there_afterwards() {
        let page = Memory::new();
        let mut ring = Ring::new(Busy(page.clone()));
        guest_sends(&page, b"header of 16 byt");
        assert_eq!(ring.receive(), Ok(b"header of 16 byt".to_vec()));
        ring.received();
        assert_eq!(ring.receive(), Ok(b"payload".to_vec()));
        assert_eq!(ring.receive(), Ok(vec![]));
    }

    #[test]
    fn what_was_taken_and_not_told_is_taken_again() {
        let page = Memory::new();
        guest_sends(&page, b"request");
        assert_eq!(Ring::new(page.clone()).receive(), Ok(b"request".to_vec()));
        let mut later = Ring::new(page.clone());
        assert_eq!(later.receive(), Ok(b"request".to_vec()));
        // The process that wrote down what it took was killed before it said so.
        let mut latest = Ring::new(page.clone());
        latest.resume(later.indexes().0);
        assert_eq!((latest.receive(), page.load(REQUESTS.consumed)), (Ok(vec![]), 7));
    }

    #[test]
    fn impossible_indexes_are_found_and_a_restart_mends_them() {
        let page = Memory::new();
        let mut ring = Ring::new(page.clone());
        page.store(REQUESTS.produced, 1025);
        assert_eq!(ring.receive(), Err(Broken(1025)));
        page.store(ANSWERS.consumed, 1);
        assert_eq!(ring.send(b"x"), Err(Broken(u32::MAX)));
        page.store(CONNECTION, RECONNECT);
        assert!(ring.wants_restart());
        ring.restart();
        assert!(!ring.wants_restart());
        assert_eq!((ring.receive(), ring.send(b"x")), (Ok(vec![]), Ok(1)));
    }
}
