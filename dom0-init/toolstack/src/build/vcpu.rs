//! The state in which a PVH guest's first vCPU starts: 32-bit protected mode without paging, and
//! where everything is in EBX.

use xen_abi::hvm::save::{Cpu, Descriptor, Header, Mtrr, RecordType};
use zerocopy::{FromZeros, IntoBytes};

use super::records::record;

/// Attributes in the packed form: flat 32-bit code, flat 32-bit data, a busy 32-bit TSS.
const CODE: u32 = 0xC9B;
const DATA: u32 = 0xC93;
const TASK: u32 = 0x8B;
const TASK_LIMIT: u32 = 0x67;
/// Protection enabled; extension type, which always is set.
const CR0: u64 = 1 | 1 << 4;
/// The bit of RFLAGS that always is set.
const RFLAGS: u64 = 1 << 1;
const DR6: u64 = 0xFFFF_0FF0;
const DR7: u64 = 0x400;
/// Memory is cached unless pages say otherwise: MTRRs on, write-back.
const MTRR_DEFAULT: u64 = 1 << 11 | 6;

/// Records that make every vCPU's memory cached.
pub fn memory_types(saved: &[u8], vcpus: u32) -> Vec<Vec<u8>> {
    let header = header(saved);
    let Some(mtrr) = record::<Mtrr>(saved, RecordType::MTRR, None) else { return Vec::new() };
    let mtrr = Mtrr { msr_mtrr_def_type: MTRR_DEFAULT, ..mtrr };
    (0..u16::try_from(vcpus).unwrap_or(u16::MAX))
        .map(|vcpu| context(&header, RecordType::MTRR, vcpu, &mtrr))
        .collect()
}

/// Records that let vCPU 0 start at `entry` with `start_info` in EBX.
pub fn first_vcpu(saved: &[u8], entry: u64, start_info: u64) -> Vec<u8> {
    let flat = u32::MAX;
    let cpu = Cpu {
        cr0: CR0,
        rip: entry,
        rbx: start_info,
        rflags: RFLAGS,
        cs_limit: flat,
        ds_limit: flat,
        es_limit: flat,
        ss_limit: flat,
        tr_limit: TASK_LIMIT,
        cs_arbytes: CODE,
        ds_arbytes: DATA,
        es_arbytes: DATA,
        ss_arbytes: DATA,
        tr_arbytes: TASK,
        dr6: DR6,
        dr7: DR7,
        ..Cpu::new_zeroed()
    };
    context(&header(saved), RecordType::CPU, 0, &cpu)
}

/// The header of what the hypervisor saved, which it wants to see again.
fn header(saved: &[u8]) -> Header {
    record(saved, RecordType::HEADER, None).unwrap_or_default()
}

/// A context of one record: header, record, end.
fn context<T: IntoBytes + zerocopy::Immutable>(
    header: &Header,
    typecode: RecordType,
    instance: u16,
    value: &T,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut put = |typecode, instance, value: &[u8]| {
        let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(Descriptor { typecode, instance, length }.as_bytes());
        bytes.extend_from_slice(value);
    };
    put(RecordType::HEADER, 0, header.as_bytes());
    put(typecode, instance, value.as_bytes());
    put(RecordType::END, 0, &[]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Vec<u8> {
        let header = Header { cpuid: 0x77, ..Header::default() };
        let mut saved =
            context(&header, RecordType::MTRR, 0, &Mtrr { msr_pat_cr: 5, ..Mtrr::default() });
        saved.truncate(saved.len() - size_of::<Descriptor>());
        saved.extend(context(&header, RecordType::MTRR, 1, &Mtrr::default()));
        saved
    }

    #[test]
    fn the_first_vcpu_starts_in_protected_mode() {
        let bytes = first_vcpu(&saved(), 0x100_0000, 0x2000);
        let cpu: Cpu = record(&bytes, RecordType::CPU, None).unwrap();
        assert_eq!((cpu.rip, cpu.rbx, cpu.cr0, cpu.cs_arbytes), (0x100_0000, 0x2000, 0x11, 0xC9B));
        assert_eq!(record::<Header>(&bytes, RecordType::HEADER, None).unwrap().cpuid, 0x77);
        assert_eq!(bytes.len(), 8 + 24 + 8 + 1032 + 8);
    }

    #[test]
    fn memory_is_cached_on_every_vcpu() {
        let all = memory_types(&saved(), 3);
        assert_eq!(all.len(), 3);
        let mtrr: Mtrr = record(&all[2], RecordType::MTRR, None).unwrap();
        assert_eq!((mtrr.msr_mtrr_def_type, mtrr.msr_pat_cr), (0x806, 5));
    }

    #[test]
    fn damaged_records_are_no_records() {
        let bytes = saved();
        for end in 0..bytes.len() {
            let _answered = memory_types(&bytes[..end], 1);
        }
        assert!(memory_types(&[], 1).is_empty());
    }
}
