//! The protocol of a console's page: what the guest writes, and what is typed.

use crate::shared_page::Page;

/// Where the parts of the page are (`xencons_interface`), and how long.
mod at {
    pub const TYPED: usize = 0;
    pub const TYPED_BYTES: usize = 1024;
    pub const WRITTEN: usize = 1024;
    pub const WRITTEN_BYTES: usize = 2048;
    pub const TYPED_CONSUMED: usize = 3072;
    pub const TYPED_PRODUCED: usize = 3076;
    pub const WRITTEN_CONSUMED: usize = 3080;
    pub const WRITTEN_PRODUCED: usize = 3084;
}

/// One guest's console.
#[derive(Debug)]
pub struct Ring<P> {
    page: P,
    consumed: u32,
    produced: u32,
}

impl<P: Page> Ring<P> {
    /// Takes a page up where it was left.
    pub fn new(page: P) -> Self {
        let (consumed, produced) = (page.load(at::WRITTEN_CONSUMED), page.load(at::TYPED_PRODUCED));
        Self { page, consumed, produced }
    }

    /// Takes all that the guest has written. Of indexes that make no sense, whatever lies in the
    /// page is taken as written.
    pub fn receive(&mut self) -> Vec<u8> {
        let produced = self.page.load(at::WRITTEN_PRODUCED);
        let count = bytes(produced, self.consumed).min(at::WRITTEN_BYTES);
        let mut written = vec![0; count];
        let start = place(self.consumed, at::WRITTEN_BYTES);
        let (first, second) = written.split_at_mut((at::WRITTEN_BYTES - start).min(count));
        let inside =
            self.page.read(at::WRITTEN + start, first) && self.page.read(at::WRITTEN, second);
        debug_assert!(inside, "rings lie in a page");
        self.consumed = produced;
        self.page.store(at::WRITTEN_CONSUMED, produced);
        written
    }

    /// Passes on what is typed, as far as there is room; gives how much that was.
    pub fn send(&mut self, typed: &[u8]) -> usize {
        let waiting = bytes(self.produced, self.page.load(at::TYPED_CONSUMED));
        let typed = typed.get(..at::TYPED_BYTES.saturating_sub(waiting)).unwrap_or(typed);
        let start = place(self.produced, at::TYPED_BYTES);
        let (first, second) = typed.split_at((at::TYPED_BYTES - start).min(typed.len()));
        let inside =
            self.page.write(at::TYPED + start, first) && self.page.write(at::TYPED, second);
        debug_assert!(inside, "rings lie in a page");
        self.produced = self.produced.wrapping_add(u32::try_from(typed.len()).unwrap_or(0));
        self.page.store(at::TYPED_PRODUCED, self.produced);
        typed.len()
    }
}

fn bytes(produced: u32, consumed: u32) -> usize {
    usize::try_from(produced.wrapping_sub(consumed)).unwrap_or(usize::MAX)
}

fn place(index: u32, length: usize) -> usize {
    usize::try_from(index).unwrap_or(0) % length
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
            page.store(at::WRITTEN_CONSUMED, start);
            page.store(at::WRITTEN_PRODUCED, start);
            let mut ring = Ring::new(page.clone());
            for (round, length) in lengths.into_iter().enumerate() {
                let written: Vec<u8> = (0..length).map(|n| (n + round) as u8).collect();
                let mut index = page.load(at::WRITTEN_PRODUCED);
                for byte in &written {
                    page.write(at::WRITTEN + place(index, at::WRITTEN_BYTES), &[*byte]);
                    index = index.wrapping_add(1);
                }
                page.store(at::WRITTEN_PRODUCED, index);
                prop_assert_eq!(ring.receive(), written);
            }
        }

        #[test]
        fn no_indexes_break_it(indexes: [u32; 4], typed in prop::collection::vec(any::<u8>(), 0..1500)) {
            let page = Memory::new();
            let mut ring = Ring::new(page.clone());
            for (place, index) in [at::TYPED_CONSUMED, at::TYPED_PRODUCED,
                at::WRITTEN_CONSUMED, at::WRITTEN_PRODUCED].iter().zip(indexes) {
                page.store(*place, index);
            }
            prop_assert!(ring.receive().len() <= at::WRITTEN_BYTES);
            prop_assert!(ring.send(&typed) <= at::TYPED_BYTES);
        }
    }

    #[test]
    fn typing_stops_where_there_is_no_room() {
        let page = Memory::new();
        let mut ring = Ring::new(page.clone());
        assert_eq!(ring.send(&[7; 2000]), 1024);
        assert_eq!(ring.send(&[8; 10]), 0);
        page.store(at::TYPED_CONSUMED, 4);
        assert_eq!(ring.send(&[8; 10]), 4);
        let mut bytes = [0; 5];
        assert!(page.read(at::TYPED, &mut bytes) && bytes == [8, 8, 8, 8, 7]);
    }
}
