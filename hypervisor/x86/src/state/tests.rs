//! Saved state against models: what is written is read back, and nothing that a toolstack or a
//! guest passes in gets through unchecked.

use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use x86defs::cr::{Cr4, Xcr0};
use x86defs::msr::Efer;
use xen_abi::Payload;
use xen_abi::hvm::hvm_vcpu::{VcpuHvmContext, VcpuHvmMode, VcpuHvmX86_32, VcpuHvmX86_64};
use xen_abi::hvm::save::{Cpu, FILE_MAGIC, FILE_VERSION, Header, RecordType, TscAdjust};
use zerocopy::{FromBytes, IntoBytes};

use super::records::{Malformed, Writer, find, parse};
use super::*;

const LIMITS: ControlLimits =
    ControlLimits { cr4: Cr4(0x37_0fff), efer: Efer(0xd01), physical_bits: 40 };

fn header() -> Header {
    Header { magic: FILE_MAGIC, version: FILE_VERSION, ..Header::default() }
}

fn pvh() -> VcpuHvmX86_32 {
    VcpuHvmX86_32 {
        eip: 0x10_0000,
        eflags: 2,
        cr0: 1,
        cs_limit: u32::MAX,
        ds_limit: u32::MAX,
        ss_limit: u32::MAX,
        es_limit: u32::MAX,
        tr_limit: 0x67,
        cs_ar: 0xc9b,
        ds_ar: 0xc93,
        ss_ar: 0xc93,
        es_ar: 0xc93,
        tr_ar: 0x08b,
        ..VcpuHvmX86_32::default()
    }
}

fn in_32(registers: &VcpuHvmX86_32) -> VcpuHvmContext {
    VcpuHvmContext {
        mode: VcpuHvmMode::MODE_32B,
        cpu_regs: Payload::new(registers),
        ..VcpuHvmContext::default()
    }
}

fn long() -> VcpuHvmX86_64 {
    VcpuHvmX86_64 {
        rip: 0xffff_8000_0000_1000,
        rflags: 2,
        cr0: 0x8000_0001,
        cr3: 0x1000,
        cr4: 0x20,
        efer: 0x100,
        ..VcpuHvmX86_64::default()
    }
}

fn in_64(registers: &VcpuHvmX86_64) -> VcpuHvmContext {
    VcpuHvmContext {
        mode: VcpuHvmMode::MODE_64B,
        cpu_regs: Payload::new(registers),
        ..VcpuHvmContext::default()
    }
}

/// Whether a vCPU would start so.
fn starts(context: &VcpuHvmContext) -> Result<(), Impossible> {
    start::state(context)?.check(&LIMITS)
}

#[test]
fn the_usual_starts() {
    assert_eq!(starts(&in_32(&pvh())), Ok(()));
    assert_eq!(starts(&in_64(&long())), Ok(()));
    let state = start::state(&in_64(&long())).unwrap();
    assert_eq!(state.paging.efer, 0x500, "long mode is active");
    assert_eq!(state.segments.cs.attributes, 0xa9b);
    let state = start::state(&in_32(&pvh())).unwrap();
    assert_eq!((state.paging.cr0, state.paging.efer), (0x11, 0));
    assert_eq!(state.segments.cs, Segment { selector: 0, attributes: 0xc9b, limit: !0, base: 0 });
}

#[test]
fn starts_that_are_refused() {
    let bad32: [fn(&mut VcpuHvmX86_32); 14] = [
        |it| it._pad0 = 1,
        |it| it._pad1 = [0, 0, 1],
        |it| it.cs_ar = 0xc93,
        |it| it.cs_ar = 0xc1b,
        |it| it.cs_ar = 0x1c9b,
        |it| it.cs_ar = 0xcfb,
        |it| it.ss_ar = 0xc91,
        |it| it.ds_ar = 0xc99,
        |it| it.tr_ar = 0x089,
        |it| it.cr0 = 0x8000_0000,
        |it| it.cr4 = 1 << 13,
        |it| it.efer = 1 << 12,
        |it| it.eflags = 1 << 31,
        |it| it.efer = 0x400,
    ];
    for (index, spoil) in bad32.iter().enumerate() {
        let mut registers = pvh();
        spoil(&mut registers);
        assert!(starts(&in_32(&registers)).is_err(), "{index}");
    }
    let bad64: [fn(&mut VcpuHvmX86_64); 7] = [
        |it| it.cr0 = 1,
        |it| it.cr4 = 0,
        |it| it.efer = 0,
        |it| it.cr3 = 1 << 40,
        |it| it.rflags = 1 << 17,
        |it| it.cr0 |= 1 << 29,
        |it| it.cr0 |= 1 << 32,
    ];
    for (index, spoil) in bad64.iter().enumerate() {
        let mut registers = long();
        spoil(&mut registers);
        assert!(starts(&in_64(&registers)).is_err(), "{index}");
    }
    let unknown = VcpuHvmContext { mode: VcpuHvmMode(2), ..in_32(&pvh()) };
    assert!(starts(&unknown).is_err());
    assert!(starts(&VcpuHvmContext { _pad0: 1, ..in_32(&pvh()) }).is_err());
}

