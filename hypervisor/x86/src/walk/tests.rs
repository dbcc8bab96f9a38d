//! The walker against tables built by hand, and against random ones.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CR0_WP: u64 = Cr0::WP.bits();
const CR0_PG: u64 = Cr0::PG.bits();
const CR4_PSE: u64 = Cr4::PSE.bits();
const CR4_PAE: u64 = Cr4::PAE.bits();
const CR4_SMEP: u64 = Cr4::SMEP.bits();
const EFER_LMA: u64 = Efer::LMA.bits();
const EFER_NXE: u64 = Efer::NXE.bits();
const PRESENT: u64 = Pte::PRESENT.bits();
const WRITABLE: u64 = Pte::WRITE.bits();
const USER: u64 = Pte::USER.bits();
const LARGE: u64 = Pte::LARGE.bits();
const NO_EXECUTE: u64 = Pte::NX.bits();

const PG: u64 = CR0_PG | CR0_WP;
const LONG: Paging =
    Paging { cr0: PG, cr3: 0x1000, cr4: CR4_PAE, efer: EFER_LMA | EFER_NXE, physical_bits: 40 };
const PAE: Paging = Paging { efer: EFER_NXE, ..LONG };
const LEGACY: Paging = Paging { cr4: CR4_PSE, efer: 0, ..LONG };
const ALL: u64 = PRESENT | WRITABLE | USER;
const USER_READ: Access = Access { kind: Kind::Read, user: true };
const USER_WRITE: Access = Access { kind: Kind::Write, user: true };
const USER_FETCH: Access = Access { kind: Kind::Fetch, user: true };
const FETCH: Access = Access { kind: Kind::Fetch, user: false };

type Outcome = Result<(u64, u64), u32>;

