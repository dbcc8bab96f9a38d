//! `errno.h`: error numbers. Hypercalls return their negation.

use crate::macros::open_enum;

open_enum! {
    /// An error number as in Linux on x86. A hypercall returns [`Errno::negated`].
    pub struct Errno(i32) {
        /// Operation not permitted.
        EPERM = 1, "XEN_EPERM";
        /// No such entry.
        ENOENT = 2, "XEN_ENOENT";
        /// No such domain or vCPU.
        ESRCH = 3, "XEN_ESRCH";
        /// Interrupted; inside the hypervisor only.
        EINTR = 4, "XEN_EINTR";
        /// I/O error.
        EIO = 5, "XEN_EIO";
        /// No such device or address.
        ENXIO = 6, "XEN_ENXIO";
        /// Argument list too long.
        E2BIG = 7, "XEN_E2BIG";
        /// Wrong format of an executable.
        ENOEXEC = 8, "XEN_ENOEXEC";
        /// Bad file number.
        EBADF = 9, "XEN_EBADF";
        /// No child.
        ECHILD = 10, "XEN_ECHILD";
        /// Try again.
        EAGAIN = 11, "XEN_EAGAIN";
        /// Same as `EAGAIN`.
        EWOULDBLOCK = 11, "XEN_EWOULDBLOCK";
        /// Out of memory.
        ENOMEM = 12, "XEN_ENOMEM";
        /// Permission denied; also a wrong interface version.
        EACCES = 13, "XEN_EACCES";
        /// Bad address.
        EFAULT = 14, "XEN_EFAULT";
        /// Busy.
        EBUSY = 16, "XEN_EBUSY";
        /// Exists already.
        EEXIST = 17, "XEN_EEXIST";
        /// Improper link.
        EXDEV = 18, "XEN_EXDEV";
        /// No such device.
        ENODEV = 19, "XEN_ENODEV";
        /// Not a directory.
        ENOTDIR = 20, "XEN_ENOTDIR";
        /// A directory.
        EISDIR = 21, "XEN_EISDIR";
        /// Invalid argument.
        EINVAL = 22, "XEN_EINVAL";
        /// Table overflow.
        ENFILE = 23, "XEN_ENFILE";
        /// Too many open files.
        EMFILE = 24, "XEN_EMFILE";
        /// No space left.
        ENOSPC = 28, "XEN_ENOSPC";
        /// Read-only.
        EROFS = 30, "XEN_EROFS";
        /// Too many links.
        EMLINK = 31, "XEN_EMLINK";
        /// Out of the function's domain.
        EDOM = 33, "XEN_EDOM";
        /// Result not representable.
        ERANGE = 34, "XEN_ERANGE";
        /// Would deadlock.
        EDEADLK = 35, "XEN_EDEADLK";
        /// Same as `EDEADLK`.
        EDEADLOCK = 35, "XEN_EDEADLOCK";
        /// Name too long.
        ENAMETOOLONG = 36, "XEN_ENAMETOOLONG";
        /// No locks available.
        ENOLCK = 37, "XEN_ENOLCK";
        /// Not implemented.
        ENOSYS = 38, "XEN_ENOSYS";
        /// Directory not empty.
        ENOTEMPTY = 39, "XEN_ENOTEMPTY";
        /// No data.
        ENODATA = 61, "XEN_ENODATA";
        /// Timer expired.
        ETIME = 62, "XEN_ETIME";
        /// Not a data message.
        EBADMSG = 74, "XEN_EBADMSG";
        /// Value too large.
        EOVERFLOW = 75, "XEN_EOVERFLOW";
        /// Illegal byte sequence.
        EILSEQ = 84, "XEN_EILSEQ";
        /// Restart the call; inside the hypervisor only.
        ERESTART = 85, "XEN_ERESTART";
        /// Not a socket.
        ENOTSOCK = 88, "XEN_ENOTSOCK";
        /// Message too large.
        EMSGSIZE = 90, "XEN_EMSGSIZE";
        /// Not supported.
        EOPNOTSUPP = 95, "XEN_EOPNOTSUPP";
        /// Address in use.
        EADDRINUSE = 98, "XEN_EADDRINUSE";
        /// Address not available.
        EADDRNOTAVAIL = 99, "XEN_EADDRNOTAVAIL";
        /// No buffer space.
        ENOBUFS = 105, "XEN_ENOBUFS";
        /// Connected already.
        EISCONN = 106, "XEN_EISCONN";
        /// Not connected.
        ENOTCONN = 107, "XEN_ENOTCONN";
        /// Timed out.
        ETIMEDOUT = 110, "XEN_ETIMEDOUT";
        /// Connection refused.
        ECONNREFUSED = 111, "XEN_ECONNREFUSED";
    }
}

impl Errno {
    /// What a hypercall returns for this error: the negated number.
    #[must_use]
    pub const fn negated(self) -> i64 {
        (self.0 as i64).wrapping_neg()
    }
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn negates_and_names() {
        assert_eq!(Errno::ENOSYS.negated(), -38);
        assert_eq!(Errno::EAGAIN.name(), Some("XEN_EAGAIN"));
        assert_eq!(Errno(15).name(), None);
    }
}
