/* Model-specific registers that may not exist.
 *
 * System V calls. `msr_read(msr: u32, value: *mut u64) -> bool` and
 * `msr_write(msr: u32, value: u64) -> bool`: false if the CPU raised #GP. The exception table has
 * pairs: an instruction that may fault, and where to go on then; nothing is on the stack there
 * but the return address. Clobbers RAX, RCX, RDX. */

.section .text.msr, "ax"

.global msr_read
msr_read:
    mov     ecx, edi
1:  rdmsr
    shl     rdx, 32
    or      rax, rdx
    mov     qword ptr [rsi], rax
    mov     eax, 1
    ret

.global msr_write
msr_write:
    mov     ecx, edi
    mov     eax, esi
    mov     rdx, rsi
    shr     rdx, 32
2:  wrmsr
    mov     eax, 1
    ret

3:  xor     eax, eax
    ret

.section .exception_table, "a"
    .quad   1b, 3b
    .quad   2b, 3b
