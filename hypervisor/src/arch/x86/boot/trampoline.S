/* Where the other CPUs start: copied to a page below 1 MiB, and run there.
 *
 * Entry contract: real mode after a startup IPI, CS:IP = (page >> 4):0, interrupts off; nothing
 * else is known. The words at the end were filled in by `smp.rs` (struct Parameters, same order).
 * The page tables in CR3 are the hypervisor's and map this page at its own address, executable
 * and read-only.
 *
 * Leaves to Rust: `ap_start(cpu: *const PerCpu) -> !`
 *   long mode, interrupts off, direction flag clear, SSE usable, null segments but for CS, RSP =
 *   the CPU's own stack, aligned to 16 before the call, RBP = 0.
 *
 * Goes from real mode to long mode in one step: PE and PG are set together, with CR4.PAE and
 * EFER.LME already on (APM volume 2, 14.6.1 allows any order before CR0.PG). */

.set MSR_EFER, 0xc0000080
.set EFER_LME_NXE, 0x900
.set CR0_PG_WP_NE_ET_MP_PE, 0x80010033
.set CR4_PAE_PGE_OSFXSR_OSXMMEXCPT, 0x6a0

/* Real mode addresses count from the page's start. */
.set trampoline_gdt_pointer_offset, trampoline_gdt_pointer - trampoline_start
.set trampoline_cr3_offset, trampoline_cr3 - trampoline_start

.section .rodata.trampoline, "a"
.balign 16
.global trampoline_start
trampoline_start:
.code16
    cli
    cld
    mov     ax, cs
    mov     ds, ax
    lgdt    [trampoline_gdt_pointer_offset]
    mov     eax, CR4_PAE_PGE_OSFXSR_OSXMMEXCPT
    mov     cr4, eax
    mov     eax, dword ptr [trampoline_cr3_offset]
    mov     cr3, eax
    mov     ecx, MSR_EFER
    rdmsr
    or      eax, EFER_LME_NXE
    wrmsr
    mov     eax, CR0_PG_WP_NE_ET_MP_PE
    mov     cr0, eax
    /* jmp far dword ptr [trampoline_far] */
    .byte   0x66, 0xff, 0x2e
    .short  trampoline_far - trampoline_start

.code64
.global trampoline_long_mode
trampoline_long_mode:
    xor     eax, eax
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     fs, eax
    mov     gs, eax
    xor     ebp, ebp
    mov     rsp, qword ptr [rip + trampoline_stack]
    mov     rdi, qword ptr [rip + trampoline_cpu]
    mov     rax, qword ptr [rip + trampoline_entry]
    call    rax
    ud2

.balign 8
.global trampoline_gdt
trampoline_gdt:
    .quad   0
    .quad   0x00af9b000000ffff                  /* 0x08: 64-bit code */
    .short  0                                   /* so that the base below is aligned */
trampoline_gdt_pointer:
    .short  15
.global trampoline_parameters
trampoline_parameters:
trampoline_gdt_base:
    .long   0
trampoline_cr3:
    .long   0
trampoline_far:
    .long   0
    .long   0x08
trampoline_stack:
    .quad   0
trampoline_cpu:
    .quad   0
trampoline_entry:
    .quad   0
.global trampoline_end
trampoline_end:
