//! A terminal as this process's own: session, standard streams, sane settings, a size.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::Context;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Winsize,
    tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

/// The size of a terminal that doesn't tell.
const USUAL: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// A terminal that is now this process's standard input, output and error.
#[derive(Debug)]
pub struct Terminal {
    size: Winsize,
}

impl Terminal {
    /// Its height.
    pub fn rows(&self) -> u16 {
        self.size.ws_row
    }
}

/// Makes `/dev/TTY` the controlling terminal and the standard streams of this process.
///
/// # Errors
/// Names the step that failed.
pub fn take(tty: &str) -> anyhow::Result<Terminal> {
    setsid().context("can't start a session")?;
    // A serial line without a carrier would block here for ever.
    let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits().cast_signed())
        .open(format!("/dev/{tty}"))
        .context("can't open the terminal")?;
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    ioctl_tiocsctty(&file).context("can't control the terminal")?;
    dup2_stdin(&file)?;
    dup2_stdout(&file)?;
    dup2_stderr(&file)?;
    make_sane()?;
    Ok(Terminal { size: size()? })
}

/// Sets the modes in which commands expect a terminal, whatever ran there before.
pub fn make_sane() -> anyhow::Result<()> {
    let input = std::io::stdin();
    let mut modes = tcgetattr(&input).context("can't read the terminal's modes")?;
    modes.input_modes = InputModes::ICRNL | InputModes::IXON | InputModes::IUTF8;
    modes.output_modes = OutputModes::OPOST | OutputModes::ONLCR;
    modes.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    modes.local_modes = LocalModes::ISIG
        | LocalModes::ICANON
        | LocalModes::ECHO
        | LocalModes::ECHOE
        | LocalModes::ECHOK
        | LocalModes::ECHOCTL
        | LocalModes::ECHOKE
        | LocalModes::IEXTEN;
    modes.special_codes[SpecialCodeIndex::VINTR] = 3;
    modes.special_codes[SpecialCodeIndex::VERASE] = 0x7f;
    modes.special_codes[SpecialCodeIndex::VEOF] = 4;
    tcsetattr(&input, OptionalActions::Drain, &modes).context("can't set the terminal's modes")
}

fn size() -> anyhow::Result<Winsize> {
    let input = std::io::stdin();
    let told = tcgetwinsize(&input).unwrap_or(USUAL);
    if told.ws_row > 0 && told.ws_col > 0 {
        return Ok(told);
    }
    tcsetwinsize(&input, USUAL).context("can't set the terminal's size")?;
    Ok(USUAL)
}
