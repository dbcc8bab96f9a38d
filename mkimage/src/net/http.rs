//! Fetching over HTTP: texts, and content of a known digest, which gets its name in the cache only
//! when it was verified. [`super::download`] is one such transfer.
//!
//! Each request may last [`REQUEST_LIMIT`]; a request that brought something counts as progress
//! and the next one goes on from there, so slow links finish and dead ones are noticed.

use super::cache::Cache;
use super::download::{Download, Failure};
use crate::fs;
use crate::hash::Sha256;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

const REQUEST_LIMIT: Duration = Duration::from_secs(90);
const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// Attempts in a row that bring nothing before giving up.
const ATTEMPTS: u32 = 5;
/// Signed indices' lists are small; anything larger isn't one.
const TEXT_LIMIT: u64 = 16 << 20;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server hasn't got it.
    #[error("{url}: not found (HTTP {status})")]
    NotFound {
        /// The address.
        url: String,
        /// The server's answer.
        status: u16,
    },
    /// The server can't be reached, or breaks off again and again.
    #[error(
        "{url}: {reason}; check the network and the mirror (--mirror, MKIMAGE_MIRROR), \
         then run the command again: it goes on where it stopped"
    )]
    Network {
        /// The address.
        url: String,
        /// The last failure.
        reason: String,
    },
    /// The content is not what was promised.
    #[error(
        "{url}: the content is not the expected one ({what}); the mirror or a proxy serves a \
         changed or damaged file: use another mirror, or `mkimage lock --update` if the archive \
         itself changed"
    )]
    Changed {
        /// The address.
        url: String,
        /// Size or digest, expected and found.
        what: String,
    },
    /// The network is off limits and the content isn't cached.
    #[error(
        "{url} is not in the cache, and --offline forbids fetching it; run `mkimage fetch` first"
    )]
    Offline {
        /// The address.
        url: String,
    },
    /// The cache can't be written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// What a download must turn out to be.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// Size in bytes.
    pub size: u64,
    /// Content hash.
    pub sha256: Sha256,
}

/// Fetches over HTTP and HTTPS; honours the usual proxy variables.
#[derive(Debug)]
pub struct Http {
    client: Option<Client>,
    /// How long to wait after the first failed attempt; doubles with each.
    pub backoff: Duration,
}

impl Http {
    /// A client; an offline one refuses every request.
    ///
    /// # Errors
    /// [`Error::Network`] when the TLS roots can't be loaded.
    pub fn new(offline: bool) -> Result<Self, Error> {
        let backoff = Duration::from_millis(500);
        if offline {
            return Ok(Self { client: None, backoff });
        }
        // Fails only when a provider is installed already, which is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = Client::builder()
            .user_agent(concat!("mkimage/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .timeout(REQUEST_LIMIT);
        let client = builder
            .build()
            .map_err(|error| Error::Network { url: "TLS".to_owned(), reason: plain(&error) })?;
        Ok(Self { client: Some(client), backoff })
    }

    fn client(&self, url: &str) -> Result<&Client, Error> {
        self.client.as_ref().ok_or_else(|| Error::Offline { url: url.to_owned() })
    }

    /// Fetches a small text whose content is not known before (a signed release).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn text(&self, url: &str) -> Result<String, Error> {
        let client = self.client(url)?;
        self.retry(url, || {
            let response = checked(client.get(url).send(), url)?;
            let mut text = String::new();
            let read = response.take(TEXT_LIMIT).read_to_string(&mut text);
            read.map_err(|error| Failure::again(error.to_string()))?;
            Ok(text)
        })
    }

    /// Brings content into the cache; tries the addresses in turn while they answer "not found".
    /// `progress` is told the bytes that arrive (negative when a damaged part is thrown away).
    ///
    /// # Errors
    /// See [`Error`]; a partial download is kept for the next run, a damaged one isn't.
    pub fn blob(
        &self,
        cache: &Cache,
        urls: &[String],
        expected: Expected,
        progress: &dyn Fn(i64),
    ) -> Result<std::path::PathBuf, Error> {
        if let Some(path) = cache.find(expected.sha256, expected.size) {
            return Ok(path);
        }
        let partial = cache.partial(expected.sha256);
        let target = cache.blob(expected.sha256);
        for folder in [partial.parent(), target.parent()].into_iter().flatten() {
            fs::create_dir(folder)?;
        }
        let mut missing = None;
        for url in urls {
            match self.download(url, &partial, expected, progress) {
                Ok(()) => {
                    fs::rename(&partial, &target)?;
                    return Ok(target);
                }
                Err(error @ Error::NotFound { .. }) => missing = missing.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let url = expected.sha256.to_string();
        Err(missing.unwrap_or(Error::NotFound { url, status: 404 }))
    }

    fn download(
        &self,
        url: &str,
        partial: &Path,
        expected: Expected,
        progress: &dyn Fn(i64),
    ) -> Result<(), Error> {
        let client = self.client(url)?;
        let mut download = Download::open(client, url, partial, expected, progress)?;
        // What an earlier run left may be damaged: then, once, start over.
        let mut resumed = !download.is_empty();
        loop {
            let result = self.retry(url, || download.go_on()).and_then(|()| download.verify());
            match result {
                Err(Error::Changed { .. }) if std::mem::take(&mut resumed) => download.restart()?,
                Err(error @ Error::Changed { .. }) => {
                    download.restart()?;
                    fs::remove(partial)?;
                    return Err(error);
                }
                result => return result,
            }
        }
    }

    /// Runs an attempt until it succeeds, fails for good, or brings nothing too often.
    fn retry<T>(
        &self,
        url: &str,
        mut attempt: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Error> {
        let mut fruitless = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Again { fruitful: true, .. }) => fruitless = 0,
                Err(Failure::Again { reason, .. }) => {
                    fruitless += 1;
                    if fruitless >= ATTEMPTS {
                        return Err(Error::Network { url: url.to_owned(), reason });
                    }
                    std::thread::sleep(self.backoff * 2_u32.pow(fruitless - 1));
                }
            }
        }
    }
}

/// Turns an HTTP answer into a response worth reading.
pub(super) fn checked(answer: reqwest::Result<Response>, url: &str) -> Result<Response, Failure> {
    let response = answer.map_err(|error| Failure::again(plain(&error)))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retriable = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    if retriable {
        return Err(Failure::again(format!("the server answered HTTP {status}")));
    }
    let (url, status) = (url.to_owned(), status.as_u16());
    match status {
        404 | 410 => return Err(Error::NotFound { url, status }.into()),
        // Asked for what comes after the part that is here, the server says there is nothing.
        416 => return Err(Error::Changed { url, what: "it is shorter".to_owned() }.into()),
        _ => {}
    }
    Err(Error::Network { url, reason: format!("the server answered HTTP {status}") }.into())
}

/// The innermost reason: the outer layers only repeat the address.
fn plain(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
