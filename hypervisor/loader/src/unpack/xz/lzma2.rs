//! LZMA2: chunks, each packed or not, each saying what of the decoder's state it keeps.

use super::super::{CUT_SHORT, Outcome, copy};
use super::lzma::{Decoder, Properties};
use crate::bytes::array;

/// Unpacks all chunks to the start of `out`; gives the bytes read and written.
pub(super) fn unpack(data: &[u8], out: &mut [u8]) -> Outcome<(usize, usize)> {
    let mut decoder = Decoder::new();
    let mut rest = data;
    let mut done = 0;
    // Until a chunk says so, there is neither a dictionary nor properties.
    let mut needs = Needs { dictionary: true, properties: true };
    loop {
        let (control, after) = rest.split_first().ok_or(CUT_SHORT)?;
        rest = after;
        done = match control {
            0 => return Ok((data.len().saturating_sub(rest.len()), done)),
            1 | 2 => {
                if *control == 1 {
                    decoder.set_start(done);
                    needs.dictionary = false;
                }
                needs.check(false)?;
                let len = usize::from(take_u16(&mut rest)?).saturating_add(1);
                copy::exact(out, done, take(&mut rest, len)?)?
            }
            0x80.. => {
                let high = usize::from(control & 0x1F) << 16;
                let len = high.saturating_add(take_u16(&mut rest)?.into()).saturating_add(1);
                let packed_len = usize::from(take_u16(&mut rest)?).saturating_add(1);
                let reset = control >> 5 & 3;
                if reset == 3 {
                    decoder.set_start(done);
                    needs.dictionary = false;
                }
                if reset >= 2 {
                    let properties = *take(&mut rest, 1)?.first().ok_or(CUT_SHORT)?;
                    decoder.set_properties(Properties::parse(properties)?);
                    needs.properties = false;
                } else if reset == 1 {
                    decoder.reset();
                }
                needs.check(true)?;
                let packed = take(&mut rest, packed_len)?;
                decoder.run(packed, out, done, done.saturating_add(len))?
            }
            _ => return Err("a chunk is of an unknown kind"),
        };
    }
}

/// What the first chunks have to bring.
struct Needs {
    dictionary: bool,
    properties: bool,
}

impl Needs {
    const fn check(&self, packed: bool) -> Outcome<()> {
        if self.dictionary || packed && self.properties {
            Err("a chunk needs a state that no chunk before it has left")
        } else {
            Ok(())
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Outcome<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len).ok_or(CUT_SHORT)?;
    *bytes = rest;
    Ok(taken)
}

fn take_u16(bytes: &mut &[u8]) -> Outcome<u16> {
    let number = array(take(bytes, 2)?, 0).ok_or(CUT_SHORT)?;
    Ok(u16::from_be_bytes(number))
}
