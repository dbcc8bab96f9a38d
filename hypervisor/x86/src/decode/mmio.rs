//! Instructions with a device as their memory operand.
//!
//! The processor has walked the guest's tables and reported the guest-physical address, so a
//! single operand is not translated again; only the second one of MOVS is, and one that crosses
//! a page's end.

use hv_core::types::Gpa;
use iced_x86::OpKind;
use iced_x86::{Code as IcedCode, Decoder, DecoderError, DecoderOptions, Instruction, Mnemonic};

use super::alu::{self, Op, mask};
use super::operand::{Part, is_immediate, linear_address, memory_bytes, segment};
use super::string::{self, End, Job, Memory};
use super::{Bus, Code, Cpu, EmulateError, Outcome, Segment};

/// The access that the processor could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faulted {
    /// Its guest-physical address.
    pub gpa: Gpa,
    /// It was a write: the guest's tables allow writing there.
    pub write: bool,
}

/// Executes the instruction in `code`, one of whose operands is at `faulted`.
///
/// # Errors
/// The exception that it raises, or that it is none of those that this knows: integer moves
/// (MOV, MOVZX, MOVSX, MOVSXD, MOVNTI, MOVBE, MOVS, STOS, LODS), ADD, ADC, SUB, SBB, AND, OR,
/// XOR, TEST, CMP, INC, DEC, NOT, NEG, XCHG, XADD, CMPXCHG, and the bit tests by an immediate.
pub fn emulate(
    faulted: Faulted,
    code: &Code,
    cpu: &mut Cpu<'_>,
    bus: &mut impl Bus,
) -> Result<Outcome, EmulateError> {
    let instruction = decode(code, cpu)?;
    let length = u8::try_from(instruction.len()).map_err(|_| EmulateError::Unsupported)?;
    if let Some(job) = string_job(&instruction) {
        let outcome = string::run(&job, cpu, bus)?;
        if outcome == Outcome::Done {
            cpu.advance(length);
        }
        return Ok(outcome);
    }
    let bytes = memory_bytes(&instruction).ok_or(EmulateError::Unsupported)?;
    let linear = linear_address(cpu, &instruction);
    let mut memory = Memory::new(bus);
    let last = linear.wrapping_add(u64::from(bytes).wrapping_sub(1));
    if linear >> 12 == last >> 12 {
        memory.know(linear, faulted.gpa, faulted.write);
    }
    Operands { instruction: &instruction, bytes, linear, cpu, memory }.execute()?;
    cpu.advance(length);
    Ok(Outcome::Done)
}

fn decode(code: &Code, cpu: &Cpu<'_>) -> Result<Instruction, EmulateError> {
    let options = DecoderOptions::NONE;
    let mut decoder = Decoder::with_ip(cpu.code.bits(), code.bytes(), cpu.registers.rip, options);
    let instruction = decoder.decode();
    if !instruction.is_invalid() {
        return Ok(instruction);
    }
    match (decoder.last_error(), code.ended_by()) {
        (DecoderError::NoMoreBytes, Some(exception)) => Err(EmulateError::Exception(exception)),
        _ => Err(EmulateError::Unsupported),
    }
}

/// The job of a string instruction, if it is one.
fn string_job(instruction: &Instruction) -> Option<Job> {
    use IcedCode as C;
    let bytes = match instruction.code() {
        C::Movsb_m8_m8 | C::Stosb_m8_AL | C::Lodsb_AL_m8 => 1,
        C::Movsw_m16_m16 | C::Stosw_m16_AX | C::Lodsw_AX_m16 => 2,
        C::Movsd_m32_m32 | C::Stosd_m32_EAX | C::Lodsd_EAX_m32 => 4,
        C::Movsq_m64_m64 | C::Stosq_m64_RAX | C::Lodsq_RAX_m64 => 8,
        _ => return None,
    };
    let mut address_mask = u64::MAX;
    let mut end = |operand| match instruction.op_kind(operand) {
        OpKind::Register => End::Accumulator,
        kind => {
            address_mask = match kind {
                OpKind::MemorySegSI | OpKind::MemoryESDI => 0xffff,
                OpKind::MemorySegESI | OpKind::MemoryESEDI => 0xffff_ffff,
                _ => u64::MAX,
            };
            let is_destination = operand == 0;
            End::Memory(if is_destination {
                Segment::Es
            } else {
                segment(instruction.memory_segment())
            })
        }
    };
    let (to, from) = (end(0), end(1));
    let repeat = instruction.has_rep_prefix() || instruction.has_repne_prefix();
    Some(Job { from, to, bytes, repeat, address_mask })
}

