//! A vCPU that is out of guest mode, in the hands of the pCPU that runs it.

use alloc::sync::Arc;

use hv_core::sched::entity::BlockReason;
use hv_x86::decode::{Code, CodeSize, Cpu, Intercepted, SegmentBases, fetch, length};
use hv_x86::fault::Exception;
use hv_x86::vlapic::Effect;
use hv_x86::walk::Paging;

use super::backend::{Backend, Event, SegmentName};
use super::bus::VcpuBus;
use super::reset;
use super::vcpu::Context;
use crate::guest_access::VcpuMemory;
use crate::platform::{Domain, Hypervisor, Vcpu};

const RFLAGS_IF: u64 = 1 << 9;
const EFER_LMA: u64 = 1 << 10;
const SEGMENT_L: u16 = 1 << 9;
const SEGMENT_DB: u16 = 1 << 10;
const VECTOR_GP: u8 = 13;
const VECTOR_PF: u8 = 14;

/// A stopped vCPU and everything around it.
pub struct Guest<'a> {
    pub hv: &'static Hypervisor,
    pub domain: &'a Arc<Domain>,
    pub vcpu: &'a Arc<Vcpu>,
    pub context: &'a mut Context,
}

impl<'a> Guest<'a> {
    /// The registers that decide how its addresses translate.
    pub fn paging(&self) -> Paging {
        let state = self.context.hw.paging();
        Paging {
            cr0: state.cr0,
            cr3: state.cr3,
            cr4: state.cr4,
            efer: state.efer,
            physical_bits: self.domain.arch.physical_bits,
        }
    }

