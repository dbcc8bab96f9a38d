//! Interrupt controllers.

pub mod pic;
