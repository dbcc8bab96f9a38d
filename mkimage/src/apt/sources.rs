//! The host's package configuration: finds the archive mirror that this machine already uses.
//!
//! Reads `sources.list` (one line per source) and `*.sources` (deb822). Parsers take text.

use super::deb822;
use std::path::{Path, PathBuf};

/// One enabled binary source with one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The archive's root, as configured.
    pub uri: String,
    /// Suites or codenames.
    pub suites: Vec<String>,
    /// Components such as `main`.
    pub components: Vec<String>,
}

/// Where packages come from: the main archive, and the security archive when it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Root of the main archive, without a trailing slash.
    pub main: String,
    /// Root of the security archive, without a trailing slash.
    pub security: Option<String>,
}

/// No mirror is configured anywhere.
#[derive(Debug, thiserror::Error)]
#[error(
    "no Debian mirror is known: {looked} names no `main` archive whose path ends in /debian; \
     pass --mirror URL, set MKIMAGE_MIRROR=URL, or add such a source to the host's configuration"
)]
pub struct NoMirror {
    /// What was searched.
    pub looked: String,
}

impl Mirror {
    /// A mirror given by the user. A sibling path with `-security` appended is taken for the
    /// security archive when the address ends in `/debian`.
    pub fn given(uri: &str) -> Self {
        let main = uri.trim_end_matches('/').to_owned();
        let security = main.ends_with("/debian").then(|| format!("{main}-security"));
        Self { main, security }
    }

    /// The mirror that the host's own package configuration names.
    ///
    /// # Errors
    /// [`NoMirror`] when no enabled source fits.
    pub fn of_host() -> Result<Self, NoMirror> {
        Self::under(Path::new("/etc/apt"))
    }

    /// As [`Self::of_host`], for a configuration folder elsewhere.
    ///
    /// # Errors
    /// [`NoMirror`] when no enabled source fits.
    pub fn under(folder: &Path) -> Result<Self, NoMirror> {
        let mut sources = Vec::new();
        for path in configuration_files(folder) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            if path.extension().is_some_and(|extension| extension == "sources") {
                sources.extend(parse_deb822(&text));
            } else {
                sources.extend(parse_list(&text));
            }
        }
        Self::choose(&sources).ok_or_else(|| NoMirror { looked: folder.display().to_string() })
    }

    /// Chooses among sources: the first main archive, and the first security archive.
    pub fn choose(sources: &[Source]) -> Option<Self> {
        let find = |suffix: &str| {
            let fits = |source: &&Source| {
                let uri = source.uri.trim_end_matches('/');
                let served = uri.starts_with("http://") || uri.starts_with("https://");
                served && uri.ends_with(suffix) && source.components.iter().any(|c| c == "main")
            };
            sources.iter().find(fits).map(|source| source.uri.trim_end_matches('/').to_owned())
        };
        Some(Self { main: find("/debian")?, security: find("/debian-security") })
    }
}

/// `sources.list`, then the files of `sources.list.d` in name order.
fn configuration_files(folder: &Path) -> Vec<PathBuf> {
    let mut more: Vec<PathBuf> = std::fs::read_dir(folder.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "list" || e == "sources"))
        .collect();
    more.sort();
    let mut files = vec![folder.join("sources.list")];
    files.append(&mut more);
    files
}

/// Parses the one-line style: `deb [options] URI suite component...`.
pub fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(parse_list_line).collect()
}

fn parse_list_line(line: &str) -> Option<Source> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.starts_with(char::is_whitespace).then_some(rest)?.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Source { uri: words.next()?, suites: vec![words.next()?], components: words.collect() })
}

/// Parses the deb822 style; a stanza with several addresses gives several sources.
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    for stanza in deb822::stanzas(text).flatten() {
        let off = stanza.words("Enabled").any(|word| matches!(word, "no" | "false" | "0"));
        if off || !stanza.words("Types").any(|word| word == "deb") {
            continue;
        }
        let list = |name| stanza.words(name).map(str::to_owned).collect::<Vec<_>>();
        for uri in list("URIs") {
            sources.push(Source { uri, suites: list("Suites"), components: list("Components") });
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_style() {
        let text = "# deb http://old/debian x main\n\
            deb-src http://m.example/debian trixie main\n\
            deb [arch=amd64 signed-by=/a.gpg] http://other.example/repo s main # c\n\
            deb http://m.example/debian/ bookworm main contrib\n\
            deb http://s.example/debian-security bookworm-security main\n";
        let sources = parse_list(text);
        assert_eq!(sources.len(), 3);
        assert_eq!(sources[0].uri, "http://other.example/repo");
        assert_eq!(sources[1].components, ["main", "contrib"]);
        let mirror = Mirror::choose(&sources).unwrap();
        assert_eq!(mirror.main, "http://m.example/debian");
        assert_eq!(mirror.security.as_deref(), Some("http://s.example/debian-security"));
    }

    #[test]
    fn deb822_style() {
        let text = "Types: deb deb-src\n# snapshot\nURIs: http://a.example/debian\n  http://b.example/debian\n\
            Suites: bookworm\n bookworm-updates\nComponents: main\n\n\
            Types: deb\nURIs: http://off.example/debian\nSuites: x\nComponents: main\nEnabled: no\n";
        let sources = parse_deb822(text);
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(Mirror::choose(&sources).unwrap().main, "http://a.example/debian");
    }

    #[test]
    fn unusable_sources_are_passed_over() {
        let text = "deb cdrom:[x]/debian trixie main\ndeb file:/srv/debian trixie main\n\
            deb http://a.example/debian trixie contrib\ndeb\ndebug http://x/debian s main\n";
        assert_eq!(Mirror::choose(&parse_list(text)), None);
    }

    #[test]
    fn host_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = Mirror::under(folder.path()).unwrap_err().to_string();
        assert!(error.contains("--mirror") && error.contains("MKIMAGE_MIRROR"), "{error}");
        let more = folder.path().join("sources.list.d");
        std::fs::create_dir(&more).unwrap();
        let text = "Types: deb\nURIs: http://d.example/debian\nSuites: s\nComponents: main\n";
        std::fs::write(more.join("debian.sources"), text).unwrap();
        std::fs::write(more.join("a.list.save"), "deb http://no/debian s main\n").unwrap();
        assert_eq!(Mirror::under(folder.path()).unwrap().main, "http://d.example/debian");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "(deb|Types:|URIs:|\\[|\\]|#| |\n|[a-z/]){0,60}") {
            let _ = (parse_list(&text), parse_deb822(&text));
        }
    }
}
