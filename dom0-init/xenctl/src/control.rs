//! The hypercalls that everything in a toolstack goes through: `sysctl`, `domctl`, and those whose
//! arguments are a command and a structure.
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
        // SAFETY: the caller's promise is the same.
        unsafe { self.domctl_whole(cmd, domain, argument, buffers) }.map(|whole| whole.u.read())
    }

    /// The same with what surrounds the structure: the domain's number may be an answer too.
    ///
    /// # Safety
    /// As for [`Self::sysctl`].
    pub(crate) unsafe fn domctl_whole<T: IntoBytes + Immutable>(
        &self,
        cmd: DomctlCmd,
        domain: u16,
        argument: &T,
        buffers: &mut [&mut HypercallBuffer],
    ) -> Result<Domctl> {
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
        Ok(head.get::<Domctl>())
    }

    /// A call whose first argument says what, and whose second is the address of a structure:
    /// gives back the structure as the hypervisor left it, and the call's result.
    ///
    /// # Safety
    /// As for [`Self::sysctl`].
    pub(crate) unsafe fn operation<T: FromBytes + IntoBytes + Immutable>(
        &self,
        name: &'static str,
        call: Hypercall,
        cmd: u32,
        argument: &T,
        buffers: &mut [&mut HypercallBuffer],
    ) -> Result<(T, u32)> {
        let mut head = self.privcmd.buffer_with(argument)?;
        let arguments = [u64::from(cmd), head.handle().0, 0, 0, 0];
        let mut all: Vec<&mut HypercallBuffer> = vec![&mut head];
        all.extend(buffers.iter_mut().map(|buffer| &mut **buffer));
        // SAFETY: the call reads and writes its structure, which is in `head`, and by the
        // caller's promise the other buffers.
        let result =
            unsafe { self.privcmd.hypercall(name, u64::from(call.0), arguments, &mut all) }?;
        Ok((head.get(), result))
    }
}
