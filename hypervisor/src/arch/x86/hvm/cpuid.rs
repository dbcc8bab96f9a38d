//! CPUID: what this machine's processor is, and what guests are told.

use core::arch::x86_64::__cpuid_count;

use hv_x86::cpuid::{CpuPolicy, Leaf, Limits, VcpuState};
use hv_x86::decode::{CodeSize, Gpr, Intercepted};
use spin::Once;
use x86defs::cr::Cr4;

use super::backend::Backend;
use super::fpu::FpuState;
use super::guest::Guest;

/// Guest-physical addresses that the second stage maps.
const SECOND_STAGE_BITS: u8 = 48;

/// What this machine's processor is.
pub fn host() -> CpuPolicy {
    CpuPolicy::of_machine(native)
}

/// What guests on this machine can have at most.
pub fn guest_max() -> &'static CpuPolicy {
    static MAX: Once<CpuPolicy> = Once::new();
    MAX.call_once(|| {
        let limits = Limits {
            physical_bits: SECOND_STAGE_BITS,
            xcr0: FpuState::supported(),
            spec_ctrl: false,
            pcid: true,
        };
        host().guest_max(&limits)
    })
}

fn native(leaf: u32, subleaf: u32) -> Leaf {
    let found = __cpuid_count(leaf, subleaf);
    Leaf { eax: found.eax, ebx: found.ebx, ecx: found.ecx, edx: found.edx }
}

/// Executes CPUID for a guest.
pub fn execute(guest: &mut Guest<'_>) {
    let general = &guest.context.hw.regs().general;
    let (leaf, subleaf) = (general.get(Gpr::RAX) as u32, general.get(Gpr::RCX) as u32);
    let state = VcpuState {
        vcpu: guest.vcpu.id,
        cr4: Cr4(guest.context.hw.paging().cr4),
        xcr0: guest.context.fpu.xcr0(),
        bits64: guest.code_size() == CodeSize::Bits64,
    };
    let answer = guest.domain.arch.cpuid.read().query(leaf, subleaf, &state);
    let general = &mut guest.context.hw.regs_mut().general;
    general.set(Gpr::RAX, answer.eax.into());
    general.set(Gpr::RBX, answer.ebx.into());
    general.set(Gpr::RCX, answer.ecx.into());
    general.set(Gpr::RDX, answer.edx.into());
    guest.skip(Intercepted::Cpuid);
}
