//! Guests' disks that the kernel doesn't serve itself: images in QEMU's format, and CD drives
//! without a disc.
//!
//! Each disk has a thread ([`disk`]) that takes it through the states of a backend and serves its
//! rings; [`server`] starts one for each disk that `xend` puts into the store. A ring's requests
//! are read by [`ring`], checked by [`request`] and done by [`queue`], in the order in which they
//! came, on a [`medium`]; bytes are copied by the hypervisor, never mapped.
//!
//! **The daemon may be killed at any moment; guests notice a pause.** What isn't answered is still
//! in the ring, because answers, which take the requests' places, are given in order; only while
//! some are being written does the ring hold neither, and therefore they are in a [`journal`]
//! first. A daemon that starts again finds the rings by the store, gives what answers the journal
//! has, and does the rest again, which changes nothing: the guest can't tell how often a sector
//! was written before it got an answer. What was answered is in the image's file, or was before
//! the kill in the kernel's memory, which doesn't go with the daemon.

mod disk;
mod in_use;
mod journal;
mod medium;
mod queue;
mod request;
mod ring;
mod server;
mod states;
mod statistics;

/// What backends of this daemon are called in the store, as QEMU's are.
pub const KIND: &str = "qdisk";

/// Where each disk has a folder while it is served.
pub const FOLDER: &str = "/run/xenolith/disks";

/// The folder of a disk. It goes when the disk's image is closed.
pub fn folder(domain: u16, number: u32) -> std::path::PathBuf {
    std::path::Path::new(FOLDER).join(format!("{domain}-{number}"))
}

/// Runs until the system fails it.
///
/// # Errors
/// When the store or the hypervisor can't be reached.
pub fn run(_arguments: &[String]) -> anyhow::Result<()> {
    server::Server::new()?.serve()
}
