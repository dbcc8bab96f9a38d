//! Who may do what with a node.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// A domain's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomId(pub u16);

impl DomId {
    /// The control domain.
    pub const CONTROL: Self = Self(0);
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// On whose behalf a request is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actor {
    /// The domain.
    pub domain: DomId,
    /// The domain that it is the device model of: it may do what that one may.
    pub target: Option<DomId>,
}

impl Actor {
    /// A domain on its own behalf.
    pub const fn domain(domain: DomId) -> Self {
        Self { domain, target: None }
    }

    /// Whether no permission is asked for.
    pub fn is_privileged(&self) -> bool {
        self.domain == DomId::CONTROL
    }

    fn is(&self, domain: DomId) -> bool {
        self.domain == domain || self.target == Some(domain)
    }
}

/// What somebody wants to do with a node, or may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access {
    /// See its value, its children and its permissions.
    pub read: bool,
    /// Change its value, create and remove children.
    pub write: bool,
}

impl Access {
    /// Nothing.
    pub const NONE: Self = Self { read: false, write: false };
    /// To read.
    pub const READ: Self = Self { read: true, write: false };
    /// To write.
    pub const WRITE: Self = Self { read: false, write: true };
    /// Both.
    pub const BOTH: Self = Self { read: true, write: true };

    const fn covers(self, wanted: Self) -> bool {
        (self.read || !wanted.read) && (self.write || !wanted.write)
    }
}

/// One entry of a node's permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Permission {
    /// Whose.
    pub domain: DomId,
    /// What.
    pub access: Access,
}

impl Permission {
    /// Reads `r7`: a letter of `n r w b` and a domain.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn parse(text: &str) -> Result<Self> {
        let access = match text.bytes().next() {
            Some(b'n') => Access::NONE,
            Some(b'r') => Access::READ,
            Some(b'w') => Access::WRITE,
            Some(b'b') => Access::BOTH,
            _ => return Err(Error::Invalid),
        };
        let number = text.get(1..).unwrap_or_default();
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::Invalid);
        }
        let domain = number.parse().map_err(|_| Error::Invalid)?;
        Ok(Self { domain: DomId(domain), access })
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match (self.access.read, self.access.write) {
            (false, false) => 'n',
            (true, false) => 'r',
            (false, true) => 'w',
            (true, true) => 'b',
        };
        write!(f, "{letter}{}", self.domain)
    }
}

/// A node's permissions. The first entry names its owner, who may do everything, and what those
/// may do whom no other entry names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions(Arc<[Permission]>);

impl Permissions {
    /// Of a node that only the control domain may use.
    pub fn control_only() -> Self {
        Self(Arc::new([Permission { domain: DomId::CONTROL, access: Access::NONE }]))
    }

    /// From entries.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none: a node has an owner.
    pub fn new(entries: &[Permission]) -> Result<Self> {
        if entries.is_empty() { Err(Error::Invalid) } else { Ok(Self(entries.into())) }
    }

    /// The entries.
    pub fn entries(&self) -> &[Permission] {
        &self.0
    }

    /// Whose the node is.
    pub fn owner(&self) -> DomId {
        self.0.first().map_or(DomId::CONTROL, |first| first.domain)
    }

    /// Whether somebody may do something.
    pub fn allow(&self, who: &Actor, wanted: Access) -> bool {
        if who.is_privileged() || who.is(self.owner()) {
            return true;
        }
        let own = self.0.iter().skip(1).find(|entry| who.is(entry.domain));
        own.or(self.0.first()).is_some_and(|entry| entry.access.covers(wanted))
    }

    /// Whether somebody may change the permissions.
    pub fn owned_by(&self, who: &Actor) -> bool {
        who.is_privileged() || who.is(self.owner())
    }

    /// What a child has that `who` creates below a node with these.
    #[must_use]
    pub fn inherited(&self, who: &Actor) -> Self {
        if who.is_privileged() || self.owner() == who.domain {
            return self.clone();
        }
        let mut entries = self.0.to_vec();
        if let Some(first) = entries.first_mut() {
            first.domain = who.domain;
        }
        Self(entries.into())
    }

    /// Without a domain that is gone, so that a later one of its number has no part in it;
    /// `None` if it has none. What it owned is the control domain's.
    pub fn without(&self, gone: DomId) -> Option<Self> {
        if !self.0.iter().any(|entry| entry.domain == gone) {
            return None;
        }
        let kept = self.0.iter().enumerate().filter(|(i, entry)| *i == 0 || entry.domain != gone);
        let mut entries: Vec<Permission> = kept.map(|(_, entry)| *entry).collect();
        if let Some(first) = entries.first_mut().filter(|first| first.domain == gone) {
            first.domain = DomId::CONTROL;
        }
        Some(Self(entries.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(texts: &[&str]) -> Permissions {
        let entries: Vec<_> = texts.iter().map(|text| Permission::parse(text).unwrap()).collect();
        Permissions::new(&entries).unwrap()
    }

    #[test]
    fn letters_and_domains() {
        for text in ["n0", "r7", "w12", "b65535"] {
            assert_eq!(Permission::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "r", "x1", "r-1", "r+1", "r65536", "7"] {
            assert_eq!(Permission::parse(text), Err(Error::Invalid), "{text:?}");
        }
        assert_eq!(Permissions::new(&[]), Err(Error::Invalid));
    }

    #[test]
    fn the_first_entry_is_owner_and_default() {
        let perms = permissions(&["r3", "b4", "n5"]);
        let may = |domain, access| perms.allow(&Actor::domain(DomId(domain)), access);
        assert!(may(0, Access::BOTH) && may(3, Access::BOTH) && may(4, Access::BOTH));
        assert!(!may(5, Access::READ), "named, and may nothing");
        assert!(may(6, Access::READ) && !may(6, Access::WRITE), "the default");
        let model = Actor { domain: DomId(5), target: Some(DomId(3)) };
        assert!(perms.allow(&model, Access::BOTH) && perms.owned_by(&model));
        assert!(!perms.owned_by(&Actor::domain(DomId(4))));
    }

    #[test]
    fn children_belong_to_who_makes_them() {
        let perms = permissions(&["n0", "w4"]);
        assert_eq!(perms.inherited(&Actor::domain(DomId(0))), perms);
        assert_eq!(perms.inherited(&Actor::domain(DomId(4))), permissions(&["n4", "w4"]));
    }

    #[test]
    fn the_dead_have_no_rights() {
        assert_eq!(permissions(&["n0", "r4"]).without(DomId(5)), None);
        assert_eq!(
            permissions(&["n0", "r4", "r5"]).without(DomId(4)),
            Some(permissions(&["n0", "r5"]))
        );
        assert_eq!(permissions(&["r4", "b4"]).without(DomId(4)), Some(permissions(&["r0"])));
    }
}
