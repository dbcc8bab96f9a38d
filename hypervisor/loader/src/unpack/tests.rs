//! Streams of the reference encoders, whole and damaged.

use std::io::Write;
use std::vec;
use std::vec::Vec;

use ::zstd::zstd_safe::CParameter;
use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
use proptest::prelude::*;

use super::*;

/// A part of a content that packs well in some way.
#[derive(Clone, Debug)]
enum Piece {
    Random(Vec<u8>),
    Few(Vec<u8>),
    Fill(u8, usize),
    Repeat { back: usize, len: usize },
    Call { jump: bool, target: u32, gap: u8 },
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..40).prop_map(Piece::Random),
        prop::collection::vec(0..6u8, 1..400).prop_map(Piece::Few),
        (any::<u8>(), 1..3000usize).prop_map(|(byte, len)| Piece::Fill(byte, len)),
        (1..60usize, 1..90usize).prop_map(|(back, len)| Piece::Repeat { back, len }),
        (1..50_000usize, 3..2000usize).prop_map(|(back, len)| Piece::Repeat { back, len }),
        (any::<bool>(), any::<u32>(), 0..5u8).prop_map(|(jump, target, gap)| {
            // Mostly targets that are near, as code has them.
            let target = if target & 7 == 0 { target } else { (target as i32 >> 12) as u32 };
            Piece::Call { jump, target, gap }
        }),
    ];
    prop::collection::vec(piece, 0..200).prop_map(|pieces| {
        let mut content = vec![];
        for piece in pieces {
            match piece {
                Piece::Random(bytes) | Piece::Few(bytes) => content.extend(bytes),
                Piece::Fill(byte, len) => content.resize(content.len() + len, byte),
                Piece::Repeat { back, len } => {
                    for _ in 0..len {
                        let at = content.len().saturating_sub(back);
                        content.push(content.get(at).copied().unwrap_or(7));
                    }
                }
                Piece::Call { jump, target, gap } => {
                    content.push(0xE8 | u8::from(jump));
                    content.extend(target.to_le_bytes());
                    content.extend((0..gap).map(|n| n.wrapping_mul(0x7F)));
                }
            }
        }
        content
    })
}

