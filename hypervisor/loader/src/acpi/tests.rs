//! A machine's tables in memory: what is read of them, and what the control domain gets.

use std::collections::BTreeMap;
use std::format;
use std::vec;
use std::vec::Vec;

use hv_core::types::Gpa;
use proptest::prelude::*;

use super::dom0::Dom0Tables;
use super::header::{HEADER_BYTES, seal, seal_sum, sum};
use super::*;

const DSDT: u64 = 0x7FFE_0000;
const FADT: u64 = 0x7FFE_1000;
const MADT: u64 = 0x7FFE_2000;
const SSDT: u64 = 0x7FFE_3000;
const OTHERS: u64 = 0x7FFE_4000;
const ROOT: u64 = 0x7FFE_F000;
const RSDP: u64 = 0xF_5A40;

/// Pieces of memory by their address.
#[derive(Clone, Default)]
struct Memory(BTreeMap<u64, Vec<u8>>);

impl PhysRead for Memory {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        let Some((start, piece)) = self.0.range(..=address).next_back() else { return false };
        let at = (address - start) as usize;
        let Some(bytes) = piece.get(at..at.saturating_add(into.len())) else { return false };
        into.copy_from_slice(bytes);
        true
    }
}

fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut table = vec![0; HEADER_BYTES];
    table[..4].copy_from_slice(signature);
    table[8] = revision;
    table[10..16].copy_from_slice(b"BOCHS ");
    table.extend(body);
    seal(&mut table);
    table
}

fn set(table: &mut [u8], at: usize, bytes: &[u8]) {
    table[at..at + bytes.len()].copy_from_slice(bytes);
}

fn fadt() -> Vec<u8> {
    let mut fadt = table(b"FACP", 3, &[0; 208]);
    set(&mut fadt, 40, &(DSDT as u32).to_le_bytes());
    set(&mut fadt, 46, &[9, 0, 0xB2, 0, 0, 0, 2]);
    set(&mut fadt, 56, &0x600u32.to_le_bytes());
    set(&mut fadt, 64, &0x604u32.to_le_bytes());
    set(&mut fadt, 76, &0x608u32.to_le_bytes());
    set(&mut fadt, 88, &[4, 2, 0, 4]);
    set(&mut fadt, 112, &(1u32 << 10 | 1 << 8).to_le_bytes());
    // The reset register: port 0xCF9, value 15.
    set(&mut fadt, 116, &[1, 8, 0, 0, 0xF9, 0x0C, 0, 0, 0, 0, 0, 0, 15]);
    // X_PM1a_CNT wins over the 32-bit field.
    set(&mut fadt, 172, &[1, 16, 0, 0, 0x04, 0x16, 0, 0, 0, 0, 0, 0]);
    seal(&mut fadt);
    fadt
}

