//! The two hypercalls that everything in a toolstack goes through: `sysctl` and `domctl`.
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::Payload;
use xen_abi::domctl::{self, Domctl, DomctlCmd};
use xen_abi::sysctl::{self, Sysctl, SysctlCmd};
use xen_abi::xen::Hypercall;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::Xen;
use crate::buffer::HypercallBuffer;
use crate::error::Result;

impl Xen {
    /// `sysctl`: gives back the structure as the hypervisor left it.
    ///
    /// # Safety
    /// `T` must be the structure that the command takes, and the handles in it null or those of
    /// `buffers`, with no more bytes behind them than the buffer has.
    pub(crate) unsafe fn sysctl<T: FromBytes + IntoBytes + Immutable>(
        &self,
        cmd: SysctlCmd,
        argument: &T,
        buffers: &mut [&mut HypercallBuffer],
    ) -> Result<T> {
        let whole =
            Sysctl { cmd, interface_version: sysctl::INTERFACE_VERSION, u: Payload::new(argument) };
        let mut head = self.privcmd.buffer_with(&whole)?;
        let handle = head.handle().0;
        let mut all: Vec<&mut HypercallBuffer> = vec![&mut head];
        all.extend(buffers.iter_mut().map(|buffer| &mut **buffer));
        let name = cmd.name().unwrap_or("sysctl");
        let number = u64::from(Hypercall::SYSCTL.0);
        // SAFETY: sysctl reads and writes its structure, which is in `head`, and by the caller's
        // promise the other buffers; none of its commands changes our memory map.
        unsafe { self.privcmd.hypercall(name, number, [handle, 0, 0, 0, 0], &mut all) }?;
        Ok(head.get::<Sysctl>().u.read())
    }

    /// `domctl`: gives back the structure as the hypervisor left it.
    ///
    /// # Safety
    /// As for [`Self::sysctl`].
    pub(crate) unsafe fn domctl<T: FromBytes + IntoBytes + Immutable>(
        &self,
        cmd: DomctlCmd,
        domain: u16,
        argument: &T,
        buffers: &mut [&mut HypercallBuffer],
    ) -> Result<T> {
        let whole = Domctl {
            cmd,
            interface_version: domctl::INTERFACE_VERSION,
            domain,
            _pad0: [0; 3],
            u: Payload::new(argument),
        };
        let mut head = self.privcmd.buffer_with(&whole)?;
        let handle = head.handle().0;
        let mut all: Vec<&mut HypercallBuffer> = vec![&mut head];
        all.extend(buffers.iter_mut().map(|buffer| &mut **buffer));
        let name = cmd.name().unwrap_or("domctl");
        let number = u64::from(Hypercall::DOMCTL.0);
        // SAFETY: as for sysctl; the domains that its commands change are others.
        unsafe { self.privcmd.hypercall(name, number, [handle, 0, 0, 0, 0], &mut all) }?;
        Ok(head.get::<Domctl>().u.read())
    }
}
