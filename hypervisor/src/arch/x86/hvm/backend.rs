//! The seam between the portable exit loop and a virtualization extension.

use super::exit::Exit;
use super::regs::GuestRegs;
use hv_core::types::Hpa;

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

/// The control and segment registers that decide how guest addresses translate.
#[derive(Clone, Copy, Debug, Default)]
pub struct PagingState {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER as the guest sees it.
    pub efer: u64,
}

/// A segment register, attributes packed into 12 bits as in a descriptor's bytes 5 and 6.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Type, S, DPL, P in bits 0-7; AVL, L, D/B, G in bits 8-11.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base address.
    pub base: u64,
}

/// Index of a segment register, in the order of instruction encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentName {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
    Ldtr,
    Tr,
}

/// What the exit loop asks of a vCPU's control block. SVM and VMX each implement it once.
pub trait Backend {
    /// What a pCPU has to have to run such vCPUs.
    type Cpu;

    /// Enters guest mode until the next exit. Interrupts are off before and after.
    fn run(&mut self, cpu: &mut Self::Cpu) -> Exit;

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
    /// CR2.
    fn set_cr2(&mut self, value: u64);
    /// Sets the machine addresses of the port and MSR permission maps.
    fn set_permission_maps(&mut self, ports: Hpa, msrs: Hpa);
}
