//! mkimage's answers beside apt's: which packages a request means.
//!
//! apt is the oracle ([`oracle`]), over the index that mkimage reads: of small archives made up at
//! random ([`universe`]), and of the real one, for the recipes of this tree ([`recipes`]).

mod oracle;
mod recipes;
mod universe;
