//! A machine that a program drives: what the serial console says is collected by a thread, and
//! waited for here.

use super::plain::Plain;
use super::{Error, Qmp, supervise};
use crate::fs::{self, Context};
use serde_json::json;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

static COUNTER: AtomicU32 = AtomicU32::new(0);
/// Lines of the console that an error shows.
const TAIL: usize = 25;

/// A folder for a machine's sockets, removed with it. Its path is short: sockets need that.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: it lies in the folder for temporary files.
        let _ = fs::remove(&self.0);
    }
}

/// What the console has said, as plain text.
#[derive(Debug, Default)]
struct Console {
    text: Mutex<Said>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Said {
    text: String,
    ended: bool,
}

impl Console {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.text.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: &[u8]) {
        self.said().text.push_str(&String::from_utf8_lossy(bytes));
        self.changed.notify_all();
    }

    /// Waits until nothing more can come.
    fn wait_end(&self, timeout: Duration) {
        // Whether the time was enough makes no difference to what is there.
        let _ = self.changed.wait_timeout_while(self.said(), timeout, |said| !said.ended);
    }

    fn end(&self) {
        self.said().ended = true;
        self.changed.notify_all();
    }
}

/// A running machine; it is killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    console: Arc<Console>,
    messages: Arc<Console>,
    /// How much of the console was waited for already.
    position: usize,
    qmp: Option<Qmp>,
    socket: PathBuf,
    _folder: Folder,
}

impl Running {
    pub(super) fn folder() -> Result<Folder, Error> {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mkimage-{}-{number}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }

    pub(super) fn spawn(
        mut command: Command,
        folder: Folder,
        socket: &Path,
    ) -> Result<Self, Error> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        crate::progress::detail(&format!("running {command:?}"));
        let mut child = supervise::spawn(command).map_err(Error::Start)?;
        let (console, messages) = (Arc::<Console>::default(), Arc::<Console>::default());
        if let Some(stdout) = child.stdout.take() {
            collect(stdout, Arc::clone(&console));
        }
        if let Some(stderr) = child.stderr.take() {
            collect(stderr, Arc::clone(&messages));
        }
        let stdin = child.stdin.take();
        let socket = socket.to_owned();
        Ok(Self {
            child,
            stdin,
            console,
            messages,
            position: 0,
            qmp: None,
            socket,
            _folder: folder,
        })
    }

    /// Waits until `pattern` appears on the console after what was waited for before; returns the
    /// text up to its end.
    ///
    /// # Errors
    /// [`Error::Timeout`], or [`Error::Ended`] when the machine stops before.
    pub fn wait_for(&mut self, pattern: &str, timeout: Duration) -> Result<String, Error> {
        self.wait_for_any(&[pattern], timeout).map(|(_, text)| text)
    }

    /// As [`Self::wait_for`], for the first of several patterns; returns its number too.
    ///
    /// # Errors
    /// As [`Self::wait_for`].
    pub fn wait_for_any(
        &mut self,
        patterns: &[&str],
        timeout: Duration,
    ) -> Result<(usize, String), Error> {
        let deadline = Instant::now() + timeout;
        let console = Arc::clone(&self.console);
        let mut said = console.said();
        loop {
            let new = said.text.get(self.position..).unwrap_or_default();
            let hits = patterns.iter().enumerate();
            let hits = hits.filter_map(|(i, p)| new.find(p).map(|at| (at + p.len(), i)));
            if let Some((end, number)) = hits.min() {
                let text = new.get(..end).unwrap_or_default().to_owned();
                self.position += end;
                return Ok((number, text));
            }
            let wanted = || patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            if said.ended {
                drop(said);
                let wanted: Vec<String> = wanted();
                return Err(self.ended(format!("before {wanted:?} appeared")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let tail = tail(&said.text);
                return Err(Error::Timeout { wanted: wanted(), after: timeout, tail });
            }
            said = console
                .changed
                .wait_timeout(said, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(said, _)| said);
        }
    }

    /// Types on the console.
    ///
    /// # Errors
    /// [`Error::Ended`] when the machine is gone.
    pub fn send(&mut self, text: &str) -> Result<(), Error> {
        let sent = self
            .stdin
            .as_mut()
            .map(|stdin| stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.ended(format!("before {text:?} could be typed"))),
        }
    }

    /// Types a line on the console, as a terminal does.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_line(&mut self, line: &str) -> Result<(), Error> {
        self.send(&format!("{line}\r"))
    }

    /// Everything that the console has said so far, as plain text.
    pub fn console(&self) -> String {
        self.console.said().text.clone()
    }

    /// The control connection.
    ///
    /// # Errors
    /// When QEMU doesn't answer.
    pub fn qmp(&mut self) -> Result<&mut Qmp, Error> {
        let qmp = match self.qmp.take() {
            Some(qmp) => qmp,
            None => Qmp::connect(&self.socket)?,
        };
        Ok(self.qmp.insert(qmp))
    }

    /// Writes the screen to a PNG file.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn screenshot(&mut self, path: &Path) -> Result<(), Error> {
        let path = std::path::absolute(path).at("find", path)?;
        let arguments = json!({ "filename": path, "format": "png" });
        self.qmp()?.execute("screendump", arguments).map(drop)
    }

    /// Presses the power button.
    ///
    /// # Errors
    /// When QEMU refuses.
    pub fn power_button(&mut self) -> Result<(), Error> {
        self.qmp()?.execute("system_powerdown", json!({})).map(drop)
    }

    /// QEMU's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the machine has powered off (or reset, with `-no-reboot`).
    ///
    /// # Errors
    /// [`Error::StillRunning`].
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus, Error> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait().map_err(Error::Start)? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                let tail = tail(&self.console.said().text);
                return Err(Error::StillRunning { after: timeout, tail });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn ended(&mut self, instead: String) -> Error {
        // The console ends a moment before the process does.
        let status = self.wait_exit(Duration::from_secs(5));
        self.messages.wait_end(Duration::from_secs(2));
        Error::Ended {
            status: status.map_or_else(|_| "still running".to_owned(), |s| s.to_string()),
            instead,
            said: self.messages.said().text.trim().to_owned(),
            tail: tail(&self.console.said().text),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a stream to its end on a thread of its own.
fn collect(mut stream: impl Read + Send + 'static, into: Arc<Console>) {
    std::thread::spawn(move || {
        let mut plain = Plain::default();
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            into.add(&plain.filter(buffer.get(..count).unwrap_or_default()));
        }
        into.end();
    });
}

/// The last lines of a text.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let start = lines.len().saturating_sub(TAIL);
    lines.get(start..).unwrap_or_default().join("\n")
}
