//! Kernels made here: tiny ELFs of both classes, and bzImages around them.

use std::format;
use std::io::Write;
use std::vec;
use std::vec::Vec;

use hv_core::types::Gpa;
use proptest::prelude::*;

use super::*;
use crate::memory::LoadMemory;

/// A program header: kind, file contents, physical address, length in memory.
type Part = (u32, Vec<u8>, u64, u64);

const LOAD: u32 = 1;
const NOTE: u32 = 4;

fn note(kind: u32, owner: &[u8], desc: &[u8]) -> Vec<u8> {
    let mut note = vec![];
    for word in [owner.len() as u32, desc.len() as u32, kind] {
        note.extend(word.to_le_bytes());
    }
    for part in [owner, desc] {
        note.extend(part);
        note.resize(note.len().next_multiple_of(4), 0);
    }
    note
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn elf(wide: bool, parts: &[Part]) -> Vec<u8> {
    let (header, entry): (usize, usize) = if wide { (64, 56) } else { (52, 32) };
    let mut file = vec![0; header];
    file[..7].copy_from_slice(&[0x7F, b'E', b'L', b'F', 1 + u8::from(wide), 1, 1]);
    file[16..20].copy_from_slice(&[2, 0, if wide { 62 } else { 3 }, 0]);
    let (table_at, sizes_at) = if wide { (32, 54) } else { (28, 42) };
    file[table_at] = header as u8;
    file[sizes_at] = entry as u8;
    file[sizes_at + 2] = parts.len() as u8;
    let mut at = header + entry * parts.len();
    for (kind, data, paddr, memory) in parts {
        let (offset, len) = (at as u64, data.len() as u64);
        file.extend(kind.to_le_bytes());
        if wide {
            file.extend(7u32.to_le_bytes());
            // The virtual address is of no interest.
            for field in [offset, 0xDEAD_0000, *paddr, len, *memory, 0x1000] {
                file.extend(field.to_le_bytes());
            }
        } else {
            for field in [offset, 0xDEAD_0000, *paddr, len, *memory, 7, 0x1000] {
                file.extend((field as u32).to_le_bytes());
            }
        }
        at += data.len();
    }
    file.extend(parts.iter().flat_map(|(_, data, ..)| data));
    file
}

/// Two segments at 16 MiB, and notes as Debian 13 has them.
fn parts() -> Vec<Part> {
    let mut notes = note(6, b"Xen\0", b"linux\0");
    notes.extend(note(18, b"GNU\0", &words(&[1])));
    notes.extend(note(17, b"Xen\0", &words(&[0x8801])));
    notes.extend(note(19, b"Xen\0", &words(&[0x20_0000, 0x100_0000, 0x3FFF_FFFF])));
    notes.extend(note(18, b"Xen\0", &words(&[0x100_0010, 0])));
    vec![
        (LOAD, (0..100).collect(), 0x100_0000, 100),
        (LOAD, vec![0xAB; 50], 0x100_2000, 0x3000),
        (LOAD, vec![], 0, 0),
        (NOTE, notes, 0, 0),
    ]
}

fn bzimage(payload: &[u8], version: u16) -> Vec<u8> {
    // 2 setup sectors, 3 bytes before the payload, 100 after it.
    let mut file = vec![0; 3 * 512 + 3];
    file[0x1F1] = 2;
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&version.to_le_bytes());
    file[0x248..0x24C].copy_from_slice(&3u32.to_le_bytes());
    file[0x24C..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    file.extend(payload);
    file.extend([0; 100]);
    file
}

/// An ELF packed as the kernel's build does, with the length at the end.
fn packed(codec: Codec, elf: &[u8]) -> Vec<u8> {
    let mut payload = match codec {
        Codec::Zstd => zstd::encode_all(elf, 5).unwrap(),
        Codec::Xz => {
            use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
            let mut filters = Filters::new();
            filters.x86().lzma2(&LzmaOptions::new_preset(6).unwrap());
            let stream = Stream::new_stream_encoder(&filters, Check::Crc32).unwrap();
            let mut encoder = liblzma::write::XzEncoder::new_stream(vec![], stream);
            encoder.write_all(elf).unwrap();
            encoder.finish().unwrap()
        }
        Codec::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
            encoder.write_all(elf).unwrap();
            // Gzip's own last word is the length.
            return encoder.finish().unwrap();
        }
        Codec::Lz4 => {
            let mut packed = vec![0; lz4_flex::block::get_maximum_output_size(elf.len())];
            let len = lz4_flex::block::compress_into(elf, &mut packed).unwrap();
            let mut stream = vec![0x02, 0x21, 0x4C, 0x18];
            stream.extend((len as u32).to_le_bytes());
            stream.extend(&packed[..len]);
            stream
        }
    };
    payload.extend((elf.len() as u32).to_le_bytes());
    payload
}

