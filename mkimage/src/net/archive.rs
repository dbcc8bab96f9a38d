//! The package archive over the network: verified indices, and the packages of a lock file.

use super::cache::Cache;
use super::http::{self, Expected, Http};
use crate::apt::index::{self, Archive as Origin};
use crate::apt::keyring::{self, Keyring};
use crate::apt::release::{self, IndexFile, Release};
use crate::apt::sources::Mirror;
use crate::fs;
use crate::lock::Locked;
use crate::progress::{self, Step};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Downloads at a time: enough to hide latency, few enough to be polite.
const PARALLEL: usize = 6;
/// A package index is about 60 MB unpacked; a bomb isn't.
const INDEX_LIMIT: u64 = 1 << 30;

/// Why the archive gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A download failed.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The signed release was refused.
    #[error("{url}: {source}")]
    Signature {
        /// The release file's address.
        url: String,
        /// Why.
        source: keyring::Error,
    },
    /// The release's content was refused.
    #[error("{url}: {source}")]
    Release {
        /// The release file's address.
        url: String,
        /// Why.
        source: release::Error,
    },
    /// The keyring is damaged.
    #[error(transparent)]
    Keyring(#[from] keyring::Error),
    /// The index was refused.
    #[error(transparent)]
    Index(#[from] index::Error),
    /// A file of the cache.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A suite of the security archive, whose root is unknown.
    #[error(
        "suite `{0}` needs the security archive, which is not known: the mirror's address doesn't \
         end in /debian, and the host's configuration names no /debian-security"
    )]
    NoSecurity(String),
    /// An unpacked index that isn't text.
    #[error("the package index `{0}` is not an xz-compressed text")]
    NotText(String),
    /// A locked package left the archive.
    #[error(
        "package {name} {version} is no longer in the archive ({url}); \
         a point release replaces packages: run `mkimage lock --update {recipe}`, or name a \
         mirror that keeps old versions with --mirror"
    )]
    Gone {
        /// Its name.
        name: String,
        /// Its locked version.
        version: String,
        /// Where it should be.
        url: String,
        /// The recipe whose lock names it.
        recipe: String,
    },
    /// A locked package is served with other content.
    #[error("package {name} {version}: {source}")]
    Package {
        /// Its name.
        name: String,
        /// Its locked version.
        version: String,
        /// What went wrong.
        source: http::Error,
    },
}

/// The verified package index of one suite and component.
#[derive(Debug)]
pub struct IndexText {
    /// Deb822 text.
    pub text: String,
    /// Which archive its paths belong to.
    pub origin: Origin,
}

/// A suite as it was found.
#[derive(Debug)]
pub struct Suite {
    /// Codename or suite as asked for.
    pub name: String,
    /// The release's date as signed.
    pub date: String,
    /// The package indices of the components asked for.
    pub indices: Vec<IndexText>,
}

/// An archive, ready to be asked.
#[derive(Debug)]
pub struct Archive {
    mirror: Mirror,
    http: Http,
    keyring: Keyring,
    cache: Cache,
}

impl Archive {
    /// Combines where, how, whom to trust, and where to keep.
    pub fn new(mirror: Mirror, http: Http, keyring: Keyring, cache: Cache) -> Self {
        Self { mirror, http, keyring, cache }
    }

