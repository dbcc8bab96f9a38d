//! The seam between the portable exit loop and a virtualization extension.

use super::exit::Exit;
use super::regs::GuestRegs;
use hv_core::types::Hpa;

pub use hv_x86::state::{PagingState, Segment, SegmentName, Special};

/// An event to deliver on the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// An external interrupt's vector.
    Interrupt(u8),
    /// A non-maskable interrupt.
    Nmi,
    /// An exception, with its error code where the vector pushes one.
    Exception(u8, Option<u32>),
}

/// An event on its way, as control blocks have it: vector in bits 0-7, type in 8-10, bit 11 for
/// an error code, bit 31 for its being there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PendingEvent {
    /// Vector, type, validity.
    pub info: u32,
    /// The error code.
    pub code: u32,
}

/// What the exit loop asks of a vCPU's control block. SVM and VMX each implement it once.
pub trait Backend {
    /// What a pCPU has to have to run such vCPUs.
    type Cpu;

    /// Enters guest mode until the next exit. Interrupts are off before and after.
    fn run(&mut self, cpu: &mut Self::Cpu) -> Exit;

    /// Where the control block is, for logs.
    fn control_block(&self) -> Hpa;
    /// The general and vector registers.
    fn regs(&self) -> &GuestRegs;
    /// As [`Self::regs`], to change them.
    fn regs_mut(&mut self) -> &mut GuestRegs;
    /// Goes on at `rip`, and ends any interrupt shadow, as a completed instruction does.
    fn complete_at(&mut self, rip: u64);
    /// RIP after the exiting instruction, if the hardware said.
    fn next_rip(&self) -> Option<u64>;
    /// The current privilege level, 0 to 3.
    fn cpl(&self) -> u8;
    /// A segment register.
    fn segment(&self, name: SegmentName) -> Segment;
    /// Sets a segment register.
    fn set_segment(&mut self, name: SegmentName, value: Segment);
    /// The registers that decide how addresses translate.
    fn paging(&self) -> PagingState;
    /// Sets the registers that decide how addresses translate.
    fn set_paging(&mut self, state: PagingState);

    /// Whether an external interrupt could be taken now: IF set, no shadow, nothing queued.
    fn interruptible(&self) -> bool;
    /// Whether an event waits for the next entry.
    fn event_queued(&self) -> bool;
    /// Queues an event for the next entry.
    fn inject(&mut self, event: Event);
    /// The event that waits, if any, to be saved.
    fn pending_event(&self) -> PendingEvent;
    /// Makes a saved event wait, or none.
    fn set_pending_event(&mut self, event: PendingEvent);
    /// Asks for an exit as soon as an interrupt could be taken.
    fn want_interrupt_window(&mut self, wanted: bool);

    /// The task priority (CR8), where the guest changed it without an exit.
    fn task_priority(&self) -> u8;
    /// Sets the task priority that the guest reads in CR8.
    fn set_task_priority(&mut self, tpr: u8);

    /// What is added to the TSC that the guest reads.
    fn tsc_offset(&self) -> u64;
    /// Sets what is added to the TSC that the guest reads.
    fn set_tsc_offset(&mut self, offset: u64);
    /// Sets the second stage's root.
    fn set_second_stage(&mut self, root: Hpa);
    /// Forgets cached translations before the next entry.
    fn flush(&mut self);
    /// Reads one of the MSRs that the control block holds for the guest.
    fn stored_msr(&mut self, index: u32) -> Option<u64>;
    /// Writes one of the MSRs that the control block holds. `false` if it isn't one.
    fn set_stored_msr(&mut self, index: u32, value: u64) -> bool;
    /// Up to 15 bytes of the exiting instruction, if the hardware fetched them.
    fn fetched_instruction(&self) -> &[u8];
    /// Descriptor tables, CR2, DR6 and DR7.
    fn special(&self) -> Special;
    /// Sets descriptor tables, CR2, DR6 and DR7.
    fn set_special(&mut self, special: &Special);
    /// Sets CR2.
    fn set_cr2(&mut self, value: u64);
    /// Sets the machine addresses of the port and MSR permission maps.
    fn set_permission_maps(&mut self, ports: Hpa, msrs: Hpa);
}
