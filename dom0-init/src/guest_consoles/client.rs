//! A viewer's end.

use std::io::Write;
use std::os::unix::net::UnixStream;

use anyhow::Context;

use super::SOCKET;

/// Opens a domain's console: what it has written comes first, then what it writes. The stream
/// ends with the domain.
///
/// # Errors
/// When the daemon can't be reached.
pub fn open(domain: u16) -> anyhow::Result<UnixStream> {
    let mut stream = UnixStream::connect(SOCKET)
        .with_context(|| format!("can't reach the consoles at {SOCKET}; `xm log` says why"))?;
    writeln!(stream, "{domain}")?;
    Ok(stream)
}
