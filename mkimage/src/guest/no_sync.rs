//! A filter of system calls (seccomp, classic BPF) under which nothing waits for the disk.
//!
//! A system that is being configured is worth nothing until it is packed, nor is a file system
//! before its last file is in it; yet dpkg flushes its database after every step. With the filter
//! such calls succeed and do nothing.

/// `AUDIT_ARCH_X86_64` (linux/audit.h).
const X86_64: u32 = 0xc000_003e;
/// `SECCOMP_RET_ALLOW` (linux/seccomp.h).
const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_ERRNO` with error 0: the call isn't made, and succeeds.
const SUCCEED: u32 = 0x0005_0000;
/// Calls that flush (arch/x86/entry/syscalls/syscall_64.tbl): msync, fsync, fdatasync, sync,
/// sync_file_range, syncfs.
const FLUSHES: [u32; 6] = [26, 74, 75, 162, 277, 306];
/// Where `struct seccomp_data` has the call's number and the architecture, in bytes.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Operations (linux/bpf_common.h): load a word, jump if equal, return.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

/// A `struct sock_filter`: operation, instructions to skip if true and if false, operand.
fn instruction(operation: u16, then: u8, otherwise: u8, operand: u32) -> [u8; 8] {
    let ([a, b], [c, d, e, f]) = (operation.to_le_bytes(), operand.to_le_bytes());
    [a, b, then, otherwise, c, d, e, f]
}

/// The filter, as `setpriv --seccomp-filter` reads it.
pub fn filter() -> Vec<u8> {
    let mut program = vec![
        instruction(LOAD, 0, 0, ARCHITECTURE),
        // Programs for other architectures have other numbers: they go on flushing.
        instruction(JUMP_IF_EQUAL, 0, skip(FLUSHES.len() + 1), X86_64),
        instruction(LOAD, 0, 0, NUMBER),
    ];
    for (at, call) in FLUSHES.iter().enumerate() {
        program.push(instruction(JUMP_IF_EQUAL, skip(FLUSHES.len() - at), 0, *call));
    }
    program.push(instruction(RETURN, 0, 0, ALLOW));
    program.push(instruction(RETURN, 0, 0, SUCCEED));
    program.concat()
}

/// A distance; there are few instructions.
fn skip(instructions: usize) -> u8 {
    u8::try_from(instructions).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the filter answers to a call.
    fn answer(architecture: u32, number: u32) -> u32 {
        let (filter, mut at, mut loaded) = (filter(), 0, 0);
        loop {
            let instruction: [u8; 8] = filter[at * 8..][..8].try_into().unwrap();
            let operation = u16::from_le_bytes([instruction[0], instruction[1]]);
            let operand = u32::from_le_bytes(instruction[4..].try_into().unwrap());
            at += 1;
            match operation {
                LOAD => loaded = if operand == NUMBER { number } else { architecture },
                JUMP_IF_EQUAL => at += usize::from(instruction[2 + usize::from(loaded != operand)]),
                _ => return operand,
            }
        }
    }

    #[test]
    fn flushes_succeed_and_all_else_is_allowed() {
        for number in 0..500 {
            let expected = if FLUSHES.contains(&number) { SUCCEED } else { ALLOW };
            assert_eq!(answer(X86_64, number), expected, "call {number}");
            assert_eq!(answer(0x4000_0003, number), ALLOW, "call {number} of another kind");
        }
    }
}
