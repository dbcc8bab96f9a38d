//! Event channels: the operations, and the 2-level delivery interface in the shared info page.

use crate::clock::Clock;
use crate::hypercall::{add_to_physmap, event_channel};
use crate::memory::Page;
use crate::{interrupts, report};
use core::mem::offset_of;
use core::sync::atomic::Ordering;
use xen_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindIpi, BindVcpu, BindVirq, Close, EventChannelCmd, Send,
    Status, Unmask,
};
use xen_abi::memory::MapSpace;
use xen_abi::xen::{DOMID_SELF, SharedInfo, VcpuInfo, Virq};

/// The shared info page, mapped.
#[derive(Clone, Copy, Debug)]
pub struct Shared(pub Page);

impl Shared {
    /// Maps it.
    #[must_use]
    pub fn map() -> Self {
        let page = Page::new();
        let result = add_to_physmap(MapSpace::SHARED_INFO, 0, page.gfn());
        if result != 0 {
            report::failure(format_args!("mapping the shared info page returned {result}"));
        }
        Self(page)
    }

    /// The first vCPU's clock.
    #[must_use]
    pub const fn clock(self) -> Clock {
        Clock::in_shared_info(self.0, 0)
    }

    fn bit(self, array: usize, port: u32) -> (&'static core::sync::atomic::AtomicU64, u64) {
        (self.0.atomic64(array + port as usize / 64 * 8), 1 << (port % 64))
    }

    /// Whether a port's event is pending.
    #[must_use]
    pub fn is_pending(self, port: u32) -> bool {
        let (word, bit) = self.bit(offset_of!(SharedInfo, evtchn_pending), port);
        word.load(Ordering::SeqCst) & bit != 0
    }

    /// Takes a port's event; whether it was pending.
    #[must_use]
    pub fn take(self, port: u32) -> bool {
        let (word, bit) = self.bit(offset_of!(SharedInfo, evtchn_pending), port);
        word.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Holds a port's event back, or not.
    pub fn set_masked(self, port: u32, masked: bool) {
        let (word, bit) = self.bit(offset_of!(SharedInfo, evtchn_mask), port);
        if masked {
            word.fetch_or(bit, Ordering::SeqCst);
        } else {
            word.fetch_and(!bit, Ordering::SeqCst);
        }
    }

    /// Clears `evtchn_upcall_pending` and `evtchn_pending_sel` of the first vCPU; what they were.
    #[must_use]
    pub fn take_upcall(self) -> (bool, u64) {
        let pending: u8 = self.0.read(offset_of!(VcpuInfo, evtchn_upcall_pending));
        self.0.write(offset_of!(VcpuInfo, evtchn_upcall_pending), 0_u8);
        let selector = self.0.atomic64(offset_of!(VcpuInfo, evtchn_pending_sel));
        (pending != 0, selector.swap(0, Ordering::SeqCst))
    }

    /// Waits for a port's event and takes it; whether it came in time.
    #[must_use]
    pub fn wait(self, port: u32, milliseconds: u64) -> bool {
        self.clock().wait_until(milliseconds, || self.take(port))
    }
}

fn expect(result: i64, what: &str) {
    if result != 0 {
        report::failure(format_args!("{what} returned {result}"));
    }
}

/// Allocates a port that `remote` may bind to.
#[must_use]
pub fn alloc_unbound(remote: u16) -> u32 {
    let mut arg = AllocUnbound { dom: DOMID_SELF, remote_dom: remote, port: 0 };
    expect(event_channel(EventChannelCmd::ALLOC_UNBOUND, &mut arg), "alloc_unbound");
    arg.port
}

/// Connects to an unbound port of this domain.
#[must_use]
pub fn bind_loopback(remote_port: u32) -> u32 {
    let mut arg =
        BindInterdomain { remote_dom: DOMID_SELF, remote_port, ..BindInterdomain::default() };
    expect(event_channel(EventChannelCmd::BIND_INTERDOMAIN, &mut arg), "bind_interdomain");
    arg.local_port
}

/// Binds a virtual interrupt.
///
/// # Errors
/// The negative result of the call.
pub fn bind_virq(virq: Virq, vcpu: u32) -> Result<u32, i64> {
    let mut arg = BindVirq { virq, vcpu, port: 0 };
    match event_channel(EventChannelCmd::BIND_VIRQ, &mut arg) {
        0 => Ok(arg.port),
        error => Err(error),
    }
}

/// Allocates a port that notifies a vCPU.
///
/// # Errors
/// The negative result of the call.
pub fn bind_ipi(vcpu: u32) -> Result<u32, i64> {
    let mut arg = BindIpi { vcpu, port: 0 };
    match event_channel(EventChannelCmd::BIND_IPI, &mut arg) {
        0 => Ok(arg.port),
        error => Err(error),
    }
}

/// Notifies.
pub fn send(port: u32) -> i64 {
    event_channel(EventChannelCmd::SEND, &mut Send { port })
}

/// Closes.
pub fn close(port: u32) -> i64 {
    event_channel(EventChannelCmd::CLOSE, &mut Close { port })
}

/// Unmasks.
pub fn unmask(port: u32) -> i64 {
    event_channel(EventChannelCmd::UNMASK, &mut Unmask { port })
}

/// Chooses the vCPU to notify.
pub fn bind_vcpu(port: u32, vcpu: u32) -> i64 {
    event_channel(EventChannelCmd::BIND_VCPU, &mut BindVcpu { port, vcpu })
}

/// What a port of this domain is bound to.
#[must_use]
pub fn status(port: u32) -> Status {
    let mut arg = Status { dom: DOMID_SELF, port, ..Status::default() };
    expect(event_channel(EventChannelCmd::STATUS, &mut arg), "status");
    arg
}

/// Waits until `vector` came more than `before` times; whether it did in time. Interrupts are let
/// in meanwhile.
#[must_use]
pub fn wait_for_vector(clock: Clock, vector: u8, before: u64, milliseconds: u64) -> bool {
    crate::cpu::enable_interrupts();
    let came = clock.wait_until(milliseconds, || interrupts::count(vector) > before);
    crate::cpu::disable_interrupts();
    came
}
