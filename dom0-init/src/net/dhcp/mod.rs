//! DHCP for IPv4 (RFC 2131, 2132) as a client: [`message`]s, and the state [`machine`] that
//! neither knows sockets nor clocks.

mod lease;
mod machine;
mod message;

pub use lease::Lease;
pub use machine::{Action, Machine};

/// The port that servers listen on.
pub const SERVER_PORT: u16 = smoltcp::wire::DHCP_SERVER_PORT;
/// The port that clients listen on.
pub const CLIENT_PORT: u16 = smoltcp::wire::DHCP_CLIENT_PORT;
