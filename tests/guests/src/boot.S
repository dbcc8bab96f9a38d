/* A guest's first instructions: the PVH entry, page tables, long mode, the APs' way there,
 * interrupt entries, and trips to CPL 3 and to 32-bit code.
 *
 * Selectors: 0x08 64-bit code, 0x10 data, 0x18 32-bit code, 0x23 user data, 0x2b user code,
 * 0x30 TSS. All of memory below 4 GiB is mapped at its own address, writable and for users. */

.set SEL_CODE64, 0x08
.set SEL_DATA, 0x10
.set SEL_CODE32, 0x18
.set SEL_USER_DATA, 0x23
.set SEL_USER_CODE, 0x2b

.set CR4_VALUE, 0x620                   /* PAE, OSFXSR, OSXMMEXCPT */
.set CR0_VALUE, 0x80010023              /* PG, WP, NE, MP, PE */
.set MSR_EFER, 0xc0000080
.set EFER_LME, 0x100

/* What makes this a PVH kernel that can be dom0. */
.section .note.xen, "a", @note
    .balign 4
    .long 4, 4, 18                      /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long start32
    .balign 4
    .long 4, 4, 17                      /* XEN_ELFNOTE_SUPPORTED_FEATURES */
    .asciz "Xen"
    .long 0x8801                        /* dom0, linux_rsdp_unrestricted */

.section .boot.text, "ax"

/* PVH entry: 32-bit protected mode, no paging, no stack. EBX: start_info. */
.code32
.globl start32
start32:
    cld
    movl %ebx, start_info_address
    movl $boot_stack_top, %esp

    movl $page_directory_pointers + 7, page_map_level4
    movl $0, %ecx
1:  movl %ecx, %eax
    shll $12, %eax
    addl $page_directories + 7, %eax
    movl %eax, page_directory_pointers(, %ecx, 8)
    incl %ecx
    cmpl $4, %ecx
    jne 1b

    movl $0, %ecx                       /* 2048 pages of 2 MiB: present, writable, user, large */
2:  movl %ecx, %eax
    shll $21, %eax
    orl $0x87, %eax
    movl %eax, page_directories(, %ecx, 8)
    incl %ecx
    cmpl $2048, %ecx
    jne 2b

    lgdtl gdt_pointer
    call enter_long_mode_32
    ljmpl $SEL_CODE64, $start64

/* Turns paging and long mode on; still in 32-bit code. Clobbers EAX, ECX, EDX. */
enter_long_mode_32:
    movl $CR4_VALUE, %eax
    movl %eax, %cr4
    movl $page_map_level4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    orl $EFER_LME, %eax
    wrmsr
    movl $CR0_VALUE, %eax
    movl %eax, %cr0
    ret

/* An AP, from its trampoline: 32-bit protected mode, GDT loaded. */
ap_start32:
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl ap_stack_top, %esp
    call enter_long_mode_32
    ljmpl $SEL_CODE64, $ap_start64

.code64
start64:
    call load_data_segments
    movq $boot_stack_top, %rsp
    xorl %ebp, %ebp
    movl start_info_address, %edi
    call guest_start
    ud2

ap_start64:
    call load_data_segments
    movq ap_stack_top, %rsp
    xorl %ebp, %ebp
    call guest_ap_start
    ud2

load_data_segments:
    movl $SEL_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    ret

/* Copied to a page below 1 MiB; an AP starts there in real mode with CS = page << 8. */
.code16
.globl ap_trampoline
ap_trampoline:
    cli
    cld
    lgdtl %cs:ap_gdt_pointer - ap_trampoline
    movl $0x11, %eax                    /* PE, ET */
    movl %eax, %cr0
    ljmpl $SEL_CODE32, $ap_start32
    .balign 4
ap_gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
.globl ap_trampoline_end
ap_trampoline_end:

.code64

/* One entry for each vector: an error code if the CPU pushes none, the vector, and on. */
.balign 16
.globl interrupt_entries
interrupt_entries:
.set vector, 0
.rept 256
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    .else
    pushq $0
    .endif
    pushq $vector
    jmp interrupt_common
    .set vector, vector + 1
.endr

/* Saves all registers that Rust code may change, and calls interrupt_dispatch(frame). */
interrupt_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, %rbx
    subq $512, %rsp
    andq $-16, %rsp
    fxsave64 (%rsp)
    cld
    movq %rbx, %rdi
    call interrupt_dispatch
    fxrstor64 (%rsp)
    movq %rbx, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

/* What a System V function must leave as it was. */
.macro save_registers
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
.endm
.macro restore_registers
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
.endm

/* u64 user_hypercall(u64 number, u64 is_amd): makes an argumentless hypercall at CPL 3 and
 * returns its result. Interrupts are off meanwhile. Comes back by vector 0x80. */
.globl user_hypercall
user_hypercall:
    save_registers
    movq %rsp, user_return_stack
    pushq $SEL_USER_DATA
    pushq $user_stack_top
    pushq $0x2
    pushq $SEL_USER_CODE
    pushq $user_code
    iretq

user_code:
    movq %rdi, %rax
    testq %rsi, %rsi
    jz 1f
    vmmcall
    jmp 2f
1:  vmcall
2:  int $0x80

.globl user_return
user_return:
    movl $SEL_DATA, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    movq user_return_stack, %rsp
    restore_registers
    ret

/* u32 narrow_hypercall(u32 number, u32 a, u32 b, u32 c, u32 is_amd): makes a hypercall from 32-bit
 * code of the kernel. Interrupts are off meanwhile: R8 to R15 and the upper halves of the others
 * are anybody's there. */
.globl narrow_hypercall
narrow_hypercall:
    save_registers
    movl %edi, %eax
    movl %esi, %ebx
    movl %r8d, %ebp
    xchgl %ecx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    pushq $SEL_CODE32
    pushq $narrow_code
    lretq

.code32
narrow_code:
    testl %ebp, %ebp
    jz 1f
    vmmcall
    jmp 2f
1:  vmcall
2:  ljmpl $SEL_CODE64, $narrow_return

.code64
narrow_return:
    movl %esp, %esp
    restore_registers
    ret

/* The prebuilt core library names these, though a guest never unwinds. */
.globl rust_eh_personality, _Unwind_Resume
rust_eh_personality:
_Unwind_Resume:
    ud2

.section .data
.balign 16
gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00cf9b000000ffff
    .quad 0x00cff3000000ffff
    .quad 0x00affb000000ffff
.globl gdt_tss
gdt_tss:
    .quad 0, 0
gdt_end:

gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

.section .bss
.balign 4096
page_map_level4:
    .skip 4096
page_directory_pointers:
    .skip 4096
page_directories:
    .skip 4 * 4096
boot_stack:
    .skip 64 * 1024
.globl boot_stack_top
boot_stack_top:
user_stack:
    .skip 4096
user_stack_top:
start_info_address:
    .skip 8
.globl ap_stack_top
ap_stack_top:
    .skip 8
user_return_stack:
    .skip 8
