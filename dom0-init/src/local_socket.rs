//! The sockets that daemons serve: for root alone, and in place of what an earlier one left.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::Context;

/// Makes a socket, and its folder.
///
/// # Errors
/// Names the path, and what the system has against it.
pub fn listen(path: &str) -> anyhow::Result<UnixListener> {
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("can't make {}", folder.display()))?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("can't remove the old {path}"));
        }
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("can't make {path}"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// As [`listen`], for event loops: accepting doesn't wait.
///
/// # Errors
/// As for [`listen`].
pub fn listen_nonblocking(path: &str) -> anyhow::Result<UnixListener> {
    let listener = listen(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
