//! Signed release manifests: what a publisher writes ([`manifest`]) and what a host accepts
//! ([`client`]).
//!
//! A release is a folder that any web server can serve: `manifest.json`, its signatures beside it
//! ([`names`]), and the files that it lists. The manifest is verified before it is parsed, and the
//! files while they arrive ([`content`]). Everything here works on bytes and takes the time as an
//! argument: nothing reads files, clocks or networks, and no input makes it panic.

#![forbid(unsafe_code)]

pub mod client;
pub mod content;
pub mod hash;
pub mod keys;
pub mod manifest;
pub mod names;
pub mod time;

pub use client::{Client, Memory, Refusal};
pub use manifest::Manifest;
