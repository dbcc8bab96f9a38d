//! The package archive: its configuration on this host, its signed index, and what follows from
//! a list of packages. Nothing here touches the network; `net` brings the bytes.

pub mod deb822;
pub mod index;
pub mod keyring;
pub mod relation;
pub mod release;
pub mod resolve;
pub mod sources;
pub mod version;
