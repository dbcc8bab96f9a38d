//! Requests over HTTP and HTTPS.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::anyhow;
use ureq::{Agent, Body};

/// How long one answer may take; a download that brought something goes on with another request.
const ANSWER: Duration = Duration::from_secs(90);
const CONNECT: Duration = Duration::from_secs(15);

/// Asks servers.
#[derive(Debug, Clone)]
pub struct Http {
    agent: Agent,
    /// How long to wait after the first failed attempt; doubles with each.
    pub backoff: Duration,
}

/// An answer.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// How many bytes follow, where the server says so.
    pub length: Option<u64>,
    body: Body,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Unanswered(pub String);

impl Http {
    /// A client. Servers' certificates are checked by Mozilla's list of authorities.
    pub fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(5)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(CONNECT))
            .timeout_recv_body(Some(ANSWER))
            .user_agent(concat!("xenolith/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), backoff: Duration::from_millis(500) }
    }

    /// Asks for a file, from an offset on.
    ///
    /// # Errors
    /// When the server can't be reached.
    pub fn get(&self, url: &str, from: u64) -> Result<Answer, Unanswered> {
        let mut request = self.agent.get(url);
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        let response = request.call().map_err(|error| Unanswered(error.to_string()))?;
        let status = response.status().as_u16();
        let body = response.into_body();
        Ok(Answer { status, length: body.content_length(), body })
    }

    /// A small file that is there or isn't.
    ///
    /// # Errors
    /// When the server can't be reached, fails, or sends more than `limit` bytes.
    pub fn small(&self, url: &str, limit: usize) -> anyhow::Result<Option<Vec<u8>>> {
        let answer = self.get(url, 0).map_err(|Unanswered(why)| {
            anyhow!("{url}: {why}; check the network (`xm info`), and the catalogue's address")
        })?;
        match answer.status {
            200 => {}
            404 | 410 => return Ok(None),
            status => return Err(anyhow!("{url}: the server answers HTTP {status}")),
        }
        let mut bytes = Vec::new();
        let most = limit as u64 + 1;
        answer
            .into_reader()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(|error| anyhow!("{url}: the transfer broke off: {error}"))?;
        if bytes.len() > limit {
            return Err(anyhow!("{url}: it is larger than {limit} bytes, so it is something else"));
        }
        Ok(Some(bytes))
    }
}

impl Answer {
    /// Its content, to be read to its end.
    pub fn into_reader(self) -> impl io::Read {
        self.body.into_reader()
    }
}
