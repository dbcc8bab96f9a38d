# svm_run: enter guest mode, and come back at the next #VMEXIT.
#
#   rdi  *mut GuestRegs        xmm0-15, then the general registers; the VMCB has RAX and RSP
#   rsi  guest VMCB, machine address
#   rdx  this pCPU's host VMCB (VMSAVE area), machine address
#
# System V call; clobbers everything that the convention lets it. rsp is 16-byte aligned at the
# call, and nothing here calls out. Interrupts are off on entry and on return. GIF is clear from
# CLGI to STGI, so that neither an interrupt nor an NMI meets the guest's FS, GS and TR.
# STI under a clear GIF only says that, once the guest runs, an interrupt ends guest mode
# (AMD64 APM vol. 2, 15.21.1: V_INTR_MASKING).

    .set AT_XMM, 0
    .set AT_RCX, 264
    .set AT_RDX, 272
    .set AT_RBX, 280
    .set AT_RBP, 296
    .set AT_RSI, 304
    .set AT_RDI, 312
    .set AT_R8, 320
    .set AT_R9, 328
    .set AT_R10, 336
    .set AT_R11, 344
    .set AT_R12, 352
    .set AT_R13, 360
    .set AT_R14, 368
    .set AT_R15, 376

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
    movups xmm\n, [rdi + AT_XMM + 16 * \n]
    .endr
    mov rbx, [rdi + AT_RBX]
    mov rcx, [rdi + AT_RCX]
    mov rdx, [rdi + AT_RDX]
    mov rsi, [rdi + AT_RSI]
    mov rbp, [rdi + AT_RBP]
    mov r8, [rdi + AT_R8]
    mov r9, [rdi + AT_R9]
    mov r10, [rdi + AT_R10]
    mov r11, [rdi + AT_R11]
    mov r12, [rdi + AT_R12]
    mov r13, [rdi + AT_R13]
    mov r14, [rdi + AT_R14]
    mov r15, [rdi + AT_R15]
    mov rdi, [rdi + AT_RDI]

    vmrun rax

    # rax and rsp are the host's again; all else is the guest's.
    vmsave rax
    mov rax, [rsp]
    mov [rax + AT_RDI], rdi
    mov rdi, rax
    mov [rdi + AT_RBX], rbx
    mov [rdi + AT_RCX], rcx
    mov [rdi + AT_RDX], rdx
    mov [rdi + AT_RSI], rsi
    mov [rdi + AT_RBP], rbp
    mov [rdi + AT_R8], r8
    mov [rdi + AT_R9], r9
    mov [rdi + AT_R10], r10
    mov [rdi + AT_R11], r11
    mov [rdi + AT_R12], r12
    mov [rdi + AT_R13], r13
    mov [rdi + AT_R14], r14
    mov [rdi + AT_R15], r15
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups [rdi + AT_XMM + 16 * \n], xmm\n
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
