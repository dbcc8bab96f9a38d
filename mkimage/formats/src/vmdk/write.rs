//! Writing stream-optimized VMDK: compressed grains, each behind a marker, with their tables
//! between them and the directory of those at the end. One pass, and nothing is written twice.

use super::{AT_END, ENTRIES, MAGIC, SECTOR};
use crate::words::{Header, table};
use crate::{Disk, Error, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use std::io::Write;

const GRAIN: usize = 1 << 16;
const GRAIN_SECTORS: u64 = GRAIN as u64 / SECTOR;
/// Header and descriptor, in sectors.
const OVERHEAD: u64 = 128;
const DESCRIPTOR_SECTORS: u64 = 20;
/// A table of grains, in sectors.
const TABLE_SECTORS: u64 = ENTRIES as u64 * 4 / SECTOR;
/// The newline test is valid, grains are compressed, and there are markers.
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;

/// What a marker stands in front of.
const END: u32 = 0;
const GRAIN_TABLE: u32 = 1;
const GRAIN_DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;

/// Writes a disk as a stream-optimized VMDK. `name` is what the file will be called; `content_id`
/// tells one content from another.
///
/// # Errors
/// When the disk isn't whole sectors, can't be read, or the output can't be written.
pub fn write<D: Disk + ?Sized, W: Write>(
    disk: &mut D,
    out: &mut W,
    name: &str,
    content_id: u32,
) -> Result<()> {
    let size = disk.size();
    if !size.is_multiple_of(SECTOR) {
        return Err(Error::unsupported(format!(
            "a VMDK holds whole sectors, and the disk has {size} bytes"
        )));
    }
    let capacity = size / SECTOR;
    let mut stream = Stream { out, sector: 0, tables: Vec::new(), table: Vec::new() };
    stream.put(&header(capacity, AT_END))?;
    stream.put(&descriptor(capacity, name, content_id))?;
    stream.fill_to(OVERHEAD)?;
    crate::blocks::for_each(disk, GRAIN, |number, block| stream.grain(number, block))?;
    stream.finish(capacity)
}

struct Stream<'a, W> {
    out: &'a mut W,
    /// Where the next sector goes.
    sector: u64,
    /// Where the tables of grains are; 0 of those without any.
    tables: Vec<u32>,
    /// The table that grains are entered in.
    table: Vec<u32>,
}

impl<W: Write> Stream<'_, W> {
    /// Writes bytes, filled up to whole sectors.
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let length = bytes.len() as u64;
        let padding = length.next_multiple_of(SECTOR) - length;
        self.out.write_all(bytes)?;
        self.out.write_all(&vec![0; usize::try_from(padding).unwrap_or(0)])?;
        self.sector += length.div_ceil(SECTOR);
        Ok(())
    }

    fn fill_to(&mut self, sector: u64) -> Result<()> {
        while self.sector < sector {
            self.put(&[0; SECTOR as usize])?;
        }
        Ok(())
    }

    fn here(&self) -> Result<u32> {
        u32::try_from(self.sector)
            .map_err(|_| Error::unsupported("a VMDK holds up to 2 TiB of content"))
    }

    fn marker(&mut self, sectors: u64, kind: u32) -> Result<()> {
        let marker = Header::default().field(sectors.to_le_bytes()).field([0; 4]);
        self.put(&marker.field(kind.to_le_bytes()).padded(SECTOR as usize))
    }

    fn grain(&mut self, number: u64, block: &[u8]) -> Result<()> {
        self.tables_up_to(number / u64::from(ENTRIES))?;
        let index = usize::try_from(number % u64::from(ENTRIES)).unwrap_or(usize::MAX);
        self.table.resize(index, 0);
        self.table.push(self.here()?);
        let mut packed = ZlibEncoder::new(Vec::new(), Compression::new(6));
        packed.write_all(block)?;
        let packed = packed.finish()?;
        let length = u32::try_from(packed.len()).unwrap_or(u32::MAX);
        let marker = Header::default()
            .field((number * GRAIN_SECTORS).to_le_bytes())
            .field(length.to_le_bytes())
            .field(packed);
        self.put(&marker.bytes())
    }

    /// Writes the table that is being filled when a later one begins.
    fn tables_up_to(&mut self, wanted: u64) -> Result<()> {
        while (self.tables.len() as u64) < wanted {
            self.end_table()?;
        }
        Ok(())
    }

    fn end_table(&mut self) -> Result<()> {
        if self.table.is_empty() {
            self.tables.push(0);
            return Ok(());
        }
        self.marker(TABLE_SECTORS, GRAIN_TABLE)?;
        let here = self.here()?;
        self.tables.push(here);
        self.table.resize(ENTRIES as usize, 0);
        let bytes = table(self.table.drain(..).map(u32::to_le_bytes));
        self.put(&bytes)
    }

    fn finish(mut self, capacity: u64) -> Result<()> {
        let tables = capacity.div_ceil(GRAIN_SECTORS * u64::from(ENTRIES));
        self.tables_up_to(tables)?;
        let directory = table(std::mem::take(&mut self.tables).into_iter().map(u32::to_le_bytes));
        self.marker((directory.len() as u64).div_ceil(SECTOR), GRAIN_DIRECTORY)?;
        let place = self.sector;
        self.put(&directory)?;
        self.marker(1, FOOTER)?;
        self.put(&header(capacity, place))?;
        self.marker(0, END)?;
        self.out.flush()?;
        Ok(())
    }
}

fn header(capacity: u64, directory: u64) -> Vec<u8> {
    Header::default()
        .field(MAGIC)
        .field(3_u32.to_le_bytes())
        .field(FLAGS.to_le_bytes())
        .field(capacity.to_le_bytes())
        .field(GRAIN_SECTORS.to_le_bytes())
        .field(1_u64.to_le_bytes()) // the descriptor's sector
        .field(DESCRIPTOR_SECTORS.to_le_bytes())
        .field(ENTRIES.to_le_bytes())
        .field([0; 8]) // no second directory
        .field(directory.to_le_bytes())
        .field(OVERHEAD.to_le_bytes())
        .field([0]) // closed in order
        .field(b"\n \r\n") // a transfer as text would change this
        .field(1_u16.to_le_bytes()) // deflate
        .padded(SECTOR as usize)
}

fn descriptor(capacity: u64, name: &str, content_id: u32) -> Vec<u8> {
    let cylinders = (capacity / (255 * 63)).min(65_535);
    let text = format!(
        "# Disk DescriptorFile\nversion=1\nCID={content_id:08x}\nparentCID=ffffffff\n\
         createType=\"streamOptimized\"\n\n# Extent description\n\
         RDONLY {capacity} SPARSE \"{name}\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"{cylinders}\"\n\
         ddb.geometry.heads = \"255\"\nddb.geometry.sectors = \"63\"\n\
         ddb.virtualHWVersion = \"7\"\n"
    );
    Header::default().field(text).padded((DESCRIPTOR_SECTORS * SECTOR) as usize)
}
