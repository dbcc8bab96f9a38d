//! What the project's own tests share: the source tree as cargo and git see it, the images, and
//! machines that boot them.
//!
//! The tests themselves are `rules/` (the tree keeps its own rules), `apt/` (mkimage's solver answers
//! as apt does) and `vm/` (finished images boot); `guests/` holds kernels that check the hypervisor from inside.

pub mod data_disk;
pub mod debian;
pub mod guest;
pub mod host;
pub mod images;
pub mod linux_guests;
pub mod pattern;
pub mod qemu_img;
pub mod tree;
pub mod turns;
pub mod vm;
pub mod workbench;
pub mod xen;
