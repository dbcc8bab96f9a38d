//! Each CPU's segment descriptors and task state segment.
#![expect(unsafe_code, reason = "loads the CPU's descriptor tables")]

use spin::{Mutex, MutexGuard};
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
use x86_64::instructions::tables::{lgdt, load_tss};
use x86_64::registers::segmentation::SegmentSelector;
use x86_64::structures::DescriptorTablePointer;
use x86_64::structures::gdt::{Descriptor, DescriptorFlags};
use x86_64::structures::tss::TaskStateSegment;

/// The selector of 64-bit code.
pub const CODE_SELECTOR: u16 = 0x08;
const DATA_SELECTOR: u16 = 0x10;
const TSS_SELECTOR: u16 = 0x18;

/// How many interrupt stacks a CPU has; `idt` says which vector uses which.
pub const INTERRUPT_STACKS: usize = 6;

/// A CPU's own tables. They must stay in place once loaded.
pub struct Tables {
    gdt: [u64; 5],
    tss: TaskStateSegment,
}

impl Tables {
    /// Tables that name no stacks yet.
    pub const fn new() -> Self {
        Self { gdt: [0; 5], tss: TaskStateSegment::new() }
    }

    /// Makes this CPU use the tables, with interrupt stacks that end at the given addresses.
    ///
    /// # Safety
    /// Each address is the end of a stack that nothing else uses.
    pub unsafe fn load(&'static mut self, stacks: [u64; INTERRUPT_STACKS]) {
        let mut table = [VirtAddr::zero(); 7];
        for (slot, top) in table.iter_mut().zip(stacks) {
            *slot = VirtAddr::new(top);
        }
        self.tss.interrupt_stack_table = table;
        // SAFETY: the TSS is `'static`, and nothing writes it any more.
        let tss = unsafe { Descriptor::tss_segment_unchecked(&raw const self.tss) };
        let Descriptor::SystemSegment(low, high) = tss else { unreachable!() };
        let code = DescriptorFlags::KERNEL_CODE64.bits();
        self.gdt = [0, code, DescriptorFlags::KERNEL_DATA.bits(), low, high];
        let pointer = DescriptorTablePointer {
            limit: (size_of_val(&self.gdt) - 1) as u16,
            base: VirtAddr::from_ptr(&raw const self.gdt),
        };
        // SAFETY: the table is `'static` and well-formed.
        unsafe { lgdt(&pointer) };
        load_selectors();
    }
}

fn load_selectors() {
    // SAFETY: the table has 64-bit code there.
    unsafe { CS::set_reg(SegmentSelector(CODE_SELECTOR)) };
    // SAFETY: the table has data there.
    unsafe { SS::set_reg(SegmentSelector(DATA_SELECTOR)) };
    // SAFETY: long mode takes null selectors here.
    unsafe { DS::set_reg(SegmentSelector::NULL) };
    // SAFETY: as above.
    unsafe { ES::set_reg(SegmentSelector::NULL) };
    // SAFETY: as above; FS's base is not used.
    unsafe { FS::set_reg(SegmentSelector::NULL) };
    // SAFETY: as above; whoever calls sets GS's base afterwards.
    unsafe { GS::set_reg(SegmentSelector::NULL) };
    // SAFETY: the table has an available TSS there.
    unsafe { load_tss(SegmentSelector(TSS_SELECTOR)) };
}

/// The boot CPU's tables until memory is set up.
static EARLY: Mutex<Tables> = Mutex::new(Tables::new());

/// The boot CPU's interrupt stack until then: any exception is fatal, so one is enough.
#[repr(C, align(16))]
struct EarlyStack([u8; 16 << 10]);
static EARLY_STACK: Mutex<EarlyStack> = Mutex::new(EarlyStack([0; 16 << 10]));

/// Gives the boot CPU its first tables, called once.
pub fn load_early() {
    let stack = MutexGuard::leak(EARLY_STACK.lock());
    let top = &raw const *stack as u64 + size_of::<EarlyStack>() as u64;
    let tables = MutexGuard::leak(EARLY.lock());
    // SAFETY: the stack was leaked for this purpose. The vectors share it, but no exception
    // before memory is set up returns.
    unsafe { tables.load([top; INTERRUPT_STACKS]) };
}
