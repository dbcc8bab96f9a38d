/* From the boot loader's 32-bit state to Rust.
 *
 * Entry contract, of multiboot 1 and 2 (multiboot_entry) and of PVH (pvh_entry) alike:
 *   protected mode, paging off, flat 4 GiB segments, interrupts off, A20 open;
 *   EBX = physical address of the boot information;
 *   EAX = the loader's magic (multiboot only). No stack, GDT or IDT can be counted on.
 *
 * Leaves to Rust: `hypervisor_start(magic: u32, info: u32) -> !`
 *   long mode, interrupts off, direction flag clear; boot page tables, which map the first 4 GiB
 *   at 0 and at the direct map, and the first 1 GiB at VIRTUAL_BASE, all of it writable; SSE usable; null segments but
 *   for CS; RSP = boot_stack_top, aligned to 16 before the call; RBP = 0 ends the backtrace.
 *
 * Clobbers every register. */

.set VIRTUAL_BASE, 0xffffffff80000000

.set CR0_MP_ET_NE_WP_PE, 0x00010033
.set CR0_PG, 0x80000000
.set CR4_PAE_PGE_OSFXSR_OSXMMEXCPT, 0x6a0
.set MSR_EFER, 0xc0000080
.set EFER_LME, 0x100
.set EFER_NXE, 0x800
.set EXT_FEATURE_LONG_MODE, 1 << 29
.set EXT_FEATURE_NX, 1 << 20
.set PVH_MAGIC, 0x336ec578

.section .boot.text, "ax"
.code32

.global pvh_entry
pvh_entry:
    mov     eax, PVH_MAGIC

.global multiboot_entry
multiboot_entry:
    cli
    cld
    mov     esp, offset boot_stack_top - VIRTUAL_BASE
    mov     ebp, eax                            /* magic */
    mov     esi, ebx                            /* info */

    mov     eax, 0x80000000
    cpuid
    cmp     eax, 0x80000001
    jb      no_long_mode
    mov     eax, 0x80000001
    cpuid
    test    edx, EXT_FEATURE_LONG_MODE
    jz      no_long_mode
    mov     ebx, EFER_LME
    test    edx, EXT_FEATURE_NX
    jz      1f
    or      ebx, EFER_NXE
1:
    /* Page directories: 2048 entries of 2 MiB, present, writable, large. */
    mov     edi, offset boot_pd - VIRTUAL_BASE
    mov     eax, 0x83
    mov     ecx, 2048
2:
    mov     dword ptr [edi], eax
    mov     dword ptr [edi + 4], 0
    add     edi, 8
    add     eax, 0x200000
    loop    2b

    mov     edi, offset boot_pdpt_low - VIRTUAL_BASE
    mov     eax, offset boot_pd - VIRTUAL_BASE + 3
    mov     dword ptr [edi], eax
    add     eax, 0x1000
    mov     dword ptr [edi + 8], eax
    add     eax, 0x1000
    mov     dword ptr [edi + 16], eax
    add     eax, 0x1000
    mov     dword ptr [edi + 24], eax

    /* VIRTUAL_BASE is entry 510 of the last page-directory pointer table. */
    mov     edi, offset boot_pdpt_high - VIRTUAL_BASE
    mov     dword ptr [edi + 510 * 8], offset boot_pd - VIRTUAL_BASE + 3

    mov     edi, offset boot_pml4 - VIRTUAL_BASE
    mov     dword ptr [edi], offset boot_pdpt_low - VIRTUAL_BASE + 3
    mov     dword ptr [edi + 256 * 8], offset boot_pdpt_low - VIRTUAL_BASE + 3
    mov     dword ptr [edi + 511 * 8], offset boot_pdpt_high - VIRTUAL_BASE + 3

    mov     eax, CR4_PAE_PGE_OSFXSR_OSXMMEXCPT
    mov     cr4, eax
    mov     cr3, edi
    mov     ecx, MSR_EFER
    rdmsr
    or      eax, ebx
    wrmsr
    mov     eax, CR0_MP_ET_NE_WP_PE + CR0_PG
    mov     cr0, eax

    lgdt    [boot_gdt_pointer - VIRTUAL_BASE]
    push    0x08
    mov     eax, offset long_mode_low - VIRTUAL_BASE
    push    eax
    retf

/* No long mode: nothing of ours can run. Says so on VGA text and COM1, and stops. */
no_long_mode:
    mov     esi, offset no_long_mode_text - VIRTUAL_BASE
    mov     edi, 0xb8000
3:
    movzx   eax, byte ptr [esi]
    test    al, al
    jz      4f
    mov     dx, 0x3f8
    out     dx, al
    mov     ah, 0x4f
    mov     word ptr [edi], ax
    add     edi, 2
    inc     esi
    jmp     3b
4:
    hlt
    jmp     4b

.code64
long_mode_low:
    movabs  rax, offset long_mode_high
    jmp     rax
long_mode_high:
    xor     eax, eax
    mov     ds, eax
    mov     es, eax
    mov     ss, eax
    mov     fs, eax
    mov     gs, eax
    mov     rsp, offset boot_stack_top
    mov     edi, ebp
    mov     esi, esi
    xor     ebp, ebp
    call    hypervisor_start
    ud2

.section .rodata
.balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff                    /* 0x08: 64-bit code */
boot_gdt_end:
boot_gdt_pointer:
    .short boot_gdt_end - boot_gdt - 1
    .long boot_gdt - VIRTUAL_BASE
no_long_mode_text:
    .asciz "Xenolith: this CPU has no 64-bit mode; use a 64-bit machine.\r\n"

.section .bss
.balign 4096
boot_pml4:
    .skip 4096
boot_pdpt_low:
    .skip 4096
boot_pdpt_high:
    .skip 4096
boot_pd:
    .skip 4 * 4096

/* The page below the stack is its guard: the final page tables leave it out. */
.global boot_stack_guard
boot_stack_guard:
    .skip 4096
    .skip 128 * 1024
.global boot_stack_top
boot_stack_top:
