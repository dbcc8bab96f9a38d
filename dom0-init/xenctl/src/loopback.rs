//! Files as disks: the kernel's loop devices. They have nothing to do with Xen; they are here
//! because this package holds all the unsafe code of user space.
#![expect(unsafe_code, reason = "ioctls")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::ioctl::call;

/// `LOOP_CONFIGURE` and `LOOP_CTL_GET_FREE` of `linux/loop.h`.
const CONFIGURE: u32 = 0x4C0A;
const GET_FREE: u32 = 0x4C82;
const READ_ONLY: u32 = 1;
/// The device lets go of the file when nobody has it open any more.
const AUTOCLEAR: u32 = 4;
/// The control domain doesn't cache what the guest caches already.
const DIRECT_IO: u32 = 16;

/// How often another may be faster to take the free device.
const ATTEMPTS: u32 = 64;

/// `struct loop_info64` of `linux/loop.h`.
#[repr(C)]
struct Info {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

/// `struct loop_config` of `linux/loop.h`.
#[repr(C)]
struct Config {
    file: u32,
    block_size: u32,
    info: Info,
    reserved: [u64; 8],
}

const _: () = assert!(size_of::<Info>() == 232);
const _: () = assert!(size_of::<Config>() == 304);

/// A file that is a disk for as long as this, or somebody else, has the disk open.
#[derive(Debug)]
pub struct LoopDevice {
    device: File,
    path: PathBuf,
}

impl LoopDevice {
    /// Makes a disk of a file.
    ///
    /// # Errors
    /// As the kernel has it, for example when the file can't be written and shall be.
    pub fn of_file(file: &File, writable: bool) -> io::Result<Self> {
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        for _attempt in 0..ATTEMPTS {
            // SAFETY: the call takes no argument and returns a number.
            let number = unsafe { call(&control, GET_FREE, &mut ()) }?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            match configure(&device, file, writable, DIRECT_IO) {
                Ok(()) => return Ok(Self { device, path }),
                Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {}
                // Not every file system can do without its cache.
                Err(_) => match configure(&device, file, writable, 0) {
                    Ok(()) => return Ok(Self { device, path }),
                    Err(error) if error.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Err(io::Error::other("no loop device stays free"))
    }

    /// The disk, open.
    pub fn device(&self) -> &File {
        &self.device
    }

    /// Its path.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

fn configure(device: &File, file: &File, writable: bool, direct: u32) -> io::Result<()> {
    let read_only = if writable { 0 } else { READ_ONLY };
    let info = Info {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: read_only | AUTOCLEAR | direct,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
    let file = u32::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
    let mut config = Config { file, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: LOOP_CONFIGURE reads a loop_config, which holds no address.
    unsafe { call(device, CONFIGURE, &mut config) }.map(|_zero| ())
}
