//! Bringing bytes here: the content-addressed cache, and the downloads that fill it.

pub mod archive;
pub mod cache;
mod download;
pub mod http;
