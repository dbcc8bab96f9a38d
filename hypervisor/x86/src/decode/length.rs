//! Lengths of intercepted instructions, and what else the processor leaves to be decoded of
//! them.
//!
//! Most have one fixed opcode: their prefixes are skipped by hand, which is all that an exit
//! costs. The few that have a memory operand go through the decoder.

use iced_x86::{Decoder, DecoderOptions};

use super::{Code, CodeSize, Gpr};

/// What the processor says was intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the instructions' own names")]
pub enum Intercepted {
    Cpuid,
    Rdmsr,
    Wrmsr,
    Rdtsc,
    Rdtscp,
    Rdpmc,
    Hlt,
    Pause,
    Invd,
    Wbinvd,
    Clts,
    Rsm,
    Xsetbv,
    Vmcall,
    Vmmcall,
    Vmrun,
    Vmload,
    Vmsave,
    Stgi,
    Clgi,
    Skinit,
    Invlpga,
    Monitor,
    Mwait,
    Rdpru,
    Icebp,
    Int3,
    Into,
    /// INT n.
    Int,
    Iret,
    Pushf,
    Popf,
    /// MOV to or from a control register.
    MovCr,
    /// MOV to or from a debug register.
    MovDr,
    Invlpg,
    Invpcid,
    Lmsw,
    Smsw,
    /// SGDT, SIDT, LGDT or LIDT.
    DescriptorTable,
    /// SLDT, STR, LLDT or LTR.
    SystemSegment,
}

