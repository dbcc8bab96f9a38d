//! Block maps, as bmaptool has them (version 2.0 of its format): which blocks of an image are to
//! be written to a device, and what each run of them hashes to.

use crate::{Disk, Error, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::ops::Range;

/// Bytes of a block in the maps that are written.
pub const BLOCK: u64 = 4096;
/// A map's text is at most so long.
const LONGEST: usize = 64 << 20;
const ZERO_SUM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A block map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bmap {
    /// The image's size in bytes.
    pub size: u64,
    /// Bytes of a block.
    pub block: u64,
    /// The runs of blocks, in order.
    pub runs: Vec<Run>,
}

/// Blocks that follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Their numbers.
    pub blocks: Range<u64>,
    /// SHA-256 of their bytes, up to the image's end.
    pub sha256: [u8; 32],
}

impl Bmap {
    /// The map of a disk: the blocks that its image has, zeros or not. A file system may rely on
    /// zeros that were written, and never on those that weren't.
    ///
    /// # Errors
    /// When the disk can't be read.
    pub fn of<D: Disk + ?Sized>(disk: &mut D) -> Result<Self> {
        let size = disk.size();
        let mut ranges: Vec<Range<u64>> = Vec::new();
        let mut from = 0;
        while let Some(data) = disk.next_data(from)? {
            let blocks = data.start / BLOCK..data.end.div_ceil(BLOCK);
            match ranges.last_mut().filter(|last| last.end >= blocks.start) {
                Some(last) => last.end = blocks.end,
                None => ranges.push(blocks),
            }
            from = data.end;
        }
        let sum = |blocks: &Range<u64>| sum(disk, blocks.start * BLOCK..blocks.end * BLOCK);
        let sums: Result<Vec<[u8; 32]>> = ranges.iter().map(sum).collect();
        let runs = ranges.into_iter().zip(sums?);
        Ok(Self {
            size,
            block: BLOCK,
            runs: runs.map(|(blocks, sha256)| Run { blocks, sha256 }).collect(),
        })
    }

    /// The bytes of a run.
    pub fn bytes(&self, run: &Run) -> Range<u64> {
        run.blocks.start * self.block..(run.blocks.end * self.block).min(self.size)
    }

    /// The number of blocks in all runs.
    pub fn mapped(&self) -> u64 {
        self.runs.iter().map(|run| run.blocks.end - run.blocks.start).sum()
    }

    /// The map as text, with its own checksum in it.
    pub fn to_text(&self) -> String {
        let text = self.with_sum(ZERO_SUM);
        let sum = hex(&Sha256::digest(&text));
        self.with_sum(&sum)
    }

    fn with_sum(&self, sum: &str) -> String {
        let mut runs = String::new();
        for run in &self.runs {
            let Range { start, end } = run.blocks;
            let blocks =
                if end - start == 1 { start.to_string() } else { format!("{start}-{}", end - 1) };
            // Writing to a string can't fail.
            let _ =
                writeln!(runs, "        <Range chksum=\"{}\"> {blocks} </Range>", hex(&run.sha256));
        }
        let (size, block) = (self.size, self.block);
        let (count, mapped) = (size.div_ceil(block), self.mapped());
        format!(
            "<?xml version=\"1.0\" ?>\n\
             <!-- Which blocks of the image are to be written to a device. -->\n\
             <bmap version=\"2.0\">\n    <ImageSize> {size} </ImageSize>\n    \
             <BlockSize> {block} </BlockSize>\n    <BlocksCount> {count} </BlocksCount>\n    \
             <MappedBlocksCount> {mapped} </MappedBlocksCount>\n    \
             <ChecksumType> sha256 </ChecksumType>\n    \
             <BmapFileChecksum> {sum} </BmapFileChecksum>\n    <BlockMap>\n{runs}    </BlockMap>\n\
             </bmap>\n"
        )
    }

