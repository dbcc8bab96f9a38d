//! `io/xenbus.h`: states of the two ends of a device.

use crate::macros::open_enum;

open_enum! {
    /// The number in the xenstore node `state`.
    pub struct XenbusState(u32) {
        /// Absent.
        UNKNOWN = 0, "XenbusStateUnknown";
        /// Starting.
        INITIALISING = 1, "XenbusStateInitialising";
        /// Waits for the other end or for scripts.
        INIT_WAIT = 2, "XenbusStateInitWait";
        /// Waits for the other end to connect.
        INITIALISED = 3, "XenbusStateInitialised";
        /// Works.
        CONNECTED = 4, "XenbusStateConnected";
        /// Stops.
        CLOSING = 5, "XenbusStateClosing";
        /// Stopped.
        CLOSED = 6, "XenbusStateClosed";
        /// Changes.
        RECONFIGURING = 7, "XenbusStateReconfiguring";
        /// Changed.
        RECONFIGURED = 8, "XenbusStateReconfigured";
    }
}
