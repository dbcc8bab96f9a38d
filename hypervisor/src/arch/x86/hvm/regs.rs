//! The guest registers that the world switch moves.

use core::mem::offset_of;

use hv_x86::decode::Registers;

/// A guest's vector and general registers while its vCPU is out of guest mode. `switch.S` knows
/// this layout.
#[repr(C, align(16))]
#[derive(Clone, Debug)]
pub struct GuestRegs {
    /// XMM0 to XMM15. The compiled hypervisor uses SSE2, so each exit has to save them.
    pub xmm: [[u8; 16]; 16],
    /// The general registers, RIP and RFLAGS. The control block's copies of RAX, RSP, RIP and
    /// RFLAGS are only its own business.
    pub general: Registers,
}

impl GuestRegs {
    /// All zero, as the ABI starts a vCPU.
    pub const ZERO: Self =
        Self { xmm: [[0; 16]; 16], general: Registers { gpr: [0; 16], rip: 0, rflags: 2 } };
}

const _: () = {
    assert!(offset_of!(GuestRegs, xmm) == 0);
    assert!(offset_of!(GuestRegs, general) + offset_of!(Registers, gpr) == 256);
};
