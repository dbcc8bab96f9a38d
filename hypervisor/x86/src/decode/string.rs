//! String instructions: MOVS, STOS and LODS on devices, INS and OUTS on ports.
//!
//! One loop serves all: an element is loaded from memory, the accumulator or a port, and stored
//! to one of them. Registers are up to date after each element, so that an exception, and the
//! bound on the work of one exit, fall between elements as they do on hardware.

use hv_core::types::{FRAME_BYTES, Gpa};
use x86defs::rflags::Rflags;

use super::alu::mask;
use super::{Bus, Code, Cpu, Gpr, Outcome, Segment};
use crate::fault::Exception;
use crate::walk::Kind;

/// Elements that one exit moves at most.
pub const ELEMENTS_PER_EXIT: u64 = 1024;

/// Where an element comes from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Memory: at RSI if it is the source, at RDI if it is the destination.
    Memory(Segment),
    /// AL, AX, EAX or RAX.
    Accumulator,
    /// A port.
    Port(u16),
}

/// A string instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) from: End,
    pub(super) to: End,
    pub(super) bytes: u8,
    /// Repeated RCX times.
    pub(super) repeat: bool,
    /// All ones of the address size.
    pub(super) address_mask: u64,
}

/// INS or OUTS as the processor reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortString {
    /// The port.
    pub port: u16,
    /// 1, 2 or 4.
    pub bytes: u8,
    /// OUTS, else INS.
    pub output: bool,
    /// It has a REP prefix.
    pub repeat: bool,
    /// The address size: 16, 32 or 64.
    pub address_bits: u8,
    /// The segment that OUTS reads from. Processors that do not report it: [`outs_segment`].
    pub segment: Segment,
}

/// Executes INS or OUTS, at most [`ELEMENTS_PER_EXIT`] elements of it. The instruction pointer
/// is the caller's to advance on [`Outcome::Done`], as the exit tells the next one.
///
/// # Errors
/// The exception that accessing memory raises.
pub fn port_io(
    request: &PortString,
    cpu: &mut Cpu<'_>,
    bus: &mut impl Bus,
) -> Result<Outcome, Exception> {
    let port = End::Port(request.port);
    let (from, to) = if request.output {
        (End::Memory(request.segment), port)
    } else {
        (port, End::Memory(Segment::Es))
    };
    let address_mask = mask(request.address_bits >> 3);
    let job = Job { from, to, bytes: request.bytes, repeat: request.repeat, address_mask };
    run(&job, cpu, bus)
}

/// The segment that the OUTS in `code` reads from.
pub fn outs_segment(code: &Code) -> Segment {
    let prefix = |byte: &u8| match byte {
        0x26 => Some(Segment::Es),
        0x2e => Some(Segment::Cs),
        0x36 => Some(Segment::Ss),
        0x3e => Some(Segment::Ds),
        0x64 => Some(Segment::Fs),
        0x65 => Some(Segment::Gs),
        _ => None,
    };
    let prefixes = code.bytes().iter().take_while(|byte| !matches!(byte, 0x6e | 0x6f));
    prefixes.filter_map(prefix).last().unwrap_or(Segment::Ds)
}

/// Runs a string instruction, up to the bound.
pub(super) fn run(job: &Job, cpu: &mut Cpu<'_>, bus: &mut impl Bus) -> Result<Outcome, Exception> {
    let left = |cpu: &Cpu<'_>| {
        if job.repeat { cpu.registers.get(Gpr::RCX) & job.address_mask } else { 1 }
    };
    let mut memory = Memory::new(bus);
    for _ in 0..left(cpu).min(ELEMENTS_PER_EXIT) {
        element(job, cpu, &mut memory)?;
        if job.repeat {
            let count = left(cpu).wrapping_sub(1);
            cpu.registers.set_sized(Gpr::RCX, count, job.address_mask);
        }
    }
    Ok(if job.repeat && left(cpu) != 0 { Outcome::Again } else { Outcome::Done })
}

