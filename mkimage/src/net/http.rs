//! One download: resumed, retried, checked against size and SHA-256, and only then given its
//! name in the cache.
//!
//! Each request may last [`REQUEST_LIMIT`]; a request that brought something counts as progress
//! and the next one goes on from there, so slow links finish and dead ones are noticed.

use super::cache::Cache;
use crate::fs::{self, Context};
use crate::hash::{Hasher, Sha256};
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
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
        let mut file = open_partial(partial)?;
        let mut have = hash_existing(&mut file, partial, expected, progress)?;
        // What an earlier run left may be damaged: then, once, start over.
        let mut resumed = have.size > 0;
        loop {
            self.retry(url, || {
                more(client, url, &mut file, partial, &mut have, expected, progress)
            })?;
            if have.size == expected.size && have.hasher.clone().finish() == expected.sha256 {
                return Ok(());
            }
            progress(-(i64::try_from(have.size).unwrap_or(i64::MAX)));
            let found = (have.size, have.hasher.finish());
            have = Have::default();
            file.set_len(0).at("empty", partial)?;
            if !std::mem::take(&mut resumed) {
                fs::remove(partial)?;
                let what = if found.0 == expected.size {
                    format!("SHA-256 {} instead of {}", found.1, expected.sha256)
                } else {
                    format!("more than {} bytes", expected.size)
                };
                return Err(Error::Changed { url: url.to_owned(), what });
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

/// How one attempt failed.
enum Failure {
    /// Worth another attempt.
    Again { reason: String, fruitful: bool },
    /// Not worth one.
    Final(Error),
}

impl Failure {
    fn again(reason: String) -> Self {
        Self::Again { reason, fruitful: false }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl From<fs::Error> for Failure {
    fn from(error: fs::Error) -> Self {
        Self::Final(error.into())
    }
}

/// The part of a download that is here.
#[derive(Default)]
struct Have {
    size: u64,
    hasher: Hasher,
}

fn open_partial(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    Ok(options.open(path).at("open", path)?)
}

/// Hashes what an earlier run left behind, so that it needn't be fetched again.
fn hash_existing(
    file: &mut File,
    path: &Path,
    expected: Expected,
    progress: &dyn Fn(i64),
) -> Result<Have, Error> {
    let mut have = Have::default();
    let length = file.metadata().at("read", path)?.len();
    if length > expected.size {
        file.set_len(0).at("empty", path)?;
        return Ok(have);
    }
    have.size = io::copy(file, &mut have.hasher).at("read", path)?;
    progress(i64::try_from(have.size).unwrap_or(i64::MAX));
    Ok(have)
}

/// One request for the rest of a file.
fn more(
    client: &Client,
    url: &str,
    file: &mut File,
    path: &Path,
    have: &mut Have,
    expected: Expected,
    progress: &dyn Fn(i64),
) -> Result<(), Failure> {
    if have.size >= expected.size {
        return Ok(());
    }
    let mut request = client.get(url);
    if have.size > 0 {
        request = request.header("Range", format!("bytes={}-", have.size));
    }
    let mut response = checked(request.send(), url)?;
    if have.size > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
        // The server doesn't resume: it sends everything again.
        progress(-(i64::try_from(have.size).unwrap_or(i64::MAX)));
        *have = Have::default();
        file.set_len(0).at("empty", path)?;
    }
    file.seek(SeekFrom::Start(have.size)).at("write", path)?;
    let start = have.size;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let again = |reason: String, size| Failure::Again { reason, fruitful: size > start };
        let count = response.read(&mut buffer).map_err(|e| again(e.to_string(), have.size))?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
            if have.size < expected.size {
                return Err(again("the server broke off".to_owned(), have.size));
            }
            return Ok(());
        };
        file.write_all(chunk).at("write", path)?;
        have.hasher.update(chunk);
        have.size += count as u64;
        progress(i64::try_from(count).unwrap_or(i64::MAX));
        if have.size > expected.size {
            return Ok(());
        }
    }
}

/// Turns an HTTP answer into a response worth reading.
fn checked(answer: reqwest::Result<Response>, url: &str) -> Result<Response, Failure> {
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
    if matches!(status, 404 | 410) {
        return Err(Error::NotFound { url, status }.into());
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
