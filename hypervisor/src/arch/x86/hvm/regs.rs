//! The guest registers that the control block doesn't hold.

/// A guest's vector and general registers while its vCPU is out of guest mode, except RAX, RSP,
/// RIP and RFLAGS, which the control block holds. `switch.S` knows this layout.
#[repr(C, align(16))]
#[derive(Clone, Debug)]
pub struct GuestRegs {
    /// XMM0 to XMM15. The compiled hypervisor uses SSE2, so each exit has to save them.
    pub xmm: [[u8; 16]; 16],
    /// RBX
    pub rbx: u64,
    /// RCX
    pub rcx: u64,
    /// RDX
    pub rdx: u64,
    /// RSI
    pub rsi: u64,
    /// RDI
    pub rdi: u64,
    /// RBP
    pub rbp: u64,
    /// R8 to R15
    pub r8_15: [u64; 8],
}

impl GuestRegs {
    /// All zero, as the ABI starts a vCPU.
    pub const ZERO: Self = Self {
        xmm: [[0; 16]; 16],
        rbx: 0,
        rcx: 0,
        rdx: 0,
        rsi: 0,
        rdi: 0,
        rbp: 0,
        r8_15: [0; 8],
    };
}

const _: () = {
    assert!(core::mem::offset_of!(GuestRegs, xmm) == 0);
    assert!(core::mem::offset_of!(GuestRegs, rbx) == 256);
    assert!(core::mem::offset_of!(GuestRegs, rcx) == 264);
    assert!(core::mem::offset_of!(GuestRegs, rdx) == 272);
    assert!(core::mem::offset_of!(GuestRegs, rsi) == 280);
    assert!(core::mem::offset_of!(GuestRegs, rdi) == 288);
    assert!(core::mem::offset_of!(GuestRegs, rbp) == 296);
    assert!(core::mem::offset_of!(GuestRegs, r8_15) == 304);
};
