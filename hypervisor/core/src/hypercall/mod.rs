//! The hypercall edge: what a call is, how it ends, and the table of all calls.
//!
//! A handler is a function from [`Call`] to [`HypercallResult`]. It copies the caller's
//! structures in once through [`GuestCopy`], checks the copy, uses only the copy. Errors become
//! `-errno` in one place, in [`dispatch`].
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod bitmap;
pub mod console;
pub mod domctl;
pub mod event_channel;
#[cfg(test)]
mod fuzz;
pub mod grant_table;
pub mod hvm;
pub mod memory;
pub mod multicall;
#[cfg(test)]
mod narrow_tests;
pub mod physdev;
pub mod platform_op;
mod policy;
pub mod sched;
pub mod sysctl;
#[cfg(test)]
mod tests;
pub mod vcpu;
pub mod version;
pub mod vm_assist;

use alloc::sync::Arc;

use xen_abi::Argument;
use xen_abi::xen::Hypercall;
use zerocopy::{FromBytes, IntoBytes};

use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypervisor::Hypervisor;
use crate::machine::Machine;
use crate::platform::{Platform, Refusal};
use crate::types::{DomId, Gpa, Gva};
use crate::vcpu::Vcpu;

/// A guest address that can't be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

impl From<Fault> for Errno {
    fn from(_: Fault) -> Self {
        Self::EFAULT
    }
}

/// The caller's memory, by the virtual addresses that its handles hold, walked with the page
/// tables that it runs on now.
pub trait GuestCopy {
    /// Copies bytes in from the caller.
    ///
    /// # Errors
    /// If a page of the range is not mapped. `into` may then be partly written.
    fn copy_from(&self, from: Gva, into: &mut [u8]) -> Result<(), Fault>;

    /// Copies bytes out to the caller.
    ///
    /// # Errors
    /// If a page of the range is not mapped or not writable. The range may be partly written.
    fn copy_to(&self, to: Gva, from: &[u8]) -> Result<(), Fault>;

    /// The guest-physical address behind a virtual one that is mapped for writing.
    ///
    /// # Errors
    /// If the page is not mapped or not writable.
    fn translate(&self, gva: Gva) -> Result<Gpa, Fault>;

    /// Whether the caller would take an interrupt now: its interrupt flag is set. One that
    /// doesn't can wait although an interrupt waits for it.
    fn takes_interrupts(&self) -> bool {
        true
    }
}

/// How a hypercall ended, short of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is complete; the caller finds this value in its result register.
    Done(u64),
    /// It stopped halfway to let others run: the caller executes the same hypercall again, with
    /// its argument registers set to these values.
    Continue([u64; 6]),
}

impl Outcome {
    /// Complete, with the result 0.
    pub const OK: Self = Self::Done(0);
}

/// How wide a caller's registers are, and with them its pointers and longs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 32 bits: it runs code that isn't 64-bit code, whatever its kernel is.
    Narrow,
    /// 64 bits.
    Wide,
}

impl Width {
    /// As much of a value as a register holds.
    pub const fn truncate(self, value: u64) -> u64 {
        match self {
            Self::Narrow => value & 0xffff_ffff,
            Self::Wide => value,
        }
    }

    /// The bytes that a structure has in the caller's memory.
    pub const fn size_of<T: Argument>(self) -> usize {
        match self {
            Self::Narrow => size_of::<T::Narrow>(),
            Self::Wide => size_of::<T>(),
        }
    }
}

/// What a handler returns.
pub type HypercallResult = Result<Outcome, Errno>;

/// One hypercall in progress.
pub struct Call<'a, P: Platform> {
    /// The context of everything.
    pub hv: &'a Hypervisor<P>,
    /// The calling vCPU's domain.
    pub domain: &'a Arc<Domain<P>>,
    /// The calling vCPU.
    pub vcpu: &'a Arc<Vcpu<P>>,
    /// The argument registers, in the ABI's order (RDI RSI RDX R10 R8 R9 for a 64-bit caller, EBX
    /// ECX EDX ESI EDI EBP for a 32-bit one).
    pub args: [u64; 6],
    /// How wide those are. What is in memory is laid out accordingly, which is [`Call::read`]'s
    /// and [`Call::write`]'s business alone.
    pub width: Width,
    /// The caller's memory.
    pub guest: &'a dyn GuestCopy,
}

