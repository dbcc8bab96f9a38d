//! What the second domain runs: 32-bit code without paging that proves that it can write its
//! memory, sends an event, and asks for a reboot.

use guest::cpu::uses_vmmcall;

/// The port that the domain sends to: the first that a domain gets.
pub const PORT: u32 = 1;
/// What it writes.
pub const PROOF: u32 = 0x6f69_6e58;

const EVENT_CHANNEL_OP: u8 = 32;
const SEND: u8 = 4;
const SCHED_OP: u8 = 29;
const SHUTDOWN: u8 = 2;
const REBOOT: u8 = 1;

/// The code, for the physical address `at`, with `data` to write to.
pub fn assemble(at: u32, data: u32) -> [u8; 96] {
    let mut code = [0x90; 96];
    let [d0, d1, d2, d3] = (data + 0x100).to_le_bytes();
    let [p0, p1, p2, p3] = PROOF.to_le_bytes();
    let [a0, a1, a2, a3] = (at + 80).to_le_bytes();
    let [b0, b1, b2, b3] = (at + 84).to_le_bytes();
    let call = if uses_vmmcall() { 0xd9 } else { 0xc1 };
    let text = [
        0xc7,
        0x05,
        d0,
        d1,
        d2,
        d3,
        p0,
        p1,
        p2,
        p3, // movl $PROOF, data + 0x100
        0xb8,
        EVENT_CHANNEL_OP,
        0,
        0,
        0, // movl $32, %eax
        0xbb,
        SEND,
        0,
        0,
        0, // movl $4, %ebx
        0xb9,
        a0,
        a1,
        a2,
        a3, // movl $port, %ecx
        0x0f,
        0x01,
        call, // vmmcall
        0xb8,
        SCHED_OP,
        0,
        0,
        0, // movl $29, %eax
        0xbb,
        SHUTDOWN,
        0,
        0,
        0, // movl $2, %ebx
        0xb9,
        b0,
        b1,
        b2,
        b3, // movl $reason, %ecx
        0x0f,
        0x01,
        call, // vmmcall
        0xf4,
        0xeb,
        0xfd, // hlt; jmp to it
    ];
    code[..text.len()].copy_from_slice(&text);
    code[80..84].copy_from_slice(&PORT.to_le_bytes());
    code[84..88].copy_from_slice(&u32::from(REBOOT).to_le_bytes());
    code
}
