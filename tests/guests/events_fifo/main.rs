//! Event channels with the FIFO delivery interface: set up, queues, priorities and order.
#![cfg_attr(freestanding, no_std, no_main)]

use core::sync::atomic::Ordering;
use guest::events::{self, alloc_unbound, bind_ipi, send};
use guest::hypercall::{event_channel, set_upcall_vector};
use guest::memory::Page;
use guest::{apic, ensure, ensure_eq, interrupts};
use xen_abi::event_channel::{
    EventChannelCmd, ExpandArray, FIFO_LINK_MASK, FIFO_LINKED_BIT, FIFO_MASKED_BIT,
    FIFO_PENDING_BIT, InitControl, Reset, SetPriority,
};
use xen_abi::xen::DOMID_SELF;

guest::guest!("events_fifo", test);

const UPCALL: u8 = 0x42;
const PENDING: u32 = 1 << FIFO_PENDING_BIT;
const MASKED: u32 = 1 << FIFO_MASKED_BIT;
const LINKED: u32 = 1 << FIFO_LINKED_BIT;

/// The control block and the event words.
#[derive(Clone, Copy)]
struct Fifo {
    control: Page,
    array: Page,
}

impl Fifo {
    fn word(self, port: u32) -> &'static core::sync::atomic::AtomicU32 {
        self.array.atomic32(port as usize * 4)
    }

    fn ready(self) -> &'static core::sync::atomic::AtomicU32 {
        self.control.atomic32(0)
    }

    fn head(self, queue: u32) -> &'static core::sync::atomic::AtomicU32 {
        self.control.atomic32(8 + queue as usize * 4)
    }

    /// Takes the next event: the highest priority's first one, as the interface's description
    /// says. Returns its port.
    fn next(self) -> Option<u32> {
        let ready = self.ready().load(Ordering::SeqCst);
        let queue = (ready != 0).then(|| ready.trailing_zeros())?;
        let port = self.head(queue).load(Ordering::SeqCst);
        if port == 0 {
            self.ready().fetch_and(!(1 << queue), Ordering::SeqCst);
            return self.next();
        }
        let word = self.word(port);
        let old = word.fetch_and(!(LINKED | FIFO_LINK_MASK), Ordering::SeqCst);
        ensure!(old & LINKED != 0, "port {port} is at the head of a queue but not linked");
        let link = old & FIFO_LINK_MASK;
        self.head(queue).store(link, Ordering::SeqCst);
        if link == 0 {
            self.ready().fetch_and(!(1 << queue), Ordering::SeqCst);
        }
        let taken = word.fetch_and(!PENDING, Ordering::SeqCst);
        if taken & (PENDING | MASKED) == PENDING { Some(port) } else { self.next() }
    }
}

fn init(control: Page, offset: u32, vcpu: u32) -> (i64, u8) {
    let mut arg =
        InitControl { control_gfn: control.gfn(), offset, vcpu, ..InitControl::default() };
    (event_channel(EventChannelCmd::INIT_CONTROL, &mut arg), arg.link_bits)
}

fn expand(array: Page) -> i64 {
    event_channel(EventChannelCmd::EXPAND_ARRAY, &mut ExpandArray { array_gfn: array.gfn() })
}

fn set_priority(port: u32, priority: u32) -> i64 {
    event_channel(EventChannelCmd::SET_PRIORITY, &mut SetPriority { port, priority })
}

fn test() {
    let fifo = Fifo { control: Page::new(), array: Page::new() };
    ensure!(expand(fifo.array) < 0, "the array was expanded before init_control");
    ensure!(init(fifo.control, 4090, 0).0 < 0, "a control block that leaves its page");
    ensure!(init(fifo.control, 0, 9999).0 < 0, "a control block of no vCPU");
    ensure_eq!(init(fifo.control, 0, 0), (0, 17), "init_control");
    ensure_eq!(expand(fifo.array), 0, "expand_array");

    one_event(fifo);
    masks(fifo);
    order(fifo);
    priorities(fifo);
    upcall(fifo);
    let result = event_channel(EventChannelCmd::RESET, &mut Reset { dom: DOMID_SELF });
    ensure_eq!(result, 0, "reset");
}

