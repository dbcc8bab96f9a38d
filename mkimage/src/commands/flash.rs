//! `mkimage flash`: an image onto a device, after asking.

use crate::error::Error;
use crate::flash::{self, System, Target};
use crate::progress;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

/// Arguments of `mkimage flash`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Raw image, or one compressed by zstd
    image: PathBuf,
    /// Whole disk or stick: /dev/sdX
    device: PathBuf,
    /// Don't ask: everything on the device is lost
    #[arg(long, short)]
    yes: bool,
}

/// Writes an image to a device.
///
/// # Errors
/// When the device must not be written, or fails.
pub fn flash(arguments: &Arguments) -> Result<(), Error> {
    let target = Target::look(&arguments.device, &System::default())?;
    let (image, device) = (arguments.image.display(), target.path().display());
    if !arguments.yes && !confirmed(&target)? {
        return Err(Error::Image(format!("{device} is not written: it wasn't confirmed")));
    }
    let report = flash::flash(&arguments.image, &target)?;
    println!(
        "{image} is on {device}, and was read back: {} of {} written{}",
        progress::human(report.written),
        progress::human(report.size),
        match report.cleared {
            0 => String::new(),
            bytes => format!(", {} cleared", progress::human(bytes)),
        }
    );
    Ok(())
}

fn confirmed(target: &Target) -> Result<bool, Error> {
    let device = target.path().display();
    if !std::io::stdin().is_terminal() {
        return Err(Error::Image(format!(
            "{device} is not written: nobody is there to ask; say --yes if everything on it may be \
             lost"
        )));
    }
    eprint!("Everything on {device} ({}) will be lost. Go on? [y/N] ", target.description());
    // A terminal that is gone doesn't answer either.
    let _shown = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}