/// An instruction with its operands at hand.
struct Operands<'i, 'c, 'r, 'b, B> {
    instruction: &'i Instruction,
    /// Size and address of the memory operand.
    bytes: u8,
    linear: u64,
    cpu: &'c mut Cpu<'r>,
    memory: Memory<'b, B>,
}

type Result1<T> = Result<T, EmulateError>;

impl<B: Bus> Operands<'_, '_, '_, '_, B> {
    fn part(&self, operand: u32) -> Option<Part> {
        match self.instruction.op_kind(operand) {
            OpKind::Register => Part::from_register(self.instruction.op_register(operand)),
            _ => None,
        }
    }

    fn read(&mut self, operand: u32) -> Result1<u64> {
        match self.instruction.op_kind(operand) {
            OpKind::Memory => Ok(self.memory.load(self.linear, self.bytes)?),
            kind if is_immediate(kind) => Ok(self.instruction.immediate(operand)),
            _ => Ok(self.part(operand).ok_or(EmulateError::Unsupported)?.read(self.cpu)),
        }
    }

    fn write(&mut self, operand: u32, value: u64) -> Result1<()> {
        if self.instruction.op_kind(operand) == OpKind::Memory {
            return Ok(self.memory.store(self.linear, self.bytes, value)?);
        }
        self.part(operand).ok_or(EmulateError::Unsupported)?.write(self.cpu, value);
        Ok(())
    }

    /// Checks that the memory operand can be written, before a device is read.
    fn will_modify(&mut self) -> Result1<()> {
        Ok(self.memory.probe(self.linear, self.bytes, crate::walk::Kind::Write)?)
    }

    fn execute(mut self) -> Result1<()> {
        match self.instruction.mnemonic() {
            Mnemonic::Mov | Mnemonic::Movnti | Mnemonic::Movzx => self.copy(|value, _| value),
            Mnemonic::Movsx | Mnemonic::Movsxd => self.copy(alu::sign_extend),
            Mnemonic::Movbe => self.copy(swap_bytes),
            Mnemonic::Add => self.binary(Op::Add, true),
            Mnemonic::Adc => self.binary(Op::Adc, true),
            Mnemonic::Sub => self.binary(Op::Sub, true),
            Mnemonic::Sbb => self.binary(Op::Sbb, true),
            Mnemonic::And => self.binary(Op::And, true),
            Mnemonic::Or => self.binary(Op::Or, true),
            Mnemonic::Xor => self.binary(Op::Xor, true),
            Mnemonic::Test => self.binary(Op::And, false),
            Mnemonic::Cmp => self.binary(Op::Sub, false),
            Mnemonic::Inc => self.step(Op::Add),
            Mnemonic::Dec => self.step(Op::Sub),
            Mnemonic::Not => self.complement(),
            Mnemonic::Neg => self.negate(),
            Mnemonic::Xchg => self.exchange(),
            Mnemonic::Xadd => self.exchange_add(),
            Mnemonic::Cmpxchg => self.compare_exchange(),
            Mnemonic::Bt => self.bit(|value, _| value, false),
            Mnemonic::Bts => self.bit(|value, bit| value | bit, true),
            Mnemonic::Btr => self.bit(|value, bit| value & !bit, true),
            Mnemonic::Btc => self.bit(|value, bit| value ^ bit, true),
            _ => Err(EmulateError::Unsupported),
        }
    }