/// Two processors (one of them listed twice), one absent, an IO-APIC, two overrides, an NMI.
fn madt() -> Vec<u8> {
    let mut body = vec![0, 0, 0xE0, 0xFE, 1, 0, 0, 0];
    body.extend([0, 8, 0, 0, 1, 0, 0, 0]);
    body.extend([0, 8, 1, 5, 1, 0, 0, 0]);
    body.extend([0, 8, 2, 0xFF, 0, 0, 0, 0]);
    body.extend([9, 16, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    body.extend([9, 16, 0, 0, 0x34, 0x12, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0]);
    body.extend([1, 12, 2, 0, 0, 0, 0xC0, 0xFE, 0, 0, 0, 0]);
    body.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
    body.extend([2, 10, 0, 9, 9, 0, 0, 0, 0x0D, 0]);
    body.extend([4, 6, 0xFF, 0, 0, 1]);
    body.extend([5, 12, 0, 0, 0, 0, 0xE0, 0xFE, 0, 0, 0, 0]);
    table(b"APIC", 5, &body)
}

/// A machine whose firmware gives an RSDT, or an XSDT too.
fn machine(xsdt: bool) -> Memory {
    let mut memory = Memory::default();
    let mut list = vec![FADT, MADT, SSDT];
    memory.0.insert(DSDT, table(b"DSDT", 2, b"\x08_S5_\x12\x07\x04\x0A\x05\x01\x00\x00"));
    memory.0.insert(FADT, fadt());
    memory.0.insert(MADT, madt());
    memory.0.insert(SSDT, table(b"SSDT", 1, b"aml"));
    let ecam = [0u64.to_le_bytes(), 0xB000_0000u64.to_le_bytes(), [0, 0, 0, 0xFF, 0, 0, 0, 0]];
    for (signature, body) in [
        (
            b"HPET",
            [&[1, 0xA2, 0x86, 0x80, 0, 64, 0, 0, 0, 0, 0xD0, 0xFE, 0, 0, 0, 0][..], &[0; 4]]
                .concat(),
        ),
        (b"MCFG", ecam.concat()),
        (b"DMAR", vec![0; 12]),
        (b"OEM1", vec![]),
        (b"SRAT", vec![0; 12]),
    ] {
        let at = OTHERS + (list.len() as u64) * 0x100;
        memory.0.insert(at, table(signature, 1, &body));
        list.push(at);
    }
    let narrow: Vec<u8> = list.iter().flat_map(|at| (*at as u32).to_le_bytes()).collect();
    memory.0.insert(ROOT, table(b"RSDT", 1, &narrow));
    let wide: Vec<u8> = list.iter().flat_map(|at| at.to_le_bytes()).collect();
    memory.0.insert(ROOT + 0x800, table(b"XSDT", 1, &wide));

    let mut rsdp = vec![0; 36];
    set(&mut rsdp, 0, b"RSD PTR ");
    set(&mut rsdp, 9, b"BOCHS ");
    set(&mut rsdp, 16, &(ROOT as u32).to_le_bytes());
    if xsdt {
        rsdp[15] = 2;
        set(&mut rsdp, 20, &[36]);
        set(&mut rsdp, 24, &(ROOT + 0x800).to_le_bytes());
    }
    seal_sum(&mut rsdp[..20], 8);
    seal_sum(&mut rsdp, 32);
    let mut bios = vec![0; 0x2_0000];
    set(&mut bios, (RSDP - 0xE_0000) as usize, &rsdp);
    memory.0.insert(0xE_0000, bios);
    memory
}

fn tables(memory: &Memory) -> Tables {
    Tables::new(memory, Rsdp::scan_bios(memory).unwrap()).unwrap()
}

#[test]
fn the_hosts_tables_are_found_by_either_root() {
    for (xsdt, root) in [(false, "RSDT"), (true, "XSDT")] {
        let memory = machine(xsdt);
        let tables = tables(&memory);
        assert_eq!(tables.rsdp(), &Rsdp::at(&memory, RSDP).unwrap());
        assert_eq!(format!("{}", tables.root_table().signature), root);
        let names: Vec<_> = tables.iter().map(|table| format!("{}", table.signature)).collect();
        assert_eq!(names, ["FACP", "APIC", "SSDT", "HPET", "MCFG", "DMAR", "OEM1", "SRAT"]);
    }
    assert_eq!(Rsdp::scan_bios(&Memory::default()), Err(AcpiError::NoRsdp));
}

#[test]
fn processors_and_interrupts() {
    let memory = machine(true);
    let madt = Madt::parse(&tables(&memory).load(&memory, Signature::MADT).unwrap()).unwrap();
    assert_eq!((madt.revision, madt.local_apic_address, madt.flags), (5, 0xFEE0_0000, 1));
    let cpu = |uid, apic_id, enabled| LocalApic { uid, apic_id, enabled, online_capable: !enabled };
    assert_eq!(madt.cpus, [cpu(0, 0, true), cpu(1, 5, true), cpu(7, 0x1234, false)]);
    assert_eq!(madt.io_apics, [IoApic { id: 2, address: 0xFEC0_0000, gsi_base: 0 }]);
    let [timer, sci] = madt.overrides[..] else { panic!("two overrides") };
    assert_eq!((timer.irq, timer.gsi, timer.level(), timer.active_low()), (0, 2, false, false));
    assert_eq!((sci.irq, sci.gsi, sci.level(), sci.active_low()), (9, 9, true, false));
}

#[test]
fn power_management() {
    let memory = machine(true);
    let fadt = Fadt::parse(&tables(&memory).load(&memory, Signature::FADT).unwrap()).unwrap();
    let port = |bits, address| Register { space: AddressSpace::IO, bits, address };
    assert_eq!((fadt.sci, fadt.smi_command, fadt.acpi_enable, fadt.dsdt), (9, 0xB2, 2, DSDT));
    assert_eq!(fadt.pm1a_event, Some(port(32, 0x600)));
    assert_eq!(fadt.pm1a_control, Some(port(16, 0x1604)));
    assert_eq!(fadt.pm1b_control, None);
    assert_eq!(fadt.pm_timer, Some(port(32, 0x608)));
    assert!(fadt.pm_timer_is_32_bit());
    assert_eq!(fadt.reset, Some((port(8, 0xCF9), 15)));
    let dsdt = Table::at(&memory, fadt.dsdt, Signature::DSDT).unwrap().load(&memory).unwrap();
    assert_eq!(SleepType::find_s5(&dsdt), Some(SleepType { a: 5, b: 1 }));
    assert_eq!(SleepType::find_s5(b"_S5_\x12"), None);
}

#[test]
fn other_tables() {
    let memory = machine(true);
    let tables = tables(&memory);
    let mcfg = Mcfg::parse(&tables.load(&memory, Signature::MCFG).unwrap()).unwrap();
    let range = EcamRange { base: 0xB000_0000, segment: 0, first_bus: 0, last_bus: 255 };
    assert_eq!(mcfg.ranges, [range]);
    let hpet = Hpet::parse(&tables.load(&memory, Signature::HPET).unwrap()).unwrap();
    assert_eq!((hpet.registers.space, hpet.registers.address), (AddressSpace::MEMORY, 0xFED0_0000));
}

#[test]
fn what_is_wrong_with_a_table_is_named() {
    let mut memory = machine(true);
    memory.0.get_mut(&MADT).unwrap()[60] ^= 1;
    let error = tables(&memory).load(&memory, Signature::MADT).unwrap_err();
    assert_eq!(format!("{error}"), "ACPI table APIC has a wrong checksum; update the firmware");
    let error = tables(&memory).load(&memory, Signature(*b"BGRT")).unwrap_err();
    assert_eq!(error, AcpiError::Missing { table: Signature(*b"BGRT") });
    memory.0.remove(&(ROOT + 0x800));
    memory.0.remove(&ROOT);
    let error = Tables::new(&memory, Rsdp::at(&memory, RSDP).unwrap()).unwrap_err();
    assert_eq!(error, AcpiError::Unreadable { table: Signature::XSDT, address: ROOT + 0x800 });
}

#[test]
fn the_control_domain_sees_its_own_processors_and_what_is_its() {
    let mut memory = machine(true);
    let host = tables(&memory);
    let visible = Dom0Tables::new(&memory, &host, 3, |table| table.address != SSDT).unwrap();
    let at = 0x10_0000;
    let bytes = visible.place(Gpa(at));
    assert_eq!(bytes.len(), visible.bytes());
    memory.0.insert(at, bytes.clone());

    // Read back as a kernel would.
    let rsdp = Rsdp::at(&memory, at).unwrap();
    assert_eq!((rsdp.revision, rsdp.rsdt, sum(&bytes[..36])), (2, 0, 0));
    let seen = Tables::new(&memory, rsdp).unwrap();
    let names: Vec<_> = seen.iter().map(|table| format!("{}", table.signature)).collect();
    assert_eq!(names, ["APIC", "FACP", "MCFG", "OEM1"]);
    assert_eq!(seen.find(Signature::FADT), host.find(Signature::FADT));

    let madt = Madt::parse(&seen.load(&memory, Signature::MADT).unwrap()).unwrap();
    let own = Madt::parse(&host.load(&memory, Signature::MADT).unwrap()).unwrap();
    assert_eq!((madt.revision, madt.flags), (4, 0));
    assert_eq!((&madt.io_apics, &madt.overrides), (&own.io_apics, &own.overrides));
    let cpu = |uid| LocalApic { uid, apic_id: uid * 2, enabled: true, online_capable: false };
    assert_eq!(madt.cpus, [cpu(0), cpu(1), cpu(2)]);
}

proptest! {
    #[test]
    fn damaged_tables_are_refused_or_read(at in 0..400usize, byte: u8, cut in 0..400usize) {
        for mut table in [madt(), fadt(), machine(true).0.remove(&DSDT).unwrap()] {
            if let Some(place) = table.get_mut(at) {
                *place = byte;
            }
            table.truncate(cut);
            let _ = Madt::parse(&table);
            let _ = Fadt::parse(&table);
            let _ = Mcfg::parse(&table);
            let _ = Hpet::parse(&table);
            let _ = SleepType::find_s5(&table);
            let _ = Rsdp::parse(&table);
        }
    }
}