    /// Reads a map.
    ///
    /// # Errors
    /// When it is damaged, or of another version or checksum type.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(Error::damaged("the block map is too long"));
        }
        let document = roxmltree::Document::parse(text)
            .map_err(|error| Error::damaged(format!("this is no block map: {error}")))?;
        let root = document.root_element();
        let version = root.attribute("version").unwrap_or_default();
        if !root.has_tag_name("bmap") || !version.starts_with("2.") {
            return Err(Error::unsupported(format!(
                "it is no block map of version 2 (but `{version}`)"
            )));
        }
        let field = |name: &str| {
            let node = root.children().find(|node| node.has_tag_name(name));
            node.and_then(|node| node.text())
                .map(str::trim)
                .ok_or_else(|| Error::damaged(format!("the block map has no {name}")))
        };
        let number = |name: &str| {
            field(name)?.parse::<u64>().map_err(|_| Error::damaged(format!("{name} is no number")))
        };
        if field("ChecksumType")? != "sha256" {
            return Err(Error::unsupported("the block map's checksums aren't SHA-256"));
        }
        let sum = field("BmapFileChecksum")?;
        if hex(&Sha256::digest(text.replacen(sum, ZERO_SUM, 1))) != sum {
            return Err(Error::damaged("the block map doesn't fit its own checksum"));
        }
        let (size, block) = (number("ImageSize")?, number("BlockSize")?);
        if !block.is_power_of_two() || !(512..=1 << 20).contains(&block) {
            return Err(Error::damaged(format!("its blocks have {block} bytes")));
        }
        let list = root.children().find(|node| node.has_tag_name("BlockMap"));
        let list = list.ok_or_else(|| Error::damaged("the block map has no BlockMap"))?;
        let mut runs = Vec::new();
        let mut next = 0;
        for node in list.children().filter(|node| node.has_tag_name("Range")) {
            let run = run(&node).ok_or_else(|| Error::damaged("a range isn't understood"))?;
            if run.blocks.start < next || run.blocks.end > size.div_ceil(block) {
                return Err(Error::damaged("its ranges overlap, or exceed the image"));
            }
            next = run.blocks.end;
            runs.push(run);
        }
        Ok(Self { size, block, runs })
    }
}

fn run(node: &roxmltree::Node<'_, '_>) -> Option<Run> {
    let text = node.text()?.trim();
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let sha256 = unhex(node.attribute("chksum")?)?;
    (first <= last).then_some(Run { blocks: first..last.checked_add(1)?, sha256 })
}

/// SHA-256 of a range of a disk, up to its end.
fn sum<D: Disk + ?Sized>(disk: &mut D, range: Range<u64>) -> Result<[u8; 32]> {
    let end = range.end.min(disk.size());
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut at = range.start;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..length).unwrap_or_default();
        disk.read_at(at, part)?;
        hasher.update(&*part);
        at += length as u64;
    }
    Ok(hasher.finalize().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, slot) in bytes.iter_mut().enumerate() {
        *slot = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt;

    fn map() -> Bmap {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10_000_001).unwrap();
        file.write_all_at(&[1; 4096], 8192).unwrap();
        // Zeros that were written are part of the map.
        file.write_all_at(&[0; 8192], 4 << 20).unwrap();
        file.write_all_at(&[2], 10_000_000).unwrap();
        Bmap::of(&mut Raw::open(file).unwrap()).unwrap()
    }

    #[test]
    fn maps_name_what_is_there_and_read_back() {
        let map = map();
        let blocks: Vec<_> = map.runs.iter().map(|run| run.blocks.clone()).collect();
        assert_eq!(blocks, [2..3, 1024..1026, 2441..2442]);
        assert_eq!(map.bytes(&map.runs[2]), 2441 * 4096..10_000_001);
        assert_eq!(map.runs[1].sha256, <[u8; 32]>::from(Sha256::digest([0; 8192])));
        assert_eq!(Bmap::parse(&map.to_text()).unwrap(), map);
    }

    #[test]
    fn changes_are_noticed() {
        let text = map().to_text();
        for (from, to, words) in [
            ("1024-1025", "1024-1026", "own checksum"),
            ("version=\"2.0\"", "version=\"1.4\"", "version 2"),
            ("> sha256 <", "> md5 <", "SHA-256"),
            ("</bmap>", "", "no block map"),
        ] {
            let error = Bmap::parse(&text.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(at in 0_usize..1500, text in "[<>\" 0-9a-z-]{0,12}") {
            let mut changed = map().to_text();
            let at = at % changed.len();
            changed.replace_range(at..at, &text);
            let _ = Bmap::parse(&changed);
        }
    }
}
