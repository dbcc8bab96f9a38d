//! What guests find behind RDMSR and WRMSR.

use proptest::prelude::*;

use super::*;

const OFF: Context = Context { efer: Efer(0), paging: false };

fn read(index: u32) -> Result<Read, GpFault> {
    MsrState::default().read(index, &MsrPolicy::default())
}

fn write(index: u32, value: u64) -> Result<Write, GpFault> {
    MsrState::default().write(index, value, &MsrPolicy::default(), OFF, || 1000)
}

/// What the register lists of Linux and others touch at boot on AMD.
#[test]
fn boot_accesses_do_not_fault() {
    for index in [
        0x10,
        0x1b,
        0x8b,
        0xfe,
        0x174,
        0x175,
        0x176,
        0x179,
        0x17a,
        0x1d9,
        0x200,
        0x20f,
        0x250,
        0x26f,
        0x277,
        0x2ff,
        0x6e0,
        0x802,
        0xc000_0080,
        0xc000_0081,
        0xc000_0102,
        0xc001_0000,
        0xc001_0007,
        0xc001_0010,
        0xc001_0015,
        0xc001_001a,
        0xc001_001d,
        0xc001_001f,
        0xc001_0055,
        0xc001_0064,
        0xc001_0140,
        0xc001_0141,
        0xc001_0200,
        0xc001_1020,
        0xc001_1029,
        0x4000_0000,
    ] {
        assert!(read(index).is_ok(), "{index:#x}");
    }
    for index in [0xc001_0015, 0xc001_1029, 0xc001_0010, 0xc001_0004, 0xc001_1020, 0x1d9, 0x17a] {
        assert_eq!(write(index, 0x41), Ok(Write::Done), "{index:#x}");
    }
}

#[test]
fn unknown_registers_fault() {
    for index in [
        0,
        0x3a,
        0x48,
        0x49,
        0x122,
        0x1a0,
        0x345,
        0x48f,
        0xda0,
        0xc000_0103,
        0xc000_2000,
        0xc001_0117,
        0xc001_011f,
        0x4000_0001,
        u32::MAX,
    ] {
        assert_eq!(read(index), Err(GpFault), "{index:#x}");
        assert_eq!(write(index, 0), Err(GpFault), "{index:#x}");
    }
    assert_eq!(write(0x179, 0), Err(GpFault), "MCG_CAP is read-only");
    assert_eq!(write(0xfe, 0), Err(GpFault));
}

#[test]
fn vendors_differ() {
    let intel = MsrPolicy { intel: true, ..MsrPolicy::default() };
    let state = MsrState::default();
    assert_eq!(state.read(0x1a0, &intel), Ok(Read::Value(0x1801)));
    assert_eq!(state.read(0x3a, &intel), Ok(Read::Value(1)));
    assert_eq!(state.read(0xc001_0010, &intel), Err(GpFault));
    assert_eq!(read(0xc001_0015), Ok(Read::Value(1 << 24)));
    assert_eq!(read(0xc001_0114), Ok(Read::Value(0x18)));
}

#[test]
fn efer() {
    assert_eq!(write(0xc000_0080, 0x901), Ok(Write::Efer(Efer(0x901))));
    assert_eq!(write(0xc000_0080, 0x1000), Err(GpFault), "SVME");
    assert_eq!(write(0xc000_0080, 1 << 63), Err(GpFault));
    let mut state = MsrState::default();
    let long = Context { efer: Efer(0xd01), paging: true };
    let mut set = |value| state.write(0xc000_0080, value, &MsrPolicy::default(), long, || 0);
    assert_eq!(set(0x801), Err(GpFault), "LME while paging");
    assert_eq!(set(0x101), Ok(Write::Efer(Efer(0x501))), "LMA stays");
    assert_eq!(set(0xd01), Ok(Write::Efer(Efer(0xd01))));
}

#[test]
fn tsc() {
    let policy = MsrPolicy { tsc_adjust: true, tsc_aux: true, ..MsrPolicy::default() };
    let mut state = MsrState::default();
    let mut set = |index, value| state.write(index, value, &policy, OFF, || 1000);
    assert_eq!(set(0x10, 900), Ok(Write::ShiftTsc(100u64.wrapping_neg())));
    assert_eq!(set(0x3b, 0), Ok(Write::ShiftTsc(100)));
    assert_eq!(set(0xc000_0103, 7), Ok(Write::TscAux(7)));
    assert_eq!(set(0xc000_0103, 1 << 32), Err(GpFault));
    assert_eq!(state, MsrState { tsc_aux: 7, ..MsrState::default() });
    assert_eq!(state.read(0xc000_0103, &policy), Ok(Read::Value(7)));
    assert_eq!(read(0x3b), Err(GpFault));
}

#[test]
fn barriers() {
    let policy = MsrPolicy { ibpb: true, ..MsrPolicy::default() };
    let set = |value| MsrState::default().write(0x49, value, &policy, OFF, || 0);
    assert_eq!(set(1), Ok(Write::Hardware));
    assert_eq!(set(2), Err(GpFault));
    assert_eq!(MsrState::default().read(0x49, &policy), Err(GpFault));
}

#[test]
fn hypercall_page_and_pat() {
    assert_eq!(write(0x4000_0000, 0x1234_5000), Ok(Write::HypercallPage(Gfn(0x12345))));
    assert_eq!(write(0x4000_0000, 0x1234_5001), Err(GpFault));
    assert_eq!(write(0x277, 0x0007_0406_0007_0406), Ok(Write::ControlBlock));
    assert_eq!(write(0x277, 2), Err(GpFault));
    assert_eq!(write(0xc000_0082, u64::MAX), Ok(Write::ControlBlock));
}

proptest! {
    /// A register that can be written without fault can be read, and state stays valid.
    #[test]
    fn writable_is_readable(low in 0u32..0x2000, base in 0usize..4, value: u64, tsc: u64) {
        let index = [0, 0x4000_0000, 0xc000_0000, 0xc001_0000][base] + low;
        let mut state = MsrState::default();
        let policy = MsrPolicy::default();
        if state.write(index, value, &policy, OFF, || tsc).is_ok()
            && !matches!(index, 0x79 | 0xc001_0020)
        {
            prop_assert!(state.read(index, &policy).is_ok(), "{:#x}", index);
        }
    }
}
