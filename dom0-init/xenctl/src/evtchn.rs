//! `/dev/xen/evtchn`: event channels of this process.
#![expect(unsafe_code, reason = "ioctls")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::error::{Error, Result};
use crate::ioctl::{call, xen_opcode};

const DEVICE: &str = "/dev/xen/evtchn";

/// A port of this domain that is bound through this device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPort(pub u32);

/// The event channels of one user. They close when it is dropped.
#[derive(Debug)]
pub struct EventChannels {
    device: File,
}

impl EventChannels {
    /// Opens the device. Waiting for events is up to the caller: the descriptor becomes readable.
    ///
    /// # Errors
    /// When this isn't a domain of Xen, or not root.
    pub fn open() -> Result<Self> {
        let device = OpenOptions::new()
            .read(true)
            .write(true)
            .open(DEVICE)
            .map_err(|source| Error::opening(DEVICE, source))?;
        fcntl_getfl(&device)
            .and_then(|flags| fcntl_setfl(&device, flags | OFlags::NONBLOCK))
            .map_err(|error| failed("can't make it non-blocking", error.into()))?;
        Ok(Self { device })
    }

    /// Binds a virtual interrupt.
    ///
    /// # Errors
    /// When another has it.
    pub fn bind_virq(&self, virq: u32) -> Result<LocalPort> {
        self.port("can't bind a virtual interrupt", 0, [virq])
    }

    /// Connects to another domain's unbound port.
    ///
    /// # Errors
    /// When the port isn't offered to this domain.
    pub fn bind_interdomain(&self, domain: u16, remote_port: u32) -> Result<LocalPort> {
        self.port("can't connect to a domain's port", 1, [u32::from(domain), remote_port])
    }

    /// Allocates a port that another domain may connect to.
    ///
    /// # Errors
    /// When there are no more ports.
    pub fn bind_unbound(&self, domain: u16) -> Result<LocalPort> {
        self.port("can't allocate a port", 2, [u32::from(domain)])
    }

    /// Closes a port.
    ///
    /// # Errors
    /// When it isn't bound here.
    pub fn unbind(&self, port: LocalPort) -> Result<()> {
        self.port("can't close a port", 3, [port.0]).map(|_port| ())
    }

    /// Notifies the other end.
    ///
    /// # Errors
    /// When it isn't bound here.
    pub fn notify(&self, port: LocalPort) -> Result<()> {
        self.port("can't notify a port", 4, [port.0]).map(|_port| ())
    }

    /// The next port that was notified, if any. It stays masked until [`Self::unmask`].
    ///
    /// # Errors
    /// When the device's buffer overflowed, or it fails.
    pub fn pending(&self) -> Result<Option<LocalPort>> {
        let mut port = [0; 4];
        match (&self.device).read(&mut port) {
            Ok(4) => Ok(Some(LocalPort(u32::from_ne_bytes(port)))),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(failed("can't read events", error)),
        }
    }

    /// Lets a port be notified again.
    ///
    /// # Errors
    /// When it isn't bound here.
    pub fn unmask(&self, port: LocalPort) -> Result<()> {
        (&self.device)
            .write_all(&port.0.to_ne_bytes())
            .map_err(|error| failed("can't unmask a port", error))
    }

    fn port<const N: usize>(
        &self,
        what: &'static str,
        number: u8,
        mut argument: [u32; N],
    ) -> Result<LocalPort> {
        let opcode = xen_opcode::<[u32; N]>(b'E', number);
        // SAFETY: each of these calls reads a structure of one or two 32-bit numbers and writes
        // no memory; the opcode carries the size.
        unsafe { call(&self.device, opcode, &mut argument) }
            .map(|port| LocalPort(port.cast_unsigned()))
            .map_err(|error| failed(what, error))
    }
}

impl AsFd for EventChannels {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

fn failed(what: &'static str, source: io::Error) -> Error {
    Error::Device { device: DEVICE, what, source }
}
