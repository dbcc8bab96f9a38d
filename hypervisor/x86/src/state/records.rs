//! The format of a saved container: records behind descriptors, from the header to the end mark
//! (public header `hvm/save.h`).

use alloc::vec::Vec;

use xen_abi::hvm::save::{Descriptor, FILE_MAGIC, FILE_VERSION, Header, RecordType};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Puts records together.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts with a header.
    pub fn new(header: &Header) -> Self {
        let mut writer = Self::default();
        writer.put(RecordType::HEADER, 0, header);
        writer
    }

    /// Appends a record.
    pub fn put<T: IntoBytes + Immutable>(&mut self, kind: RecordType, instance: u16, record: &T) {
        self.put_parts(kind, instance, &[record.as_bytes()]);
    }

    /// Appends a record that is made of parts.
    pub fn put_parts(&mut self, kind: RecordType, instance: u16, parts: &[&[u8]]) {
        let bytes = parts.iter().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        let descriptor = Descriptor { typecode: kind, instance, length };
        self.0.extend_from_slice(descriptor.as_bytes());
        for part in parts {
            self.0.extend_from_slice(part);
        }
    }

    /// Ends with the end mark.
    pub fn finish(mut self) -> Vec<u8> {
        self.put_parts(RecordType::END, 0, &[]);
        self.0
    }
}

/// A record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its type.
    pub kind: RecordType,
    /// Its vCPU or number.
    pub instance: u16,
    /// What it holds.
    pub body: &'a [u8],
}

impl Record<'_> {
    /// The body as a structure. One that is shorter is filled up with zeroes, as the interface
    /// has grown; a longer one isn't taken.
    ///
    /// # Errors
    /// It is longer.
    pub fn read<T: FromBytes + IntoBytes>(&self) -> Result<T, Malformed> {
        let mut value = T::new_zeroed();
        let place = value.as_mut_bytes().get_mut(..self.body.len()).ok_or(Malformed)?;
        place.copy_from_slice(self.body);
        Ok(value)
    }
}

/// The records aren't as the interface has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The records between the header and the end mark.
///
/// # Errors
/// There is no header of the known version, no end mark, or a record that isn't all there.
pub fn parse(bytes: &[u8]) -> Result<Vec<Record<'_>>, Malformed> {
    let mut rest = bytes;
    let first = next(&mut rest)?;
    let header: Header = first.read()?;
    let known = first.kind == RecordType::HEADER
        && first.body.len() == size_of::<Header>()
        && header.magic == FILE_MAGIC
        && header.version == FILE_VERSION;
    if !known {
        return Err(Malformed);
    }
    let mut records = Vec::new();
    loop {
        let record = next(&mut rest)?;
        if record.kind == RecordType::END {
            return Ok(records);
        }
        records.push(record);
    }
}

/// The body of one of the records that [`Writer`] put together.
pub fn find(bytes: &[u8], kind: RecordType, instance: u16) -> Option<&[u8]> {
    let mut rest = bytes;
    core::iter::from_fn(|| next(&mut rest).ok())
        .take_while(|record| record.kind != RecordType::END)
        .find(|record| record.kind == kind && record.instance == instance)
        .map(|record| record.body)
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<Record<'a>, Malformed> {
    let (descriptor, after) = Descriptor::read_from_prefix(rest).map_err(|_| Malformed)?;
    let length = usize::try_from(descriptor.length).map_err(|_| Malformed)?;
    let (body, after) = after.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(Record { kind: descriptor.typecode, instance: descriptor.instance, body })
}
