//! Kernel calls on disks that no safe crate offers. They have nothing to do with Xen; they are
//! here because this package holds all the unsafe code of user space.
#![expect(unsafe_code, reason = "ioctls")]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr;

use rustix::ioctl::{IntegerSetter, Setter, ioctl, opcode};

/// `struct blkpg_partition` of `linux/blkpg.h`.
#[repr(C)]
struct BlockPartition {
    start: i64,
    length: i64,
    number: i32,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

/// `struct blkpg_ioctl_arg` of `linux/blkpg.h`.
#[repr(C)]
struct BlockPartitionRequest {
    operation: i32,
    flags: i32,
    data_length: i32,
    data: *mut c_void,
}

const _: () = assert!(size_of::<BlockPartition>() == 152);
const _: () = assert!(size_of::<BlockPartitionRequest>() == 24);

/// `BLKPG` of `linux/blkpg.h`.
const BLKPG: u32 = opcode::none(0x12, 105);
const RESIZE_PARTITION: i32 = 3;

/// Tells the kernel the new size of a partition whose table entry has changed; the partition may
/// be mounted. `disk` is the whole disk; `first_byte` stays what it was.
///
/// # Errors
/// As the kernel has it, for example when the partition would overlap another.
pub fn resize_partition(
    disk: &File,
    number: u32,
    first_byte: u64,
    length_bytes: u64,
) -> io::Result<()> {
    let mut partition = BlockPartition {
        start: i64::try_from(first_byte).map_err(io::Error::other)?,
        length: i64::try_from(length_bytes).map_err(io::Error::other)?,
        number: i32::try_from(number).map_err(io::Error::other)?,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let request = BlockPartitionRequest {
        operation: RESIZE_PARTITION,
        flags: 0,
        data_length: size_of::<BlockPartition>() as i32,
        data: ptr::from_mut(&mut partition).cast(),
    };
    let address = ptr::from_ref(&request).expose_provenance();
    // SAFETY: BLKPG takes the address of a blkpg_ioctl_arg, as an integer of pointer width.
    let call = unsafe { IntegerSetter::<BLKPG>::new_usize(address) };
    // SAFETY: request and the partition that it points to live until the call returns, and have
    // the layout that the kernel reads.
    unsafe { ioctl(disk, call) }?;
    Ok(())
}

/// `EXT4_IOC_RESIZE_FS` of `linux/ext4.h`.
const EXT4_RESIZE: u32 = opcode::write::<u64>(b'f', 16);

/// Grows the mounted ext4 file system that `root` (any open file or folder of it) belongs to.
///
/// # Errors
/// As the kernel has it, for example when the device is smaller than that.
pub fn resize_ext4(root: &File, blocks: u64) -> io::Result<()> {
    // SAFETY: EXT4_IOC_RESIZE_FS reads a 64-bit number of blocks.
    let call = unsafe { Setter::<EXT4_RESIZE, u64>::new(blocks) };
    // SAFETY: the call reads that number and changes no memory of ours.
    unsafe { ioctl(root, call) }?;
    Ok(())
}
