//! One event channel: what a port is bound to, and the table of a domain's ports.
//!
//! A channel's lock protects what it is bound to, and is held while its event is made pending:
//! so once a channel is closed, nobody writes to guest memory on its behalf any more. Locks: the
//! port allocator's, then channels' (two at once only in the order of domain and port).

use alloc::boxed::Box;
use alloc::sync::Weak;
use alloc::vec::Vec;

use spin::{Mutex, Once};
use xen_abi::event_channel::{FIFO_NR_CHANNELS, FIFO_PRIORITY_DEFAULT};
use xen_abi::xen::Virq;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::platform::Platform;
use crate::types::{DomId, Port, VcpuId};

/// Channels are allocated in blocks of this many, as they are needed.
const BLOCK: usize = 128;

/// What a port is bound to.
pub(super) enum Binding<P: Platform> {
    /// Nothing: the port is not in use.
    Free,
    /// About to become something else; nobody but who allocated it knows of it.
    Reserved,
    /// Nothing yet: this domain may bind to it.
    Unbound { remote: DomId },
    /// A port of another domain, or of the same.
    Interdomain { remote: Weak<Domain<P>>, domid: DomId, port: Port },
    /// A virtual interrupt.
    Virq(Virq),
    /// Whoever sends on it, in the same domain.
    Ipi,
}

/// Under a channel's lock.
pub(super) struct ChannelState<P: Platform> {
    pub binding: Binding<P>,
    /// The vCPU that its events notify.
    pub vcpu: VcpuId,
    /// FIFO: 0 is the highest, 15 the lowest.
    pub priority: u8,
    /// FIFO: the queue that it was put into last. It outlives the binding, as that queue's tail
    /// may still name this port.
    pub last_queue: (VcpuId, u8),
    /// FIFO: an event came before the guest gave memory for the port's word.
    pub early_event: bool,
}

/// One event channel.
pub(super) struct Channel<P: Platform> {
    pub state: Mutex<ChannelState<P>>,
}

impl<P: Platform> Channel<P> {
    fn new() -> Self {
        Self {
            state: Mutex::new(ChannelState {
                binding: Binding::Free,
                vcpu: VcpuId(0),
                priority: FIFO_PRIORITY_DEFAULT as u8,
                last_queue: (VcpuId(0), FIFO_PRIORITY_DEFAULT as u8),
                early_event: false,
            }),
        }
    }
}

impl<P: Platform> ChannelState<P> {
    /// Unbinds the port and gives everything its default.
    pub fn clear(&mut self) {
        self.binding = Binding::Free;
        self.vcpu = VcpuId(0);
        self.priority = FIFO_PRIORITY_DEFAULT as u8;
        self.early_event = false;
    }

    /// Whether the port is bound to something, or waits for it.
    pub fn is_open(&self) -> bool {
        !matches!(self.binding, Binding::Free | Binding::Reserved)
    }
}

type Block<P> = Box<[Channel<P>]>;

/// The ports of one domain.
pub(super) struct PortTable<P: Platform> {
    blocks: Box<[Once<Block<P>>]>,
    used: Mutex<UsedPorts>,
    /// One more than the highest port that may be used.
    limit: u32,
}

/// Which ports are in use: bit n of word m is port 64m+n.
struct UsedPorts {
    words: Vec<u64>,
    /// All words before this one are full.
    first_free_word: usize,
}

impl<P: Platform> PortTable<P> {
    /// A table that may use ports up to `max_port`.
    pub fn new(max_port: u32) -> Self {
        let limit = max_port.saturating_add(1).min(FIFO_NR_CHANNELS);
        let blocks = (limit as usize).div_ceil(BLOCK);
        Self {
            blocks: (0..blocks).map(|_| Once::new()).collect(),
            // Port 0 is never valid.
            used: Mutex::new(UsedPorts { words: alloc::vec![1], first_free_word: 0 }),
            limit,
        }
    }

    /// The channel of a port, if that was ever in use.
    pub fn get(&self, port: Port) -> Option<&Channel<P>> {
        let index = port.0 as usize;
        self.blocks.get(index / BLOCK)?.get()?.get(index % BLOCK)
    }

