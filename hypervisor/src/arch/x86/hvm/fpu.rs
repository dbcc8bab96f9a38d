//! A vCPU's extended state (x87, SSE, AVX, ...) and debug registers across vCPU switches.
//!
//! The hypervisor itself uses SSE2 at most, and the world switch keeps XMM0-15; so the rest
//! stays in the pCPU for as long as one vCPU has it.
#![expect(unsafe_code, reason = "XSAVE, XRSTOR, XSETBV and the debug registers")]

use alloc::vec::Vec;
use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, _xrstor64, _xsave64, _xsetbv};

/// x87 state: always in XCR0.
const XCR0_X87: u64 = 1;
/// The legacy area and the header of an XSAVE image.
const LEGACY_BYTES: usize = 576;

/// 64 bytes on a 64-byte boundary, as XSAVE wants its area.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

/// What a switch to another vCPU has to keep.
pub struct FpuState {
    /// The XSAVE area, in the standard (not compacted) format.
    area: Vec<Line>,
    /// XCR0 as the guest has it.
    xcr0: u64,
    debug: [u64; 4],
}

impl FpuState {
    /// The state after reset.
    pub fn new() -> Self {
        let bytes = (__cpuid_count(0xd, 0).ecx as usize).max(LEGACY_BYTES);
        let mut area = alloc::vec![Line([0; 64]); bytes.div_ceil(64)];
        // FCW and MXCSR as reset leaves them; all else, the header too, starts as zero.
        area[0].0[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
        area[0].0[24..28].copy_from_slice(&0x1f80_u32.to_le_bytes());
        Self { area, xcr0: XCR0_X87, debug: [0; 4] }
    }

    /// The features that this hypervisor switches: those that the CPU can manage in XCR0.
    pub fn supported() -> u64 {
        let leaf = __cpuid_count(0xd, 0);
        u64::from(leaf.eax) | u64::from(leaf.edx) << 32
    }

    /// XCR0 as the guest has it.
    pub fn xcr0(&self) -> u64 {
        self.xcr0
    }

    /// Sets XCR0 for the guest, which must be the loaded one. `false`, and nothing done, if the
    /// CPU would refuse the value.
    pub fn set_xcr0(&mut self, value: u64) -> bool {
        const SSE: u64 = 1 << 1;
        const AVX: u64 = 1 << 2;
        const AVX512: u64 = 7 << 5;
        let valid = value & XCR0_X87 != 0
            && value & !Self::supported() == 0
            && (value & AVX == 0 || value & SSE != 0)
            && (value & AVX512 == 0 || (value & AVX512 == AVX512 && value & AVX != 0));
        if valid {
            self.xcr0 = value;
            set_hardware_xcr0(value);
        }
        valid
    }

    /// Puts the state into the pCPU.
    pub fn load(&self) {
        let all = Self::supported();
        set_hardware_xcr0(all);
        // SAFETY: the area is large and aligned enough for all features, and holds either the
        // reset state or what XSAVE wrote.
        unsafe { _xrstor64(self.area.as_ptr().cast(), all) };
        set_hardware_xcr0(self.xcr0);
        write_debug(&self.debug);
    }

    /// Takes the state out of the pCPU.
    pub fn save(&mut self) {
        let all = Self::supported();
        set_hardware_xcr0(all);
        // SAFETY: the area is large and aligned enough for all features.
        unsafe { _xsave64(self.area.as_mut_ptr().cast(), all) };
        self.debug = read_debug();
    }
}

fn set_hardware_xcr0(value: u64) {
    // SAFETY: CR4.OSXSAVE is set on every pCPU, and callers pass values that the CPU supports.
    unsafe { _xsetbv(0, value) };
}

fn read_debug() -> [u64; 4] {
    let (a, b, c, d): (u64, u64, u64, u64);
    // SAFETY: reading the breakpoint addresses has no effect; the host sets none in DR7.
    unsafe {
        asm!("mov {}, dr0", "mov {}, dr1", "mov {}, dr2", "mov {}, dr3",
            out(reg) a, out(reg) b, out(reg) c, out(reg) d, options(nomem, nostack))
    };
    [a, b, c, d]
}

fn write_debug(values: &[u64; 4]) {
    // SAFETY: breakpoint addresses do nothing while the host's DR7 enables none.
    unsafe {
        asm!("mov dr0, {}", "mov dr1, {}", "mov dr2, {}", "mov dr3, {}",
            in(reg) values[0], in(reg) values[1], in(reg) values[2], in(reg) values[3],
            options(nomem, nostack))
    };
}
