//! The ACPI tables of a PVH guest: which vCPUs there are, and that there is no old hardware.
//!
//! RSDP, XSDT, FADT, MADT and an empty DSDT, as ACPI 6.1 has them. The FADT says that the
//! hardware is reduced: there are no PM registers, no timer chip and no interrupt controller but
//! the local APICs, so that kernels don't look for them.

/// Reduced hardware (FADT flags, bit 20).
const HW_REDUCED_ACPI: u32 = 1 << 20;
/// Neither VGA (bit 2) nor a CMOS clock (bit 5), nor message-signalled interrupts' absence.
const NO_VGA_NO_CMOS: u16 = 1 << 2 | 1 << 5;
const LOCAL_APIC: u32 = 0xFEE0_0000;

/// Bytes of the parts that have a fixed length.
const RSDP_BYTES: usize = 36;
const HEADER_BYTES: usize = 36;
const FADT_BYTES: usize = 268;

/// All tables for a guest of `vcpus` vCPUs, the RSDP first, as they have to lie at `at`.
///
/// A vCPU's processor number is its id, its APIC number twice that: as Xen has them.
pub fn tables(at: u64, vcpus: u32) -> Vec<u8> {
    let rsdp_at = at;
    let dsdt_at = align(rsdp_at + RSDP_BYTES as u64);
    let dsdt = table(b"DSDT", 2, &[]);
    let fadt_at = align(dsdt_at + dsdt.len() as u64);
    let fadt = fadt(dsdt_at);
    let madt_at = align(fadt_at + fadt.len() as u64);
    let madt = madt(vcpus);
    let xsdt_at = align(madt_at + madt.len() as u64);
    let xsdt = table(b"XSDT", 1, &[fadt_at.to_le_bytes(), madt_at.to_le_bytes()].concat());

    let mut bytes = rsdp(xsdt_at);
    for (place, part) in [(dsdt_at, dsdt), (fadt_at, fadt), (madt_at, madt), (xsdt_at, xsdt)] {
        bytes.resize(usize::try_from(place - at).unwrap_or(0), 0);
        bytes.extend(part);
    }
    bytes
}

fn align(address: u64) -> u64 {
    address.next_multiple_of(64)
}

fn rsdp(xsdt: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RSDP_BYTES);
    bytes.extend(b"RSD PTR \0XENOLI\x02");
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend((RSDP_BYTES as u32).to_le_bytes());
    bytes.extend(xsdt.to_le_bytes());
    bytes.extend([0; 4]);
    // The first checksum covers what version 1 had.
    let first = bytes.get(..20).map_or(0, checksum);
    if let Some(byte) = bytes.get_mut(8) {
        *byte = first;
    }
    let whole = checksum(&bytes);
    if let Some(byte) = bytes.get_mut(32) {
        *byte = whole;
    }
    bytes
}

/// A table with its header.
fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.extend(((HEADER_BYTES + body.len()) as u32).to_le_bytes());
    bytes.extend([revision, 0]);
    bytes.extend(b"XENOLIXENOLITH\x01\0\0\0XENO\x01\0\0\0");
    bytes.extend(body);
    let sum = checksum(&bytes);
    if let Some(byte) = bytes.get_mut(9) {
        *byte = sum;
    }
    bytes
}

fn fadt(dsdt: u64) -> Vec<u8> {
    let mut body = vec![0; FADT_BYTES - HEADER_BYTES];
    let mut put = |at: usize, value: &[u8]| {
        let place = body.iter_mut().skip(at - HEADER_BYTES);
        place.zip(value).for_each(|(to, from)| *to = *from);
    };
    put(40, &u32::try_from(dsdt).unwrap_or(0).to_le_bytes());
    put(109, &NO_VGA_NO_CMOS.to_le_bytes());
    put(112, &HW_REDUCED_ACPI.to_le_bytes());
    // The minor version.
    put(131, &[1]);
    put(140, &dsdt.to_le_bytes());
    table(b"FACP", 6, &body)
}

fn madt(vcpus: u32) -> Vec<u8> {
    let mut body = LOCAL_APIC.to_le_bytes().to_vec();
    // No 8259s.
    body.extend(0_u32.to_le_bytes());
    for vcpu in 0..vcpus {
        let apic = vcpu.saturating_mul(2);
        match (u8::try_from(vcpu), u8::try_from(apic)) {
            (Ok(id), Ok(apic)) if apic < u8::MAX => {
                body.extend([0, 8, id, apic]);
                body.extend(1_u32.to_le_bytes());
            }
            // A local x2APIC.
            _ => {
                body.extend([9, 16, 0, 0]);
                for number in [apic, 1, vcpu] {
                    body.extend(number.to_le_bytes());
                }
            }
        }
    }
    table(b"APIC", 4, &body)
}

/// What makes the sum of all bytes zero.
fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
        bytes[at..at + length].iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte))
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
    }

    #[test]
    fn every_table_is_found_and_adds_up() {
        const AT: u64 = 0xFC00_0000;
        let bytes = tables(AT, 3);
        let at = |address: u64| &bytes[(address - AT) as usize..];
        assert_eq!((&bytes[..8], sum(&bytes[..20]), sum(&bytes[..36])), (&b"RSD PTR "[..], 0, 0));
        let xsdt = at(number(&bytes, 24, 8));
        assert_eq!((&xsdt[..4], number(xsdt, 4, 4)), (&b"XSDT"[..], 52));
        let (fadt, madt) = (at(number(xsdt, 36, 8)), at(number(xsdt, 44, 8)));
        let dsdt = at(number(fadt, 140, 8));
        for (table, name) in [(xsdt, b"XSDT"), (fadt, b"FACP"), (madt, b"APIC"), (dsdt, b"DSDT")] {
            assert_eq!(&table[..4], name);
            assert_eq!(sum(&table[..number(table, 4, 4) as usize]), 0);
        }
        assert_eq!(number(fadt, 112, 4), 1 << 20);
        let entries: Vec<_> = madt[44..number(madt, 4, 4) as usize].chunks(8).collect();
        assert_eq!(entries[2], [0, 8, 2, 4, 1, 0, 0, 0]);
    }

    #[test]
    fn many_vcpus_have_x2apics() {
        let madt = madt(200);
        assert_eq!(&madt[44 + 128 * 8..44 + 128 * 8 + 4], [9, 16, 0, 0]);
        assert_eq!(madt.len(), 44 + 128 * 8 + 72 * 16);
    }
}
