//! What 32-bit callers lay out differently: their pointers and longs have 4 bytes, and 64-bit
//! fields are aligned to 4.
//!
//! [`Argument`] is what can be an argument or a part of one: a structure as 64-bit callers lay it
//! out, that knows how 32-bit ones do. Most are the same for both; `same` lists those by name,
//! so that nobody adds one without having thought of it. The others are rendered in [`layouts`].

pub mod layouts;
mod same;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What a hypercall reads from its caller's memory, or writes there.
pub trait Argument: FromBytes + IntoBytes + Immutable {
    /// As a 32-bit caller lays it out.
    type Narrow: FromBytes + IntoBytes + Immutable;

    /// What a 32-bit caller meant.
    fn widen(narrow: Self::Narrow) -> Self;

    /// What a 32-bit caller is told: of numbers that don't fit, the low half.
    fn narrow(&self) -> Self::Narrow;
}
