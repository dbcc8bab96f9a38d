//! The error numbers of the ABI (public header `errno.h`).

/// An error number, as a hypercall reports it (negated, in the result register).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(u16);

impl Errno {
    /// The value to put into the caller's result register: `-errno`, sign-extended.
    pub const fn to_register(self) -> u64 {
        (-(self.0 as i64)) as u64
    }

    /// The value for the `int` status fields of the ABI's structures: `-errno`.
    pub const fn to_status(self) -> i32 {
        -(self.0 as i32)
    }
}

macro_rules! errnos {
    ($($name:ident = $value:literal, $doc:literal;)*) => {
        impl Errno {
            $(#[doc = $doc] pub const $name: Self = Self($value);)*
        }
    };
}

errnos! {
    EPERM = 1, "The caller lacks the privilege.";
    ENOENT = 2, "There is no such thing.";
    ESRCH = 3, "There is no such domain (or vCPU).";
    EIO = 5, "The device or the operation failed.";
    ENXIO = 6, "There is no such address or device.";
    E2BIG = 7, "The request is too large.";
    EAGAIN = 11, "It can't be done now; try again.";
    ENOMEM = 12, "There is not enough memory.";
    EACCES = 13, "Access is denied (also: wrong interface version).";
    EFAULT = 14, "A guest address can't be read or written.";
    EBUSY = 16, "The thing is in use.";
    EEXIST = 17, "The thing exists already.";
    EXDEV = 18, "The two things belong to different owners.";
    ENODEV = 19, "There is no such device.";
    EINVAL = 22, "An argument is invalid.";
    ENOSPC = 28, "There is no room left.";
    EROFS = 30, "The thing is read-only.";
    EDOM = 33, "An argument is outside of the domain of the operation.";
    ERANGE = 34, "An argument is out of range.";
    EDEADLK = 35, "The operation would deadlock.";
    ENOSYS = 38, "The operation does not exist.";
    ENODATA = 61, "There is no data.";
    ETIME = 62, "The time has passed.";
    EOVERFLOW = 75, "A value is too large for its type.";
    EILSEQ = 84, "The sequence is invalid.";
    ERESTART = 85, "The operation must be started again.";
    EOPNOTSUPP = 95, "The operation is not supported here.";
    ENOBUFS = 105, "The caller's buffer is too small.";
    EADDRNOTAVAIL = 99, "The address is not available.";
    ENOTCONN = 107, "The channel is not connected.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn register_is_sign_extended() {
        assert_eq!(Errno::EPERM.to_register(), u64::MAX);
        assert_eq!(Errno::ENOSYS.to_register() as i64, -38);
        assert_eq!(Errno::EINVAL.to_status(), -22);
    }
}
