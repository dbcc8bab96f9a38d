//! Why a domain can't be built.

use std::io;
use std::path::PathBuf;

use hv_loader::image::ImageError;
use hv_loader::layout::LayoutError;
use thiserror::Error;

/// A domain that isn't built; nothing of it is left.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The hypervisor refuses a step.
    #[error("can't {step}: {reason}")]
    Step {
        /// What was to be done.
        step: &'static str,
        /// Why not.
        reason: xenctl::Error,
    },
    /// There isn't enough memory.
    #[error(
        "{wanted_mib} MiB of memory aren't free: the machine has {free_mib} MiB left; lower \
         memory=, shut another guest down, or give dom0 less with dom0_mem="
    )]
    NoMemory {
        /// What the guest is to have.
        wanted_mib: u64,
        /// What there is.
        free_mib: u64,
    },
    /// A file can't be read.
    #[error("{what} {path}: {reason}: the path is one of the control domain")]
    File {
        /// What it is for.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// The kernel can't start as a PVH guest.
    #[error("kernel {path}: {reason}")]
    Kernel {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: ImageError,
    },
    /// The guest's memory is too small for its kernel and RAM disk.
    #[error("{memory_mib} MiB of memory are too little for kernel and ramdisk: raise memory= ({})", short(.reason))]
    TooSmall {
        /// What it has.
        memory_mib: u64,
        /// What has no place.
        reason: LayoutError,
    },
}

/// What has no place, without the advice for the control domain.
fn short(error: &LayoutError) -> String {
    let text = error.to_string();
    text.split(';').next().unwrap_or_default().to_owned()
}

/// Names the step that a call was.
pub trait Step<T> {
    /// Adds what was to be done.
    ///
    /// # Errors
    /// The same, with it.
    fn step(self, step: &'static str) -> Result<T, BuildError>;
}

impl<T> Step<T> for xenctl::Result<T> {
    fn step(self, step: &'static str) -> Result<T, BuildError> {
        self.map_err(|reason| BuildError::Step { step, reason })
    }
}