impl<P: Platform> Call<'_, P> {
    /// Copies a structure in from the caller.
    ///
    /// # Errors
    /// `EFAULT` if it isn't all readable.
    pub fn read<T: Argument>(&self, from: Gva) -> Result<T, Errno> {
        Ok(match self.width {
            Width::Narrow => T::widen(self.copy_in(from)?),
            Width::Wide => self.copy_in(from)?,
        })
    }

    fn copy_in<T: FromBytes + IntoBytes>(&self, from: Gva) -> Result<T, Errno> {
        let mut value = T::new_zeroed();
        self.guest.copy_from(from, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Copies a structure out to the caller.
    ///
    /// # Errors
    /// `EFAULT` if the range isn't all writable.
    pub fn write<T: Argument>(&self, to: Gva, value: &T) -> Result<(), Errno> {
        match self.width {
            Width::Narrow => self.guest.copy_to(to, value.narrow().as_bytes())?,
            Width::Wide => self.guest.copy_to(to, value.as_bytes())?,
        }
        Ok(())
    }

    /// Copies an array in from the caller.
    ///
    /// # Errors
    /// `EFAULT` if it isn't all readable. `into` may then be partly written.
    pub fn read_all<T: Argument>(&self, from: Gva, into: &mut [T]) -> Result<(), Errno> {
        if self.width == Width::Wide {
            return Ok(self.guest.copy_from(from, into.as_mut_bytes())?);
        }
        for (index, value) in (0..).zip(into) {
            *value = self.read(self.element::<T>(from, index)?)?;
        }
        Ok(())
    }

    /// Copies an array out to the caller.
    ///
    /// # Errors
    /// `EFAULT` if the range isn't all writable. It may then be partly written.
    pub fn write_all<T: Argument>(&self, to: Gva, values: &[T]) -> Result<(), Errno> {
        if self.width == Width::Wide {
            return Ok(self.guest.copy_to(to, values.as_bytes())?);
        }
        for (index, value) in (0..).zip(values) {
            self.write(self.element::<T>(to, index)?, value)?;
        }
        Ok(())
    }

    /// The address of element `index` in the caller's array at `base`.
    ///
    /// # Errors
    /// `EFAULT` if it lies beyond the address space.
    pub fn element<T: Argument>(&self, base: Gva, index: u64) -> Result<Gva, Errno> {
        let size = self.width.size_of::<T>() as u64;
        let offset = index.checked_mul(size).ok_or(Errno::EFAULT)?;
        base.0.checked_add(offset).map(Gva).ok_or(Errno::EFAULT)
    }

    /// The domain that `id` means to the caller: itself for `DOMID_SELF` or its own number, else
    /// the one of that number.
    ///
    /// # Errors
    /// `ESRCH` if there is none.
    pub fn resolve(&self, id: DomId) -> Result<Arc<Domain<P>>, Errno> {
        if id == DomId::SELF || id == self.domain.id {
            return Ok(self.domain.clone());
        }
        self.hv.domain(id).ok_or(Errno::ESRCH)
    }

    /// As [`Self::resolve`], where the caller must own the target or have privilege over it.
    ///
    /// # Errors
    /// `ESRCH` if there is no such domain, `EPERM` if it is not the caller's to touch.
    pub fn resolve_owned(&self, id: DomId) -> Result<Arc<Domain<P>>, Errno> {
        let target = self.resolve(id)?;
        if target.id == self.domain.id || self.domain.is_privileged_for(&target) {
            return Ok(target);
        }
        Err(Errno::EPERM)
    }
}

/// Carries out hypercall `number`. `Done` holds what goes into the caller's result register,
/// errors included.
pub fn dispatch<P: Machine>(number: u32, call: &Call<'_, P>) -> Outcome {
    call.vcpu.counters.count_hypercall(number);
    let result: HypercallResult = match Hypercall(number) {
        Hypercall::EVENT_CHANNEL_OP => event_channel::event_channel_op(call),
        Hypercall::SCHED_OP => sched::sched_op(call),
        Hypercall::SCHED_OP_COMPAT => sched::sched_op_compat(call),
        Hypercall::VCPU_OP => vcpu::vcpu_op(call),
        Hypercall::SET_TIMER_OP => vcpu::set_timer_op(call),
        Hypercall::MEMORY_OP => memory::memory_op(call),
        Hypercall::GRANT_TABLE_OP => grant_table::grant_table_op(call),
        Hypercall::HVM_OP => hvm::hvm_op(call),
        Hypercall::VM_ASSIST => vm_assist::vm_assist(call),
        Hypercall::XEN_VERSION => version::xen_version(call),
        Hypercall::CONSOLE_IO => console::console_io(call),
        Hypercall::PHYSDEV_OP => physdev::physdev_op(call),
        Hypercall::PLATFORM_OP => platform_op::platform_op(call),
        Hypercall::SYSCTL => sysctl::sysctl(call),
        Hypercall::DOMCTL => domctl::domctl(call),
        Hypercall::MULTICALL => multicall::multicall(call),
        _ => Err(Errno::ENOSYS),
    };
    result.unwrap_or_else(|errno| {
        let [command, ..] = call.args;
        call.hv.platform.log_refusal(&Refusal {
            domain: call.domain.id,
            vcpu: call.vcpu.id,
            call: Hypercall(number),
            command,
            errno,
        });
        Outcome::Done(errno.negated().cast_unsigned())
    })
}
