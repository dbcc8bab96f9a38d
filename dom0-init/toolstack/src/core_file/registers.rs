//! A vCPU's registers in the form of a core file: `vcpu_guest_context` of the public header
//! `arch-x86/xen.h`, from the records that the hypervisor saves.

use xen_abi::hvm::save::{Cpu, RecordType};

use crate::build::records;

/// Bytes of `vcpu_guest_context`.
pub const BYTES: usize = 5168;
/// Where things lie in it.
const USER_REGISTERS: usize = 520;
const CONTROL_REGISTERS: usize = 4984;
const DEBUG_REGISTERS: usize = 5048;
const SEGMENT_BASES: usize = 5144;

/// A vCPU's registers out of a saved context; all zero if it is down and has none.
pub fn of_vcpu(context: &[u8], vcpu: u32) -> Vec<u8> {
    let instance = u16::try_from(vcpu).unwrap_or(u16::MAX);
    let cpu: Option<Cpu> = records::record(context, RecordType::CPU, Some(instance));
    cpu.map_or_else(|| vec![0; BYTES], |cpu| rendered(&cpu))
}

fn rendered(cpu: &Cpu) -> Vec<u8> {
    let mut bytes = vec![0; BYTES];
    let mut put = |at: usize, words: &[u64]| {
        let from = words.iter().flat_map(|word| word.to_le_bytes());
        bytes.iter_mut().skip(at).zip(from).for_each(|(to, from)| *to = from);
    };
    let selector = |selector: u32| u64::from(selector & 0xFFFF);
    put(
        USER_REGISTERS,
        &[
            cpu.r15,
            cpu.r14,
            cpu.r13,
            cpu.r12,
            cpu.rbp,
            cpu.rbx,
            cpu.r11,
            cpu.r10,
            cpu.r9,
            cpu.r8,
            cpu.rax,
            cpu.rcx,
            cpu.rdx,
            cpu.rsi,
            cpu.rdi,
            // Error code and vector of an exception: there is none.
            0,
            cpu.rip,
            selector(cpu.cs_sel),
            cpu.rflags,
            cpu.rsp,
            selector(cpu.ss_sel),
            selector(cpu.es_sel),
            selector(cpu.ds_sel),
            selector(cpu.fs_sel),
            selector(cpu.gs_sel),
        ],
    );
    put(CONTROL_REGISTERS, &[cpu.cr0, 0, cpu.cr2, cpu.cr3, cpu.cr4]);
    put(DEBUG_REGISTERS, &[cpu.dr0, cpu.dr1, cpu.dr2, cpu.dr3, 0, 0, cpu.dr6, cpu.dr7]);
    // In user space the kernel's base of GS waits in the shadow.
    put(SEGMENT_BASES, &[cpu.fs_base, cpu.shadow_gs, cpu.gs_base]);
    bytes
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn registers_lie_where_the_header_has_them() {
        let cpu = Cpu {
            rip: 0x1111,
            rsp: 0x2222,
            rdi: 0x3333,
            cr3: 0x4444,
            cs_sel: 0x10,
            gs_sel: 0x20,
            dr7: 0x400,
            ..Cpu::new_zeroed()
        };
        let bytes = rendered(&cpu);
        let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes.len(), BYTES);
        // rip is the 17th of the user registers, and what follows is 200 bytes from their start.
        assert_eq!(
            (word(520 + 14 * 8), word(520 + 16 * 8), word(520 + 17 * 8)),
            (0x3333, 0x1111, 0x10)
        );
        assert_eq!((word(520 + 19 * 8), word(520 + 24 * 8)), (0x2222, 0x20));
        assert_eq!((word(4984 + 3 * 8), word(5048 + 7 * 8)), (0x4444, 0x400));
        assert_eq!(of_vcpu(&[], 0), vec![0; BYTES]);
    }
}