fn look(paging: &Paging, memory: &[(u64, u64)], address: u64, access: Access) -> Outcome {
    let memory: BTreeMap<u64, u64> = memory.iter().copied().collect();
    let read = |gpa: Gpa| -> Result<u64, ()> {
        assert_eq!(gpa.0 % 8, 0);
        Ok(memory.get(&gpa.0).copied().unwrap_or(0))
    };
    match walk(paging, address, access, read) {
        Ok(Translation { gpa, page_bytes }) => Ok((gpa.0, page_bytes)),
        Err(WalkError::Fault(fault)) => Err(fault.code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn off() {
    let paging = Paging { cr0: 1, ..LONG };
    assert_eq!(look(&paging, &[], 0x1_2345_6789, Access::WRITE), Ok((0x2345_6789, 4096)));
}

#[test]
fn long_mode() {
    let address = 0xffff_8880_1234_5678u64;
    let tables = |pml4e, pdpte, pde, pte| {
        [
            (0x1000 + (address >> 39 & 511) * 8, pml4e),
            (0x2000 + (address >> 30 & 511) * 8, pdpte),
            (0x3000 + (address >> 21 & 511) * 8, pde),
            (0x4000 + (address >> 12 & 511) * 8, pte),
        ]
    };
    let good = tables(0x2000 | ALL, 0x3000 | ALL, 0x4000 | ALL, 0xab_cdef_5000 | ALL);
    assert_eq!(look(&LONG, &good, address, USER_WRITE), Ok((0xab_cdef_5678, 4096)));
    let large = tables(0x2000 | ALL, 0x3000 | ALL, 0x4060_0000 | ALL | LARGE | 1 << 12, 0);
    assert_eq!(look(&LONG, &large, address, USER_READ), Ok((0x4074_5678, 1 << 21)));
    let huge = tables(0x2000 | ALL, 0x1_4000_0000 | ALL | LARGE, 0, 0);
    assert_eq!(look(&LONG, &huge, address, USER_READ), Ok((0x1_5234_5678, 1 << 30)));
    // Missing entries.
    let missing = tables(0x2000 | ALL, 0x3000 | ALL, 0x4000 | ALL, 0);
    assert_eq!(look(&LONG, &missing, address, USER_WRITE), Err(6));
    assert_eq!(look(&LONG, &missing, address, USER_FETCH), Err(0x14));
    assert_eq!(look(&LONG, &missing, address, Access::READ), Err(0));
    // Reserved bits.
    let wide = tables(0x2000 | ALL, 0x3000 | ALL, 0x4000 | ALL, 1 << 40 | ALL);
    assert_eq!(look(&LONG, &wide, address, Access::READ), Err(9));
    let skewed = tables(0x2000 | ALL, 0x3000 | ALL, 0x4060_2000 | ALL | LARGE, 0);
    assert_eq!(look(&LONG, &skewed, address, Access::READ), Err(9));
    let pml4 = tables(0x2000 | ALL | LARGE, 0, 0, 0);
    assert_eq!(look(&LONG, &pml4, address, Access::READ), Err(9));
    let read = |_| Ok::<u64, ()>(0);
    assert_eq!(walk(&LONG, 1 << 47, Access::READ, read), Err(WalkError::NonCanonical));
    assert_eq!(walk(&LONG, 0, Access::READ, |_| Err(7)), Err(WalkError::Memory(7)));
}

#[test]
fn rights_are_the_least_of_all_levels() {
    let walk_with = |pde: u64, pte: u64, paging: Paging, access| {
        look(
            &paging,
            &[(0x1000, 0x2000 | ALL), (0x2000, 0x3000 | ALL), (0x3000, pde), (0x4000, pte)],
            0x123,
            access,
        )
    };
    let (table, page) = (0x4000 | PRESENT, 0x5000 | PRESENT);
    let ok = Ok((0x5123, 4096));
    let kernel = |pde, pte, access| walk_with(table | pde, page | pte, LONG, access);
    assert_eq!(kernel(0, 0, Access::READ), ok);
    assert_eq!(kernel(WRITABLE, 0, Access::WRITE), Err(3));
    assert_eq!(kernel(0, WRITABLE, Access::WRITE), Err(3));
    assert_eq!(kernel(WRITABLE, WRITABLE, Access::WRITE), ok);
    assert_eq!(kernel(USER, 0, USER_READ), Err(5));
    assert_eq!(kernel(USER, USER, USER_READ), ok);
    assert_eq!(kernel(USER, USER, USER_WRITE), Err(7));
    assert_eq!(kernel(NO_EXECUTE, 0, FETCH), Err(0x11));
    assert_eq!(kernel(0, 0, FETCH), ok);
    let no_wp = Paging { cr0: CR0_PG, ..LONG };
    assert_eq!(walk_with(table, page, no_wp, Access::WRITE), ok);
    assert_eq!(walk_with(table | USER, page | USER, no_wp, USER_WRITE), Err(7));
    let no_nx = Paging { efer: EFER_LMA, ..LONG };
    assert_eq!(walk_with(table, page | NO_EXECUTE, no_nx, Access::READ), Err(9));
    let smep = Paging { cr4: CR4_PAE | CR4_SMEP, ..LONG };
    assert_eq!(walk_with(table | USER, page | USER, smep, FETCH), Err(0x11));
    assert_eq!(walk_with(table | USER, page | USER, smep, USER_FETCH), ok);
}

#[test]
fn pae() {
    let paging = Paging { cr3: 0x1020, ..PAE };
    let address = 0xc123_4567;
    let tables = |pdpte, pde, pte| [(0x1038, pdpte), (0x2048, pde), (0x31a0, pte)];
    let good = tables(0x2001, 0x3000 | ALL, 0x5000 | ALL);
    assert_eq!(look(&paging, &good, address, USER_WRITE), Ok((0x5567, 4096)));
    assert_eq!(look(&paging, &good, address | 1 << 32, USER_WRITE), Ok((0x5567, 4096)));
    let large = tables(0x2001, 0x8020_0000 | ALL | LARGE, 0);
    assert_eq!(look(&paging, &large, address, USER_WRITE), Ok((0x8023_4567, 1 << 21)));
    assert_eq!(look(&paging, &tables(0x2003, 0, 0), address, Access::READ), Err(9));
    let high = tables(0x2001, 0x3000 | ALL, 0x5000 | ALL | 1 << 52);
    assert_eq!(look(&paging, &high, address, Access::READ), Err(9));
}

#[test]
fn legacy() {
    let address = 0x0040_3004;
    let tables = |pde: u64, pte: u64| [(0x1000, pde << 32), (0x2008, pte << 32)];
    let good = tables(0x2000 | ALL, 0xffff_f000 | ALL);
    assert_eq!(look(&LEGACY, &good, address, USER_WRITE), Ok((0xffff_f004, 4096)));
    assert_eq!(look(&LEGACY, &tables(0x2007, 0), address, FETCH), Err(0), "no NX, no fetch bit");
    let large = tables(0xc000_0000 | 0x5_6000 | ALL | LARGE, 0);
    assert_eq!(look(&LEGACY, &large, address, USER_WRITE), Ok((0x2b_c000_3004, 1 << 22)));
    let no_pse = Paging { cr4: 0, ..LEGACY };
    assert_eq!(
        look(&no_pse, &tables(0x2000 | ALL | LARGE, 0x7007), address, USER_READ),
        Ok((0x7004, 4096))
    );
    assert_eq!(look(&LEGACY, &tables(1 << 21 | ALL | LARGE, 0), address, Access::READ), Err(9));
}

proptest! {
    /// Whatever the tables hold, the walk ends within four reads and keeps the offset.
    #[test]
    fn random_tables(cr0: u64, cr3: u64, cr4: u64, efer: u64, physical_bits: u8, address: u64,
                     user: bool, entries in proptest::collection::vec(any::<u64>(), 4)) {
        let paging = Paging { cr0, cr3, cr4, efer, physical_bits };
        let mut reads = entries.iter();
        let access = Access { kind: Kind::Write, user };
        let result = walk(&paging, address, access, |_| reads.next().copied().map(|e| e | 1).ok_or(()));
        prop_assert_ne!(result, Err(WalkError::Memory(())));
        if let Ok(found) = result {
            prop_assert_eq!(found.gpa.0 % 4096, address % 4096);
            prop_assert!(found.gpa.0 >> 52 == 0);
        }
    }
}