/// Memory from 16 MiB on.
struct Memory(Vec<u8>);

impl Memory {
    const BASE: u64 = 0x100_0000;

    fn at(&mut self, at: Gpa, len: u64) -> &mut [u8] {
        let start = (at.0 - Self::BASE) as usize;
        &mut self.0[start..start + len as usize]
    }
}

impl LoadMemory for Memory {
    fn write(&mut self, at: Gpa, bytes: &[u8]) {
        self.at(at, bytes.len() as u64).copy_from_slice(bytes);
    }

    fn zero(&mut self, at: Gpa, len: u64) {
        self.at(at, len).fill(0);
    }
}

#[test]
fn a_kernel_of_either_class_is_loaded_where_it_wants() {
    for wide in [false, true] {
        let file = elf(wide, &parts());
        let kernel = Kernel::parse(&file).unwrap();
        assert_eq!(kernel.entry(), 0x100_0010);
        assert_eq!(kernel.range(), 0x100_0000..0x100_5000);
        let relocation = Relocation { align: 0x20_0000, min: 0x100_0000, max: 0x3FFF_FFFF };
        assert_eq!(kernel.relocation(), Some(relocation));
        let features = kernel.features().unwrap();
        assert!(features.dom0() && features.rsdp_unrestricted());

        let mut memory = Memory(vec![0xCC; 0x40_0000]);
        for base in [0x100_0000, 0x120_0000] {
            assert_eq!(kernel.load(Gpa(base), &mut memory), Gpa(base + 0x10));
            let loaded = memory.at(Gpa(base), 0x5001);
            assert!(loaded[..100].iter().copied().eq(0..100));
            assert!(loaded[100..0x2000].iter().all(|byte| *byte == 0xCC));
            assert!(loaded[0x2000..0x2032].iter().all(|byte| *byte == 0xAB));
            assert!(loaded[0x2032..0x5000].iter().all(|byte| *byte == 0));
            assert_eq!(loaded[0x5000], 0xCC);
        }
    }
}

#[test]
fn a_bzimage_gives_its_elf() {
    let elf = elf(true, &parts());
    for codec in [Codec::Zstd, Codec::Xz, Codec::Gzip, Codec::Lz4] {
        let file = bzimage(&packed(codec, &elf), 0x20F);
        let image = Image::parse(&file).unwrap();
        assert_eq!((image.codec(), image.unpacked_len()), (Some(codec), elf.len()));
        assert_eq!(image.elf(), None);
        let mut into = vec![0xA5; elf.len() + 10];
        assert_eq!(image.unpack(&mut into).unwrap(), elf);
        let error = image.unpack(&mut into[..elf.len() - 1]).unwrap_err();
        let (have, need) = (elf.len() - 1, elf.len());
        let expected = UnpackError::DestinationTooSmall { have, need };
        assert_eq!(error, ImageError::Unpack(expected));
    }
}

#[test]
fn an_elf_needs_no_unpacking() {
    let elf = elf(true, &parts());
    for file in [elf.clone(), bzimage(&elf, 0x208)] {
        let image = Image::parse(&file).unwrap();
        assert_eq!((image.codec(), image.elf()), (None, Some(&elf[..])));
        assert_eq!(image.unpack(&mut vec![0; elf.len()]).unwrap(), elf);
    }
}

