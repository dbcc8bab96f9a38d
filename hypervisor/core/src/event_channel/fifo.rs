//! The FIFO delivery interface: a word per port in an array of pages that the guest gives, and
//! 16 queues by priority per vCPU, linked through those words.
//!
//! Of the guest's memory only single words are read and changed, atomically; whatever it holds,
//! each operation takes a bounded number of steps and touches only the domain's own array and
//! control blocks. The queue's tail is ours, so no list is ever walked.

use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;
use xen_abi::event_channel::{
    FIFO_BUSY_BIT, FIFO_LINK_MASK, FIFO_LINKED_BIT, FIFO_MASKED_BIT, FIFO_MAX_QUEUES,
    FIFO_NR_CHANNELS, FIFO_PENDING_BIT, FIFO_WORDS_PER_PAGE, FifoControlBlock,
};

use crate::domain::Domain;
use crate::event_channel::Pending;
use crate::event_channel::channel::ChannelState;
use crate::platform::Platform;
use crate::types::{Mfn, Port, VcpuId};

const PENDING: u32 = 1 << FIFO_PENDING_BIT;
const MASKED: u32 = 1 << FIFO_MASKED_BIT;
const LINKED: u32 = 1 << FIFO_LINKED_BIT;
const BUSY: u32 = 1 << FIFO_BUSY_BIT;

/// The most pages that an event array can have.
pub(super) const MAX_PAGES: usize = (FIFO_NR_CHANNELS / FIFO_WORDS_PER_PAGE) as usize;
/// The queues of a vCPU, one per priority.
pub(super) const QUEUES: usize = FIFO_MAX_QUEUES as usize;

/// How often to try to change a word that the guest changes at the same time, before asking it
/// to stop with the BUSY bit.
const POLITE_TRIES: u32 = 4;
/// How often to try after that, before taking the guest for hostile.
const INSISTENT_TRIES: u32 = 64;

/// A domain's event array.
pub(super) struct EventArray {
    /// Whether the domain uses this interface.
    active: AtomicBool,
    /// The pages' frame numbers plus 1; 0 for those not given yet.
    pages: [AtomicU64; MAX_PAGES],
    count: AtomicU32,
}

/// A vCPU's queues.
pub(super) struct Queues {
    /// The last port of each; 0 if the queue was empty when we last looked.
    tails: [Mutex<Port>; QUEUES],
}

impl Queues {
    pub fn new() -> Self {
        Self { tails: core::array::from_fn(|_| Mutex::new(Port(0))) }
    }

    /// Forgets what is in the queues.
    pub fn reset(&self) {
        for tail in &self.tails {
            *tail.lock() = Port(0);
        }
    }
}

impl EventArray {
    pub fn new() -> Self {
        Self {
            active: AtomicBool::new(false),
            pages: [const { AtomicU64::new(0) }; MAX_PAGES],
            count: AtomicU32::new(0),
        }
    }

    pub fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    pub fn activate(&self) {
        self.active.store(true, Ordering::Release);
    }

    /// How many pages there are.
    pub fn page_count(&self) -> u32 {
        self.count.load(Ordering::Acquire)
    }

    /// Appends a page. Gives it back if there are as many as there can be. Calls for one domain
    /// must not overlap.
    pub fn push(&self, page: Mfn) -> Result<(), Mfn> {
        let count = self.page_count();
        let slot = self.pages.get(count as usize).ok_or(page)?;
        slot.store(page.0.saturating_add(1), Ordering::Release);
        self.count.store(count.saturating_add(1), Ordering::Release);
        Ok(())
    }

    /// Leaves the interface, and gives the pages to `release`. No port may be in use.
    pub fn dissolve(&self, mut release: impl FnMut(Mfn)) {
        self.active.store(false, Ordering::Release);
        self.count.store(0, Ordering::Release);
        for page in &self.pages {
            if let Some(mfn) = page.swap(0, Ordering::AcqRel).checked_sub(1) {
                release(Mfn(mfn));
            }
        }
    }

    /// Where a port's word is, if the guest gave memory for it.
    fn word(&self, port: Port) -> Option<Word> {
        let page = self.pages.get((port.0 / FIFO_WORDS_PER_PAGE) as usize)?;
        let mfn = page.load(Ordering::Acquire).checked_sub(1)?;
        let index = (port.0 % FIFO_WORDS_PER_PAGE) as usize;
        Some(Word { mfn: Mfn(mfn), offset: index.saturating_mul(size_of::<u32>()) })
    }
}

/// Where a port's word is.
#[derive(Clone, Copy)]
struct Word {
    mfn: Mfn,
    offset: usize,
}

impl Word {
    fn load<P: Platform>(self, memory: &P) -> u32 {
        memory.load_u32(self.mfn, self.offset)
    }

    fn set<P: Platform>(self, memory: &P, bits: u32) -> u32 {
        memory.fetch_or_u32(self.mfn, self.offset, bits)
    }

    fn clear<P: Platform>(self, memory: &P, bits: u32) -> u32 {
        memory.fetch_and_u32(self.mfn, self.offset, !bits)
    }