    fn copy(&mut self, convert: impl Fn(u64, u8) -> u64) -> Result1<()> {
        let value = self.read(1)?;
        self.write(0, convert(value, self.bytes))
    }

    fn binary(&mut self, op: Op, keep: bool) -> Result1<()> {
        if keep && self.instruction.op_kind(0) == OpKind::Memory {
            self.will_modify()?;
        }
        let (a, b) = (self.read(0)?, self.read(1)?);
        let (result, flags) = alu::compute(op, a, b, self.bytes, self.cpu.registers.rflags);
        if keep {
            self.write(0, result)?;
        }
        self.cpu.registers.rflags = flags;
        Ok(())
    }

    fn step(&mut self, op: Op) -> Result1<()> {
        self.will_modify()?;
        let before = self.cpu.registers.rflags;
        let value = self.read(0)?;
        let (result, flags) = alu::compute(op, value, 1, self.bytes, before);
        self.write(0, result)?;
        self.cpu.registers.rflags = alu::keep_carry(flags, before);
        Ok(())
    }

    fn complement(&mut self) -> Result1<()> {
        self.will_modify()?;
        let value = self.read(0)?;
        self.write(0, !value)
    }

    fn negate(&mut self) -> Result1<()> {
        self.will_modify()?;
        let value = self.read(0)?;
        let rflags = self.cpu.registers.rflags;
        let (result, flags) = alu::compute(Op::Sub, 0, value, self.bytes, rflags);
        self.write(0, result)?;
        self.cpu.registers.rflags = flags;
        Ok(())
    }

    fn exchange(&mut self) -> Result1<()> {
        self.will_modify()?;
        let (a, b) = (self.read(0)?, self.read(1)?);
        self.write(0, b)?;
        self.write(1, a)
    }

    fn exchange_add(&mut self) -> Result1<()> {
        self.will_modify()?;
        let (a, b) = (self.read(0)?, self.read(1)?);
        let (sum, flags) = alu::compute(Op::Add, a, b, self.bytes, self.cpu.registers.rflags);
        self.write(0, sum)?;
        self.write(1, a)?;
        self.cpu.registers.rflags = flags;
        Ok(())
    }

    fn compare_exchange(&mut self) -> Result1<()> {
        self.will_modify()?;
        let accumulator = Part::new(super::Gpr::RAX, self.bytes);
        let (found, new) = (self.read(0)?, self.read(1)?);
        let expected = accumulator.read(self.cpu);
        let rflags = self.cpu.registers.rflags;
        let (_, flags) = alu::compute(Op::Sub, expected, found, self.bytes, rflags);
        if expected == found {
            self.write(0, new)?;
        } else {
            self.write(0, found)?;
            accumulator.write(self.cpu, found);
        }
        self.cpu.registers.rflags = flags;
        Ok(())
    }

    /// The bit tests. With the bit in a register they would address memory beyond the operand.
    fn bit(&mut self, change: impl Fn(u64, u64) -> u64, keep: bool) -> Result1<()> {
        if !is_immediate(self.instruction.op_kind(1)) {
            return Err(EmulateError::Unsupported);
        }
        if keep {
            self.will_modify()?;
        }
        let place = self.read(1)? & u64::from(self.bytes).wrapping_mul(8).wrapping_sub(1);
        let bit = 1u64 << (place & 63);
        let value = self.read(0)?;
        if keep {
            self.write(0, change(value, bit))?;
        }
        let rflags = self.cpu.registers.rflags;
        self.cpu.registers.rflags = alu::set_carry(rflags, value & bit != 0);
        Ok(())
    }
}

const fn swap_bytes(value: u64, bytes: u8) -> u64 {
    let shift = 64u32.wrapping_sub((bytes as u32).wrapping_mul(8)) & 63;
    (value & mask(bytes)).swap_bytes() >> shift
}
