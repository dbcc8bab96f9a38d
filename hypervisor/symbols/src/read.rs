//! Finding names: no allocation, and nothing that could go wrong in a panic.

use core::fmt;

use crate::{HEADER_BYTES, INDEX_BYTES, MAGIC, MAX_NAME, STRIDE};

/// An embedded table.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    count: usize,
    index: &'a [u8],
    entries: &'a [u8],
}

/// A function's name.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl Name {
    const EMPTY: Self = Self { bytes: [0; MAX_NAME], len: 0 };

    /// The name's text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or("?")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<'a> Symbols<'a> {
    /// The table in the section's bytes. `None` if it was never embedded.
    pub fn new(section: &'a [u8]) -> Option<Self> {
        if word(section, 0)? != MAGIC {
            return None;
        }
        let count = word(section, 4)? as usize;
        let entries = word(section, 8)? as usize;
        let index_bytes = count.div_ceil(STRIDE).checked_mul(INDEX_BYTES)?;
        let (index, rest) = section.get(HEADER_BYTES..)?.split_at_checked(index_bytes)?;
        Some(Self { count, index, entries: rest.get(..entries)? })
    }

    /// How many functions have names.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The function that begins last at or before `offset` from the image's start, and how far
    /// `offset` is into it.
    pub fn find(&self, offset: u32) -> Option<(Name, u32)> {
        let (mut address, mut rest) = self.block(offset)?;
        let mut found = None;
        let mut name = Name::EMPTY;
        for _ in 0..STRIDE {
            let Some((distance, after)) = take_number(rest) else { break };
            address = address.wrapping_add(distance);
            if address > offset {
                break;
            }
            rest = take_name(after, &mut name)?;
            found = Some((name, offset - address));
        }
        found
    }

    /// Where to begin: the last index entry at or before `offset`.
    fn block(&self, offset: u32) -> Option<(u32, &'a [u8])> {
        let (mut low, mut high) = (0, self.index.len() / INDEX_BYTES);
        while low < high {
            let middle = low.midpoint(high);
            if word(self.index, middle * INDEX_BYTES)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let at = low.checked_sub(1)? * INDEX_BYTES;
        let position = word(self.index, at + 4)? as usize;
        Some((word(self.index, at)?, self.entries.get(position..)?))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Takes a LEB128 number.
fn take_number(mut bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut number = 0;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        number |= u32::from(byte & 0x7F) << shift;
        bytes = rest;
        if byte & 0x80 == 0 {
            return Some((number, bytes));
        }
    }
    None
}

/// Takes a name, which replaces the end of the previous one in `name`.
fn take_name<'a>(bytes: &'a [u8], name: &mut Name) -> Option<&'a [u8]> {
    let (&[shared, others], rest) = bytes.split_first_chunk()?;
    let (others, rest) = rest.split_at_checked(others.into())?;
    let shared = usize::from(shared);
    name.len = shared + others.len();
    name.bytes.get_mut(shared..name.len)?.copy_from_slice(others);
    Some(rest)
}
