/* The memory functions that compiled code calls (System V: RDI, RSI, RDX; result in RAX), and
 * the unwinder's names, which prebuilt libraries mention but panic = "abort" never calls.
 *
 * String instructions move whole words: real CPUs do that in microcode, and an emulator does one
 * step a word. The direction flag is clear throughout the hypervisor. Clobbers: RCX, RDX, RSI,
 * RDI, R8, R9. */

.section .text.mem, "ax"

.global memcpy
.balign 16
memcpy:
    mov     rax, rdi
    mov     rcx, rdx
    shr     rcx, 3
    rep     movsq
    mov     ecx, edx
    and     ecx, 7
    rep     movsb
    ret

.global memmove
.balign 16
memmove:
    mov     rax, rdi
    sub     rax, rsi
    cmp     rax, rdx                            /* destination below, or beyond the source? */
    jae     memcpy
    mov     rax, rdi
    lea     rsi, [rsi + rdx - 1]
    lea     rdi, [rdi + rdx - 1]
    mov     rcx, rdx
    std
    and     ecx, 7                              /* the odd bytes, from the end */
    rep     movsb
    sub     rsi, 7
    sub     rdi, 7
    mov     rcx, rdx
    shr     rcx, 3
    rep     movsq
    cld
    ret

.global memset
.balign 16
memset:
    mov     r8, rdi
    movzx   eax, sil
    movabs  r9, 0x0101010101010101
    imul    rax, r9
    mov     rcx, rdx
    shr     rcx, 3
    rep     stosq
    mov     ecx, edx
    and     ecx, 7
    rep     stosb
    mov     rax, r8
    ret

.global memcmp
.global bcmp
.balign 16
memcmp:
bcmp:
    xor     ecx, ecx
1:
    lea     r8, [rcx + 8]
    cmp     r8, rdx
    ja      2f
    mov     r9, qword ptr [rdi + rcx]
    cmp     r9, qword ptr [rsi + rcx]
    jne     2f                                  /* the byte loop finds which one differs */
    mov     rcx, r8
    jmp     1b
2:
    cmp     rcx, rdx
    jae     3f
    movzx   eax, byte ptr [rdi + rcx]
    movzx   r8d, byte ptr [rsi + rcx]
    inc     rcx
    sub     eax, r8d
    jz      2b
    ret
3:
    xor     eax, eax
    ret

.global strlen
.balign 16
strlen:
    xor     eax, eax
1:
    cmp     byte ptr [rdi + rax], 0
    je      2f
    inc     rax
    jmp     1b
2:
    ret

.global rust_eh_personality
.global _Unwind_Resume
rust_eh_personality:
_Unwind_Resume:
    ud2
