//! `io/xs_wire.h`: the xenstore protocol and its ring.

use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Type of a message.
    pub struct MessageType(u32) {
        /// Commands to the daemon.
        CONTROL = 0, "XS_CONTROL";
        /// Lists children.
        DIRECTORY = 1, "XS_DIRECTORY";
        /// Reads.
        READ = 2, "XS_READ";
        /// Reads permissions.
        GET_PERMS = 3, "XS_GET_PERMS";
        /// Sets a watch.
        WATCH = 4, "XS_WATCH";
        /// Removes a watch.
        UNWATCH = 5, "XS_UNWATCH";
        /// Begins a transaction.
        TRANSACTION_START = 6, "XS_TRANSACTION_START";
        /// Ends a transaction.
        TRANSACTION_END = 7, "XS_TRANSACTION_END";
        /// Makes a domain known.
        INTRODUCE = 8, "XS_INTRODUCE";
        /// Forgets a domain.
        RELEASE = 9, "XS_RELEASE";
        /// A domain's home.
        GET_DOMAIN_PATH = 10, "XS_GET_DOMAIN_PATH";
        /// Writes.
        WRITE = 11, "XS_WRITE";
        /// Makes a directory.
        MKDIR = 12, "XS_MKDIR";
        /// Removes a subtree.
        RM = 13, "XS_RM";
        /// Sets permissions.
        SET_PERMS = 14, "XS_SET_PERMS";
        /// A watch fired.
        WATCH_EVENT = 15, "XS_WATCH_EVENT";
        /// A request failed.
        ERROR = 16, "XS_ERROR";
        /// Whether a domain is known.
        IS_DOMAIN_INTRODUCED = 17, "XS_IS_DOMAIN_INTRODUCED";
        /// A domain was resumed.
        RESUME = 18, "XS_RESUME";
        /// Gives a device model its domain's rights.
        SET_TARGET = 19, "XS_SET_TARGET";
        /// Removes all watches.
        RESET_WATCHES = 21, "XS_RESET_WATCHES";
        /// Lists children in parts.
        DIRECTORY_PART = 22, "XS_DIRECTORY_PART";
        /// Never a message.
        INVALID = 0xffff, "XS_INVALID";
    }
}

constants! {
    // The number of types.
    u32 {
        /// One more than the highest valid type.
        TYPE_COUNT = 23, "XS_TYPE_COUNT";
    }
}

/// Head of a message; `len` bytes follow.
///
/// `xsd_sockmsg` in `io/xs_wire.h`.
#[doc(alias = "xsd_sockmsg")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Message {
    /// Its type.
    pub ty: MessageType,
    /// Of the request; the answer has the same.
    pub req_id: u32,
    /// Transaction; 0 is none.
    pub tx_id: u32,
    /// Bytes that follow.
    pub len: u32,
}

layout!(Message, size 16, { ty: 0, req_id: 4, tx_id: 8, len: 12 });

/// The ring page: indices are free-running.
///
/// `xenstore_domain_interface` in `io/xs_wire.h`.
#[doc(alias = "xenstore_domain_interface")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct DomainInterface {
    /// Requests.
    pub req: [u8; 1024],
    /// Answers and watch events.
    pub rsp: [u8; 1024],
    /// Consumed of `req`, by the daemon.
    pub req_cons: u32,
    /// Produced of `req`, by the guest.
    pub req_prod: u32,
    /// Consumed of `rsp`, by the guest.
    pub rsp_cons: u32,
    /// Produced of `rsp`, by the daemon.
    pub rsp_prod: u32,
    /// `SERVER_FEATURE_*`.
    pub server_features: u32,
    /// `CONNECTED` or `RECONNECT`.
    pub connection: u32,
    /// `ERROR_*`.
    pub error: u32,
}

layout!(DomainInterface, size 2076, {
    req: 0, rsp: 1024, req_cons: 2048, req_prod: 2052, rsp_cons: 2056, rsp_prod: 2060,
    server_features: 2064, connection: 2068, error: 2072,
});

constants! {
    // Values of [`DomainInterface`].
    u32 {
        /// The ring can be connected again.
        SERVER_FEATURE_RECONNECTION = 1, "XENSTORE_SERVER_FEATURE_RECONNECTION";
        /// The field `error` exists.
        SERVER_FEATURE_ERROR = 2, "XENSTORE_SERVER_FEATURE_ERROR";
        /// In use.
        CONNECTED = 0, "XENSTORE_CONNECTED";
        /// Being connected again.
        RECONNECT = 1, "XENSTORE_RECONNECT";
        /// No error.
        ERROR_NONE = 0, "XENSTORE_ERROR_NONE";
        /// Communication failed.
        ERROR_COMM = 1, "XENSTORE_ERROR_COMM";
        /// An index is wrong.
        ERROR_RINGIDX = 2, "XENSTORE_ERROR_RINGIDX";
        /// The protocol was violated.
        ERROR_PROTO = 3, "XENSTORE_ERROR_PROTO";
    }
}

constants! {
    // Limits.
    usize {
        /// Bytes of each direction.
        RING_SIZE = 1024, "XENSTORE_RING_SIZE";
        /// Bytes of a message after its head.
        PAYLOAD_MAX = 4096, "XENSTORE_PAYLOAD_MAX";
        /// Bytes of an absolute path.
        ABS_PATH_MAX = 3072, "XENSTORE_ABS_PATH_MAX";
        /// Bytes of a relative path.
        REL_PATH_MAX = 2048, "XENSTORE_REL_PATH_MAX";
    }
}

/// Errors as they are spelled on the wire, with their numbers.
pub const ERRORS: [(Errno, &str); 16] = [
    (Errno::EINVAL, "EINVAL"),
    (Errno::EACCES, "EACCES"),
    (Errno::EEXIST, "EEXIST"),
    (Errno::EISDIR, "EISDIR"),
    (Errno::ENOENT, "ENOENT"),
    (Errno::ENOMEM, "ENOMEM"),
    (Errno::ENOSPC, "ENOSPC"),
    (Errno::EIO, "EIO"),
    (Errno::ENOTEMPTY, "ENOTEMPTY"),
    (Errno::ENOSYS, "ENOSYS"),
    (Errno::EROFS, "EROFS"),
    (Errno::EBUSY, "EBUSY"),
    (Errno::EAGAIN, "EAGAIN"),
    (Errno::EISCONN, "EISCONN"),
    (Errno::E2BIG, "E2BIG"),
    (Errno::EPERM, "EPERM"),
];
use crate::Errno;
