//! Instructions that may fault, and where to go on then: the exception table.
#![expect(unsafe_code, reason = "reads the table that assembly builds")]

/// An entry, as the `.S` files write it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    fault: u64,
    resume: u64,
}

unsafe extern "C" {
    static exception_table_start: Entry;
    static exception_table_end: Entry;
}

/// Where to go on after a fault of the instruction at `rip`.
pub fn find(rip: u64) -> Option<u64> {
    let start = &raw const exception_table_start;
    let bytes = &raw const exception_table_end as usize - start as usize;
    // SAFETY: the linker script puts the symbols around whole entries in read-only data.
    let table = unsafe { core::slice::from_raw_parts(start, bytes / size_of::<Entry>()) };
    table.iter().find(|entry| entry.fault == rip).map(|entry| entry.resume)
}
