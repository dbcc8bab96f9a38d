//! Which consoles get a prompt: those that the kernel's own messages go to, and the screen.

use anyhow::{Context, bail};

/// Where the kernel names its consoles.
const ACTIVE: &str = "/sys/class/tty/console/active";

/// A terminal that gets a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its name below `/dev`.
    pub tty: String,
    /// Whether the overview is shown above the prompt.
    pub dashboard: bool,
}

impl Place {
    fn new(tty: &str, dashboard: bool) -> Self {
        Self { tty: tty.to_owned(), dashboard }
    }

    /// What `TERM` is there: the screen is the kernel's own terminal, and what is at the other
    /// end of a serial line understands at least this.
    pub fn terminal(&self) -> &'static str {
        if is_screen(&self.tty) { "linux" } else { "vt220" }
    }
}

/// The consoles of this machine.
///
/// # Errors
/// When the kernel names none that could have a prompt.
pub fn for_this_machine() -> anyhow::Result<Vec<Place>> {
    let active = std::fs::read_to_string(ACTIVE).context(ACTIVE)?;
    let has_screen = std::path::Path::new("/dev/tty1").exists();
    let places = places(&active, has_screen);
    if places.is_empty() {
        bail!(
            "the kernel has no console for a prompt (it names {active:?}): add console=hvc0 or \
             console=tty0 to its command line"
        );
    }
    Ok(places)
}

/// One prompt for each line console; on a screen the overview with a prompt, and a second
/// screen (Alt-F2) with nothing but a prompt.
fn places(active: &str, has_screen: bool) -> Vec<Place> {
    let mut places: Vec<Place> = active
        .split_whitespace()
        .filter(|name| !is_screen(name) && *name != "ttynull")
        .map(|name| Place::new(name, false))
        .collect();
    if has_screen {
        places.push(Place::new("tty1", true));
        places.push(Place::new("tty2", false));
    }
    places
}

/// `tty0`, `tty1` and so on are the screen; `ttyS0` isn't.
fn is_screen(name: &str) -> bool {
    name.strip_prefix("tty")
        .is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_screens() {
        assert_eq!(
            places("tty0 hvc0\n", true),
            [Place::new("hvc0", false), Place::new("tty1", true), Place::new("tty2", false)]
        );
        assert_eq!(places("ttyS0\n", false), [Place::new("ttyS0", false)]);
        assert_eq!(places("ttynull", false), []);
        assert_eq!(Place::new("ttyS0", false).terminal(), "vt220");
        assert_eq!(Place::new("tty12", false).terminal(), "linux");
    }
}