/// How an instruction's bytes are recognised.
enum Form {
    /// These bytes, after any prefixes.
    Fixed(&'static [u8]),
    /// These bytes and one more of any value.
    OneMore(&'static [u8]),
    /// 0F, one of these, and a ModRM byte that always names registers.
    Registers(&'static [u8]),
    /// 0F, this byte, and a ModRM byte with one of these (a bit set) in its middle.
    Group(u8, u8),
    /// INVPCID.
    Invpcid,
}

impl Intercepted {
    const fn form(self) -> Form {
        match self {
            Self::Cpuid => Form::Fixed(&[0x0f, 0xa2]),
            Self::Rdmsr => Form::Fixed(&[0x0f, 0x32]),
            Self::Wrmsr => Form::Fixed(&[0x0f, 0x30]),
            Self::Rdtsc => Form::Fixed(&[0x0f, 0x31]),
            Self::Rdpmc => Form::Fixed(&[0x0f, 0x33]),
            Self::Hlt => Form::Fixed(&[0xf4]),
            Self::Pause => Form::Fixed(&[0x90]),
            Self::Invd => Form::Fixed(&[0x0f, 0x08]),
            Self::Wbinvd => Form::Fixed(&[0x0f, 0x09]),
            Self::Clts => Form::Fixed(&[0x0f, 0x06]),
            Self::Rsm => Form::Fixed(&[0x0f, 0xaa]),
            Self::Vmcall => Form::Fixed(&[0x0f, 0x01, 0xc1]),
            Self::Monitor => Form::Fixed(&[0x0f, 0x01, 0xc8]),
            Self::Mwait => Form::Fixed(&[0x0f, 0x01, 0xc9]),
            Self::Xsetbv => Form::Fixed(&[0x0f, 0x01, 0xd1]),
            Self::Vmrun => Form::Fixed(&[0x0f, 0x01, 0xd8]),
            Self::Vmmcall => Form::Fixed(&[0x0f, 0x01, 0xd9]),
            Self::Vmload => Form::Fixed(&[0x0f, 0x01, 0xda]),
            Self::Vmsave => Form::Fixed(&[0x0f, 0x01, 0xdb]),
            Self::Stgi => Form::Fixed(&[0x0f, 0x01, 0xdc]),
            Self::Clgi => Form::Fixed(&[0x0f, 0x01, 0xdd]),
            Self::Skinit => Form::Fixed(&[0x0f, 0x01, 0xde]),
            Self::Invlpga => Form::Fixed(&[0x0f, 0x01, 0xdf]),
            Self::Rdtscp => Form::Fixed(&[0x0f, 0x01, 0xf9]),
            Self::Rdpru => Form::Fixed(&[0x0f, 0x01, 0xfd]),
            Self::Icebp => Form::Fixed(&[0xf1]),
            Self::Int3 => Form::Fixed(&[0xcc]),
            Self::Into => Form::Fixed(&[0xce]),
            Self::Iret => Form::Fixed(&[0xcf]),
            Self::Pushf => Form::Fixed(&[0x9c]),
            Self::Popf => Form::Fixed(&[0x9d]),
            Self::Int => Form::OneMore(&[0xcd]),
            Self::MovCr => Form::Registers(&[0x20, 0x22]),
            Self::MovDr => Form::Registers(&[0x21, 0x23]),
            Self::Invlpg => Form::Group(0x01, 1 << 7),
            Self::Lmsw => Form::Group(0x01, 1 << 6),
            Self::Smsw => Form::Group(0x01, 1 << 4),
            Self::DescriptorTable => Form::Group(0x01, 0xf),
            Self::SystemSegment => Form::Group(0x00, 0xf),
            Self::Invpcid => Form::Invpcid,
        }
    }
}

/// The length of the instruction in `code`, if it is the one that was intercepted. It need not
/// be: another vCPU may have changed the bytes since. Then the guest simply runs on at the same
/// place.
pub fn length(what: Intercepted, code: &Code, size: CodeSize) -> Option<u8> {
    let bytes = code.bytes();
    let prefixes = prefix_bytes(bytes, size);
    let opcode = bytes.get(prefixes..)?;
    let rest = match what.form() {
        Form::Fixed(fixed) => opcode.starts_with(fixed).then_some(fixed.len())?,
        Form::OneMore(fixed) => opcode.starts_with(fixed).then(|| fixed.len().saturating_add(1))?,
        Form::Registers(second) => {
            let [0x0f, op, _modrm, ..] = opcode else { return None };
            second.contains(op).then_some(3)?
        }
        Form::Group(op, members) => {
            let [0x0f, second, modrm, ..] = opcode else { return None };
            let member = members & 1 << (modrm >> 3 & 7) != 0;
            return (*second == op && member).then(|| decoded_length(bytes, size))?;
        }
        Form::Invpcid => {
            let invpcid = opcode.starts_with(&[0x0f, 0x38, 0x82]);
            return invpcid.then(|| decoded_length(bytes, size))?;
        }
    };
    let length = prefixes.checked_add(rest).filter(|length| *length <= bytes.len())?;
    u8::try_from(length).ok()
}

/// How many bytes of prefixes the instruction starts with.
fn prefix_bytes(bytes: &[u8], size: CodeSize) -> usize {
    let legacy = |byte: &&u8| {
        matches!(**byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x64 | 0x65 | 0x66 | 0x67 | 0xf0 | 0xf2 | 0xf3)
    };
    let rex = |byte: &&u8| size == CodeSize::Bits64 && **byte & 0xf0 == 0x40;
    // A REX prefix counts only right before the opcode, but is skipped anywhere.
    bytes.iter().take_while(|byte| legacy(byte) || rex(byte)).count()
}

fn decoded_length(bytes: &[u8], size: CodeSize) -> Option<u8> {
    let mut decoder = Decoder::new(size.bits(), bytes, DecoderOptions::AMD);
    let instruction = decoder.decode();
    (!instruction.is_invalid()).then(|| u8::try_from(instruction.len()).ok())?
}

/// A MOV between a general register and a control or debug register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlMove {
    /// The number of the control or debug register.
    pub control: u8,
    /// The general register.
    pub gpr: Gpr,
    /// The control register is written, else read.
    pub write: bool,
    /// The instruction's length.
    pub length: u8,
}

/// Decodes a [`Intercepted::MovCr`] or [`Intercepted::MovDr`]. `LOCK MOV CR0` is AMD's way to
/// name CR8 outside of 64-bit mode.
pub fn control_move(code: &Code, size: CodeSize) -> Option<ControlMove> {
    let bytes = code.bytes();
    let prefixes = prefix_bytes(bytes, size);
    let (before, opcode) = bytes.split_at_checked(prefixes)?;
    let [0x0f, op @ 0x20..=0x23, modrm, ..] = *opcode else { return None };
    let rex = before.last().filter(|byte| size == CodeSize::Bits64 && **byte & 0xf0 == 0x40);
    let rex = rex.copied().unwrap_or(0);
    let lock = before.contains(&0xf0) && op & 1 == 0;
    let high = |bit: u8| if rex & bit != 0 { 8 } else { 0 };
    Some(ControlMove {
        control: modrm >> 3 & 7 | high(4) | if lock { 8 } else { 0 },
        gpr: Gpr(modrm & 7 | high(1)),
        write: op & 2 != 0,
        length: u8::try_from(prefixes).ok()?.checked_add(3)?,
    })
}
