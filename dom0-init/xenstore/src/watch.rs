//! Who wants to know about changes where.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::error::{Error, Result};
use crate::path::{INTRODUCE_DOMAIN, Path, RELEASE_DOMAIN};
use crate::permission::DomId;

/// A connection, as the store numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What can be watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A node and what is below, whether it is there or not.
    Node(Path),
    /// Domains that come.
    Introduced,
    /// Domains that go.
    Released,
}

impl Target {
    /// Reads what a request names.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is neither a path nor one of the special names.
    pub fn parse(text: &str, sender: DomId) -> Result<Self> {
        match text {
            INTRODUCE_DOMAIN => Ok(Self::Introduced),
            RELEASE_DOMAIN => Ok(Self::Released),
            _ => Path::parse(text, sender).map(Self::Node),
        }
    }

    /// As text: the whole path, or the special name.
    pub fn key(&self) -> &str {
        match self {
            Self::Node(path) => path.as_str(),
            Self::Introduced => INTRODUCE_DOMAIN,
            Self::Released => RELEASE_DOMAIN,
        }
    }
}

/// A watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Who is told.
    pub connection: ConnectionId,
    /// What was asked to be watched, as it was spelled: events are spelled like it.
    pub spelled: Box<str>,
    /// Comes with each event.
    pub token: Box<[u8]>,
    /// How many levels below the node still count; `None` for all.
    pub depth: Option<usize>,
}

impl Watch {
    /// How an event on an absolute path is spelled for it.
    pub fn spell(&self, watched: &str, event: &str) -> String {
        if *self.spelled == *watched {
            return event.to_owned();
        }
        // It was relative: what it was spelled as ends what it stands for.
        let below = event.strip_prefix(watched).unwrap_or_default();
        format!("{}{below}", self.spelled)
    }
}

/// All watches, by what they watch.
#[derive(Debug, Default)]
pub struct Watches {
    by_target: BTreeMap<Box<str>, Vec<Watch>>,
}

impl Watches {
    /// Adds one.
    ///
    /// # Errors
    /// [`Error::Exists`] if the connection has one with this target and token.
    pub fn add(&mut self, target: &Target, watch: Watch) -> Result<()> {
        let watches = self.by_target.entry(target.key().into()).or_default();
        let same = |w: &Watch| w.connection == watch.connection && w.token == watch.token;
        if watches.iter().any(same) {
            return Err(Error::Exists);
        }
        watches.push(watch);
        Ok(())
    }

    /// Removes one.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn remove(
        &mut self,
        target: &Target,
        connection: ConnectionId,
        token: &[u8],
    ) -> Result<()> {
        let watches = self.by_target.get_mut(target.key()).ok_or(Error::Missing)?;
        let same = |w: &Watch| w.connection == connection && *w.token == *token;
        let at = watches.iter().position(same).ok_or(Error::Missing)?;
        watches.remove(at);
        if watches.is_empty() {
            self.by_target.remove(target.key());
        }
        Ok(())
    }

    /// Removes all of a connection.
    pub fn remove_all(&mut self, connection: ConnectionId) {
        self.by_target.retain(|_, watches| {
            watches.retain(|watch| watch.connection != connection);
            !watches.is_empty()
        });
    }

    /// Those of one special target.
    pub fn special(&self, target: &Target) -> &[Watch] {
        self.by_target.get(target.key()).map_or(&[], Vec::as_slice)
    }

    /// Those that a change of a node concerns, on it or above, each with what it watches.
    pub fn above<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a str, &'a Watch)> {
        let depth = path.names().count();
        path.lineage().enumerate().flat_map(move |(level, ancestor)| {
            let distance = depth.saturating_sub(level);
            let watches = self.by_target.get(ancestor).into_iter().flatten();
            watches
                .filter(move |watch| watch.depth.is_none_or(|depth| distance <= depth))
                .map(move |watch| (ancestor, watch))
        })
    }

    /// Those below a node, each with what it watches.
    pub fn below<'a>(&'a self, path: &Path) -> impl Iterator<Item = (&'a str, &'a Watch)> {
        let prefix = if path.as_str() == "/" { "/".to_owned() } else { format!("{path}/") };
        let from = (Bound::Excluded(prefix.clone().into_boxed_str()), Bound::Unbounded);
        self.by_target
            .range::<Box<str>, _>(from)
            .take_while(move |(watched, _)| watched.starts_with(&prefix))
            .flat_map(|(watched, watches)| watches.iter().map(move |watch| (&**watched, watch)))
    }

    /// All of them, each with what it watches.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Watch)> {
        self.by_target
            .iter()
            .flat_map(|(watched, watches)| watches.iter().map(move |watch| (&**watched, watch)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        Target::parse(text, DomId(3)).unwrap()
    }

    fn watch(connection: u64, spelled: &str, depth: Option<usize>) -> Watch {
        let token = b"t".as_slice().into();
        Watch { connection: ConnectionId(connection), spelled: spelled.into(), token, depth }
    }

    fn path(text: &str) -> Path {
        Path::parse(text, DomId(3)).unwrap()
    }

    #[test]
    fn a_change_concerns_watches_on_it_and_above() {
        let mut watches = Watches::default();
        for (number, (at, depth)) in
            [("/", None), ("/a", Some(1)), ("/a/b", Some(0)), ("/a/b/c", None), ("/b", None)]
                .into_iter()
                .enumerate()
        {
            watches.add(&target(at), watch(number as u64, at, depth)).unwrap();
        }
        let concerned = |text: &str| {
            watches.above(&path(text)).map(|(_, w)| w.connection.0).collect::<Vec<_>>()
        };
        assert_eq!(concerned("/a/b"), [0, 1, 2]);
        assert_eq!(concerned("/a/b/c"), [0, 3], "too deep for the others");
        assert_eq!(concerned("/ab"), [0]);
        let below: Vec<&str> = watches.below(&path("/a")).map(|(at, _)| at).collect();
        assert_eq!(below, ["/a/b", "/a/b/c"]);
        assert_eq!(watches.below(&Path::root()).count(), 4);
    }

    #[test]
    fn tokens_tell_watches_apart() {
        let mut watches = Watches::default();
        watches.add(&target("/a"), watch(1, "/a", None)).unwrap();
        assert_eq!(watches.add(&target("/a"), watch(1, "/a", None)), Err(Error::Exists));
        assert_eq!(watches.add(&target("/a"), watch(2, "/a", None)), Ok(()));
        let one = ConnectionId(1);
        assert_eq!(watches.remove(&target("/a"), one, b"x"), Err(Error::Missing));
        assert_eq!(watches.remove(&target("/a"), one, b"t"), Ok(()));
        watches.remove_all(ConnectionId(2));
        assert_eq!(watches.all().count(), 0);
    }

    #[test]
    fn events_are_spelled_as_the_watch_was() {
        let relative = watch(1, "device", None);
        let home = "/local/domain/3/device";
        assert_eq!(relative.spell(home, "/local/domain/3/device/vif/0"), "device/vif/0");
        assert_eq!(relative.spell(home, home), "device");
        let absolute = watch(1, "/local", None);
        assert_eq!(absolute.spell("/local", "/local/domain"), "/local/domain");
        assert!(matches!(target(RELEASE_DOMAIN), Target::Released));
        assert!(Target::parse("@other", DomId(0)).is_err());
    }
}
