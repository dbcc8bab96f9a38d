//! The order in which runnable vCPUs get a pCPU: by virtual runtime, smallest first.
//!
//! A virtual runtime counts up while a vCPU runs, the faster the smaller its weight. It may wrap
//! around, so two are compared by the sign of their difference.

use alloc::vec::Vec;

/// Whether virtual runtime `a` comes before `b`.
pub const fn before(a: u64, b: u64) -> bool {
    (a.wrapping_sub(b) as i64) < 0
}

/// The later of two virtual runtimes.
pub const fn later(a: u64, b: u64) -> u64 {
    if before(a, b) { b } else { a }
}

/// A queue ordered by virtual runtime; among equals, first in is first out.
///
/// It is a sorted vector, the next one last: the queues are short, and what matters is that
/// putting in and taking out allocate nothing.
pub struct ReadyQueue<T> {
    entries: Vec<(u64, T)>,
}

impl<T> ReadyQueue<T> {
    /// An empty queue.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// Makes sure that `count` entries fit without allocating.
    pub fn reserve(&mut self, count: usize) {
        self.entries.reserve(count.saturating_sub(self.entries.len()));
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none wait.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Puts one in.
    pub fn push(&mut self, vruntime: u64, item: T) {
        let at = self.entries.partition_point(|(key, _)| before(vruntime, *key));
        self.entries.insert(at, (vruntime, item));
    }

    /// Takes the first one out.
    pub fn pop(&mut self) -> Option<T> {
        self.entries.pop().map(|(_, item)| item)
    }

    /// The virtual runtime of the first one.
    pub fn first_vruntime(&self) -> Option<u64> {
        self.entries.last().map(|(key, _)| *key)
    }

    /// Whether one of those that wait satisfies `wanted`.
    pub fn any(&self, wanted: impl Fn(&T) -> bool) -> bool {
        self.entries.iter().any(|(_, item)| wanted(item))
    }

    /// Takes out the first one that satisfies `wanted`.
    pub fn take(&mut self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let at = self.entries.iter().rposition(|(_, item)| wanted(item))?;
        Some(self.entries.remove(at).1)
    }
}

impl<T> Default for ReadyQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_survives_wrap_around() {
        let mut queue = ReadyQueue::new();
        queue.push(5, 'c');
        queue.push(u64::MAX - 5, 'a');
        queue.push(u64::MAX, 'b');
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some('a'), Some('b'), Some('c')]);
    }

    proptest! {
        #[test]
        fn is_a_stable_priority_queue(
            base: u64,
            steps in prop::collection::vec((0_u64..50, 0_u8..4), 0..200),
        ) {
            let mut queue = ReadyQueue::new();
            let mut model: Vec<(u64, usize)> = Vec::new();
            for (number, (offset, kind)) in steps.into_iter().enumerate() {
                match kind {
                    0 | 1 => {
                        queue.push(base.wrapping_add(offset), number);
                        model.push((offset, number));
                    }
                    2 => {
                        model.sort();
                        let first = (!model.is_empty()).then(|| model.remove(0).1);
                        prop_assert_eq!(queue.pop(), first);
                    }
                    _ => {
                        model.sort();
                        let odd = model.iter().position(|(_, n)| n % 2 == 1);
                        let taken = odd.map(|at| model.remove(at).1);
                        prop_assert_eq!(queue.take(|n| n % 2 == 1), taken);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }
}
