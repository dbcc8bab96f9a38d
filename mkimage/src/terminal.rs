//! The terminal's settings: QEMU makes it raw, and they are put back however it ends.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::sync::{Mutex, PoisonError};

static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Puts the settings back when dropped.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Remembers the present settings, if there is a terminal.
    pub fn remember() -> Self {
        *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = tcgetattr(std::io::stdin()).ok();
        Self(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts remembered settings back: also called by the interrupt handler.
pub fn restore() {
    if let Some(settings) = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Fails when the terminal is gone, and then nothing is to be put back.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &settings);
    }
}
