//! The signed `Release` text: what the suite is, how long it is good for, and the size and
//! SHA-256 of each index.

use super::deb822;
use crate::hash::Sha256;
use std::collections::BTreeMap;

/// Why a release was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line that is not deb822.
    #[error("the release file is malformed: {0}")]
    Syntax(#[from] deb822::SyntaxError),
    /// A field is missing or unreadable.
    #[error("the release file has no usable `{0}` field")]
    Field(&'static str),
    /// The mirror serves another suite under this name.
    #[error("the mirror answered with suite `{found}` for `{wanted}`; use another mirror")]
    WrongSuite {
        /// What was asked for.
        wanted: String,
        /// What the signed text says.
        found: String,
    },
    /// `Valid-Until` has passed.
    #[error("the release file expired on {until}: the mirror is stale, or this clock is wrong")]
    Expired {
        /// The date in the signed text.
        until: String,
    },
    /// A date can't be read.
    #[error("the release file's date `{0}` can't be read")]
    Date(String),
    /// The release lists no such index.
    #[error("suite `{suite}` has no index `{path}`: check the recipe's components and arch")]
    NoIndex {
        /// The suite's name.
        suite: String,
        /// The index's path below the suite.
        path: String,
    },
}

/// One file that the release vouches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFile {
    /// Path below `dists/SUITE/`.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Content hash.
    pub sha256: Sha256,
}

/// A parsed release.
#[derive(Debug)]
pub struct Release {
    /// Codename, e.g. `trixie`.
    pub codename: String,
    /// Suite, e.g. `stable`.
    pub suite: String,
    /// Date as written.
    pub date: String,
    /// Point release such as `13.7`; empty when the suite has none.
    pub version: String,
    /// Whether indices can be fetched by their hash.
    pub by_hash: bool,
    files: BTreeMap<String, (u64, Sha256)>,
}

impl Release {
    /// Parses a verified release text for the suite that was asked for, at `now`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(text: &str, wanted: &str, now: u64) -> Result<Self, Error> {
        let stanza = deb822::stanzas(text).next().ok_or(Error::Field("Suite"))??;
        let field = |name| stanza.get(name).unwrap_or_default().to_owned();
        let (codename, suite) = (field("Codename"), field("Suite"));
        if wanted != codename && wanted != suite {
            return Err(Error::WrongSuite { wanted: wanted.to_owned(), found: codename });
        }
        if let Some(until) = stanza.get("Valid-Until")
            && parse_date(until).ok_or_else(|| Error::Date(until.to_owned()))? < now
        {
            return Err(Error::Expired { until: until.to_owned() });
        }
        let mut files = BTreeMap::new();
        for line in stanza.lines("SHA256") {
            let mut words = line.split_whitespace();
            let parsed = (|| {
                let sha256 = words.next()?.parse().ok()?;
                let size = words.next()?.parse().ok()?;
                Some((words.next()?.to_owned(), (size, sha256)))
            })();
            let (path, file) = parsed.ok_or(Error::Field("SHA256"))?;
            files.insert(path, file);
        }
        let by_hash = stanza.get("Acquire-By-Hash") == Some("yes");
        let (date, version) = (field("Date"), field("Version"));
        Ok(Self { codename, suite, date, version, by_hash, files })
    }

    /// The package index of a component and architecture, xz-compressed.
    ///
    /// # Errors
    /// [`Error::NoIndex`] when the release doesn't list it.
    pub fn packages_index(&self, component: &str, arch: &str) -> Result<IndexFile, Error> {
        let path = format!("{component}/binary-{arch}/Packages.xz");
        match self.files.get(&path) {
            Some(&(size, sha256)) => Ok(IndexFile { path, size, sha256 }),
            None => Err(Error::NoIndex { suite: self.codename.clone(), path }),
        }
    }

    /// What a packed file holds, if the release vouches for that too.
    pub fn unpacked(&self, file: &IndexFile) -> Option<IndexFile> {
        let path = file.path.strip_suffix(".xz")?;
        let &(size, sha256) = self.files.get(path)?;
        Some(IndexFile { path: path.to_owned(), size, sha256 })
    }
}

/// Seconds of Unix time of a date such as `Sat, 12 Sep 2026 07:55:41 UTC`.
fn parse_date(text: &str) -> Option<u64> {
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, rest) = text.split_once(',')?;
    let mut words = rest.split_whitespace();
    let day: u64 = words.next()?.parse().ok()?;
    let month_name = words.next().filter(|name| name.len() == 3)?;
    let month = months.find(month_name).filter(|at| at % 3 == 0)? as u64 / 3 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !matches!(words.next()?, "UTC" | "GMT" | "+0000") {
        return None;
    }
    // Days since the epoch: years start in March, so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Debian\nSuite: stable\nVersion: 13.7\nCodename: trixie\n\
        Date: Sat, 12 Sep 2026 07:55:41 UTC\nAcquire-By-Hash: yes\nMD5Sum:\n 00 1 x\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855   12 main/binary-amd64/Packages.xz\n";

    #[test]
    fn fields_and_index() {
        let release = Release::parse(TEXT, "trixie", 0).unwrap();
        assert_eq!((release.suite.as_str(), release.version.as_str()), ("stable", "13.7"));
        assert!(release.by_hash);
        assert_eq!(release.packages_index("main", "amd64").unwrap().size, 12);
        let error = release.packages_index("mian", "amd64").unwrap_err().to_string();
        assert!(error.contains("mian/binary-amd64"), "{error}");
    }

    #[test]
    fn another_suite_is_refused() {
        assert!(matches!(Release::parse(TEXT, "bookworm", 0), Err(Error::WrongSuite { .. })));
    }

    #[test]
    fn expiry() {
        let text = format!("Valid-Until: Sat, 12 Sep 2026 07:55:41 UTC\n{TEXT}");
        let at = 1_789_199_741;
        assert_eq!(parse_date("Sat, 12 Sep 2026 07:55:41 UTC"), Some(at));
        assert!(Release::parse(&text, "trixie", at).is_ok());
        assert!(matches!(Release::parse(&text, "trixie", at + 1), Err(Error::Expired { .. })));
    }

    #[test]
    fn dates() {
        assert_eq!(parse_date("Thu, 01 Jan 1970 00:00:00 UTC"), Some(0));
        assert_eq!(parse_date("Thu, 29 Feb 2024 12:00:00 UTC"), Some(1_709_208_000));
        assert_eq!(parse_date("yesterday"), None);
        assert_eq!(parse_date("Thu, 01 anF 1970 00:00:00 UTC"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[ -~\n]{0,200}") {
            let _ = (Release::parse(&text, "trixie", 0), parse_date(&text));
        }
    }
}
