//! From a guest's config to a running domain.
//!
//! [`config`] reads what an operator writes; everything in it is a pure function of text.
//! [`build`] makes a domain whose kernel could start. [`core_file`] writes down what one holds.
#![forbid(unsafe_code)]

pub mod build;
pub mod config;
pub mod core_file;