#[test]
fn debuggers_see_the_kernels_own_gs() {
    let mut state = start::state(&in_64(&long())).unwrap();
    state.general.gpr = core::array::from_fn(|index| index as u64 + 1);
    (state.segments.gs.base, state.msrs[7]) = (0x1000, 0x2000);
    let context = debug::context(&state, &[7; 512], true);
    assert_eq!((context.gs_base_kernel, context.gs_base_user), (0x1000, 0x2000));
    assert_eq!((context.flags, context.fpu_ctxt), (0x25, [7; 512]));
    let regs = context.user_regs;
    assert_eq!([regs.rax, regs.rcx, regs.rdx, regs.rbx, regs.rsp], [1, 2, 3, 4, 5]);
    assert_eq!([regs.rbp, regs.rsi, regs.rdi, regs.r8, regs.r15], [6, 7, 8, 9, 16]);
    assert_eq!((regs.rip, context.ctrlreg[3]), (0xffff_8000_0000_1000, 0x1000));
    state.segments.ss.attributes |= 3 << 5;
    let context = debug::context(&state, &[7; 512], false);
    assert_eq!((context.gs_base_kernel, context.gs_base_user), (0x2000, 0x1000));
    assert_eq!(context.flags, 1);
}

#[test]
fn addresses_are_canonical() {
    for msr in [1, 2, 4, 5, 7] {
        let mut state = start::state(&in_64(&long())).unwrap();
        state.msrs[msr] = 0x8000_0000_0000;
        assert!(state.check(&LIMITS).is_err(), "{msr}");
        state.msrs[msr] = 0xffff_8000_0000_0000;
        assert_eq!(state.check(&LIMITS), Ok(()), "{msr}");
    }
}

#[test]
fn records_of_others() {
    let mut writer = Writer::new(&header());
    writer.put(RecordType::TSC_ADJUST, 3, &TscAdjust { tsc_adjust: 77 });
    let bytes = writer.finish();
    let records = parse(&bytes).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].read::<TscAdjust>(), Ok(TscAdjust { tsc_adjust: 77 }));
    assert_eq!(records[0].read::<u32>(), Err(Malformed));
    assert_eq!(find(&bytes, RecordType::TSC_ADJUST, 3), Some(77_u64.as_bytes()));
    assert_eq!(find(&bytes, RecordType::TSC_ADJUST, 0), None);
    assert_eq!(find(&bytes, RecordType::HEADER, 0).map(<[u8]>::len), Some(24));
    assert_eq!(find(&bytes, RecordType::END, 0), None);
    // Each prefix lacks something.
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end]).map(|_| ()), Err(Malformed), "{end}");
    }
    let wrong = Writer::new(&Header { version: 2, ..header() }).finish();
    assert_eq!(parse(&wrong), Err(Malformed));
    let mut headless = Writer::default();
    headless.put(RecordType::TSC_ADJUST, 0, &TscAdjust::default());
    assert_eq!(parse(&headless.finish()), Err(Malformed));
}

/// Sizes of a processor with SSE, AVX, and one more component.
fn bytes_of(components: u64) -> u32 {
    match components {
        0..=3 => 576,
        4..=7 => 832,
        _ => 1024,
    }
}

