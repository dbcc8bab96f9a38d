//! Names of nodes: absolute, checked, and cheap to compare.

use std::fmt;

use xen_abi::io::xs_wire::{ABS_PATH_MAX, REL_PATH_MAX};

use crate::error::{Error, Result};
use crate::permission::DomId;

/// Notified when a domain was introduced.
pub const INTRODUCE_DOMAIN: &str = "@introduceDomain";
/// Notified when a domain shut down or is gone.
pub const RELEASE_DOMAIN: &str = "@releaseDomain";

/// The absolute path of a node: `/`, or `/` and names joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Box<str>);

impl Path {
    /// The root.
    pub fn root() -> Self {
        Self("/".into())
    }

    /// A domain's home.
    pub fn home(domain: DomId) -> Self {
        Self(format!("/local/domain/{domain}").into())
    }

    /// Reads a path as a request has it; a relative one starts at the sender's home.
    ///
    /// # Errors
    /// [`Error::Invalid`]: it is too long, or has characters or an empty name that no path has.
    pub fn parse(text: &str, sender: DomId) -> Result<Self> {
        if text.len() > ABS_PATH_MAX || !is_valid(text) {
            return Err(Error::Invalid);
        }
        if text.starts_with('/') {
            return Ok(Self(text.into()));
        }
        if text.len() > REL_PATH_MAX {
            return Err(Error::Invalid);
        }
        Ok(Self(format!("/local/domain/{sender}/{text}").into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names on the way from the root.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|name| !name.is_empty())
    }

    /// The last name; empty for the root.
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The path above; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some(("", "")) | None => None,
            Some(("", _)) => Some(Self::root()),
            Some((parent, _)) => Some(Self(parent.into())),
        }
    }

    /// The path of one of its children. The name must be a valid one.
    pub fn child(&self, name: &str) -> Self {
        if &*self.0 == "/" {
            Self(format!("/{name}").into())
        } else {
            Self(format!("{}/{name}", self.0).into())
        }
    }

    /// The path with only its first `count` names.
    pub fn ancestor(&self, count: usize) -> Self {
        let mut end = 0;
        for name in self.names().take(count) {
            end += 1 + name.len();
        }
        match self.0.get(..end) {
            Some(text) if !text.is_empty() => Self(text.into()),
            _ => Self::root(),
        }
    }

    /// Itself and every path above, from the root down.
    pub fn lineage(&self) -> impl Iterator<Item = &str> {
        let root = std::iter::once("/");
        let cuts = self.0.match_indices('/').skip(1).map(|(at, _)| at);
        let own = (self.0.len() > 1).then_some(self.0.len());
        let rest = cuts.chain(own).filter_map(|end| self.0.get(..end));
        root.chain(rest)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_valid(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_@".contains(&byte))
    };
    match text.strip_prefix('/') {
        Some("") => true,
        rest => rest.unwrap_or(text).split('/').all(is_name) && !text.starts_with('@'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text, DomId(7)).unwrap()
    }

    #[test]
    fn relative_paths_start_at_home() {
        assert_eq!(path("device/vif").as_str(), "/local/domain/7/device/vif");
        assert_eq!(path("/").as_str(), "/");
        assert_eq!(path("/tool/a-b_C9@x").as_str(), "/tool/a-b_C9@x");
    }

    #[test]
    fn what_is_no_path() {
        for text in ["", "//", "/a/", "a//b", "/a b", "/ä", "@introduceDomain", "/a/\0"] {
            assert_eq!(Path::parse(text, DomId(0)), Err(Error::Invalid), "{text:?}");
        }
        assert!(Path::parse(&format!("/{}", "a".repeat(3071)), DomId(0)).is_ok());
        assert!(Path::parse(&format!("/{}", "a".repeat(3072)), DomId(0)).is_err());
        assert!(Path::parse(&"a".repeat(2049), DomId(0)).is_err());
    }

    #[test]
    fn families() {
        let deep = path("/a/b/c");
        assert_eq!(deep.lineage().collect::<Vec<_>>(), ["/", "/a", "/a/b", "/a/b/c"]);
        assert_eq!(Path::root().lineage().collect::<Vec<_>>(), ["/"]);
        assert_eq!(deep.parent(), Some(path("/a/b")));
        assert_eq!(path("/a").parent(), Some(Path::root()));
        assert_eq!(Path::root().parent(), None);
        assert_eq!((deep.ancestor(2), deep.ancestor(0)), (path("/a/b"), Path::root()));
        assert_eq!((deep.name(), deep.child("d")), ("c", path("/a/b/c/d")));
        assert_eq!(Path::root().child("d"), path("/d"));
    }
}
