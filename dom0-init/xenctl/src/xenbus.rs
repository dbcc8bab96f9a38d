//! `/dev/xen/xenbus_backend`: the page and port over which this domain's own kernel speaks to
//! the store.
#![expect(unsafe_code, reason = "ioctls")]

use std::fs::OpenOptions;
use std::io;

use rustix::ioctl::Opcode;
use xen_abi::PAGE_SIZE;

use crate::error::{Error, Result};
use crate::ioctl::{call, xen_opcode};
use crate::mapping::Mapping;

const DEVICE: &str = "/dev/xen/xenbus_backend";

/// `IOCTL_XENBUS_BACKEND_EVTCHN` of `xen/xenbus_dev.h`; it takes no argument.
const PORT: Opcode = xen_opcode::<()>(b'B', 0);

/// The kernel's ring page, and the port of this domain that its events come from.
///
/// # Errors
/// When this isn't the initial domain, or not root.
pub fn kernel_ring() -> Result<(Mapping, u32)> {
    let failed = |what| move |source: io::Error| Error::Device { device: DEVICE, what, source };
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .map_err(|source| Error::opening(DEVICE, source))?;
    // SAFETY: the call neither reads nor writes memory of ours.
    let port = unsafe { call(&device, PORT, &mut ()) }.map_err(failed("has no event channel"))?;
    let page =
        Mapping::of_device(&device, PAGE_SIZE, 0).map_err(failed("can't map the kernel's ring"))?;
    Ok((page, port.cast_unsigned()))
}
