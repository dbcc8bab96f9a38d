//! The register states in which a vCPU starts.

use super::backend::{Backend, PagingState, Segment, SegmentName};
use super::regs::GuestRegs;
use hv_x86::decode::Gpr;

/// Protected-mode flat code, as the PVH ABI has it.
const PVH_CODE: u16 = 0xc9b;
/// Protected-mode flat data.
const PVH_DATA: u16 = 0xc93;
/// Real-mode code and data.
const REAL_CODE: u16 = 0x09b;
const REAL_DATA: u16 = 0x093;
const BUSY_TSS: u16 = 0x08b;
const LDT: u16 = 0x082;

const CR0_PE: u64 = 1;
const CR0_ET: u64 = 1 << 4;
const CR0_RESET: u64 = 0x6000_0010;

const DATA: [SegmentName; 5] =
    [SegmentName::Ds, SegmentName::Es, SegmentName::Fs, SegmentName::Gs, SegmentName::Ss];

/// The state of a PVH guest's first vCPU: 32-bit protected mode without paging, `entry` in EIP
/// and the address of the start info in EBX (Xen's `docs/misc/pvh`).
pub fn pvh(hw: &mut impl Backend, entry: u32, start_info: u32) {
    *hw.regs_mut() = GuestRegs::ZERO;
    hw.regs_mut().general.set(Gpr::RBX, u64::from(start_info));
    hw.complete_at(u64::from(entry));
    hw.set_paging(PagingState { cr0: CR0_PE | CR0_ET, ..PagingState::default() });
    let flat = |attributes| Segment { selector: 0, attributes, limit: u32::MAX, base: 0 };
    hw.set_segment(SegmentName::Cs, flat(PVH_CODE));
    for name in DATA {
        hw.set_segment(name, flat(PVH_DATA));
    }
    system_segments(hw, 0x67);
}

/// The state in which a start-up message leaves a vCPU: real mode at `vector << 12`.
pub fn start_up(hw: &mut impl Backend, vector: u8) {
    *hw.regs_mut() = GuestRegs::ZERO;
    hw.complete_at(0);
    hw.set_paging(PagingState { cr0: CR0_RESET, ..PagingState::default() });
    hw.set_segment(
        SegmentName::Cs,
        Segment {
            selector: u16::from(vector) << 8,
            attributes: REAL_CODE,
            limit: 0xffff,
            base: u64::from(vector) << 12,
        },
    );
    for name in DATA {
        let data = Segment { selector: 0, attributes: REAL_DATA, limit: 0xffff, base: 0 };
        hw.set_segment(name, data);
    }
    system_segments(hw, 0xffff);
}

fn system_segments(hw: &mut impl Backend, tss_limit: u32) {
    let task = Segment { selector: 0, attributes: BUSY_TSS, limit: tss_limit, base: 0 };
    hw.set_segment(SegmentName::Tr, task);
    let ldt = Segment { selector: 0, attributes: LDT, limit: 0xffff, base: 0 };
    hw.set_segment(SegmentName::Ldtr, ldt);
}
