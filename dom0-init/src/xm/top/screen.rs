//! The live view: redrawn on a terminal until a key ends it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use xenctl::Xen;

use super::sample::Sample;
use super::table;

const CONTROL_C: u8 = 3;
const ESCAPE: u8 = 27;

const CLEAR: &str = "\x1b[H\x1b[2J";
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const REVERSE: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// Shows the domains until `q` or Ctrl-C.
pub fn run(xen: &Xen, delay: Duration) -> anyhow::Result<()> {
    let _raw = Raw::enter().context("top needs a terminal; `xm top -b` prints to a file")?;
    let mut before: Option<Sample> = None;
    let mut wait = Duration::from_millis(500);
    print!("{CLEAR}");
    loop {
        let now = Sample::take(xen)?;
        let (rows, columns) = size();
        let version = xen.version().unwrap_or_default();
        draw(&compose(&now, before.as_ref(), version, rows, columns))?;
        before = Some(now);
        if let Some(b'q' | b'Q' | CONTROL_C | ESCAPE) = key(wait)? {
            break;
        }
        wait = delay;
    }
    print!("{CLEAR}");
    std::io::stdout().flush()?;
    Ok(())
}

fn draw(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// The whole screen, cut to its size.
fn compose(
    now: &Sample,
    before: Option<&Sample>,
    version: (u16, u16),
    rows: usize,
    columns: usize,
) -> String {
    let lines = now.rows(before);
    let count = |letter| lines.iter().filter(|row| row.state.contains(letter)).count();
    let machine = &now.machine;
    let kib = |pages: u64| pages.saturating_mul(4);
    let (total, free) = (kib(machine.total_pages), kib(machine.free_pages));
    let head = format!(
        "xm top - Xen {}.{}\n{} domains: {} running, {} blocked, {} paused, {} crashed, {} dying, \
         {} shutdown\nMem: {total}k total, {}k used, {free}k free    CPUs: {} @ {}MHz\n",
        version.0,
        version.1,
        lines.len(),
        count('r'),
        count('b'),
        count('p'),
        count('c'),
        count('d'),
        count('s'),
        total.saturating_sub(free),
        machine.nr_cpus,
        machine.cpu_khz / 1000,
    );
    let mut screen = HOME.to_owned();
    let all = format!("{head}{}", table::rows(&lines));
    let room = rows.saturating_sub(1);
    for (index, line) in all.lines().take(room).enumerate() {
        let line: String = line.chars().take(columns).collect();
        let is_header = index == head.lines().count();
        let (on, off) = if is_header { (REVERSE, PLAIN) } else { ("", "") };
        // Writing to a string can't fail.
        let _infallible = write!(screen, "{on}{line}{off}{CLEAR_LINE}\r\n");
    }
    let _infallible = write!(screen, "{CLEAR_BELOW}q: quit");
    screen
}

fn size() -> (usize, usize) {
    match tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            (usize::from(size.ws_row), usize::from(size.ws_col))
        }
        _ => (24, 80),
    }
}

/// Waits for a key; nothing came if the wait is over, or if the window's size changed.
fn key(wait: Duration) -> std::io::Result<Option<u8>> {
    let input = std::io::stdin();
    let wait = Timespec::try_from(wait).map_err(std::io::Error::other)?;
    let mut waiting = [PollFd::new(&input, PollFlags::IN)];
    match poll(&mut waiting, Some(&wait)) {
        Ok(0) | Err(Errno::INTR) => return Ok(None),
        Ok(_) => {}
        Err(error) => return Err(error.into()),
    }
    let mut byte = [0];
    let length = rustix::io::read(&input, &mut byte)?;
    // A terminal that is gone has no more keys, ever.
    Ok(Some(if length == 0 { b'q' } else { byte[0] }))
}

/// A terminal that gives keys at once; as it was before when this is dropped.
struct Raw {
    before: Termios,
}

impl Raw {
    fn enter() -> std::io::Result<Self> {
        let input = std::io::stdin();
        let before = tcgetattr(&input)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&input, OptionalActions::Drain, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no modes.
        let _gone = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::two_looks;
    use super::*;

    #[test]
    fn the_screen_is_never_larger_than_the_terminal() {
        let (first, second) = two_looks();
        let screen = compose(&second, Some(&first), (4, 20), 5, 40);
        assert_eq!(screen.matches("\r\n").count(), 4);
        assert!(screen.contains("1 domains: 1 running, 0 blocked, 0 pause"), "{screen:?}");
        assert!(screen.starts_with("\x1b[Hxm top - Xen 4.20\x1b[K\r\n"), "{screen:?}");
    }
}
