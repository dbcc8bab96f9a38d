//! Instructions that the processor could not finish by itself: what they are, how long they
//! are, and what they do.
//!
//! * [`length`]: the length of an intercepted instruction, for processors that do not report
//!   the next one's address.
//! * [`mmio::emulate`]: an instruction whose memory operand is a device.
//! * [`string::port_io`]: INS and OUTS.
//!
//! All work on a [`Cpu`], the registers that instructions are made of, and reach memory,
//! devices and ports through the caller's [`Bus`].

mod alu;
mod fetch;
pub mod length;
pub mod mmio;
mod operand;
pub mod string;
#[cfg(test)]
mod tests;

use hv_core::types::Gpa;
use x86defs::rflags::Rflags;

use crate::fault::Exception;
use crate::walk::Kind;
pub use fetch::{Code, fetch};
pub use length::{Intercepted, length};

/// The longest instruction.
pub const MAX_BYTES: usize = 15;

/// The general registers, in the order of their encoding, and where and how the vCPU runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub gpr: [u64; 16],
    /// The instruction pointer.
    pub rip: u64,
    /// The flags.
    pub rflags: u64,
}

/// A general register by its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gpr(pub u8);

#[expect(missing_docs, reason = "the registers' own names")]
impl Gpr {
    pub const RAX: Self = Self(0);
    pub const RCX: Self = Self(1);
    pub const RDX: Self = Self(2);
    pub const RBX: Self = Self(3);
    pub const RSP: Self = Self(4);
    pub const RBP: Self = Self(5);
    pub const RSI: Self = Self(6);
    pub const RDI: Self = Self(7);
}

impl Registers {
    /// The whole register.
    pub fn get(&self, gpr: Gpr) -> u64 {
        self.gpr.get(usize::from(gpr.0 & 15)).copied().unwrap_or(0)
    }

    /// Replaces the whole register.
    pub fn set(&mut self, gpr: Gpr, value: u64) {
        if let Some(register) = self.gpr.get_mut(usize::from(gpr.0 & 15)) {
            *register = value;
        }
    }

    /// Replaces the bits of `mask` and leaves the others: how counters and indexes of a small
    /// address size are written. A 32-bit write clears the upper half, as everywhere.
    pub(crate) fn set_sized(&mut self, gpr: Gpr, value: u64, mask: u64) {
        let kept = if mask == 0xffff_ffff { 0 } else { self.get(gpr) & !mask };
        self.set(gpr, kept | value & mask);
    }
}

/// The size of the code that runs: what sizes of operands and addresses prefixes start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeSize {
    /// Real mode, virtual 8086 mode, and 16-bit segments.
    Bits16,
    /// 32-bit segments.
    Bits32,
    /// 64-bit mode.
    Bits64,
}

impl CodeSize {
    /// From long mode being active (EFER.LMA), and L and D of the code segment.
    pub const fn new(long_mode: bool, l: bool, d: bool) -> Self {
        match (long_mode && l, d) {
            (true, _) => Self::Bits64,
            (false, true) => Self::Bits32,
            (false, false) => Self::Bits16,
        }
    }

    /// 16, 32 or 64.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }

    /// All ones of this size.
    pub const fn mask(self) -> u64 {
        match self {
            Self::Bits16 => 0xffff,
            Self::Bits32 => 0xffff_ffff,
            Self::Bits64 => u64::MAX,
        }
    }
}

/// A segment register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registers' own names")]
pub enum Segment {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

/// The segments' bases. Limits and rights are not here: the processor has checked them before
/// it accessed memory; for port strings paging alone protects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct SegmentBases {
    pub es: u64,
    pub cs: u64,
    pub ss: u64,
    pub ds: u64,
    pub fs: u64,
    pub gs: u64,
}

impl SegmentBases {
    /// The base that addresses with `segment` have: in 64-bit mode only FS and GS have one.
    pub const fn base(&self, segment: Segment, code: CodeSize) -> u64 {
        let flat = matches!(code, CodeSize::Bits64);
        match segment {
            Segment::Fs => self.fs,
            Segment::Gs => self.gs,
            _ if flat => 0,
            Segment::Es => self.es,
            Segment::Cs => self.cs,
            Segment::Ss => self.ss,
            Segment::Ds => self.ds,
        }
    }
}

/// A vCPU at an instruction.
#[derive(Debug)]
pub struct Cpu<'a> {
    /// The registers. Emulation changes them.
    pub registers: &'a mut Registers,
    /// Where segments start.
    pub segments: SegmentBases,
    /// The size of the code segment.
    pub code: CodeSize,
}

impl Cpu<'_> {
    /// The linear address of `offset` in `segment`.
    pub const fn linear(&self, segment: Segment, offset: u64) -> u64 {
        let linear = self.segments.base(segment, self.code).wrapping_add(offset);
        if matches!(self.code, CodeSize::Bits64) { linear } else { linear & 0xffff_ffff }
    }

    /// Goes on behind an instruction of `length` bytes.
    pub fn advance(&mut self, length: u8) {
        let rip = self.registers.rip.wrapping_add(u64::from(length));
        self.registers.rip = rip & self.code.mask();
        self.registers.rflags &= !Rflags::RF.bits();
    }
}

/// What instructions reach outside of the processor.
pub trait Bus {
    /// Translates a linear address with the guest's tables and rights.
    ///
    /// # Errors
    /// The exception that the access raises.
    fn translate(&mut self, linear: u64, kind: Kind) -> Result<Gpa, Exception>;
    /// Reads memory or a device. The access does not cross a page's end. What is not there
    /// reads as ones.
    fn read(&mut self, gpa: Gpa, into: &mut [u8]);
    /// Writes memory or a device. The access does not cross a page's end.
    fn write(&mut self, gpa: Gpa, from: &[u8]);
    /// Reads 1, 2 or 4 bytes from a port.
    fn input(&mut self, port: u16, bytes: u8) -> u32;
    /// Writes 1, 2 or 4 bytes to a port.
    fn output(&mut self, port: u16, bytes: u8, value: u32);
}

/// How far an emulated instruction came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done, and the instruction pointer is behind it.
    Done,
    /// A repeated string instruction has more to do: run the guest, which executes it again.
    Again,
}

/// Why an instruction was not emulated. The registers are as they were, except that a repeated
/// string instruction keeps what it has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmulateError {
    /// It raises this exception.
    Exception(Exception),
    /// It is not one that may access a device, or not one that is emulated.
    Unsupported,
}

impl<E: Into<Exception>> From<E> for EmulateError {
    fn from(exception: E) -> Self {
        Self::Exception(exception.into())
    }
}
