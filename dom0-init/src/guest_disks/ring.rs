//! A ring of requests and answers, shared with a guest (`io/ring.h`, `io/blkif.h`).
//!
//! Requests and answers take turns in the same slots; indexes are free-running. Ours are kept
//! here, and what the guest's say is checked before it is believed.

use std::sync::atomic::{Ordering, fence};

use thiserror::Error;
use xenctl::xen_abi::io::ring::{SringHeader, ring_entries};

use crate::shared_page::Page;

const REQUESTS: usize = std::mem::offset_of!(SringHeader, req_prod);
const REQUEST_EVENT: usize = std::mem::offset_of!(SringHeader, req_event);
const ANSWERS: usize = std::mem::offset_of!(SringHeader, rsp_prod);
const ANSWER_EVENT: usize = std::mem::offset_of!(SringHeader, rsp_event);
const SLOTS: usize = size_of::<SringHeader>();

/// Bytes of a request, as 64-bit guests have it.
pub const SLOT: usize = 112;
/// What matters of an answer; longer ones have padding behind it.
pub const ANSWER: usize = 12;

/// The guest's kernel aligns numbers of eight bytes like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// To eight.
    Bits64,
    /// To four.
    Bits32,
}

impl Abi {
    /// By the name in the frontend's node `protocol`; 64-bit ones need not say.
    pub fn named(name: Option<&str>) -> Option<Self> {
        match name {
            None | Some("x86_64-abi") => Some(Self::Bits64),
            Some("x86_32-abi") => Some(Self::Bits32),
            Some(_) => None,
        }
    }

    fn slot(self) -> usize {
        match self {
            Self::Bits64 => SLOT,
            Self::Bits32 => SLOT - 4,
        }
    }
}

/// A guest claims more requests than there are slots.
#[derive(Debug, Error)]
#[error("the guest claims {0} requests in a ring for {1}")]
pub struct Broken(u32, u32);

/// A ring.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
    abi: Abi,
    entries: u32,
    /// As many requests were answered.
    answered: u32,
}

impl<P: Page> Ring<P> {
    /// Takes up a ring of so many bytes where it was left.
    pub fn new(page: P, bytes: usize, abi: Abi) -> Self {
        let entries = u32::try_from(ring_entries(bytes, abi.slot())).unwrap_or(1);
        let answered = page.load(ANSWERS);
        Self { page, abi, entries, answered }
    }

    /// How many requests were answered since the ring began.
    pub fn answered(&self) -> u32 {
        self.answered
    }

    /// How many requests wait.
    ///
    /// # Errors
    /// When the guest claims more than there can be.
    pub fn waiting(&self) -> Result<u32, Broken> {
        let waiting = self.page.load(REQUESTS).wrapping_sub(self.answered);
        if waiting > self.entries { Err(Broken(waiting, self.entries)) } else { Ok(waiting) }
    }

    /// Asks to be told of the next request; gives how many wait all the same.
    ///
    /// # Errors
    /// As [`Self::waiting`].
    pub fn rest(&self) -> Result<u32, Broken> {
        self.page.store(REQUEST_EVENT, self.answered.wrapping_add(1));
        // The guest looks at that after it has made a request: one of us sees the other.
        fence(Ordering::SeqCst);
        self.waiting()
    }

    /// A copy of one of the requests that wait, as 64-bit guests have it.
    pub fn request(&self, number: u32) -> [u8; SLOT] {
        let mut slot = [0; SLOT];
        let bytes = slot.get_mut(..self.abi.slot()).unwrap_or_default();
        let inside = self.page.read(self.place(number), bytes);
        debug_assert!(inside, "slots are in the ring");
        if self.abi == Abi::Bits32 {
            // All that follows the first four bytes is aligned to eight there.
            slot.copy_within(4..SLOT - 4, 8);
        }
        slot
    }

    /// Answers the requests that wait longest; tells whether the guest wants to know.
    pub fn answer(&mut self, answers: &[[u8; ANSWER]]) -> bool {
        for (number, answer) in (0..).zip(answers) {
            let inside = self.page.write(self.place(number), answer);
            debug_assert!(inside, "slots are in the ring");
        }
        let before = self.answered;
        self.answered = before.wrapping_add(u32::try_from(answers.len()).unwrap_or(0));
        self.page.store(ANSWERS, self.answered);
        fence(Ordering::SeqCst);
        let wanted = self.page.load(ANSWER_EVENT);
        self.answered.wrapping_sub(wanted) < self.answered.wrapping_sub(before)
    }

