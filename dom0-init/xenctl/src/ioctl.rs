//! The one shape of the Xen devices' calls: a structure goes in and out, a number comes back.
#![expect(unsafe_code, reason = "ioctls")]

use std::ffi::c_void;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};

use rustix::ioctl::{Direction, Ioctl, IoctlOutput, Opcode, ioctl, opcode};

/// The opcode `_IOC(_IOC_NONE, group, number, sizeof(T))` of the Xen devices.
pub const fn xen_opcode<T>(group: u8, number: u8) -> Opcode {
    opcode::from_components(Direction::None, group, number, size_of::<T>())
}

struct Call<'a, T> {
    opcode: Opcode,
    argument: NonNull<T>,
    lives: PhantomData<&'a mut T>,
}

// SAFETY: the argument is valid and exclusively borrowed for the call, the opcode is the one that
// the caller of `call` vouches for, and the output is the call's own return value.
unsafe impl<T> Ioctl for Call<'_, T> {
    type Output = i32;
    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.argument.as_ptr().cast()
    }

    unsafe fn output_from_ptr(
        output: IoctlOutput,
        _argument: *mut c_void,
    ) -> rustix::io::Result<i32> {
        Ok(output)
    }
}

/// Makes a call with `argument`.
///
/// # Errors
/// As the kernel has it.
///
/// # Safety
/// `T` must be the structure that this opcode of this device reads and writes, and whatever
/// addresses it holds must be valid, for the accesses that the call makes, until it returns.
pub unsafe fn call<T>(device: impl AsFd, opcode: Opcode, argument: &mut T) -> io::Result<i32> {
    let call = Call { opcode, argument: NonNull::from(argument), lives: PhantomData };
    // SAFETY: the caller vouches for opcode and argument.
    Ok(unsafe { ioctl(device, call) }?)
}

/// The address of a slice, as these structures hold it.
pub fn address_of<T>(slice: &[T]) -> u64 {
    ptr::from_ref(slice).cast::<T>().expose_provenance() as u64
}

/// The same of a slice that the call writes to.
pub fn address_of_mut<T>(slice: &mut [T]) -> u64 {
    ptr::from_mut(slice).cast::<T>().expose_provenance() as u64
}
