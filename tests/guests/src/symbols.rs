//! Addresses that the linker script and `boot.S` give names to. In a hosted build, where nothing
//! is called, they are zero.

#[cfg(freestanding)]
macro_rules! addresses {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        #[expect(unsafe_code, reason = "symbols from the linker and from boot.S")]
        mod linked {
            unsafe extern "C" {
                $(pub safe static $name: u8;)*
            }
        }
        $($(#[$meta])* pub fn $name() -> u64 { &raw const linked::$name as u64 })*
    };
}

#[cfg(not(freestanding))]
macro_rules! addresses {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {
        $($(#[$meta])* pub fn $name() -> u64 { 0 })*
    };
}

addresses! {
    /// The interrupt entries, 16 bytes each.
    interrupt_entries,
    /// The table of instructions that may fault.
    recovery_table_start,
    /// Its end.
    recovery_table_end,
    /// The TSS descriptor in the GDT.
    gdt_tss,
    /// The boot CPU's stack.
    boot_stack_top,
    /// Where `user_hypercall` comes back.
    user_return,
    /// Real mode code of an AP.
    ap_trampoline,
    /// Its end.
    ap_trampoline_end,
    /// The next AP's stack.
    ap_stack_top,
}