    /// The cache behind it.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    fn root(&self, suite: &str) -> Result<(Origin, &str), Error> {
        if !suite.ends_with("-security") {
            return Ok((Origin::Main, &self.mirror.main));
        }
        let security = self.mirror.security.as_deref();
        Ok((Origin::Security, security.ok_or_else(|| Error::NoSecurity(suite.to_owned()))?))
    }

    /// Fetches a suite's signed release and its package indices. Every byte is verified before
    /// it is parsed.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn suite(&self, name: &str, components: &[String], arch: &str) -> Result<Suite, Error> {
        let (origin, root) = self.root(name)?;
        let url = format!("{root}/dists/{name}/InRelease");
        let _step = Step::spinner(&format!("reading the package index of {name}"));
        let signed = self.http.text(&url)?;
        let now = now();
        let verified = self
            .keyring
            .verify(&signed, now)
            .map_err(|source| Error::Signature { url: url.clone(), source })?;
        progress::detail(&format!("{name}: signed by {}", verified.signer));
        let wrong = |source| Error::Release { url: url.clone(), source };
        let release = Release::parse(&verified.text, name, now).map_err(wrong)?;
        let mut indices = Vec::new();
        for component in components {
            let packed = release.packages_index(component, arch).map_err(wrong)?;
            let unpacked = release.unpacked(&packed);
            let kept = unpacked.as_ref().and_then(|f| self.cache.find(f.sha256, f.size));
            let text = match kept {
                Some(path) => fs::read_text(&path)?,
                None => self.unpack(&format!("{root}/dists/{name}"), release.by_hash, &packed)?,
            };
            if let Some(file) = unpacked {
                self.cache.keep(file.sha256, text.as_bytes())?;
            }
            indices.push(IndexText { text, origin });
        }
        Ok(Suite { name: name.to_owned(), date: release.date, indices })
    }

    /// Fetches an index below a suite's address, unless it is here, and unpacks it.
    fn unpack(&self, suite: &str, by_hash: bool, file: &IndexFile) -> Result<String, Error> {
        let mut urls = vec![format!("{suite}/{}", file.path)];
        if by_hash && let Some((folder, _)) = file.path.rsplit_once('/') {
            urls.insert(0, format!("{suite}/{folder}/by-hash/SHA256/{}", file.sha256));
        }
        let expected = Expected { size: file.size, sha256: file.sha256 };
        let path = self.http.blob(&self.cache, &urls, expected, &|_| ())?;
        let decoder = liblzma::read::XzDecoder::new(fs::open(&path)?);
        let mut text = String::new();
        let read = decoder.take(INDEX_LIMIT).read_to_string(&mut text);
        read.map_err(|_| Error::NotText(file.path.clone()))?;
        Ok(text)
    }

    /// Addresses at which a locked package may be: packages move between the security and the
    /// main archive with point releases, with the same content.
    fn addresses(&self, package: &Locked) -> Vec<String> {
        let main = &self.mirror.main;
        let name = &package.filename;
        let mut urls = Vec::new();
        let updates = name.strip_prefix("pool/updates/");
        match (package.archive, &self.mirror.security) {
            (Origin::Main, security) => {
                urls.push(format!("{main}/{name}"));
                if let (Some(security), Some(rest)) = (security, name.strip_prefix("pool/")) {
                    urls.push(format!("{security}/pool/updates/{rest}"));
                }
            }
            (Origin::Security, security) => {
                urls.extend(security.iter().map(|security| format!("{security}/{name}")));
                urls.extend(updates.map(|rest| format!("{main}/pool/{rest}")));
            }
        }
        urls
    }

    /// Brings all packages into the cache, in parallel; returns their paths in order.
    ///
    /// # Errors
    /// The first failure, after the running downloads have ended.
    pub fn fetch(&self, recipe: &str, packages: &[Locked]) -> Result<Vec<PathBuf>, Error> {
        let missing: Vec<&Locked> =
            packages.iter().filter(|p| self.cache.find(p.sha256, p.size).is_none()).collect();
        if !missing.is_empty() {
            self.fetch_missing(recipe, &missing)?;
        }
        Ok(packages.iter().map(|package| self.cache.blob(package.sha256)).collect())
    }

    fn fetch_missing(&self, recipe: &str, missing: &[&Locked]) -> Result<(), Error> {
        let total: u64 = missing.iter().map(|package| package.size).sum();
        let label = format!("fetching {} packages of {recipe}", missing.len());
        progress::detail(&format!("from {}", self.mirror.main));
        let step = Step::bytes(&label, total);
        let next = AtomicUsize::new(0);
        let failure = Mutex::new(None);
        let failed = || failure.lock().map_or(true, |failure| failure.is_some());
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(missing.len()) {
                scope.spawn(|| {
                    while let Some(package) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if failed() {
                            return;
                        }
                        let result = self.fetch_one(recipe, package, &|by| step.advance(by));
                        if let (Err(error), Ok(mut failure)) = (result, failure.lock()) {
                            failure.get_or_insert(error);
                        }
                    }
                });
            }
        });
        match failure.into_inner() {
            Ok(Some(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn fetch_one(
        &self,
        recipe: &str,
        package: &Locked,
        progress: &dyn Fn(i64),
    ) -> Result<(), Error> {
        let expected = Expected { size: package.size, sha256: package.sha256 };
        let urls = self.addresses(package);
        let (name, version) = (package.name.clone(), package.version.clone());
        match self.http.blob(&self.cache, &urls, expected, progress) {
            Ok(_) => Ok(()),
            Err(http::Error::NotFound { url, .. }) => {
                Err(Error::Gone { name, version, url, recipe: recipe.to_owned() })
            }
            Err(source @ http::Error::Changed { .. }) => {
                Err(Error::Package { name, version, source })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Seconds of Unix time.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
