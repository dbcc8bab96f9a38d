//! The protocol of a console's page: what the guest writes, and what is typed.

use crate::byte_stream::{Incoming, Outgoing, Place};
use crate::shared_page::Page;

// Where the streams lie in the page (`xencons_interface`).
const TYPED: Place = Place { bytes: 0, length: 1024, consumed: 3072, produced: 3076 };
const WRITTEN: Place = Place { bytes: 1024, length: 2048, consumed: 3080, produced: 3084 };

/// One guest's console.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
    written: Incoming,
    typed: Outgoing,
}

impl<P: Page> Ring<P> {
    /// Takes a page up where it was left.
    pub fn new(page: P) -> Self {
        let written = Incoming::resume(WRITTEN, &page);
        let typed = Outgoing::resume(TYPED, &page);
        Self { page, written, typed }
    }

    /// Takes all that the guest has written. Of indexes that make no sense, whatever lies in the
    /// page is taken as written.
    pub fn receive(&mut self) -> Vec<u8> {
        let claimed = self.written.waiting(&self.page);
        self.written.take(&self.page, claimed)
    }

    /// Passes on what is typed, as far as there is room; gives how much that was.
    pub fn send(&mut self, typed: &[u8]) -> usize {
        let waiting = self.typed.waiting(&self.page);
        self.typed.put(&self.page, waiting, typed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::shared_page::tests::Memory;

    proptest! {
        #[test]
        fn what_is_written_arrives(start: u32, lengths in prop::collection::vec(0..2048_usize, 1..20)) {
            let page = Memory::new();
            page.store(WRITTEN.consumed, start);
            page.store(WRITTEN.produced, start);
            let mut ring = Ring::new(page.clone());
            for (round, length) in lengths.into_iter().enumerate() {
                let written: Vec<u8> = (0..length).map(|n| (n + round) as u8).collect();
                let mut index = page.load(WRITTEN.produced);
                for byte in &written {
                    let place = usize::try_from(index).unwrap() % WRITTEN.length;
                    page.write(WRITTEN.bytes + place, &[*byte]);
                    index = index.wrapping_add(1);
                }
                page.store(WRITTEN.produced, index);
                prop_assert_eq!(ring.receive(), written);
            }
        }

        #[test]
        fn no_indexes_break_it(indexes: [u32; 4], typed in prop::collection::vec(any::<u8>(), 0..1500)) {
            let page = Memory::new();
            let mut ring = Ring::new(page.clone());
            for (place, index) in [TYPED.consumed, TYPED.produced,
                WRITTEN.consumed, WRITTEN.produced].iter().zip(indexes) {
                page.store(*place, index);
            }
            prop_assert!(ring.receive().len() <= WRITTEN.length);
            prop_assert!(ring.send(&typed) <= TYPED.length);
        }
    }

    #[test]
    fn typing_stops_where_there_is_no_room() {
        let page = Memory::new();
        let mut ring = Ring::new(page.clone());
        assert_eq!(ring.send(&[7; 2000]), 1024);
        assert_eq!(ring.send(&[8; 10]), 0);
        page.store(TYPED.consumed, 4);
        assert_eq!(ring.send(&[8; 10]), 4);
        let mut bytes = [0; 5];
        assert!(page.read(TYPED.bytes, &mut bytes) && bytes == [8, 8, 8, 8, 7]);
    }
}
