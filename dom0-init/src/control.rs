//! PID 1's control socket: one JSON request a connection, one JSON reply.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::init::supervise::ServiceState;

/// Where it is.
pub const SOCKET: &str = "/run/xenolith/init.sock";

/// How long a client may take to say what it wants, so that it can't keep others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// What PID 1 can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Take everything down and switch the machine off.
    PowerOff {
        /// For the log.
        why: String,
    },
    /// Take everything down and start the machine again.
    Reboot {
        /// For the log.
        why: String,
    },
    /// A disk came: look for the data partition again.
    StorageChanged,
    /// The daemons' states.
    Services,
}

/// What PID 1 answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "content", rename_all = "kebab-case")]
pub enum Reply {
    /// It is being done.
    Done,
    /// The daemons' states.
    Services(Vec<ServiceState>),
}

/// The open connection of a client that waits for its reply.
#[derive(Debug)]
pub struct Answer(UnixStream);

impl Answer {
    /// Sends the reply and closes the connection.
    pub fn send(mut self, reply: &Reply) {
        let sent = serde_json::to_string(reply)
            .map_err(std::io::Error::from)
            .and_then(|text| writeln!(self.0, "{text}"));
        match sent {
            // The client didn't wait; what it asked for is done all the same.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            Err(error) => log::info!("control socket: can't reply: {error}"),
            Ok(()) => {}
        }
    }
}

/// Reads one request.
///
/// # Errors
/// When the client says nothing in time, or nothing that is a request.
pub fn receive(stream: UnixStream) -> anyhow::Result<(Request, Answer)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = read_line(&stream)?;
    Ok((request, Answer(stream)))
}

/// Asks PID 1 and waits for its reply.
///
/// # Errors
/// When there is no PID 1 of ours to ask, or it doesn't answer.
pub fn ask(request: &Request) -> anyhow::Result<Reply> {
    let stream = send(request)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    read_line(&stream).context("PID 1 gave no answer")
}

/// Tells PID 1 something without waiting until it has acted on it.
///
/// # Errors
/// When there is no PID 1 of ours.
pub fn tell(request: &Request) -> anyhow::Result<()> {
    send(request).map(|_connection| ())
}

fn send(request: &Request) -> anyhow::Result<UnixStream> {
    let mut stream = match UnixStream::connect(SOCKET) {
        Ok(stream) => stream,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            bail!("{SOCKET}: only root may control this machine")
        }
        Err(error) => {
            return Err(error).context(format!(
                "can't reach PID 1 at {SOCKET}; this works in a Xenolith control domain only"
            ));
        }
    };
    writeln!(stream, "{}", serde_json::to_string(request)?)?;
    Ok(stream)
}

fn read_line<T: for<'a> Deserialize<'a>>(stream: &UnixStream) -> anyhow::Result<T> {
    const LONGEST: u64 = 64 * 1024;
    let mut line = String::new();
    BufReader::new(std::io::Read::take(stream, LONGEST)).read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("{line:?} isn't understood"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_of_json() {
        let request = Request::PowerOff { why: "xm shutdown-host".into() };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(text, r#"{"request":"power-off","why":"xm shutdown-host"}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        assert_eq!(serde_json::to_string(&Reply::Done).unwrap(), r#"{"reply":"done"}"#);
    }

    #[test]
    fn a_request_and_its_reply_cross_a_socket() {
        let (mut client, server) = UnixStream::pair().unwrap();
        writeln!(client, r#"{{"request":"services"}}"#).unwrap();
        let (request, answer) = receive(server).unwrap();
        assert_eq!(request, Request::Services);
        answer.send(&Reply::Services(vec![]));
        assert_eq!(read_line::<Reply>(&client).unwrap(), Reply::Services(vec![]));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let (mut client, server) = UnixStream::pair().unwrap();
        writeln!(client, "reboot").unwrap();
        let error = receive(server).unwrap_err();
        assert!(error.to_string().contains("reboot"), "{error}");
    }
}
