# svm_run: enter guest mode, and come back at the next #VMEXIT.
#
#   rdi  *mut GuestRegs        registers that the VMCB doesn't hold: xmm0-15, then the GPRs
#   rsi  guest VMCB, machine address
#   rdx  this pCPU's host VMCB (VMSAVE area), machine address
#
# System V call; clobbers everything that the convention lets it. rsp is 16-byte aligned at the
# call, and nothing here calls out. Interrupts are off on entry and on return. GIF is clear from
# CLGI to STGI, so that neither an interrupt nor an NMI meets the guest's FS, GS and TR.
# STI under a clear GIF only says that, once the guest runs, an interrupt ends guest mode
# (AMD64 APM vol. 2, 15.21.1: V_INTR_MASKING).

    .set XMM, 0
    .set RBX, 256
    .set RCX, 264
    .set RDX, 272
    .set RSI, 280
    .set RDI, 288
    .set RBP, 296
    .set R8, 304
    .set R9, 312
    .set R10, 320
    .set R11, 328
    .set R12, 336
    .set R13, 344
    .set R14, 352
    .set R15, 360

    .section .text.svm_run, "ax", @progbits
    .globl svm_run
    .type svm_run, @function
svm_run:
    push rbp
    mov rbp, rsp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rdx
    push rdi

    clgi
    sti
    mov rax, rsi
    vmload rax

    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups xmm\n, [rdi + XMM + 16 * \n]
    .endr
    mov rbx, [rdi + RBX]
    mov rcx, [rdi + RCX]
    mov rdx, [rdi + RDX]
    mov rsi, [rdi + RSI]
    mov rbp, [rdi + RBP]
    mov r8, [rdi + R8]
    mov r9, [rdi + R9]
    mov r10, [rdi + R10]
    mov r11, [rdi + R11]
    mov r12, [rdi + R12]
    mov r13, [rdi + R13]
    mov r14, [rdi + R14]
    mov r15, [rdi + R15]
    mov rdi, [rdi + RDI]

    vmrun rax

    # rax and rsp are the host's again; all else is the guest's.
    vmsave rax
    mov rax, [rsp]
    mov [rax + RDI], rdi
    mov rdi, rax
    mov [rdi + RBX], rbx
    mov [rdi + RCX], rcx
    mov [rdi + RDX], rdx
    mov [rdi + RSI], rsi
    mov [rdi + RBP], rbp
    mov [rdi + R8], r8
    mov [rdi + R9], r9
    mov [rdi + R10], r10
    mov [rdi + R11], r11
    mov [rdi + R12], r12
    mov [rdi + R13], r13
    mov [rdi + R14], r14
    mov [rdi + R15], r15
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups [rdi + XMM + 16 * \n], xmm\n
    .endr

    mov rax, [rsp + 8]
    vmload rax
    cli
    stgi

    add rsp, 16
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
    .size svm_run, . - svm_run
