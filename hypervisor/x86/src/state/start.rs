//! The registers that a kernel gives to one of its vCPUs by `VCPUOP_initialise` (public header
//! `hvm/hvm_vcpu.h`).

use x86defs::cr::{Cr0, Cr4};
use x86defs::msr::Efer;
use xen_abi::hvm::hvm_vcpu::{VcpuHvmContext, VcpuHvmMode, VcpuHvmX86_32, VcpuHvmX86_64};

use super::attribute::{ACCESSED, ALL, BIG, CODE, LONG, PRESENT, READ_WRITE, TYPE, USER};
use super::{Impossible, PagingState, Segment, Segments, VcpuState};
use crate::decode::Registers;

const GRANULAR: u16 = 1 << 11;
const FLAT_DATA: u16 = PRESENT | USER | READ_WRITE | ACCESSED | BIG | GRANULAR;
const FLAT_CODE_64: u16 = PRESENT | USER | CODE | READ_WRITE | ACCESSED | LONG | GRANULAR;
const BUSY_TSS_32: u16 = 0xb;
const BUSY_TSS_16: u16 = 0x3;
const LDT: u16 = PRESENT | 0x2;

const fn flat(attributes: u16) -> Segment {
    Segment { selector: 0, attributes, limit: u32::MAX, base: 0 }
}

const TASK: Segment =
    Segment { selector: 0, attributes: PRESENT | BUSY_TSS_32, limit: 0x67, base: 0 };
const NO_LDT: Segment = Segment { selector: 0, attributes: LDT, limit: 0xffff, base: 0 };

/// The state that the argument of `VCPUOP_initialise` asks for.
///
/// # Errors
/// What of it isn't allowed.
pub fn state(context: &VcpuHvmContext) -> Result<VcpuState, Impossible> {
    if context._pad0 != 0 {
        return Err(Impossible("padding isn't zero"));
    }
    let mut state = match context.mode {
        VcpuHvmMode::MODE_32B => protected(&context.cpu_regs.read())?,
        VcpuHvmMode::MODE_64B => long(&context.cpu_regs.read())?,
        _ => return Err(Impossible("unknown mode")),
    };
    state.normalise();
    Ok(state)
}

fn protected(wanted: &VcpuHvmX86_32) -> Result<VcpuState, Impossible> {
    if wanted._pad0 != 0 || wanted._pad1 != [0; 3] {
        return Err(Impossible("padding isn't zero"));
    }
    let VcpuHvmX86_32 { eax, ecx, edx, ebx, esp, ebp, esi, edi, .. } = *wanted;
    let segment = |base: u32, limit, attributes| Segment {
        selector: 0,
        attributes,
        limit,
        base: base.into(),
    };
    let segments = Segments {
        es: segment(wanted.es_base, wanted.es_limit, wanted.es_ar),
        cs: segment(wanted.cs_base, wanted.cs_limit, wanted.cs_ar),
        ss: segment(wanted.ss_base, wanted.ss_limit, wanted.ss_ar),
        ds: segment(wanted.ds_base, wanted.ds_limit, wanted.ds_ar),
        tr: segment(wanted.tr_base, wanted.tr_limit, wanted.tr_ar),
        ldtr: NO_LDT,
        ..Segments::default()
    };
    check_segments(&segments)?;
    let mut gpr = [0; 16];
    let wide = [eax, ecx, edx, ebx, esp, ebp, esi, edi].map(u64::from);
    gpr.iter_mut().zip(wide).for_each(|(to, from)| *to = from);
    Ok(VcpuState {
        general: Registers { gpr, rip: wanted.eip.into(), rflags: wanted.eflags.into() },
        paging: PagingState {
            cr0: u64::from(wanted.cr0) | Cr0::ET.bits(),
            cr3: wanted.cr3.into(),
            cr4: wanted.cr4.into(),
            efer: wanted.efer,
        },
        segments,
        ..VcpuState::default()
    })
}

fn long(wanted: &VcpuHvmX86_64) -> Result<VcpuState, Impossible> {
    let VcpuHvmX86_64 { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, .. } = *wanted;
    let is_long = wanted.cr0 & Cr0::PG.bits() != 0
        && wanted.cr0 & Cr0::PE.bits() != 0
        && wanted.cr4 & Cr4::PAE.bits() != 0
        && wanted.efer & Efer::LME.0 != 0;
    if !is_long {
        return Err(Impossible("64-bit registers outside of long mode"));
    }
    let mut gpr = [0; 16];
    let low = [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi];
    gpr.iter_mut().zip(low).for_each(|(to, from)| *to = from);
    Ok(VcpuState {
        general: Registers { gpr, rip: wanted.rip, rflags: wanted.rflags },
        paging: PagingState {
            cr0: wanted.cr0 | Cr0::ET.bits(),
            cr3: wanted.cr3,
            cr4: wanted.cr4,
            efer: wanted.efer,
        },
        segments: Segments {
            cs: flat(FLAT_CODE_64),
            ds: flat(FLAT_DATA),
            es: flat(FLAT_DATA),
            ss: flat(FLAT_DATA),
            fs: flat(FLAT_DATA),
            gs: flat(FLAT_DATA),
            tr: TASK,
            ldtr: NO_LDT,
        },
        ..VcpuState::default()
    })
}

fn check_segments(segments: &Segments) -> Result<(), Impossible> {
    let Segments { es, cs, ss, ds, tr, .. } = *segments;
    let known = [es, cs, ss, ds, tr].iter().all(|it| it.attributes & !ALL == 0);
    let is = |segment: Segment, bits: u16, values: u16| segment.attributes & bits == values;
    let data = |segment: Segment| {
        is(segment, PRESENT, 0)
            || is(segment, USER, USER)
                && (is(segment, CODE, 0) || is(segment, READ_WRITE, READ_WRITE))
    };
    let rules = [
        (known, "reserved bits of segment attributes"),
        (is(cs, PRESENT | USER | CODE, PRESENT | USER | CODE), "CS is no code"),
        (
            is(ss, PRESENT | USER | CODE | READ_WRITE, PRESENT | USER | READ_WRITE),
            "SS is no writable data",
        ),
        (is(cs, 3 << 5, 0) && is(ss, 3 << 5, 0), "a start outside of the kernel"),
        (data(ds) && data(es), "DS or ES can't be read"),
        (
            is(tr, PRESENT | USER | TYPE, PRESENT | BUSY_TSS_32)
                || is(tr, PRESENT | USER | TYPE, PRESENT | BUSY_TSS_16),
            "TR is no task state that is in use",
        ),
    ];
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, what)| Err(Impossible(what)))
}
