//! Files whose bytes are told apart: what tests copy.

use std::io::{self, Write};
use std::path::Path;

/// How much is moved: `XENOLITH_TEST_MIB`, or so many MiB.
pub fn mebibytes(usual: u32) -> u32 {
    let given = std::env::var("XENOLITH_TEST_MIB").ok();
    given.map_or(usual, |text| text.parse().expect("XENOLITH_TEST_MIB is a number of MiB"))
}

/// Writes a file in which every eight bytes are others, so that a misplaced block is noticed.
pub fn write(path: &Path, mebibytes: u32) {
    let file = std::fs::File::create(path).expect("a file with a pattern");
    let mut file = io::BufWriter::with_capacity(1 << 20, file);
    for word in 0..u64::from(mebibytes) << 17 {
        let mixed = (word + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        file.write_all(&mixed.to_le_bytes()).expect("a file with a pattern");
    }
    file.flush().expect("a file with a pattern");
}
