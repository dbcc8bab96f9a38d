//! mkimage: from recipes and pinned packages to bootable images, without root, loop devices,
//! mounts, or tools of the host.

pub use catalogue::hash;

pub mod apt;
pub mod artifacts;
pub mod assemble;
pub mod cli;
pub mod commands;
pub mod deb;
pub mod disk;
pub mod error;
pub mod flash;
pub mod formats;
pub mod fs;
pub mod glob;
pub mod guest;
pub mod lock;
pub mod manifest;
pub mod net;
pub mod output;
pub mod progress;
pub mod project;
pub mod qemu;
pub mod recipe;
pub mod release;
pub mod sbom;
pub mod scratch;
pub mod stage;
pub mod suggest;
pub mod terminal;
pub mod tools;
