//! QEMU's control connection: one JSON message a line over a socket.

use super::Error;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long QEMU may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control connection.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to a socket that QEMU is about to open.
    ///
    /// # Errors
    /// When it doesn't within the time.
    pub fn connect(path: &Path) -> Result<Self, Error> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > PATIENCE => return Err(wrong(error)),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
        let mut qmp = Self { reader: BufReader::new(stream) };
        qmp.message()?;
        qmp.execute("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its answer.
    ///
    /// # Errors
    /// When QEMU refuses it or is gone.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Error> {
        let message = json!({ "execute": command, "arguments": arguments });
        let stream = self.reader.get_mut();
        writeln!(stream, "{message}").map_err(wrong)?;
        loop {
            let mut answer = self.message()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                let reason = error.get("desc").and_then(Value::as_str).unwrap_or("no reason");
                return Err(Error::Qmp(format!("`{command}`: {reason}")));
            }
        }
    }

    /// Runs a command of the human monitor, such as `sendkey ctrl-alt-delete`.
    ///
    /// # Errors
    /// When QEMU is gone.
    pub fn monitor(&mut self, line: &str) -> Result<String, Error> {
        let arguments = json!({ "command-line": line });
        let answer = self.execute("human-monitor-command", arguments)?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    /// The next message; events are returned like answers and passed over by the caller.
    fn message(&mut self) -> Result<Value, Error> {
        let mut line = String::new();
        if self.reader.read_line(&mut line).map_err(wrong)? == 0 {
            return Err(Error::Qmp("QEMU closed it".to_owned()));
        }
        serde_json::from_str(&line).map_err(wrong)
    }
}

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Qmp(error.to_string())
}