    /// Its memory, by virtual address.
    pub fn memory(&self) -> VcpuMemory<'a> {
        let takes_interrupts = self.context.hw.regs().general.rflags & RFLAGS_IF != 0;
        VcpuMemory::new(self.domain, self.paging(), takes_interrupts)
    }

    /// What its instructions reach.
    pub fn bus(&self) -> VcpuBus<'a> {
        VcpuBus {
            domain: self.domain,
            vcpu: self.vcpu,
            memory: self.memory(),
            user: self.context.hw.cpl() == 3,
        }
    }

    /// The size of the code that it runs.
    pub fn code_size(&self) -> CodeSize {
        let attributes = self.context.hw.segment(SegmentName::Cs).attributes;
        let long_mode = self.context.hw.paging().efer & EFER_LMA != 0;
        CodeSize::new(long_mode, attributes & SEGMENT_L != 0, attributes & SEGMENT_DB != 0)
    }

    /// It as the instruction emulator wants it.
    pub fn cpu(&mut self) -> Cpu<'_> {
        let base = |name| self.context.hw.segment(name).base;
        let segments = SegmentBases {
            es: base(SegmentName::Es),
            cs: base(SegmentName::Cs),
            ss: base(SegmentName::Ss),
            ds: base(SegmentName::Ds),
            fs: base(SegmentName::Fs),
            gs: base(SegmentName::Gs),
        };
        let code = self.code_size();
        Cpu { registers: &mut self.context.hw.regs_mut().general, segments, code }
    }

    /// The bytes of the instruction that exited.
    ///
    /// # Errors
    /// The exception that fetching them raises.
    pub fn instruction(&mut self) -> Result<Code, Exception> {
        let fetched = self.context.hw.fetched_instruction();
        if !fetched.is_empty() {
            return Ok(Code::from_bytes(fetched));
        }
        let mut bus = self.bus();
        fetch(&self.cpu(), &mut bus)
    }

    /// Goes on behind the instruction that exited. If it can't be found, it is executed again.
    pub fn skip(&mut self, what: Intercepted) {
        if let Some(next) = self.context.hw.next_rip() {
            return self.context.hw.complete_at(next);
        }
        let rip = self.context.hw.regs().general.rip;
        let cr3 = self.context.hw.paging().cr3;
        let known = self.context.lengths.get(rip, cr3, what);
        let length = known.or_else(|| {
            let code = self.instruction().ok()?;
            let length = length(what, &code, self.code_size())?;
            self.context.lengths.put(rip, cr3, what, length);
            Some(length)
        });
        if let Some(length) = length {
            let next = rip.wrapping_add(u64::from(length)) & self.code_size().mask();
            self.context.hw.complete_at(next);
        }
    }

    /// Raises an exception in the guest.
    pub fn raise(&mut self, exception: Exception) {
        match exception {
            Exception::Gp => self.context.hw.inject(Event::Exception(VECTOR_GP, Some(0))),
            Exception::Page(fault) => {
                self.context.hw.set_cr2(fault.address);
                self.context.hw.inject(Event::Exception(VECTOR_PF, Some(fault.code)));
            }
        }
    }

    /// Does what a write to its local APIC asked for.
    pub fn apply(&mut self, effect: Effect) {
        super::lapic::apply(self.hv, self.domain, self.vcpu, effect);
    }

    /// Acts on INIT, start-up and NMI messages.
    pub fn act_on_signals(&mut self) {
        if !self.vcpu.arch.signals.any() {
            return;
        }
        let signals = &self.vcpu.arch.signals;
        // It goes down first, so that whoever sends a start-up message finds it down, or an INIT
        // that waits.
        let init = signals.has_init();
        if init {
            self.vcpu.arch.lapic.reset();
            self.hv.suspend(self.vcpu, BlockReason::Down);
        }
        let taken = signals.take();
        match (init, taken.start_up) {
            (true, Some(vector)) => {
                reset::start_up(&mut self.context.hw, vector);
                self.hv.resume(self.vcpu, BlockReason::Down);
            }
            (false, _) if taken.init => signals.init(),
            _ => {}
        }
        if taken.nmi && !self.context.hw.event_queued() {
            self.context.hw.inject(Event::Nmi);
        }
    }

    /// Queues the interrupt that the guest would take now, or asks for an exit once it would.
    pub fn offer_interrupts(&mut self) {
        let callback = self.hv.callback_pending(self.domain, self.vcpu);
        let (lapic, upcall) = (&self.vcpu.arch.lapic, &self.vcpu.arch.upcall);
        let may_be_pending = callback.is_some() || upcall.is_pending() || lapic.may_have_pending();
        let hw = &mut self.context.hw;
        if !may_be_pending {
            return hw.want_interrupt_window(false);
        }
        if !hw.interruptible() {
            let waits = callback.is_some()
                || upcall.is_pending()
                || lapic.with(|lapic| lapic.highest_deliverable()).is_some();
            return hw.want_interrupt_window(waits);
        }
        let vector = callback.or_else(|| {
            lapic.with(|lapic| {
                if let Some(vector) = upcall.take_if(|vector| lapic.would_deliver(vector)) {
                    lapic.set_irr(vector, false);
                }
                let vector = lapic.highest_deliverable()?;
                lapic.ack(vector);
                Some(vector)
            })
        });
        if let Some(vector) = vector {
            hw.inject(Event::Interrupt(vector));
        }
        // What comes next doesn't wait for an end-of-interrupt, which a callback doesn't have.
        let waits =
            lapic.may_have_pending() && lapic.with(|lapic| lapic.highest_deliverable()).is_some();
        hw.want_interrupt_window(waits);
    }

    /// Takes over what the guest did to CR8 without an exit.
    pub fn take_task_priority(&mut self) {
        let cr8 = self.context.hw.task_priority() >> 4;
        if cr8 != self.context.cr8 {
            self.context.cr8 = cr8;
            self.vcpu.arch.lapic.with(|lapic| lapic.set_cr8(cr8));
        }
    }

    /// Shows the guest in CR8 what it did to the task priority register.
    pub fn put_task_priority(&mut self) {
        self.context.show_task_priority(&self.vcpu.arch.lapic);
    }
}
