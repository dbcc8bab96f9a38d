//! Media: a disk image (GPT), a hybrid ISO and a network boot tree, all of the same few files.

pub mod bios;
pub mod compare;
pub mod content;
pub mod data;
pub mod ext4;
pub mod fat;
pub mod gpt;
pub mod grub;
pub mod iso;
pub mod pxe;
pub mod region;
pub mod usb;