fn element<B: Bus>(
    job: &Job,
    cpu: &mut Cpu<'_>,
    memory: &mut Memory<'_, B>,
) -> Result<(), Exception> {
    let source = cpu.registers.get(Gpr::RSI) & job.address_mask;
    let target = cpu.registers.get(Gpr::RDI) & job.address_mask;
    let to = match job.to {
        End::Memory(segment) => Some(cpu.linear(segment, target)),
        _ => None,
    };
    // Before a port or device is read: what it gave could not be put back.
    if let Some(linear) = to {
        memory.probe(linear, job.bytes, Kind::Write)?;
    }
    let value = match job.from {
        End::Memory(segment) => memory.load(cpu.linear(segment, source), job.bytes)?,
        End::Accumulator => cpu.registers.get(Gpr::RAX) & mask(job.bytes),
        End::Port(port) => u64::from(memory.bus.input(port, job.bytes)),
    };
    match (job.to, to) {
        (End::Port(port), _) => memory.bus.output(port, job.bytes, value as u32),
        (_, Some(linear)) => memory.store(linear, job.bytes, value)?,
        _ => super::operand::Part::new(Gpr::RAX, job.bytes).write(cpu, value),
    }
    let backwards = cpu.registers.rflags & Rflags::DF.bits() != 0;
    let step = u64::from(job.bytes);
    let step = if backwards { step.wrapping_neg() } else { step };
    if matches!(job.from, End::Memory(_)) {
        cpu.registers.set_sized(Gpr::RSI, source.wrapping_add(step), job.address_mask);
    }
    if matches!(job.to, End::Memory(_)) {
        cpu.registers.set_sized(Gpr::RDI, target.wrapping_add(step), job.address_mask);
    }
    Ok(())
}

/// Linear accesses over a [`Bus`], with the last translation of each kind remembered.
pub(super) struct Memory<'a, B> {
    pub(super) bus: &'a mut B,
    read_page: Option<(u64, u64)>,
    write_page: Option<(u64, u64)>,
}

const PAGE: u64 = FRAME_BYTES as u64 - 1;

impl<'a, B: Bus> Memory<'a, B> {
    pub(super) const fn new(bus: &'a mut B) -> Self {
        Self { bus, read_page: None, write_page: None }
    }

    /// Remembers that `linear` leads to `gpa`, because the processor has just said so.
    pub(super) const fn know(&mut self, linear: u64, gpa: Gpa, write: bool) {
        let page = Some((linear & !PAGE, gpa.0 & !PAGE));
        self.read_page = page;
        if write {
            self.write_page = page;
        }
    }

    fn translate(&mut self, linear: u64, kind: Kind) -> Result<Gpa, Exception> {
        let known = match kind {
            Kind::Write => &mut self.write_page,
            _ => &mut self.read_page,
        };
        if let Some((page, frame)) = *known
            && page == linear & !PAGE
        {
            return Ok(Gpa(frame | linear & PAGE));
        }
        let gpa = self.bus.translate(linear, kind)?;
        *known = Some((linear & !PAGE, gpa.0 & !PAGE));
        Ok(gpa)
    }

    /// How many of `bytes` bytes at `linear` are in its page.
    fn within(linear: u64, bytes: u8) -> usize {
        let room = (PAGE & !linear).wrapping_add(1);
        u64::from(bytes).min(room) as usize
    }

    /// Checks that all of an operand can be accessed.
    pub(super) fn probe(&mut self, linear: u64, bytes: u8, kind: Kind) -> Result<(), Exception> {
        let here = Self::within(linear, bytes);
        if here < usize::from(bytes) {
            self.translate(linear.wrapping_add(here as u64), kind)?;
        }
        self.translate(linear, kind).map(|_| ())
    }

    /// Reads an operand of up to 8 bytes.
    pub(super) fn load(&mut self, linear: u64, bytes: u8) -> Result<u64, Exception> {
        let mut value = [0; 8];
        let here = Self::within(linear, bytes);
        if let Some((operand, _)) = value.split_at_mut_checked(usize::from(bytes))
            && let Some((first, rest)) = operand.split_at_mut_checked(here)
        {
            let gpa = self.translate(linear, Kind::Read)?;
            if !rest.is_empty() {
                let gpa = self.translate(linear.wrapping_add(here as u64), Kind::Read)?;
                self.bus.read(gpa, rest);
            }
            self.bus.read(gpa, first);
        }
        Ok(u64::from_le_bytes(value))
    }

    /// Writes an operand of up to 8 bytes: all of it or, on an exception, nothing.
    pub(super) fn store(&mut self, linear: u64, bytes: u8, value: u64) -> Result<(), Exception> {
        let value = value.to_le_bytes();
        let here = Self::within(linear, bytes);
        if let Some((operand, _)) = value.split_at_checked(usize::from(bytes))
            && let Some((first, rest)) = operand.split_at_checked(here)
        {
            let gpa = self.translate(linear, Kind::Write)?;
            if !rest.is_empty() {
                let gpa = self.translate(linear.wrapping_add(here as u64), Kind::Write)?;
                self.bus.write(gpa, rest);
            }
            self.bus.write(gpa, first);
        }
        Ok(())
    }
}
