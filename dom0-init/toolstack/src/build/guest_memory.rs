//! Writing into the memory of a guest that doesn't run yet.

use std::fs::File;
use std::io::{self, Read};

use hv_core::types::Gpa;
use hv_loader::memory::{LoadMemory, Span};
use xen_abi::grant_table::{EntryV1, GTF_PERMIT_ACCESS};
use xen_abi::memory::{RESOURCE_GRANT_TABLE_ID_SHARED, Resource as Kind};
use xenctl::Xen;
use xenctl::mapping::Mapping;
use xenctl::privcmd::Resource;
use zerocopy::IntoBytes;

use super::memory::PAGE;

/// Bytes that are copied at once.
const CHUNK: usize = 64 << 10;

/// A piece of a guest's memory, mapped.
pub struct GuestMemory {
    pages: Mapping,
    /// The address of its first page.
    base: u64,
}

impl GuestMemory {
    /// Maps the pages that a span lies in.
    ///
    /// # Errors
    /// When not all of it is the guest's memory.
    pub fn map(xen: &Xen, domain: u16, span: Span) -> xenctl::Result<Self> {
        let first = span.start / PAGE;
        let frames: Vec<u64> = (first..span.end.div_ceil(PAGE)).collect();
        Ok(Self { pages: xen.map_foreign(domain, &frames)?, base: first * PAGE })
    }

    /// Copies bytes to an address. What isn't mapped isn't written.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        let inside = at
            .checked_sub(self.base)
            .and_then(|offset| usize::try_from(offset).ok())
            .is_some_and(|offset| self.pages.write(offset, bytes));
        debug_assert!(inside, "what is written was mapped");
    }

    /// Zeroes a span.
    pub fn clear(&self, span: Span) {
        let zeroes = [0; CHUNK];
        let mut at = span.start;
        while at < span.end {
            let length = usize::try_from(span.end - at).unwrap_or(CHUNK).min(CHUNK);
            self.put(at, zeroes.get(..length).unwrap_or_default());
            at += length as u64;
        }
    }

    /// Copies a file to a span.
    ///
    /// # Errors
    /// When it can't be read, or is shorter.
    pub fn fill(&self, span: Span, mut file: &File) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut at = span.start;
        while at < span.end {
            let length = usize::try_from(span.end - at).unwrap_or(CHUNK).min(CHUNK);
            let part = chunk.get_mut(..length).unwrap_or_default();
            file.read_exact(part)?;
            self.put(at, part);
            at += length as u64;
        }
        Ok(())
    }
}

impl LoadMemory for GuestMemory {
    fn write(&mut self, at: Gpa, bytes: &[u8]) {
        self.put(at.0, bytes);
    }

    fn zero(&mut self, _at: Gpa, _len: u64) {
        // The hypervisor gives memory out zeroed, and nothing was written there before.
    }
}

/// Grants a frame of a guest to this domain, in the guest's name.
///
/// # Errors
/// When the guest's grant table can't be mapped.
pub fn grant(xen: &Xen, domain: u16, reference: u32, frame: u64) -> xenctl::Result<()> {
    let kind = u32::from(Kind::GRANT_TABLE.0);
    let id = RESOURCE_GRANT_TABLE_ID_SHARED;
    let table = xen.map_resource(domain, Resource { kind, id, first_frame: 0, frames: 1 })?;
    let entry = EntryV1 {
        flags: GTF_PERMIT_ACCESS,
        domid: 0,
        frame: u32::try_from(frame).unwrap_or(u32::MAX),
    };
    let offset = usize::try_from(reference).unwrap_or(0) * size_of::<EntryV1>();
    let inside = table.write(offset, entry.as_bytes());
    debug_assert!(inside, "the reserved references are the first");
    Ok(())
}
