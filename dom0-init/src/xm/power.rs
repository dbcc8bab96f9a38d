//! `xm shutdown-host` and `xm reboot-host`: PID 1 takes everything down.

use std::time::Duration;

use crate::control::{self, Request};

/// Switches the machine off.
pub fn shutdown_host() -> anyhow::Result<()> {
    control::ask(&Request::PowerOff { why: "xm shutdown-host".to_owned() })?;
    println!("The machine is being shut down.");
    wait_for_the_end();
    Ok(())
}

/// Starts the machine again.
pub fn reboot_host() -> anyhow::Result<()> {
    control::ask(&Request::Reboot { why: "xm reboot-host".to_owned() })?;
    println!("The machine is being restarted.");
    wait_for_the_end();
    Ok(())
}

/// PID 1 ends this process soon; another prompt before that would only be in the way.
pub fn wait_for_the_end() {
    std::thread::sleep(Duration::from_secs(30));
}