#[test]
fn extended_state() {
    let max = Xcr0(7);
    let mut image = vec![0; 832];
    xsave::set_present(&mut image, 7);
    assert_eq!(xsave::present(&image), 7);
    let record = |xcr0, image: &[u8]| {
        let masks = xsave::masks(xcr0, xsave::present(image), 7);
        [&masks, image].concat()
    };
    let body = record(7, &image);
    let found = xsave::parse(&body, max, bytes_of).unwrap();
    assert_eq!((found.xcr0, found.present, found.image.len()), (7, 7, 832));
    assert_eq!(xsave::parse(&body[..body.len() - 1], max, bytes_of), Err(Malformed));
    assert_eq!(xsave::parse(&body, Xcr0(3), bytes_of), Err(Malformed));
    assert_eq!(xsave::parse(&record(6, &image), max, bytes_of), Err(Malformed));
    for header in 520..576 {
        let mut image = image.clone();
        image[header] = 1;
        assert_eq!(xsave::parse(&record(7, &image), max, bytes_of), Err(Malformed), "{header}");
    }
}

proptest! {
    #[test]
    fn registers_survive_the_record(bytes in prop::collection::vec(any::<u8>(), size_of::<Cpu>())) {
        let mut cpu = Cpu::read_from_bytes(&bytes).unwrap();
        for sel in [
            &mut cpu.cs_sel, &mut cpu.ds_sel, &mut cpu.es_sel, &mut cpu.fs_sel, &mut cpu.gs_sel,
            &mut cpu.ss_sel, &mut cpu.tr_sel, &mut cpu.ldtr_sel, &mut cpu.cs_arbytes,
            &mut cpu.ds_arbytes, &mut cpu.es_arbytes, &mut cpu.fs_arbytes, &mut cpu.gs_arbytes,
            &mut cpu.ss_arbytes, &mut cpu.tr_arbytes, &mut cpu.ldtr_arbytes,
        ] {
            *sel &= 0xffff;
        }
        cpu.msr_tsc_aux &= 0xffff_ffff;
        let back = Cpu::from(&VcpuState::from(&cpu));
        // What registers aren't: extended state, TSC, flags.
        let expected = Cpu {
            fpu_regs: [0; 512], msr_flags: 0, tsc: 0, flags: 0, _pad0: 0, ..cpu
        };
        prop_assert_eq!(back, expected);
    }

    #[test]
    fn attributes_beyond_12_bits_are_refused(attributes in 0x1000_u32..) {
        let mut cpu = Cpu::from(&start::state(&in_32(&pvh())).unwrap());
        cpu.ds_arbytes = attributes;
        prop_assert!(VcpuState::from(&cpu).check(&LIMITS).is_err());
    }

    #[test]
    fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        if let Ok(records) = parse(&bytes) {
            for record in records {
                let _ = record.read::<Cpu>();
            }
        }
        let _ = xsave::parse(&bytes, Xcr0(7), bytes_of);
    }

    #[test]
    fn records_come_back(
        records in prop::collection::vec(
            (1_u16..30, any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)),
            0..10,
        ),
    ) {
        let mut writer = Writer::new(&header());
        for (kind, instance, body) in &records {
            writer.put_parts(RecordType(*kind), *instance, &[body]);
        }
        let bytes = writer.finish();
        let found: Vec<_> = parse(&bytes).unwrap();
        let found: Vec<_> =
            found.iter().map(|it| (it.kind.0, it.instance, it.body.to_vec())).collect();
        prop_assert_eq!(found, records);
    }

    #[test]
    fn what_passes_is_what_hardware_runs(
        cr0 in any::<u64>(), cr3 in any::<u64>(), cr4 in any::<u64>(), efer in any::<u64>(),
    ) {
        let mut state = start::state(&in_32(&pvh())).unwrap();
        // Mostly plausible values: else hardly any would pass.
        state.paging = PagingState {
            cr0: cr0 & 0xe005_003f,
            cr3: cr3 & 0xff_ffff_f000,
            cr4: cr4 & LIMITS.cr4.0,
            efer: efer & LIMITS.efer.0,
        };
        state.normalise();
        if state.check(&LIMITS).is_ok() {
            let PagingState { cr0, cr4, efer, .. } = state.paging;
            let (pg, pe) = (cr0 >> 31 & 1 == 1, cr0 & 1 == 1);
            // AMD64 APM vol. 2, 15.5.1: canonicalisation and consistency checks.
            prop_assert!(!(cr0 >> 29 & 1 == 1 && cr0 >> 30 & 1 == 0));
            prop_assert!(!(efer >> 8 & 1 == 1 && pg && cr4 >> 5 & 1 == 0));
            prop_assert!(!(efer >> 8 & 1 == 1 && pg && !pe));
        }
    }
}
