//! One transfer into a file: goes on after what is there already, hashes while it writes.

use super::http::{Error, Expected, checked};
use crate::fs::{self, Context};
use crate::hash::Hasher;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How one attempt failed.
pub(super) enum Failure {
    /// Worth another attempt; `fruitful` when this one brought something.
    Again { reason: String, fruitful: bool },
    /// Not worth one.
    Final(Error),
}

impl Failure {
    /// An attempt that brought nothing.
    pub(super) fn again(reason: String) -> Self {
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

/// A transfer: the file, and how much of it is there.
pub(super) struct Download<'a> {
    client: &'a Client,
    url: &'a str,
    path: &'a Path,
    file: File,
    expected: Expected,
    progress: &'a dyn Fn(i64),
    size: u64,
    hasher: Hasher,
}

impl<'a> Download<'a> {
    /// Opens the file and hashes what an earlier run left in it.
    pub(super) fn open(
        client: &'a Client,
        url: &'a str,
        path: &'a Path,
        expected: Expected,
        progress: &'a dyn Fn(i64),
    ) -> Result<Self, Error> {
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).at("open", path)?;
        let length = file.metadata().at("read", path)?.len();
        let mut hasher = Hasher::default();
        let mut size = 0;
        if length <= expected.size {
            size = io::copy(&mut (&mut file).take(length), &mut hasher).at("read", path)?;
        } else {
            file.set_len(0).at("empty", path)?;
        }
        progress(signed(size));
        Ok(Self { client, url, path, file, expected, progress, size, hasher })
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Throws away what is there.
    pub(super) fn restart(&mut self) -> fs::Result<()> {
        (self.progress)(-signed(self.size));
        self.size = 0;
        self.hasher = Hasher::default();
        self.file.set_len(0).at("empty", self.path)
    }

    /// Whether the content is the expected one.
    pub(super) fn verify(&self) -> Result<(), Error> {
        let Expected { size, sha256 } = self.expected;
        if self.size != size {
            return Err(self.changed(format!("{} bytes instead of {size}", self.size)));
        }
        let found = self.hasher.clone().finish();
        if found != sha256 {
            return Err(self.changed(format!("SHA-256 {found} instead of {sha256}")));
        }
        Ok(())
    }

    fn changed(&self, what: String) -> Error {
        Error::Changed { url: self.url.to_owned(), what }
    }

    /// One request for the rest.
    pub(super) fn go_on(&mut self) -> Result<(), Failure> {
        if self.size >= self.expected.size {
            return Ok(());
        }
        let mut request = self.client.get(self.url);
        if self.size > 0 {
            request = request.header("Range", format!("bytes={}-", self.size));
        }
        let response = checked(request.send(), self.url)?;
        if self.size > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
            // The server doesn't resume: it sends everything again.
            self.restart()?;
        }
        let announced = response.content_length().map(|rest| self.size + rest);
        if let Some(size) = announced.filter(|size| *size != self.expected.size) {
            let what = format!("{size} bytes instead of {}", self.expected.size);
            return Err(self.changed(what).into());
        }
        self.receive(response)
    }

    fn receive(&mut self, mut response: Response) -> Result<(), Failure> {
        self.file.seek(SeekFrom::Start(self.size)).at("write", self.path)?;
        let start = self.size;
        let mut buffer = vec![0; 1 << 16];
        while self.size <= self.expected.size {
            let fruitful = self.size > start;
            let again = |reason: String| Failure::Again { reason, fruitful };
            let count = response.read(&mut buffer).map_err(|error| again(error.to_string()))?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
                let whole = self.size == self.expected.size;
                return if whole { Ok(()) } else { Err(again("the server broke off".to_owned())) };
            };
            self.file.write_all(chunk).at("write", self.path)?;
            self.hasher.update(chunk);
            self.size += count as u64;
            (self.progress)(signed(count as u64));
        }
        Ok(())
    }
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
