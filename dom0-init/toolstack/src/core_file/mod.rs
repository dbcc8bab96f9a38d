//! A guest's memory and registers as a file that debuggers read: Xen's own ELF core format, with
//! sections instead of segments, for guests whose memory the hypervisor translates.
//!
//! | section | holds |
//! |---|---|
//! | `.note.Xen` | what follows: counts, versions |
//! | `.xen_prstatus` | each vCPU's registers ([`registers`]) |
//! | `.xen_pages` | the pages that there are |
//! | `.xen_pfn` | the frame number of each |
//!
//! Format: `docs/misc/dump-core-format.txt` of Xen; the notes' numbers: public header `elfnote.h`.

mod elf;
mod registers;

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use thiserror::Error;
use xenctl::Xen;

use crate::build::frames;

/// Bytes of a page.
const PAGE: usize = 4096;
/// How many pages are mapped at once.
const AT_ONCE: usize = 256;

/// What is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The guest.
    pub domain: u16,
    /// Its vCPUs.
    pub vcpus: u32,
    /// The pages that it has.
    pub pages: u64,
}

/// Why a core isn't written.
#[derive(Debug, Error)]
pub enum CoreError {
    /// The file can't be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The hypervisor refuses.
    #[error(transparent)]
    Xen(#[from] xenctl::Error),
}

/// Writes the whole file.
///
/// # Errors
/// When the disk is full or the guest is gone. The file is incomplete then.
pub fn write(xen: &Xen, facts: &Facts, file: &File) -> Result<(), CoreError> {
    let context = xen.hvm_context(facts.domain)?;
    let status: Vec<u8> =
        (0..facts.vcpus).flat_map(|vcpu| registers::of_vcpu(&context, vcpu)).collect();
    let version = xen.version()?;
    let mut core =
        Core::begin(BufWriter::with_capacity(1 << 20, file), facts.vcpus, &status, version)?;
    let mut left = facts.pages;
    for part in frames(facts.pages).chunks(AT_ONCE) {
        // What a balloon gave back isn't there: then it is looked at page by page.
        match xen.map_foreign(facts.domain, part) {
            Ok(pages) => put(&mut core, part, &pages)?,
            Err(_) => {
                for frame in part {
                    if let Ok(page) = xen.map_foreign(facts.domain, std::slice::from_ref(frame)) {
                        put(&mut core, std::slice::from_ref(frame), &page)?;
                    }
                }
            }
        }
        left = facts.pages.saturating_sub(core.pages());
        if left == 0 {
            break;
        }
    }
    if left > 0 {
        log::info!("domain {}: {left} of its pages aren't where its memory is", facts.domain);
    }
    core.end()?;
    Ok(())
}

fn put<W: Write + Seek>(
    core: &mut Core<W>,
    frames: &[u64],
    pages: &xenctl::mapping::Mapping,
) -> io::Result<()> {
    let mut page = [0; PAGE];
    for (index, frame) in frames.iter().enumerate() {
        if pages.read(index * PAGE, &mut page) {
            core.page(*frame, &page)?;
        }
    }
    Ok(())
}

/// A file in the making: the parts whose length is known, pages, then the rest.
struct Core<W> {
    out: W,
    vcpus: u32,
    version: (u16, u16),
    frames: Vec<u64>,
    /// Where the pages begin.
    pages_at: u64,
    status_bytes: u64,
}

impl<W: Write + Seek> Core<W> {
    fn begin(mut out: W, vcpus: u32, status: &[u8], version: (u16, u16)) -> io::Result<Self> {
        let status_at = elf::front_bytes();
        let status_bytes = status.len() as u64;
        let pages_at = (status_at + status_bytes).next_multiple_of(PAGE as u64);
        out.seek(SeekFrom::Start(status_at))?;
        out.write_all(status)?;
        out.seek(SeekFrom::Start(pages_at))?;
        Ok(Self { out, vcpus, version, frames: Vec::new(), pages_at, status_bytes })
    }

    fn page(&mut self, frame: u64, page: &[u8; PAGE]) -> io::Result<()> {
        self.out.write_all(page)?;
        self.frames.push(frame);
        Ok(())
    }

    fn pages(&self) -> u64 {
        self.frames.len() as u64
    }

    fn end(mut self) -> io::Result<W> {
        for frame in &self.frames {
            self.out.write_all(&frame.to_le_bytes())?;
        }
        let front = elf::front(&elf::Front {
            vcpus: self.vcpus,
            pages: self.pages(),
            version: self.version,
            status_bytes: self.status_bytes,
            pages_at: self.pages_at,
        });
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&front)?;
        self.out.flush()?;
        Ok(self.out)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use object::{Object, ObjectSection};

    use super::*;

    #[test]
    fn sections_hold_what_they_say() {
        let status = vec![7; 2 * registers::BYTES];
        let mut core = Core::begin(Cursor::new(Vec::new()), 2, &status, (4, 20)).unwrap();
        core.page(5, &[5; PAGE]).unwrap();
        core.page(9, &[9; PAGE]).unwrap();
        let bytes = core.end().unwrap().into_inner();
        let file = object::File::parse(bytes.as_slice()).unwrap();
        let section = |name: &str| file.section_by_name(name).unwrap();
        assert_eq!(section(".xen_prstatus").data().unwrap(), status);
        let pages = section(".xen_pages");
        assert_eq!(pages.data().unwrap(), [[5; PAGE], [9; PAGE]].concat());
        assert_eq!(pages.align(), 4096);
        let frames = section(".xen_pfn").data().unwrap();
        assert_eq!(frames, [5_u64.to_le_bytes(), 9_u64.to_le_bytes()].concat());
        let notes = section(".note.Xen").data().unwrap();
        // The second note: magic number of HVM containers, vCPUs, pages, bytes of a page.
        let header: Vec<u64> = notes[16 + 16..16 + 16 + 32]
            .chunks(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(header, [0xF00F_EBEE, 2, 2, 4096]);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut room = [0; 8192];
        let mut core = Core::begin(Cursor::new(&mut room[..]), 1, &[], (4, 20)).unwrap();
        core.page(0, &[0; PAGE]).unwrap();
        assert!(core.page(1, &[0; PAGE]).is_err());
    }
}
