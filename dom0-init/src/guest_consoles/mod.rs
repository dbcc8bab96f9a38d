//! The guests' consoles: keeps what each has written, logs it, and connects viewers.
//!
//! One thread waits for everything ([`server`]). [`ring`] is the protocol of a console's page,
//! [`scrollback`] what a new viewer is shown, [`logfile`] what stays on the data partition,
//! [`client`] the viewer's end of the socket.

pub mod client;
mod logfile;
mod ring;
mod scrollback;
mod server;

pub use logfile::log_of;

/// Where viewers connect. They say a domain's number and a newline, then type.
pub const SOCKET: &str = "/run/xenolith/consoles.sock";

/// Runs until the system fails it.
///
/// # Errors
/// When socket, store or hypervisor can't be opened.
pub fn run(_arguments: &[String]) -> anyhow::Result<()> {
    server::Server::new()?.serve()
}
