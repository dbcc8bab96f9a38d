//! What can go wrong, named by the device or hypercall that it went wrong with.

use std::io;

use thiserror::Error;

/// A failed access to the hypervisor or to a Xen device of the kernel.
#[derive(Debug, Error)]
pub enum Error {
    /// The kernel doesn't offer the device.
    #[error(
        "{device} isn't there: this isn't the control domain of a Xen hypervisor, or the kernel's \
         Xen modules aren't loaded"
    )]
    NoDevice {
        /// The device.
        device: &'static str,
    },
    /// This user may not open the device.
    #[error("{device} may not be opened: only root can manage the hypervisor")]
    NotAllowed {
        /// The device.
        device: &'static str,
    },
    /// The device fails.
    #[error("{device}: {what}: {source}")]
    Device {
        /// The device.
        device: &'static str,
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// The hypervisor refuses a call.
    #[error("the hypervisor refuses {call}: {}", explain(*errno))]
    Hypercall {
        /// The call, by its name in the public headers.
        call: &'static str,
        /// The error number.
        errno: i32,
    },
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn opening(device: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NoDevice { device },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { device },
            // The node is there, but no driver behind it.
            _ if matches!(source.raw_os_error(), Some(ENXIO | ENODEV)) => Self::NoDevice { device },
            _ => Self::Device { device, what: "can't open it", source },
        }
    }

    /// The error number of a refused hypercall.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Hypercall { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// Whether the hypervisor doesn't know the call, or was built without it.
    pub fn is_unsupported(&self) -> bool {
        matches!(self.errno(), Some(ENOSYS | EOPNOTSUPP))
    }
}

const EPERM: i32 = 1;
const ESRCH: i32 = 3;
const ENXIO: i32 = 6;
const EACCES: i32 = 13;
const ENODEV: i32 = 19;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;

fn explain(errno: i32) -> String {
    let hint = match errno {
        EPERM => "this domain isn't privileged",
        ESRCH => "there is no such domain or vCPU",
        EACCES => "its interface has another version than this program's, 4.20",
        ENOSYS | EOPNOTSUPP => "it doesn't support it",
        _ => return io::Error::from_raw_os_error(errno).to_string(),
    };
    format!("{hint} (error {errno})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_call_and_the_reason() {
        let error = Error::Hypercall { call: "XEN_SYSCTL_perfc_op", errno: 38 };
        assert_eq!(
            error.to_string(),
            "the hypervisor refuses XEN_SYSCTL_perfc_op: it doesn't support it (error 38)"
        );
        assert!(error.is_unsupported());
        let error = Error::opening("/dev/xen/privcmd", io::ErrorKind::NotFound.into());
        assert!(error.to_string().starts_with("/dev/xen/privcmd isn't there"));
        let error = Error::opening("/dev/xen/privcmd", io::Error::from_raw_os_error(13));
        assert!(error.to_string().contains("only root"));
    }
}