    /// Makes the word's event be followed by `next` in its queue. Whether it was in a queue
    /// still; if not, the guest has consumed it.
    fn link<P: Platform>(self, memory: &P, next: Port) -> bool {
        let mut word = self.load(memory);
        for attempt in 0..POLITE_TRIES.saturating_add(INSISTENT_TRIES) {
            if word & LINKED == 0 {
                break;
            }
            let linked = (word & !(FIFO_LINK_MASK | BUSY)) | (next.0 & FIFO_LINK_MASK);
            match memory.cas_u32(self.mfn, self.offset, word, linked) {
                Ok(_) => return true,
                Err(now) if attempt < POLITE_TRIES => word = now,
                Err(_) => word = self.set(memory, BUSY) | BUSY,
            }
        }
        if word & BUSY != 0 {
            self.clear(memory, BUSY);
        }
        false
    }
}

/// Makes a port's event pending, and puts it into its queue unless it is masked or in one.
pub(super) fn set_pending<P: Platform>(
    memory: &P,
    domain: &Domain<P>,
    port: Port,
    channel: &mut ChannelState<P>,
) -> Pending {
    let Some(word) = domain.events.array.word(port) else {
        channel.early_event = true;
        return Pending::ALREADY;
    };
    let fresh = word.set(memory, PENDING) & PENDING == 0;
    let wants_queue = word.load(memory) & (MASKED | LINKED) == 0;
    let upcall =
        (wants_queue && enqueue(memory, domain, port, word, channel)).then_some(channel.vcpu);
    Pending { fresh, upcall }
}

/// Whether a port's event is pending.
pub(super) fn is_pending<P: Platform>(memory: &P, domain: &Domain<P>, port: Port) -> bool {
    domain.events.array.word(port).is_some_and(|word| word.load(memory) & PENDING != 0)
}

/// Whether a port is masked.
pub(super) fn is_masked<P: Platform>(memory: &P, domain: &Domain<P>, port: Port) -> bool {
    domain.events.array.word(port).is_some_and(|word| word.load(memory) & MASKED != 0)
}

/// Takes a port's event back. If it is in a queue it stays there, and the guest finds nothing
/// pending.
pub(super) fn clear_pending<P: Platform>(memory: &P, domain: &Domain<P>, port: Port) {
    if let Some(word) = domain.events.array.word(port) {
        word.clear(memory, PENDING);
    }
}

/// Unmasks a port. The vCPU to make an upcall to, if its event was waiting for this.
pub(super) fn unmask<P: Platform>(
    memory: &P,
    domain: &Domain<P>,
    port: Port,
    channel: &mut ChannelState<P>,
) -> Option<VcpuId> {
    let word = domain.events.array.word(port)?;
    let was = word.clear(memory, MASKED);
    if was & PENDING == 0 {
        return None;
    }
    set_pending(memory, domain, port, channel).upcall
}

/// Puts a port into the queue of its vCPU and priority. Whether that vCPU needs an upcall.
fn enqueue<P: Platform>(
    memory: &P,
    domain: &Domain<P>,
    port: Port,
    word: Word,
    channel: &mut ChannelState<P>,
) -> bool {
    let wanted = (channel.vcpu, channel.priority);
    if channel.last_queue != wanted {
        // The queue that it was in before must not link its next event to this one.
        leave_tail(domain, channel.last_queue, port);
        channel.last_queue = wanted;
    }
    let Some(vcpu) = domain.vcpu(channel.vcpu) else { return false };
    let Some((block, block_offset)) = vcpu.events.control_block() else { return false };
    let queue = usize::from(channel.priority);
    let Some(tail) = vcpu.events.queues.tails.get(queue) else { return false };

    let mut tail = tail.lock();
    if word.set(memory, LINKED) & LINKED != 0 {
        return false;
    }
    let last = *tail;
    *tail = port;
    let follows = last.0 != 0
        && last != port
        && domain.events.array.word(last).is_some_and(|last| last.link(memory, port));
    if !follows {
        let heads = block_offset.saturating_add(offset_of!(FifoControlBlock, head));
        let head = heads.saturating_add(queue.saturating_mul(size_of::<u32>()));
        memory.store_u32(block, head, port.0);
    }
    drop(tail);

    if follows {
        return false;
    }
    let ready = 1_u32.wrapping_shl(u32::from(channel.priority));
    let ready_word = block_offset.saturating_add(offset_of!(FifoControlBlock, ready));
    memory.fetch_or_u32(block, ready_word, ready) & ready == 0
        && vcpu.events.info().is_some_and(|info| super::mark_upcall(memory, info))
}

fn leave_tail<P: Platform>(domain: &Domain<P>, (vcpu, priority): (VcpuId, u8), port: Port) {
    let Some(vcpu) = domain.vcpu(vcpu) else { return };
    if let Some(tail) = vcpu.events.queues.tails.get(usize::from(priority)) {
        let mut tail = tail.lock();
        if *tail == port {
            *tail = Port(0);
        }
    }
}
