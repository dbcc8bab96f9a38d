//! What a request can get wrong, and how that is spelled on the wire.

use thiserror::Error;
use xen_abi::Errno;
use xen_abi::io::xs_wire::ERRORS;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Error {
    /// The request, a path, a permission or a number in it makes no sense.
    #[error("the request makes no sense")]
    Invalid,
    /// The node's permissions don't allow it.
    #[error("the node's permissions don't allow it")]
    Denied,
    /// Only a privileged connection may do that.
    #[error("only the control domain may do that")]
    NotPrivileged,
    /// There is no such node, watch, transaction or domain.
    #[error("there is no such node, watch, transaction or domain")]
    Missing,
    /// There is such a watch already.
    #[error("there is such a watch already")]
    Exists,
    /// The domain has used up a quota, or a value is too long.
    #[error("a quota is used up")]
    NoSpace,
    /// A domain has too many watches, or an answer is too long.
    #[error("too much")]
    TooBig,
    /// Others changed what the transaction relied on: do it again.
    #[error("others changed what the transaction relied on")]
    Conflict,
    /// Transactions don't nest.
    #[error("transactions don't nest")]
    Nested,
    /// There is no such request.
    #[error("there is no such request")]
    Unknown,
    /// The domain's ring can't be connected.
    #[error("the domain's ring can't be connected")]
    Io,
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Its number.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Invalid => Errno::EINVAL,
            Self::Denied => Errno::EACCES,
            Self::NotPrivileged => Errno::EPERM,
            Self::Missing => Errno::ENOENT,
            Self::Exists => Errno::EEXIST,
            Self::NoSpace => Errno::ENOSPC,
            Self::TooBig => Errno::E2BIG,
            Self::Conflict => Errno::EAGAIN,
            Self::Nested => Errno::EBUSY,
            Self::Unknown => Errno::ENOSYS,
            Self::Io => Errno::EIO,
        }
    }

    const ALL: [Self; 11] = [
        Self::Invalid,
        Self::Denied,
        Self::NotPrivileged,
        Self::Missing,
        Self::Exists,
        Self::NoSpace,
        Self::TooBig,
        Self::Conflict,
        Self::Nested,
        Self::Unknown,
        Self::Io,
    ];

    /// The error of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|error| error.name() == name)
    }

    /// Its name, as an error message's payload has it.
    pub fn name(self) -> &'static str {
        let errno = self.errno();
        ERRORS.iter().find(|(number, _)| *number == errno).map_or("EINVAL", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_wire() {
        assert_eq!(Error::Missing.name(), "ENOENT");
        assert_eq!(Error::Conflict.name(), "EAGAIN");
        assert_eq!(Error::NotPrivileged.name(), "EPERM");
        assert_eq!(Error::Io.name(), "EIO");
        for error in Error::ALL {
            assert_eq!(Error::from_name(error.name()), Some(error));
        }
        assert_eq!(Error::from_name("EWHAT"), None);
    }
}