    fn place(&self, number: u32) -> usize {
        let slot = self.answered.wrapping_add(number) % self.entries;
        SLOTS + usize::try_from(slot).unwrap_or(0) * self.abi.slot()
    }
}

#[cfg(test)]
pub mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shared_page::tests::Memory;

    /// The guest's end of a ring.
    #[derive(Debug)]
    pub struct Guest {
        pub page: Memory,
        pub made: u32,
        seen: u32,
    }

    impl Guest {
        pub fn new() -> Self {
            let page = Memory::new();
            page.store(REQUEST_EVENT, 1);
            page.store(ANSWER_EVENT, 1);
            Self { page, made: 0, seen: 0 }
        }

        pub fn ring(&self) -> Ring<Memory> {
            Ring::new(self.page.clone(), 4096, Abi::Bits64)
        }

        pub fn has_room(&self) -> bool {
            self.made - self.seen < 32
        }

        pub fn make(&mut self, request: &[u8]) {
            self.page.write(SLOTS + (self.made % 32) as usize * SLOT, request);
            self.made += 1;
            self.page.store(REQUESTS, self.made);
        }

        pub fn answers(&mut self) -> Vec<[u8; ANSWER]> {
            let mut all = Vec::new();
            while self.seen < self.page.load(ANSWERS) {
                let mut answer = [0; ANSWER];
                self.page.read(SLOTS + (self.seen % 32) as usize * SLOT, &mut answer);
                all.push(answer);
                self.seen += 1;
            }
            self.page.store(ANSWER_EVENT, self.seen + 1);
            all
        }
    }

    #[test]
    fn requests_and_answers_take_turns() {
        let mut guest = Guest::new();
        let mut ring = guest.ring();
        for round in 0..100_u8 {
            assert_eq!(ring.rest().unwrap(), 0);
            guest.make(&[round; SLOT]);
            guest.make(&[round + 100; SLOT]);
            assert_eq!(ring.waiting().unwrap(), 2);
            assert_eq!((ring.request(0), ring.request(1)), ([round; SLOT], [round + 100; SLOT]));
            assert!(ring.answer(&[[round; ANSWER], [1; ANSWER]]));
            assert_eq!(guest.answers(), [[round; ANSWER], [1; ANSWER]]);
        }
        // Another one goes on from there.
        assert_eq!(guest.ring().answered(), 200);
    }

    #[test]
    fn a_guest_that_does_not_want_to_know_is_not_told() {
        let mut guest = Guest::new();
        let mut ring = guest.ring();
        guest.page.store(ANSWER_EVENT, 2);
        guest.make(&[0; SLOT]);
        assert!(!ring.answer(&[[0; ANSWER]]));
        guest.make(&[0; SLOT]);
        assert!(ring.answer(&[[0; ANSWER]]));
    }

    #[test]
    fn requests_of_32_bit_guests_are_read_as_others() {
        let guest = Guest::new();
        let mut request: Vec<u8> = (0..108).collect();
        guest.page.write(SLOTS, &request);
        let ring = Ring::new(guest.page.clone(), 4096, Abi::Bits32);
        let read = ring.request(0);
        request.drain(..4);
        assert_eq!((&read[..4], &read[8..]), (&[0, 1, 2, 3][..], &request[..]));
        assert_eq!(Abi::named(Some("x86_32-abi")), Some(Abi::Bits32));
        assert_eq!((Abi::named(None), Abi::named(Some("arm-abi"))), (Some(Abi::Bits64), None));
    }

    proptest! {
        #[test]
        fn no_indexes_break_it(indexes: [u32; 4]) {
            let guest = Guest::new();
            for (place, index) in [REQUESTS, REQUEST_EVENT, ANSWERS, ANSWER_EVENT].iter().zip(indexes) {
                guest.page.store(*place, index);
            }
            let mut ring = guest.ring();
            match ring.waiting() {
                Ok(waiting) => {
                    prop_assert!(waiting <= 32);
                    for number in 0..waiting {
                        let _any = ring.request(number);
                    }
                    let _told = ring.answer(&vec![[0; ANSWER]; waiting as usize]);
                }
                Err(broken) => prop_assert!(broken.0 > 32),
            }
        }
    }
}
