//! Just enough ACPI to find the CPUs: RSDP, XSDT or RSDT, MADT.

use crate::memory::peek;
use crate::start_info;

/// A CPU of the MADT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// ACPI processor UID, which is the vCPU id.
    pub uid: u32,
    /// Local APIC id.
    pub apic_id: u32,
}

const ENABLED: u32 = 1;

/// Checks that the bytes of a table add up to zero.
#[must_use]
pub fn checksum(address: u64, length: u64) -> bool {
    (0..length).fold(0_u8, |sum, offset| sum.wrapping_add(peek(address + offset))) == 0
}

/// Address and length of the table with this signature.
#[must_use]
pub fn table(signature: &[u8; 4]) -> Option<(u64, u64)> {
    let rsdp = start_info::get().rsdp_paddr;
    if rsdp == 0 || peek::<[u8; 8]>(rsdp) != *b"RSD PTR " {
        return None;
    }
    let xsdt: u64 = if peek::<u8>(rsdp + 15) >= 2 { peek(rsdp + 24) } else { 0 };
    let (root, width) = match xsdt {
        0 => (u64::from(peek::<u32>(rsdp + 16)), 4),
        _ => (xsdt, 8),
    };
    let length = u64::from(peek::<u32>(root + 4));
    (36..length).step_by(width).find_map(|offset| {
        let address =
            if width == 4 { u64::from(peek::<u32>(root + offset)) } else { peek(root + offset) };
        (peek::<[u8; 4]>(address) == *signature)
            .then(|| (address, u64::from(peek::<u32>(address + 4))))
    })
}

/// The enabled CPUs of a MADT.
pub fn cpus(madt: u64, length: u64) -> impl Iterator<Item = Cpu> {
    let mut offset = 44;
    core::iter::from_fn(move || {
        while offset + 2 <= length {
            let entry = madt + offset;
            let (kind, bytes): (u8, u8) = (peek(entry), peek(entry + 1));
            offset += u64::from(bytes.max(2));
            let (cpu, flags) = match kind {
                0 => (
                    Cpu {
                        uid: u32::from(peek::<u8>(entry + 2)),
                        apic_id: u32::from(peek::<u8>(entry + 3)),
                    },
                    peek::<u32>(entry + 4),
                ),
                9 => (
                    Cpu { uid: peek(entry + 12), apic_id: peek(entry + 4) },
                    peek::<u32>(entry + 8),
                ),
                _ => continue,
            };
            if flags & ENABLED != 0 {
                return Some(cpu);
            }
        }
        None
    })
}
