//! Between the decoder's words and ours: registers, operand sizes, effective addresses.

use iced_x86::{Instruction, MemorySize, OpKind, Register};

use super::{Cpu, Gpr, Segment};

/// A general register or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    gpr: Gpr,
    pub(super) bytes: u8,
    /// AH, CH, DH or BH.
    high: bool,
}

impl Part {
    pub(super) const fn new(gpr: Gpr, bytes: u8) -> Self {
        Self { gpr, bytes, high: false }
    }

    /// The decoder numbers the registers of each size in a row.
    pub(super) fn from_register(register: Register) -> Option<Self> {
        let number = register as u32;
        let from = |first: Register| number.wrapping_sub(first as u32);
        let whole = |first, bytes| Some(Self::new(Gpr(from(first) as u8), bytes));
        match number {
            _ if from(Register::AL) < 4 => whole(Register::AL, 1),
            _ if from(Register::AH) < 4 => {
                Some(Self { gpr: Gpr(from(Register::AH) as u8), bytes: 1, high: true })
            }
            // SPL comes after AH to BH, where encoding 4 comes after 3.
            _ if from(Register::SPL) < 12 => {
                Some(Self::new(Gpr((from(Register::SPL) as u8).wrapping_add(4)), 1))
            }
            _ if from(Register::AX) < 16 => whole(Register::AX, 2),
            _ if from(Register::EAX) < 16 => whole(Register::EAX, 4),
            _ if from(Register::RAX) < 16 => whole(Register::RAX, 8),
            _ => None,
        }
    }

    pub(super) fn read(self, cpu: &Cpu<'_>) -> u64 {
        let value = cpu.registers.get(self.gpr);
        let value = if self.high { value >> 8 } else { value };
        value & super::alu::mask(self.bytes)
    }

    pub(super) fn write(self, cpu: &mut Cpu<'_>, value: u64) {
        if self.high {
            cpu.registers.set_sized(self.gpr, value << 8, 0xff00);
        } else {
            cpu.registers.set_sized(self.gpr, value, super::alu::mask(self.bytes));
        }
    }
}

/// The size of the memory operand, if it is one that general registers can hold.
pub(super) fn memory_bytes(instruction: &Instruction) -> Option<u8> {
    match instruction.memory_size() {
        MemorySize::UInt8 | MemorySize::Int8 => Some(1),
        MemorySize::UInt16 | MemorySize::Int16 => Some(2),
        MemorySize::UInt32 | MemorySize::Int32 => Some(4),
        MemorySize::UInt64 | MemorySize::Int64 => Some(8),
        _ => None,
    }
}

/// Whether the operand is an immediate, of whatever size.
pub(super) const fn is_immediate(kind: OpKind) -> bool {
    matches!(
        kind,
        OpKind::Immediate8
            | OpKind::Immediate16
            | OpKind::Immediate32
            | OpKind::Immediate64
            | OpKind::Immediate8to16
            | OpKind::Immediate8to32
            | OpKind::Immediate8to64
            | OpKind::Immediate32to64
    )
}

/// The segment that a memory operand is in.
pub(super) const fn segment(register: Register) -> Segment {
    match register {
        Register::ES => Segment::Es,
        Register::CS => Segment::Cs,
        Register::SS => Segment::Ss,
        Register::FS => Segment::Fs,
        Register::GS => Segment::Gs,
        _ => Segment::Ds,
    }
}

/// The linear address of the instruction's memory operand (the one with a ModRM or absolute
/// address; string operands have none).
pub(super) fn linear_address(cpu: &Cpu<'_>, instruction: &Instruction) -> u64 {
    let register = |register| match Part::from_register(register) {
        Some(part) => (part.read(cpu), part.bytes),
        None => (0, 0),
    };
    let (base, base_bytes) = register(instruction.memory_base());
    let (index, index_bytes) = register(instruction.memory_index());
    let scaled = index.wrapping_mul(u64::from(instruction.memory_index_scale()));
    let offset = base.wrapping_add(scaled).wrapping_add(instruction.memory_displacement64());
    // The registers tell the address size; without any the displacement does.
    let address_bytes = match base_bytes.max(index_bytes) {
        0 => instruction.memory_displ_size(),
        bytes => u32::from(bytes),
    };
    let mask = match address_bytes {
        2 => 0xffff,
        4 => 0xffff_ffff,
        _ => u64::MAX,
    };
    cpu.linear(segment(instruction.memory_segment()), offset & mask)
}
