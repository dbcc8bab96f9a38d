//! Time as guests see it.

pub mod runstate;
