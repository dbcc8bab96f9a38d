//! MSRs and faults: what a guest may read and write, and that the rest raises #GP.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::cpu::{Fault, cpuid, read_msr, undefined_instruction, write_msr};
use guest::{cpu, ensure, ensure_eq, note};
use x86defs::cpuid::{LEAF_EXT_FEATURES, LEAF_FEATURES};
use x86defs::exception::Exception;
use x86defs::msr::{Efer, Msr, PAT_RESET, is_valid_pat};

guest::guest!("msr_cpuid", test);

const GP: Fault = Fault { vector: Exception::GP.0, error_code: 0 };

fn test() {
    let fault = undefined_instruction();
    ensure_eq!(fault, Err(Fault { vector: Exception::UD.0, error_code: 0 }), "UD2");
    unknown();
    ordinary();
    efer();
    let once = cpuid(LEAF_FEATURES, 0);
    for _ in 0..100 {
        let again = cpuid(LEAF_FEATURES, 0);
        ensure_eq!((again.eax, again.ecx, again.edx), (once.eax, once.ecx, once.edx), "leaf 1");
    }
    let far = cpuid(0x8fff_ffff, 0);
    note!("leaf 0x8fffffff: {far:x?}");
    ensure!(cpuid(0x8000_0000, 0).eax >= LEAF_EXT_FEATURES, "no extended leaves");
}

fn unknown() {
    for msr in [0x4b_u32, 0x1234_5678, 0xdead_beef, 0xffff_ffff] {
        let read = read_msr(msr);
        ensure_eq!(read, Err(GP), "reading MSR {msr:#x}");
        let write = write_msr(msr, 0);
        ensure_eq!(write, Err(GP), "writing MSR {msr:#x}");
    }
}

fn ordinary() {
    let first = read_msr(Msr::PAT.0);
    ensure!(first.is_ok_and(is_valid_pat), "PAT is {first:x?}");
    ensure_eq!(write_msr(Msr::PAT.0, 0x0007_0106_0007_0406), Ok(()), "writing PAT");
    ensure_eq!(read_msr(Msr::PAT.0), Ok(0x0007_0106_0007_0406), "PAT after a write");
    ensure_eq!(write_msr(Msr::PAT.0, PAT_RESET), Ok(()), "writing PAT back");

    let before = cpu::tsc();
    let tsc = read_msr(Msr::TSC.0).unwrap_or(0);
    ensure!(tsc >= before && tsc <= cpu::tsc(), "the TSC's MSR is {tsc}, RDTSC {before}");

    for (msr, value) in [
        (Msr::STAR, 0x0023_0008_0000_0000),
        (Msr::LSTAR, 0xffff_8000_1234_5678),
        (Msr::CSTAR, 0x1234_5678),
        (Msr::SFMASK, 0x4_7700),
        (Msr::SYSENTER_CS, 8),
        (Msr::SYSENTER_ESP, 0x1_2345_6780),
        (Msr::SYSENTER_EIP, 0xffff_8000_0000_1000),
        (Msr::FS_BASE, 0x7000_0000),
        (Msr::GS_BASE, 0xffff_9000_0000_0000),
        (Msr::KERNEL_GS_BASE, 0x6000_0000),
    ] {
        ensure_eq!(write_msr(msr.0, value), Ok(()), "writing {:?}", msr.name());
        ensure_eq!(read_msr(msr.0), Ok(value), "{:?} after a write", msr.name());
    }
    let cap = read_msr(Msr::MTRR_CAP.0);
    ensure!(cap.is_ok(), "MTRR_CAP: {cap:?}");
}

fn efer() {
    let efer = Efer(read_msr(Msr::EFER.0).unwrap_or(0));
    ensure!(efer.contains(Efer::LME | Efer::LMA), "EFER is {:#x}", efer.0);
    ensure!(!efer.contains(Efer::SVME), "EFER.SVME shows");
    let sce = efer | Efer::SCE | Efer::NXE;
    ensure_eq!(write_msr(Msr::EFER.0, sce.0), Ok(()), "setting EFER.SCE and EFER.NXE");
    ensure_eq!(read_msr(Msr::EFER.0), Ok(sce.0), "EFER after a write");
    let svme = write_msr(Msr::EFER.0, (efer | Efer::SVME).0);
    ensure_eq!(svme, Err(GP), "setting EFER.SVME");
    ensure_eq!(write_msr(Msr::EFER.0, efer.0 | 1 << 40), Err(GP), "reserved bits of EFER");
}
