//! What the project's own tests share: the source tree as cargo and git see it.
//!
//! The tests themselves are `rules/` (the tree keeps its own rules) and `vm/` (finished images
//! boot); `guests/` holds kernels that check the hypervisor from inside.

pub mod tree;
