//! The boot protocols' parsers, on information built by hand and on garbage.

use std::vec;
use std::vec::Vec;

use hv_core::types::Hpa;
use proptest::prelude::*;

use crate::info::{BootInfo, ColourField, Display, InfoError, Protocol, RegionKind, Rsdp};
use crate::phys::Window;
use crate::{multiboot1, multiboot2, pvh};

const BASE: u64 = 0x10_0000;

fn read(magic: u32, bytes: &[u8]) -> Result<BootInfo, InfoError> {
    let mut info = BootInfo::new();
    info.read(magic, Hpa(BASE), &Window { base: Hpa(BASE), bytes })?;
    Ok(info)
}

fn put(bytes: &mut Vec<u8>, at: usize, value: &[u8]) {
    if bytes.len() < at + value.len() {
        bytes.resize(at + value.len(), 0);
    }
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn address(offset: usize) -> [u8; 4] {
    (BASE as u32 + offset as u32).to_le_bytes()
}

#[test]
fn multiboot1_is_read_as_qemu_writes_it() {
    let mut bytes = vec![0; 120];
    put(&mut bytes, 0, &(1u32 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 12).to_le_bytes());
    put(&mut bytes, 16, &address(0x200));
    put(&mut bytes, 0x200, b"/boot/hv  console=com1 noreboot \0");
    put(&mut bytes, 20, &2u32.to_le_bytes());
    put(&mut bytes, 24, &address(0x300));
    for (entry, start, end) in [(0, 0x20_0000u32, 0x20_1234u32), (1, 0x40_0000, 0x40_0000)] {
        put(&mut bytes, 0x300 + 16 * entry, &start.to_le_bytes());
        put(&mut bytes, 0x304 + 16 * entry, &end.to_le_bytes());
        put(&mut bytes, 0x308 + 16 * entry, &address(0x340));
    }
    put(&mut bytes, 0x340, b"vmlinuz root=/dev/sda\0");
    put(&mut bytes, 44, &48u32.to_le_bytes());
    put(&mut bytes, 48, &address(0x400));
    for (entry, start, kind) in [(0, 0u64, 1u32), (1, 0x9_0000, 2)] {
        put(&mut bytes, 0x400 + 24 * entry, &20u32.to_le_bytes());
        put(&mut bytes, 0x404 + 24 * entry, &start.to_le_bytes());
        put(&mut bytes, 0x40C + 24 * entry, &0x1000u64.to_le_bytes());
        put(&mut bytes, 0x414 + 24 * entry, &kind.to_le_bytes());
    }
    put(&mut bytes, 64, &address(0x500));
    put(&mut bytes, 0x500, b"qemu\0");
    put(&mut bytes, 88, &0xFD00_0000u64.to_le_bytes());
    put(&mut bytes, 96, &[0, 0x10, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 32, 1, 16, 8, 8, 8, 0, 8]);

    let info = read(multiboot1::LOADER_MAGIC, &bytes).unwrap();
    assert_eq!(info.protocol, Protocol::Multiboot1);
    assert_eq!(&info.loader[..], b"qemu");
    assert_eq!(&info.command_line[..], b"console=com1 noreboot");
    assert_eq!(info.modules.len(), 1, "the empty module is left out");
    assert_eq!((info.modules[0].start, info.modules[0].bytes), (Hpa(0x20_0000), 0x1234));
    assert_eq!(&info.modules[0].command_line[..], b"root=/dev/sda");
    assert_eq!(info.regions.len(), 2);
    assert_eq!(info.regions[1].kind, RegionKind::RESERVED);
    let Display::Linear(screen) = info.display else { panic!("{:?}", info.display) };
    assert_eq!((screen.start.0, screen.pitch), (0xFD00_0000, 0x1000));
    assert_eq!((screen.width, screen.height), (1024, 768));
    assert_eq!(screen.red, ColourField { position: 16, size: 8 });
}

fn tag(kind: u32, body: &[u8]) -> Vec<u8> {
    let mut tag = kind.to_le_bytes().to_vec();
    tag.extend((8 + body.len() as u32).to_le_bytes());
    tag.extend(body);
    tag.resize(tag.len().next_multiple_of(8), 0);
    tag
}

fn multiboot2(tags: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    tags.iter().for_each(|tag| bytes.extend(tag));
    bytes.extend(tag(0, &[]));
    let len = bytes.len() as u32;
    put(&mut bytes, 0, &len.to_le_bytes());
    bytes
}

fn memory_map_tag() -> Vec<u8> {
    let mut body = 24u32.to_le_bytes().to_vec();
    body.extend(0u32.to_le_bytes());
    for (start, len, kind) in [(0u64, 0x1000u64, 1u64), (0x1000, u64::MAX, 3)] {
        [start, len, kind].iter().for_each(|word| body.extend(word.to_le_bytes()));
    }
    tag(6, &body)
}

#[test]
fn multiboot2_is_read_as_grub_writes_it() {
    let mut module = [0x30_0000u32.to_le_bytes(), 0x30_0010u32.to_le_bytes()].concat();
    module.extend(b"quiet\0");
    let mut screen = 0x8000_0000u64.to_le_bytes().to_vec();
    [3200u32, 800, 600].iter().for_each(|word| screen.extend(word.to_le_bytes()));
    screen.extend([32, 1, 0, 0, 16, 8, 8, 8, 0, 8]);
    let tags = [
        tag(1, b"console=vga\0"),
        tag(2, b"GRUB 2.12\0"),
        tag(3, &module),
        memory_map_tag(),
        tag(8, &screen),
        tag(14, &[1; 20]),
        tag(15, &[2; 36]),
        tag(14, &[3; 20]),
        tag(12, &[0; 8]),
    ];
    let info = read(multiboot2::LOADER_MAGIC, &multiboot2(&tags)).unwrap();
    assert_eq!(&info.command_line[..], b"console=vga");
    assert_eq!(&info.loader[..], b"GRUB 2.12");
    assert_eq!(&info.modules[0].command_line[..], b"quiet");
    assert_eq!(info.regions.len(), 2);
    assert_eq!(info.regions[1].end(), u64::MAX);
    assert!(info.efi);
    let Rsdp::Copy(rsdp) = &info.rsdp else { panic!("{:?}", info.rsdp) };
    assert_eq!(&rsdp[..], [2; 36], "the newer RSDP wins");
    let Display::Linear(screen) = info.display else { panic!("{:?}", info.display) };
    assert_eq!((screen.width, screen.blue), (800, ColourField { position: 0, size: 8 }));
}

#[test]
fn multiboot2_tags_stay_inside() {
    let mut bytes = multiboot2(&[tag(1, b"x\0")]);
    put(&mut bytes, 12, &0x1000u32.to_le_bytes());
    let error = read(multiboot2::LOADER_MAGIC, &bytes).unwrap_err();
    assert_eq!(error, InfoError::Malformed(Hpa(BASE + 8)));
}

#[test]
fn a_memory_map_is_required() {
    let error = read(multiboot2::LOADER_MAGIC, &multiboot2(&[])).unwrap_err();
    assert_eq!(error, InfoError::NoMemoryMap);
    assert_eq!(read(0x1234, &[]).unwrap_err(), InfoError::UnknownProtocol(0x1234));
}

#[test]
fn pvh_is_read_as_its_header_says() {
    let long = |offset: usize| (BASE + offset as u64).to_le_bytes();
    let mut bytes = vec![0; 56];
    put(&mut bytes, 0, &pvh::START_MAGIC.to_le_bytes());
    put(&mut bytes, 4, &1u32.to_le_bytes());
    put(&mut bytes, 12, &1u32.to_le_bytes());
    put(&mut bytes, 16, &long(0x100));
    put(&mut bytes, 24, &long(0x140));
    put(&mut bytes, 32, &0xE_0000u64.to_le_bytes());
    put(&mut bytes, 40, &long(0x180));
    put(&mut bytes, 48, &1u32.to_le_bytes());
    put(&mut bytes, 0x100, &0x50_0000u64.to_le_bytes());
    put(&mut bytes, 0x108, &0x777u64.to_le_bytes());
    put(&mut bytes, 0x118, &[0; 8]);
    put(&mut bytes, 0x140, b"loglvl=all\0");
    put(&mut bytes, 0x180, &0x10_0000u64.to_le_bytes());
    put(&mut bytes, 0x188, &0x1000_0000u64.to_le_bytes());
    put(&mut bytes, 0x190, &1u64.to_le_bytes());
    let info = read(pvh::START_MAGIC, &bytes).unwrap();
    assert_eq!(&info.command_line[..], b"loglvl=all");
    assert_eq!((info.modules[0].start.0, info.modules[0].bytes), (0x50_0000, 0x777));
    assert!(info.modules[0].command_line.is_empty());
    assert_eq!(info.rsdp, Rsdp::At(Hpa(0xE_0000)));
    assert_eq!(info.regions[0].end(), 0x1010_0000);
    put(&mut bytes, 4, &0u32.to_le_bytes());
    assert_eq!(read(pvh::START_MAGIC, &bytes).unwrap_err(), InfoError::NoMemoryMap);
}

proptest! {
    #[test]
    fn no_information_panics(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0..3usize) {
        let magics = [multiboot1::LOADER_MAGIC, multiboot2::LOADER_MAGIC, pvh::START_MAGIC];
        let _ = read(magics[kind], &bytes);
    }

    #[test]
    fn no_tags_panic(tags in prop::collection::vec(
        (0..20u32, prop::collection::vec(any::<u8>(), 0..60)), 0..10))
    {
        let tags: Vec<_> = tags.iter().map(|(kind, body)| tag(*kind, body)).collect();
        let _ = read(multiboot2::LOADER_MAGIC, &multiboot2(&tags));
    }
}
