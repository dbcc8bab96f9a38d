//! The bytes of the instruction at the instruction pointer.

use hv_core::types::{FRAME_BYTES, Gpa};

use super::{Bus, Cpu, MAX_BYTES, Segment};
use crate::fault::Exception;
use crate::walk::Kind;

/// Up to 15 bytes from the instruction pointer on.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    bytes: [u8; MAX_BYTES],
    len: usize,
    /// Why the bytes end before the longest instruction would.
    ended_by: Option<Exception>,
}

impl Code {
    /// Bytes that the processor has reported.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut code =
            Self { bytes: [0; MAX_BYTES], len: bytes.len().min(MAX_BYTES), ended_by: None };
        code.bytes.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        code
    }

    /// The bytes that could be read.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }

    /// The exception to raise if the instruction is longer than the bytes.
    pub const fn ended_by(&self) -> Option<Exception> {
        self.ended_by
    }
}

/// Reads the instruction. If it may go on in a second page that is not there, the bytes end at
/// the first one's end.
///
/// # Errors
/// The first byte can't be fetched.
pub fn fetch(cpu: &Cpu<'_>, bus: &mut impl Bus) -> Result<Code, Exception> {
    let linear = cpu.linear(Segment::Cs, cpu.registers.rip & cpu.code.mask());
    let gpa = bus.translate(linear, Kind::Fetch)?;
    let mut code = Code { bytes: [0; MAX_BYTES], len: MAX_BYTES, ended_by: None };
    let here = FRAME_BYTES.saturating_sub(gpa.offset()).min(MAX_BYTES);
    let (first, rest) = code.bytes.split_at_mut(here);
    bus.read(gpa, first);
    if !rest.is_empty() {
        match bus.translate(linear.wrapping_add(here as u64), Kind::Fetch) {
            Ok(gpa) => bus.read(Gpa(gpa.0), rest),
            Err(exception) => {
                code.len = here;
                code.ended_by = Some(exception);
            }
        }
    }
    Ok(code)
}