fn open(fifo: Fifo) -> u32 {
    let port = bind_ipi(0).unwrap_or(0);
    ensure!(port != 0 && port < 1024, "bind_ipi gave port {port}");
    fifo.word(port).fetch_and(!MASKED, Ordering::SeqCst);
    port
}

fn one_event(fifo: Fifo) {
    let port = open(fifo);
    ensure_eq!(fifo.next(), None, "event before any was sent");
    ensure_eq!(send(port), 0, "send");
    let word = fifo.word(port).load(Ordering::SeqCst);
    ensure!(word & (PENDING | LINKED) == PENDING | LINKED, "the event word is {word:#x}");
    ensure_eq!(fifo.ready().load(Ordering::SeqCst), 1 << 7, "queues that are ready");
    ensure_eq!(send(port), 0, "sending again");
    ensure_eq!(fifo.next(), Some(port), "the event");
    ensure_eq!(fifo.next(), None, "the same event again");
    ensure_eq!(events::close(port), 0, "close");
}

fn masks(fifo: Fifo) {
    let port = open(fifo);
    fifo.word(port).fetch_or(MASKED, Ordering::SeqCst);
    ensure_eq!(send(port), 0, "send");
    let word = fifo.word(port).load(Ordering::SeqCst);
    ensure!(word & (PENDING | LINKED) == PENDING, "a masked event word is {word:#x}");
    ensure_eq!(fifo.next(), None, "a masked event");
    ensure_eq!(events::unmask(port), 0, "unmask");
    ensure_eq!(fifo.next(), Some(port), "the event after unmasking");
    ensure_eq!(events::close(port), 0, "close");
}

/// Events of one priority come in the order in which they were sent.
fn order(fifo: Fifo) {
    let ports: [u32; 5] = core::array::from_fn(|_| open(fifo));
    let sent = [3, 0, 4, 1, 2].map(|index: usize| ports[index]);
    for port in sent {
        ensure_eq!(send(port), 0, "send");
    }
    for port in sent {
        ensure_eq!(fifo.next(), Some(port), "the next event");
    }
    ensure_eq!(fifo.next(), None, "event after the last");
    for port in ports {
        ensure_eq!(events::close(port), 0, "close");
    }
}

fn priorities(fifo: Fifo) {
    let (low, high, normal) = (open(fifo), open(fifo), open(fifo));
    ensure_eq!(set_priority(low, 15), 0, "set_priority");
    ensure_eq!(set_priority(high, 0), 0, "set_priority");
    ensure!(set_priority(normal, 16) < 0, "priority 16 was accepted");
    for port in [low, normal, high] {
        ensure_eq!(send(port), 0, "send");
    }
    ensure_eq!(fifo.ready().load(Ordering::SeqCst), 1 << 15 | 1 << 7 | 1, "ready queues");
    for port in [high, normal, low] {
        ensure_eq!(fifo.next(), Some(port), "the next event by priority");
    }
    for port in [low, high, normal] {
        ensure_eq!(events::close(port), 0, "close");
    }
}

fn upcall(fifo: Fifo) {
    let shared = events::Shared::map();
    apic::enable();
    ensure_eq!(set_upcall_vector(0, UPCALL), 0, "set_evtchn_upcall_vector");
    let _ = shared.take_upcall();
    let port = open(fifo);
    let before = interrupts::count(UPCALL);
    ensure_eq!(send(port), 0, "send");
    let came = events::wait_for_vector(shared.clock(), UPCALL, before, 1000);
    ensure!(came, "no upcall came");
    ensure!(shared.take_upcall().0, "the upcall wasn't pending");
    ensure_eq!(fifo.next(), Some(port), "the event");
    ensure!(alloc_unbound(DOMID_SELF) != port, "an open port was given again");
}
