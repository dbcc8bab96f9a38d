//! Why a vCPU left guest mode, said the same way for SVM and VMX.

use hv_core::types::Gpa;

/// One exit, with what the hardware told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A physical interrupt is pending on this pCPU.
    Interrupt,
    /// A physical NMI is pending on this pCPU.
    Nmi,
    /// The guest can take the virtual interrupt that waits for it.
    InterruptWindow,
    /// CPUID.
    Cpuid,
    /// HLT.
    Hlt,
    /// VMMCALL or VMCALL.
    Hypercall,
    /// RDMSR of the MSR in ECX.
    MsrRead,
    /// WRMSR of the MSR in ECX.
    MsrWrite,
    /// IN, OUT, INS or OUTS.
    Port(PortAccess),
    /// The second stage has no fitting translation.
    MemoryFault(MemoryFault),
    /// XSETBV.
    Xsetbv,
    /// INVD or WBINVD.
    CacheFlush,
    /// An exception that the hypervisor watches, to be given back to the guest.
    Exception {
        /// 0 to 31.
        vector: u8,
        /// For those vectors that push one.
        error_code: Option<u32>,
    },
    /// An instruction that this guest's CPU doesn't have: #UD.
    Forbidden,
    /// A triple fault.
    TripleFault,
    /// The hardware refused the control block: our mistake, or corrupt state.
    Refused,
    /// Anything else, by the hardware's own number.
    Unknown(u64),
}

/// A port instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortAccess {
    /// The first port.
    pub port: u16,
    /// 1, 2 or 4 bytes.
    pub size: u8,
    /// IN rather than OUT.
    pub input: bool,
    /// INS or OUTS: the data are in guest memory.
    pub string: bool,
    /// With a REP prefix.
    pub repeat: bool,
    /// 16, 32 or 64: the address size of a string instruction.
    pub address_bits: u8,
    /// RIP of the following instruction.
    pub next_rip: u64,
}

/// A second-stage fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryFault {
    /// What the guest touched.
    pub gpa: Gpa,
    /// It was a write.
    pub write: bool,
    /// It was an instruction fetch.
    pub fetch: bool,
    /// A translation exists but doesn't permit the access.
    pub present: bool,
    /// The CPU's own walk of the guest's page tables touched it, not the instruction itself.
    pub in_walk: bool,
}

/// Names of the exit reasons as `xm perf` shows them; [`Exit::reason`] indexes it.
pub const REASONS: [&str; 18] = [
    "interrupt",
    "nmi",
    "window",
    "cpuid",
    "hlt",
    "hypercall",
    "rdmsr",
    "wrmsr",
    "port",
    "npf",
    "mmio",
    "xsetbv",
    "cache",
    "exception",
    "forbidden",
    "triple_fault",
    "refused",
    "unknown",
];

impl Exit {
    /// The index of this exit's reason in [`REASONS`].
    pub const fn reason(&self) -> usize {
        match self {
            Self::Interrupt => 0,
            Self::Nmi => 1,
            Self::InterruptWindow => 2,
            Self::Cpuid => 3,
            Self::Hlt => 4,
            Self::Hypercall => 5,
            Self::MsrRead => 6,
            Self::MsrWrite => 7,
            Self::Port(_) => 8,
            Self::MemoryFault(_) => 9,
            Self::Xsetbv => 11,
            Self::CacheFlush => 12,
            Self::Exception { .. } => 13,
            Self::Forbidden => 14,
            Self::TripleFault => 15,
            Self::Refused => 16,
            Self::Unknown(_) => 17,
        }
    }
}

/// The reason under which an emulated access is counted besides its fault.
pub const REASON_MMIO: usize = 10;
