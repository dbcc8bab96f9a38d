//! A vCPU's extended state (x87, SSE, AVX, ...) and debug registers across vCPU switches.
//!
//! The hypervisor itself uses SSE2 at most, and the world switch keeps XMM0-15; so the rest
//! stays in the pCPU for as long as one vCPU has it.
#![expect(unsafe_code, reason = "XSAVE, XRSTOR, XSETBV and the debug registers")]

use alloc::vec::Vec;
use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, _fxsave64, _xrstor64, _xsave64, _xsetbv};
use core::ops::Range;

use hv_x86::state::xsave;
use spin::Once;

/// x87 state: always in XCR0.
const XCR0_X87: u64 = 1;
/// XMM registers and MXCSR.
const XCR0_SSE: u64 = 1 << 1;
/// The legacy area and the header of an XSAVE image.
const LEGACY_BYTES: usize = 576;
/// Where MXCSR is in the legacy area, its mask, and the XMM registers.
const MXCSR: Range<usize> = 24..28;
const MXCSR_MASK: Range<usize> = 28..32;
const XMM: Range<usize> = 160..416;
/// The bits of MXCSR of a CPU that doesn't tell.
const DEFAULT_MXCSR_MASK: u32 = 0xffbf;

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
        let area = alloc::vec![Line([0; 64]); bytes.div_ceil(64)];
        let mut state = Self { area, xcr0: XCR0_X87, debug: [0; 4] };
        state.reset();
        state
    }

    /// Makes it what it is after reset.
    pub fn reset(&mut self) {
        self.area.fill(Line([0; 64]));
        // FCW and MXCSR as reset leaves them; all else, the header too, starts as zero.
        self.area[0].0[..2].copy_from_slice(&0x37f_u16.to_le_bytes());
        self.area[0].0[MXCSR].copy_from_slice(&0x1f80_u32.to_le_bytes());
        self.xcr0 = XCR0_X87;
        self.debug = [0; 4];
    }

    /// The image of a guest that isn't loaded: the first `bytes` of the standard format. `xmm` are
    /// the registers that the world switch keeps, `max` the components that the guest can have.
    pub fn image(&self, xmm: &[[u8; 16]; 16], bytes: usize, max: u64) -> Vec<u8> {
        let mut image: Vec<u8> = self.area.iter().flat_map(|line| line.0).collect();
        image[XMM].copy_from_slice(xmm.as_flattened());
        let present = (xsave::present(&image) | XCR0_SSE) & max;
        xsave::set_present(&mut image, present);
        image.resize(bytes.max(LEGACY_BYTES), 0);
        image
    }

    /// Takes an image, that has been checked, of a guest that isn't loaded. Gives what the world
    /// switch keeps of it.
    pub fn set_image(&mut self, image: &[u8], present: u64) -> [[u8; 16]; 16] {
        let known = present & Self::supported();
        let (debug, xcr0) = (self.debug, self.xcr0);
        self.reset();
        (self.debug, self.xcr0) = (debug, xcr0);
        let mut bytes: Vec<u8> = self.area.iter().flat_map(|line| line.0).collect();
        let reset_legacy: [u8; MXCSR.start] = *bytes.first_chunk().expect("an area has 576 bytes");
        for (to, from) in bytes.iter_mut().zip(image) {
            *to = *from;
        }
        if known & XCR0_X87 == 0 {
            bytes[..MXCSR.start].copy_from_slice(&reset_legacy);
        }
        if known & XCR0_SSE == 0 {
            bytes[XMM].fill(0);
        }
        // XRSTOR would refuse bits that the CPU doesn't have.
        let mxcsr = u32::from_le_bytes(bytes[MXCSR].try_into().expect("four bytes"));
        bytes[MXCSR].copy_from_slice(&(mxcsr & mxcsr_mask()).to_le_bytes());
        xsave::set_present(&mut bytes, known);
        let mut xmm = [[0; 16]; 16];
        xmm.as_flattened_mut().copy_from_slice(&bytes[XMM]);
        for (line, from) in self.area.iter_mut().zip(bytes.chunks_exact(64)) {
            line.0.copy_from_slice(from);
        }
        xmm
    }

    /// DR0 to DR3 of a guest that isn't loaded.
    pub fn breakpoints(&self) -> [u64; 4] {
        self.debug
    }

    /// Sets DR0 to DR3 of a guest that isn't loaded.
    pub fn set_breakpoints(&mut self, values: [u64; 4]) {
        self.debug = values;
    }

    /// Sets XCR0, which has been checked, of a guest that isn't loaded.
    pub fn restore_xcr0(&mut self, value: u64) {
        self.xcr0 = value;
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

/// The bits of MXCSR that the CPU has.
fn mxcsr_mask() -> u32 {
    static MASK: Once<u32> = Once::new();
    *MASK.call_once(|| {
        let mut area = [Line([0; 64]); 8];
        // SAFETY: the area has the 512 bytes that FXSAVE writes, on a 16-byte boundary.
        unsafe { _fxsave64(area.as_mut_ptr().cast()) };
        let mask = u32::from_le_bytes(area[0].0[MXCSR_MASK].try_into().expect("four bytes"));
        if mask == 0 { DEFAULT_MXCSR_MASK } else { mask }
    })
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
