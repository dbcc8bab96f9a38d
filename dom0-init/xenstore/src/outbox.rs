//! What waits to be sent on a connection.

use std::collections::{HashSet, VecDeque};
use std::rc::Rc;

/// Messages in order. An event that waits already isn't queued twice: whoever reads so slowly
/// learns as much from one.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Rc<[u8]>>,
    /// Events none of which is sent in part.
    events: HashSet<Rc<[u8]>>,
    /// How much of the first message is sent.
    sent: usize,
    bytes: usize,
    /// How many of the last bytes were queued since [`Outbox::take_fresh`].
    fresh: usize,
}

impl Outbox {
    /// Queues an answer.
    pub fn answer(&mut self, message: Box<[u8]>) {
        self.push(message.into());
    }

    /// Queues an event.
    pub fn event(&mut self, message: Box<[u8]>) {
        let message: Rc<[u8]> = message.into();
        if self.events.insert(Rc::clone(&message)) {
            self.push(message);
        }
    }

    /// The bytes to send next; empty if there are none.
    pub fn next(&self) -> &[u8] {
        self.queue.front().and_then(|first| first.get(self.sent..)).unwrap_or_default()
    }

    /// Takes off bytes that were sent; at most those of [`Self::next`].
    pub fn sent(&mut self, count: usize) {
        let Some(first) = self.queue.front() else { return };
        if self.sent == 0 && count > 0 {
            self.events.remove(first);
        }
        self.sent = self.sent.saturating_add(count);
        self.bytes = self.bytes.saturating_sub(count);
        if self.sent >= first.len() {
            self.queue.pop_front();
            self.sent = 0;
        }
    }

    /// The last bytes, as far as they were queued since this was asked last.
    pub fn take_fresh(&mut self) -> Vec<u8> {
        let count = std::mem::take(&mut self.fresh).min(self.bytes);
        self.last(count)
    }

    /// All bytes that wait.
    pub fn all(&self) -> Vec<u8> {
        self.last(self.bytes)
    }

    fn last(&self, count: usize) -> Vec<u8> {
        let (mut messages, mut found) = (Vec::new(), 0);
        for message in self.queue.iter().rev() {
            if found >= count {
                break;
            }
            found += message.len();
            messages.push(message);
        }
        let bytes: Vec<u8> =
            messages.iter().rev().flat_map(|message| message.iter().copied()).collect();
        bytes.get(bytes.len().saturating_sub(count)..).unwrap_or_default().to_vec()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn push(&mut self, message: Rc<[u8]>) {
        self.bytes = self.bytes.saturating_add(message.len());
        self.fresh = self.fresh.saturating_add(message.len());
        self.queue.push_back(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fresh_is_told_once() {
        let mut outbox = Outbox::default();
        outbox.answer(Box::from(*b"one"));
        outbox.answer(Box::from(*b"two"));
        assert_eq!(outbox.take_fresh(), b"onetwo");
        outbox.answer(Box::from(*b"three"));
        outbox.sent(2);
        assert_eq!((outbox.take_fresh(), outbox.take_fresh()), (b"three".to_vec(), vec![]));
        assert_eq!(outbox.all(), b"etwothree");
    }

    #[test]
    fn events_that_wait_are_not_repeated() {
        let mut outbox = Outbox::default();
        let event = || Box::from(*b"event");
        outbox.event(event());
        outbox.event(event());
        outbox.answer(event());
        assert_eq!(outbox.len(), 10, "an answer is never left out");
        outbox.sent(2);
        assert_eq!(outbox.next(), b"ent");
        outbox.event(event());
        assert_eq!(outbox.len(), 13, "the first is on its way already");
        outbox.sent(3);
        outbox.sent(5);
        outbox.sent(5);
        assert!(outbox.is_empty() && outbox.next().is_empty() && outbox.events.is_empty());
    }
}