    /// As [`Self::get`], where a wrong port is the caller's mistake.
    pub fn require(&self, port: Port) -> Result<&Channel<P>, Errno> {
        self.get(port).ok_or(Errno::EINVAL)
    }

    /// Reserves the lowest free port below `abi_limit`.
    ///
    /// # Errors
    /// `ENOSPC` if all are in use.
    pub fn reserve(&self, abi_limit: u32) -> Result<Port, Errno> {
        let limit = self.limit.min(abi_limit);
        let mut used = self.used.lock();
        let port = used.lowest_free();
        if port.0 >= limit {
            return Err(Errno::ENOSPC);
        }
        used.mark(port);
        let index = port.0 as usize;
        let block = self.blocks.get(index / BLOCK).ok_or(Errno::ENOSPC)?;
        let block = block.call_once(|| (0..BLOCK).map(|_| Channel::new()).collect());
        let channel = block.get(index % BLOCK).ok_or(Errno::ENOSPC)?;
        channel.state.lock().binding = Binding::Reserved;
        Ok(port)
    }

    /// Makes a port free for [`Self::reserve`] again. Its channel must be closed, and unlocked.
    pub fn release(&self, port: Port) {
        self.used.lock().unmark(port);
    }

    /// The lowest port in use that is not below `from`.
    pub fn next_used(&self, from: Port) -> Option<Port> {
        self.used.lock().next(from)
    }

    /// Runs `action` while no port can be reserved, if none is in use.
    pub fn if_unused<R>(&self, action: impl FnOnce() -> R) -> Option<R> {
        let used = self.used.lock();
        used.next(Port(1)).is_none().then(action)
    }
}

impl UsedPorts {
    fn lowest_free(&mut self) -> Port {
        let at = self
            .words
            .iter()
            .enumerate()
            .skip(self.first_free_word)
            .find(|(_, word)| **word != u64::MAX);
        let (index, bit) = match at {
            Some((index, word)) => (index, word.trailing_ones()),
            None => (self.words.len(), 0),
        };
        self.first_free_word = index;
        Port((index as u32).saturating_mul(u64::BITS).saturating_add(bit))
    }

    fn mark(&mut self, port: Port) {
        let (index, bit) = Self::place(port);
        if index >= self.words.len() {
            self.words.resize(index.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(index) {
            *word |= bit;
        }
    }

    fn unmark(&mut self, port: Port) {
        let (index, bit) = Self::place(port);
        if let Some(word) = self.words.get_mut(index) {
            *word &= !bit;
            self.first_free_word = self.first_free_word.min(index);
        }
    }

    /// Never port 0.
    fn next(&self, from: Port) -> Option<Port> {
        let from = Port(from.0.max(1));
        let (first, bit) = Self::place(from);
        self.words.iter().enumerate().skip(first).find_map(|(index, word)| {
            let ports = if index == first { word & !bit.wrapping_sub(1) } else { *word };
            (ports != 0)
                .then(|| Port((index as u32).saturating_mul(u64::BITS) | ports.trailing_zeros()))
        })
    }

    const fn place(port: Port) -> (usize, u64) {
        ((port.0 / u64::BITS) as usize, 1 << (port.0 % u64::BITS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn used_ports_are_a_set(steps in prop::collection::vec((any::<bool>(), 0_u32..200), 0..400)) {
            let mut used = UsedPorts { words: alloc::vec![1], first_free_word: 0 };
            let mut model = BTreeSet::from([0]);
            for (take, number) in steps {
                if take {
                    let port = used.lowest_free();
                    prop_assert_eq!(port.0, (0..).find(|port| !model.contains(port)).unwrap());
                    used.mark(port);
                    model.insert(port.0);
                } else if number != 0 {
                    used.unmark(Port(number));
                    model.remove(&number);
                }
                let next = model.range(number.max(1)..).next().copied().map(Port);
                prop_assert_eq!(used.next(Port(number)), next);
            }
        }
    }
}
