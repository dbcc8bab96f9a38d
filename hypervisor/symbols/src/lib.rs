//! The hypervisor's symbol table.
//!
//! The linker script reserves a read-only section for it. After linking, [`embed`] (feature
//! `std`) fills the section from the ELF symbol table and drops what no boot loader needs; in a
//! backtrace, [`Symbols`] finds names in it.
//!
//! Format, little-endian: [`MAGIC`], the number of symbols, the number of bytes of entries, then
//! one index word pair (address, position) for every [`STRIDE`]th symbol, then the entries in
//! ascending order of addresses. Addresses are relative to the image's start. An entry is: the
//! distance to the previous address (LEB128; 0 for those in the index, which begin anew), the
//! number of bytes that its name shares with the previous name's beginning, the number of other
//! bytes, those bytes.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "std")]
mod embed;
mod read;
#[cfg(all(test, feature = "std"))]
mod tests;

#[cfg(feature = "std")]
pub use embed::{EmbedError, build, embed};
pub use read::{Name, Symbols};

/// The section's name in the linker script.
pub const SECTION: &str = ".symbols";
/// The image's first symbol, to which addresses are relative.
pub const BASE_SYMBOL: &str = "image_start";

/// The table's first word.
pub const MAGIC: u32 = u32::from_le_bytes(*b"XLsy");
/// One in so many symbols is in the index.
pub const STRIDE: usize = 16;
/// Bytes before the index.
const HEADER_BYTES: usize = 12;
/// Bytes of an index entry.
const INDEX_BYTES: usize = 8;
/// The longest name; longer ones are cut.
pub const MAX_NAME: usize = 200;
