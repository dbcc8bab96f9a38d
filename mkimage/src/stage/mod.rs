//! What goes onto a medium before it becomes one: the kernel and its modules out of their
//! package, and the initramfs.

pub mod companions;
pub mod initramfs;
pub mod kernel;
pub mod modinfo;
pub mod modules;
pub mod pvgrub;
