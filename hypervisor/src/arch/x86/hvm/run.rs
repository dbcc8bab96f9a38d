//! Each pCPU's loop: expire timers, choose a vCPU, run it until it must stop.
//!
//! There is one stack per pCPU and none per vCPU: an exit is handled to its end here, so what a
//! vCPU leaves behind when it stops is all in its [`Context`].

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use hv_core::platform::Platform;
use hv_core::sched::cpu_set::MAX_CPUS;
use hv_core::types::{CpuId, DomId, Nanos};

use super::backend::Backend;
use super::exit::Exit;
use super::guest::Guest;
use super::msrs;
use super::svm::SvmCpu;
use super::vcpu::Context;
use crate::arch::{cpu, interrupts};
use crate::platform::{Domain, Hypervisor, Vcpu, hypervisor};

/// A long operation lets interrupts in after this time.
const LONGEST_WITHOUT_INTERRUPTS: Nanos = Nanos(500_000);
/// No deadline.
const NEVER: u64 = u64::MAX;

/// What other pCPUs and the hypercalls' handlers may see of a pCPU's loop.
struct Shared {
    /// While it is in guest mode: the domain's number plus one, below a count of entries. Else 0.
    guest: AtomicU64,
    /// What its timer is programmed to.
    deadline: AtomicU64,
    /// When the guest that it acts for exited.
    exited: AtomicU64,
}

static SHARED: [Shared; MAX_CPUS as usize] = [const {
    Shared { guest: AtomicU64::new(0), deadline: AtomicU64::new(NEVER), exited: AtomicU64::new(0) }
}; MAX_CPUS as usize];

/// A pCPU in its loop.
struct Loop {
    id: CpuId,
    virt: SvmCpu,
    shared: &'static Shared,
    entries: u64,
}

/// How [`Shared::guest`] names a domain.
fn guest_tag(domain: DomId) -> u64 {
    u64::from(domain.0) + 1
}

/// Runs vCPUs on the calling pCPU for ever.
pub fn run(virt: SvmCpu) -> ! {
    let id = cpu::this_cpu().id();
    let hv = hypervisor();
    let mut this = Loop { id, virt, shared: &SHARED[id.0 as usize], entries: 0 };
    loop {
        let now = hv.platform.now();
        hv.expire_timers(id, now);
        let next = hv.schedule(id, now);
        match &next.vcpu {
            Some(vcpu) => this.run_vcpu(hv, vcpu, next.until),
            None => idle(hv, id, next.until),
        }
    }
}

/// Serves interrupts and timers on the calling pCPU for ever, and runs no vCPU.
pub fn serve() -> ! {
    let id = cpu::this_cpu().id();
    let hv = hypervisor();
    loop {
        hv.expire_timers(id, hv.platform.now());
        idle(hv, id, None);
    }
}

/// Sleeps until an interrupt.
fn idle(hv: &Hypervisor, id: CpuId, until: Option<Nanos>) {
    program_timer(hv, id, until);
    if !hv.needs_schedule(id) {
        interrupts::wait();
    }
}

/// Makes the timer fire when the turn is over or the first of this pCPU's timers is due.
fn program_timer(hv: &Hypervisor, id: CpuId, until: Option<Nanos>) {
    let shared = &SHARED[id.0 as usize];
    let earliest = hv.timers.earliest(id);
    let deadline = [until, earliest].into_iter().flatten().min();
    let raw = deadline.map_or(NEVER, |at| at.0);
    if shared.deadline.load(Ordering::Relaxed) != raw {
        shared.deadline.store(raw, Ordering::Relaxed);
        hv.platform.set_deadline(deadline);
    }
}

impl Loop {
    /// Runs `vcpu` until it must stop, or its turn is over.
    fn run_vcpu(&mut self, hv: &'static Hypervisor, vcpu: &Arc<Vcpu>, until: Option<Nanos>) {
        let Some(domain) = vcpu.domain() else { return };
        let mut context = vcpu.arch.context.lock();
        context.fpu.load();
        msrs::load_tsc_aux(context.msrs.tsc_aux);
        self.run_until_stopped(hv, &domain, vcpu, &mut context, until);
        context.fpu.save();
    }

    fn run_until_stopped(
        &mut self,
        hv: &'static Hypervisor,
        domain: &Arc<Domain>,
        vcpu: &Arc<Vcpu>,
        context: &mut Context,
        until: Option<Nanos>,
    ) {
        loop {
            let mut guest = Guest { hv, domain, vcpu, context: &mut *context };
            guest.act_on_signals();
            guest.offer_interrupts();
            program_timer(hv, self.id, until);
            if hv.needs_schedule(self.id) {
                return;
            }
            let exit = self.enter(domain, guest.context);
            vcpu.counters.count_exit(exit.reason());
            guest.handle(exit);
            if exit == Exit::Interrupt {
                interrupts::window();
                let now = hv.platform.now();
                if hv.timers.earliest(self.id).is_some_and(|due| due <= now) {
                    hv.expire_timers(self.id, now);
                }
                if until.is_some_and(|until| until <= now) {
                    return;
                }
            }
        }
    }

    /// Enters guest mode, and comes back.
    fn enter(&mut self, domain: &Domain, context: &mut Context) -> Exit {
        // The order matters, see `flush_second_stage`: first be seen, then look.
        self.entries = self.entries.wrapping_add(1);
        self.shared.guest.store(self.entries << 32 | guest_tag(domain.id), Ordering::SeqCst);
        let generation = domain.arch.second_stage_generation.load(Ordering::SeqCst);
        if context.second_stage_generation != generation {
            context.second_stage_generation = generation;
            context.hw.flush();
        }
        let exit = context.hw.run(&mut self.virt);
        self.shared.guest.store(0, Ordering::SeqCst);
        self.shared.exited.store(hypervisor().platform.now().0, Ordering::Relaxed);
        exit
    }
}

/// The timer of the calling pCPU has fired: it is no longer programmed.
pub fn timer_fired() {
    let id = cpu::this_cpu().id();
    SHARED[id.0 as usize].deadline.store(NEVER, Ordering::Relaxed);
}

/// Whether a long operation on the calling pCPU should let others run.
pub fn preemption_pending() -> bool {
    let hv = hypervisor();
    let id = cpu::this_cpu().id();
    let shared = &SHARED[id.0 as usize];
    let now = hv.platform.now().0;
    hv.needs_schedule(id)
        || shared.deadline.load(Ordering::Relaxed) <= now
        || now.saturating_sub(shared.exited.load(Ordering::Relaxed)) > LONGEST_WITHOUT_INTERRUPTS.0
}

/// Returns once no pCPU can use a translation of the domain's second stage that was cached
/// before.
///
/// A pCPU in guest mode is kicked out and waited for; one that isn't will see the new generation
/// before it enters. No lock that an exit needs may wait for this, and none does: leaving guest
/// mode takes none.
pub fn flush_second_stage(id: DomId) {
    let hv = hypervisor();
    let Some(domain) = hv.domain(id) else { return };
    domain.arch.second_stage_generation.fetch_add(1, Ordering::SeqCst);
    let this_cpu = cpu::this_cpu().id();
    for (index, shared) in SHARED.iter().enumerate().take(hv.platform.cpu_count() as usize) {
        let other = CpuId(index as u32);
        let entry = shared.guest.load(Ordering::SeqCst);
        if other == this_cpu || entry & 0xffff_ffff != guest_tag(id) {
            continue;
        }
        hv.platform.kick(other);
        while shared.guest.load(Ordering::SeqCst) == entry {
            core::hint::spin_loop();
        }
    }
}