#[test]
fn messages_name_what_is_wrong_and_what_to_do() {
    let parse = |file: &[u8]| format!("{}", Image::parse(file).unwrap_err());
    let says = |message: &str, part: &str| assert!(message.contains(part), "{message}");
    says(&parse(b"GIF89a"), "neither a bzImage nor an ELF");
    says(&parse(&bzimage(b"", 0x207)), "protocol 2.07");
    says(&parse(&bzimage(b"BZh91AY", 0x208)), "packed with bzip2");
    says(&parse(&bzimage(b"\x89LZO", 0x208)), "packed with lzo");
    says(&parse(&bzimage(b"\x5D\0\0", 0x208)), "packed with lzma");
    says(&parse(&bzimage(b"\x01\x02\x03\x04", 0x208)), "starts with 01 02 03 04");
    says(&parse(&bzimage(&packed(Codec::Zstd, b"x"), 0x208)[..1550]), "ends inside its payload");
    let mut huge = packed(Codec::Zstd, b"x");
    let end = huge.len();
    huge[end - 4..].fill(0xFF);
    says(&parse(&bzimage(&huge, 0x208)), "announces 4294967295 bytes");

    let kernel = |parts: &[Part]| format!("{}", Kernel::parse(&elf(true, parts)).unwrap_err());
    let parts = parts();
    says(&kernel(&parts[..3]), "no XEN_ELFNOTE_PHYS32_ENTRY");
    says(&kernel(&parts[2..]), "nothing to load");
    let with = |note| [&parts[..2], &[(NOTE, note, 0, 0)]].concat();
    let entry = |desc: &[u8]| kernel(&with(note(18, b"Xen\0", desc)));
    says(&entry(&words(&[0x200_0000])), "entry point 0x2000000 is outside");
    says(&entry(&words(&[0x100_0000, 1])), "XEN_ELFNOTE_PHYS32_ENTRY has an impossible value");
    says(&entry(&[0]), "XEN_ELFNOTE_PHYS32_ENTRY has an impossible value");
    says(&kernel(&with(note(19, b"Xen\0", &words(&[3])))), "XEN_ELFNOTE_PHYS32_RELOC");
    let load = |part: Part| kernel(&[part]);
    says(&load((LOAD, vec![0; 9], 0, 8)), "header 0 has more bytes in the file than in memory");
    says(&load((LOAD, vec![], 0xFFFF_F000, 0x1001)), "loads above 4 GiB");
    says(&format!("{}", Kernel::parse(b"\x7FELF\x02\x01").unwrap_err()), "inside its ELF header");
    says(&format!("{}", Kernel::parse(b"MZ").unwrap_err()), "not an ELF");
    let mut arm = elf(true, &parts);
    arm[18] = 183;
    says(&format!("{}", Kernel::parse(&arm).unwrap_err()), "not for x86");
}

#[test]
fn a_relocation_note_may_leave_things_out() {
    let relocation = |words_: &[u32], align: u64| {
        let notes = [note(18, b"Xen\0", &words(&[0])), note(19, b"Xen\0", &words(words_))].concat();
        let mut file = elf(true, &[(LOAD, vec![0; 4], 0, 4), (NOTE, notes, 0, 0)]);
        file[64 + 48..64 + 56].copy_from_slice(&align.to_le_bytes());
        Kernel::parse(&file).unwrap().relocation().unwrap()
    };
    let any = |align| Relocation { align, min: 0, max: u32::MAX };
    assert_eq!(relocation(&[], 0x40_0000), any(0x40_0000));
    assert_eq!(relocation(&[], 16), any(0x20_0000));
    assert_eq!(relocation(&[0x1_0000], 0x40_0000), any(0x1_0000));
    assert_eq!(relocation(&[16, 5], 1), Relocation { align: 0x1000, min: 5, max: u32::MAX });
}

proptest! {
    #[test]
    fn a_damaged_kernel_is_refused_or_read(
        wide: bool,
        damage in prop::collection::vec((0..600usize, any::<u8>()), 1..8),
        cut in 0..800usize,
    ) {
        let mut file = elf(wide, &parts());
        for (at, byte) in damage {
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        file.truncate(cut.max(20));
        if let Ok(kernel) = Kernel::parse(&file) {
            for segment in kernel.segments() {
                prop_assert!(segment.range().end <= 1 << 32);
                prop_assert!(segment.data.len() as u64 <= segment.memory_len);
            }
        }
    }

    #[test]
    fn a_damaged_boot_header_is_refused_or_read(
        damage in prop::collection::vec((0x1F0..0x250usize, any::<u8>()), 1..4),
        cut in 0..3000usize,
    ) {
        let mut file = bzimage(&packed(Codec::Gzip, &elf(true, &parts())), 0x20F);
        for (at, byte) in damage {
            file[at] = byte;
        }
        file.truncate(cut);
        if let Ok(image) = Image::parse(&file) {
            let _ = image.unpack(&mut vec![0; image.unpacked_len().min(1 << 20)]);
        }
    }
}