fn pack_zstd(content: &[u8], level: i32, window: u32, checksum: bool) -> Vec<u8> {
    let mut encoder = ::zstd::Encoder::new(vec![], level).unwrap();
    encoder.set_parameter(CParameter::WindowLog(window)).unwrap();
    encoder.include_checksum(checksum).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn pack_xz(content: &[u8], x86: bool, context: [u32; 3], check: Check) -> Vec<u8> {
    let [literal, position, other] = context;
    let mut options = LzmaOptions::new_preset(6).unwrap();
    options.literal_context_bits(literal).literal_position_bits(position).position_bits(other);
    options.dict_size(1 << 16);
    let mut filters = Filters::new();
    if x86 {
        filters.x86();
    }
    filters.lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, check).unwrap();
    let mut encoder = liblzma::write::XzEncoder::new_stream(vec![], stream);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn pack_gzip(content: &[u8], name: &str) -> Vec<u8> {
    let level = flate2::Compression::new(6);
    let builder = flate2::GzBuilder::new().filename(name).comment("a comment").extra([1, 2, 3]);
    let mut encoder = builder.write(vec![], level);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn pack_lz4(content: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x02, 0x21, 0x4C, 0x18];
    for block in content.chunks(8 << 20) {
        let mut packed = vec![0; lz4_flex::block::get_maximum_output_size(block.len())];
        let len = lz4_flex::block::compress_into(block, &mut packed).unwrap();
        stream.extend((len as u32).to_le_bytes());
        stream.extend(&packed[..len]);
    }
    stream
}

fn unpack(stream: &[u8], len: usize) -> Result<Vec<u8>, UnpackError> {
    let codec = Codec::detect(stream).expect("a magic number");
    // Garbage, as memory has it.
    let mut into = vec![0xA5; len];
    codec.unpack(stream, &mut into).map(|()| into)
}

/// What must hold for every stream: it gives its content, and refuses any other length.
fn check_stream(stream: &[u8], content: &[u8]) {
    assert!(unpack(stream, content.len()).as_deref() == Ok(content));
    let codec = Codec::detect(stream).unwrap();
    for len in [content.len() + 1, content.len().saturating_sub(1)] {
        if len != content.len() {
            let error = UnpackError::WrongLength { codec, expected: len };
            assert_eq!(unpack(stream, len).err(), Some(error));
        }
    }
}

/// A damaged stream with a checksum gives an error or, if the damage means nothing, its content.
fn check_damage(stream: &[u8], content: &[u8], at: usize, byte: u8, cut: bool) {
    let mut stream = stream.to_vec();
    let at = 6 + at % stream.len().saturating_sub(6).max(1);
    if cut {
        stream.truncate(at);
    } else if let Some(place) = stream.get_mut(at) {
        *place ^= byte.max(1);
    }
    if let Ok(unpacked) = unpack(&stream, content.len()) {
        assert!(unpacked == content);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn zstd(content in content(), level in -5..20, window in 10..20u32, checksum: bool) {
        check_stream(&pack_zstd(&content, level, window, checksum), &content);
    }

    #[test]
    fn xz(content in content(), x86: bool, literal in 0..5u32, position in 0..5u32, other in 0..5u32) {
        let context = [literal, position.min(4 - literal), other];
        check_stream(&pack_xz(&content, x86, context, Check::Crc32), &content);
        check_stream(&pack_xz(&content, x86, context, Check::None), &content);
    }

    #[test]
    fn gzip(content in content()) {
        check_stream(&pack_gzip(&content, "vmlinux"), &content);
    }

    #[test]
    fn lz4(content in content()) {
        prop_assume!(!content.is_empty());
        check_stream(&pack_lz4(&content), &content);
    }

    #[test]
    fn damage(content in content(), at: usize, byte: u8, cut: bool, level in 1..20) {
        let context = [3, 0, 2];
        check_damage(&pack_zstd(&content, level, 17, true), &content, at, byte, cut);
        check_damage(&pack_xz(&content, true, context, Check::Crc32), &content, at, byte, cut);
        check_damage(&pack_gzip(&content, ""), &content, at, byte, cut);
        let lz4 = pack_lz4(&content);
        let _ = unpack(&lz4[..lz4.len().min(4 + at % lz4.len())], content.len());
    }

    /// Without a checksum to stop it, damage reaches every part of the decoder.
    #[test]
    fn unnoticed_damage(content in content(), level in 1..20, seed in any::<[u16; 4]>()) {
        let context = [3, 0, 2];
        for mut stream in [
            pack_zstd(&content, level, 17, false),
            pack_xz(&content, true, context, Check::None),
            pack_lz4(&content),
        ] {
            for word in seed {
                let at = 6 + usize::from(word >> 3) % stream.len();
                if let Some(place) = stream.get_mut(at) {
                    *place ^= 1 << (word & 7);
                }
            }
            let _ = unpack(&stream, content.len());
        }
    }

    #[test]
    fn rubbish(bytes in prop::collection::vec(any::<u8>(), 0..300), len in 0..1000usize) {
        for magic in [
            &[0x28, 0xB5, 0x2F, 0xFD, 0x20][..],
            &[0xFD, b'7', b'z', b'X', b'Z', 0, 0, 0, 0, 0, 0, 0],
            &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0],
            &[0x02, 0x21, 0x4C, 0x18],
        ] {
            let _ = unpack(&[magic, &bytes].concat(), len);
        }
    }
}

/// Long enough for repeated tables, trees of earlier blocks, and lengths of 16 extra bits.
#[test]
fn many_blocks() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let mut content = vec![];
    while content.len() < 1 << 20 {
        match random() % 8 {
            0 => content.extend((0..70_000).map(|_| (random() % 5) as u8)),
            1 => content.resize(content.len() + 90_000, 0),
            _ => {
                let back = 1 + (random() as usize * 7) % content.len().max(1);
                let from = content.len().saturating_sub(back);
                let len = (random() as usize % 3000).min(content.len() - from);
                content.extend_from_within(from..from + len);
                content.extend((0..random() % 30).map(|n| (n * n) as u8));
            }
        }
    }
    for level in [1, 5, 12, 19] {
        check_stream(&pack_zstd(&content, level, 20, true), &content);
    }
    check_stream(&pack_xz(&content, true, [3, 0, 2], Check::Crc32), &content);
    check_stream(&pack_gzip(&content, ""), &content);
    content.resize(9 << 20, 1);
    check_stream(&pack_lz4(&content), &content);
}

#[test]
fn zstd_frames_follow_each_other() {
    let (first, second) = (pack_zstd(b"abcabcabc", 3, 17, true), pack_zstd(b"def", 3, 17, false));
    check_stream(&[first, second].concat(), b"abcabcabcdef");
}

#[test]
fn uncompressed_parts_are_copied() {
    let mut state = 1u32;
    let content: Vec<u8> = (0..300_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    check_stream(&pack_zstd(&content, 3, 17, true), &content);
    check_stream(&pack_xz(&content, false, [3, 0, 2], Check::Crc32), &content);
}

#[test]
fn unknown_checks_and_filters_are_named() {
    let error = unpack(&pack_xz(b"abc", true, [3, 0, 2], Check::Crc64), 3).unwrap_err();
    assert_eq!(
        std::format!("{error}"),
        "kernel's xz payload uses a check other than CRC32, which is not supported; repack the \
         kernel"
    );
}
