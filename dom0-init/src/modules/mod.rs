//! Kernel modules: finding which to load for a device, and loading them with what they need.
//!
//! [`Index`] holds what `depmod` wrote beside the modules; [`Loader`] loads from it;
//! [`coldplug`] does so for the devices that are there, the hotplug daemon for those that come,
//! and [`modprobe`] for what the kernel itself asks.

pub mod coldplug;
mod index;
mod loader;
pub mod modprobe;
mod pattern;

pub use index::Index;
pub use loader::Loader;
