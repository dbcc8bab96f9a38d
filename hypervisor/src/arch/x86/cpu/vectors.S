/* The 256 interrupt vectors.
 *
 * Entry contract: an interrupt gate of the IDT on an IST stack, so the CPU has aligned RSP to 16
 * and pushed SS, RSP, RFLAGS, CS, RIP, and for some exceptions an error code; interrupts are off.
 * An IST stack for every vector, because prebuilt libraries may use the 128 bytes below RSP.
 *
 * Each stub pushes a zero where the CPU pushes no error code, then its number; the common part
 * pushes the general registers, which makes a `TrapFrame`, and saves XMM0 to XMM15, which the
 * handler may use. Calls `trap_entry(frame: *mut TrapFrame)`, restores everything, returns. GS is
 * the hypervisor's at all times: it runs nothing in ring 3, and the world switch keeps guests'
 * GS apart. */

.section .text.vectors, "ax"

.global vector_stubs
.balign 16
vector_stubs:
.set vector, 0
.rept 256
    .balign 16
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21 && vector != 29 && vector != 30
    push    0
    .endif
    push    vector
    jmp     trap_common
    .set vector, vector + 1
.endr

.balign 16
trap_common:
    push    rax
    push    rcx
    push    rdx
    push    rbx
    push    rbp
    push    rsi
    push    rdi
    push    r8
    push    r9
    push    r10
    push    r11
    push    r12
    push    r13
    push    r14
    push    r15
    cld
    mov     rdi, rsp
    sub     rsp, 256
    .irp xmm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movaps  xmmword ptr [rsp + 16 * \xmm], xmm\xmm
    .endr
    call    trap_entry
    .irp xmm, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movaps  xmm\xmm, xmmword ptr [rsp + 16 * \xmm]
    .endr
    add     rsp, 256
    pop     r15
    pop     r14
    pop     r13
    pop     r12
    pop     r11
    pop     r10
    pop     r9
    pop     r8
    pop     rdi
    pop     rsi
    pop     rbp
    pop     rbx
    pop     rdx
    pop     rcx
    pop     rax
    add     rsp, 16
    iretq
