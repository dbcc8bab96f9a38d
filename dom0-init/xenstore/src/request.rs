//! Payloads of requests, taken apart.

use xen_abi::io::xs_wire::MessageType;

use crate::error::{Error, Result};
use crate::path::Path;
use crate::permission::{DomId, Permission, Permissions};
use crate::view::Order;
use crate::watch::Target;

/// A request.
#[derive(Debug, Clone)]
pub enum Request {
    /// The names of the children.
    Directory(Path),
    /// The same in parts, from a byte offset on.
    DirectoryPart(Path, usize),
    /// The value.
    Read(Path),
    /// The permissions.
    GetPermissions(Path),
    /// A change of the tree.
    Change(Order),
    /// The permissions of a special target.
    GetSpecial(Target),
    /// Sets them.
    SetSpecial(Target, Permissions),
    /// Sets a watch.
    Watch {
        /// On what.
        target: Target,
        /// As it was spelled.
        spelled: Box<str>,
        /// Comes with each event.
        token: Box<[u8]>,
        /// How far down.
        depth: Option<usize>,
    },
    /// Removes a watch.
    Unwatch(Target, Box<[u8]>),
    /// Removes all watches, and forgets transactions.
    ResetWatches,
    /// Begins a transaction.
    Begin,
    /// Ends it; whether to keep what it did.
    End(bool),
    /// Makes a domain known: its ring's frame and event channel.
    Introduce(DomId, u64, u32),
    /// Forgets a domain.
    Release(DomId),
    /// A domain's home.
    HomeOf(DomId),
    /// Whether a domain is known.
    IsIntroduced(DomId),
    /// A domain runs again that had shut down.
    Resume(DomId),
    /// A domain is another's device model.
    SetTarget(DomId, DomId),
    /// A command to the store itself.
    Control(Vec<String>),
}

impl Request {
    /// Takes a payload apart.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it isn't what the type asks for, [`Error::Unknown`] for a type that
    /// there isn't.
    pub fn parse(ty: MessageType, payload: &[u8], sender: DomId) -> Result<Self> {
        let path = |text: &str| Path::parse(text, sender);
        Ok(match ty {
            MessageType::DIRECTORY => Self::Directory(path(one(payload)?)?),
            MessageType::DIRECTORY_PART => {
                let [at, offset] = strings(payload)?;
                Self::DirectoryPart(path(at)?, number(offset)?)
            }
            MessageType::READ => Self::Read(path(one(payload)?)?),
            MessageType::GET_PERMS => match Target::parse(one(payload)?, sender)? {
                Target::Node(path) => Self::GetPermissions(path),
                special => Self::GetSpecial(special),
            },
            MessageType::SET_PERMS => set_permissions(payload, sender)?,
            MessageType::WRITE => {
                let end = payload.iter().position(|&byte| byte == 0).ok_or(Error::Invalid)?;
                let (at, value) = payload.split_at(end);
                let value = value.get(1..).unwrap_or_default();
                Self::Change(Order::Write(path(text(at)?)?, value.into()))
            }
            MessageType::MKDIR => Self::Change(Order::MakeDirectory(path(one(payload)?)?)),
            MessageType::RM => Self::Change(Order::Remove(path(one(payload)?)?)),
            MessageType::WATCH => watch(payload, sender)?,
            MessageType::UNWATCH => {
                let [at, token] = strings(payload)?;
                Self::Unwatch(Target::parse(at, sender)?, token.as_bytes().into())
            }
            MessageType::RESET_WATCHES => Self::ResetWatches,
            MessageType::TRANSACTION_START => Self::Begin,
            MessageType::TRANSACTION_END => match one(payload)? {
                "T" => Self::End(true),
                "F" => Self::End(false),
                _ => return Err(Error::Invalid),
            },
            MessageType::INTRODUCE => {
                let all = list(payload)?;
                let [domain, frame, port, ..] = all.as_slice() else { return Err(Error::Invalid) };
                Self::Introduce(domid(domain)?, number(frame)?, number(port)?)
            }
            MessageType::RELEASE => Self::Release(domid(one(payload)?)?),
            MessageType::GET_DOMAIN_PATH => Self::HomeOf(domid(one(payload)?)?),
            MessageType::IS_DOMAIN_INTRODUCED => Self::IsIntroduced(domid(one(payload)?)?),
            MessageType::RESUME => Self::Resume(domid(one(payload)?)?),
            MessageType::SET_TARGET => {
                let [domain, target] = strings(payload)?;
                Self::SetTarget(domid(domain)?, domid(target)?)
            }
            MessageType::CONTROL => {
                Self::Control(list(payload)?.into_iter().map(str::to_owned).collect())
            }
            _ => return Err(Error::Unknown),
        })
    }
}

fn set_permissions(payload: &[u8], sender: DomId) -> Result<Request> {
    let all = list(payload)?;
    let (at, entries) = all.split_first().ok_or(Error::Invalid)?;
    let entries = entries.iter().map(|text| Permission::parse(text)).collect::<Result<Vec<_>>>()?;
    let permissions = Permissions::new(&entries)?;
    Ok(match Target::parse(at, sender)? {
        Target::Node(path) => Request::Change(Order::SetPermissions(path, permissions)),
        special => Request::SetSpecial(special, permissions),
    })
}

fn watch(payload: &[u8], sender: DomId) -> Result<Request> {
    let all = list(payload)?;
    let (spelled, token, depth) = match all.as_slice() {
        [spelled, token] => (spelled, token, None),
        [spelled, token, depth] => (spelled, token, Some(number(depth)?)),
        _ => return Err(Error::Invalid),
    };
    Ok(Request::Watch {
        target: Target::parse(spelled, sender)?,
        spelled: (*spelled).into(),
        token: token.as_bytes().into(),
        depth,
    })
}

fn text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| Error::Invalid)
}

/// All strings of a payload; each ends with a zero.
fn list(payload: &[u8]) -> Result<Vec<&str>> {
    let whole = payload.strip_suffix(b"\0").ok_or(Error::Invalid)?;
    whole.split(|&byte| byte == 0).map(text).collect()
}

fn strings<const N: usize>(payload: &[u8]) -> Result<[&str; N]> {
    list(payload)?.try_into().map_err(|_| Error::Invalid)
}

fn one(payload: &[u8]) -> Result<&str> {
    strings::<1>(payload).map(|[text]| text)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::Invalid)
}

/// A domain that can exist: reserved numbers stand for something else.
fn domid(text: &str) -> Result<DomId> {
    const FIRST_RESERVED: u16 = 0x7ff0;
    let number: u16 = number(text)?;
    if number < FIRST_RESERVED { Ok(DomId(number)) } else { Err(Error::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(ty: MessageType, payload: &[u8]) -> Result<Request> {
        Request::parse(ty, payload, DomId(2))
    }

    #[test]
    fn payloads_are_strings_that_end() {
        let Ok(Request::Read(path)) = parse(MessageType::READ, b"name\0") else { panic!() };
        assert_eq!(path.as_str(), "/local/domain/2/name");
        for payload in [&b""[..], b"name", b"a\0b\0", b"\xff\0", b"\0"] {
            assert!(parse(MessageType::READ, payload).is_err(), "{payload:?}");
        }
    }

    #[test]
    fn values_are_bytes() {
        let order = parse(MessageType::WRITE, b"/a\0x\0\xff").unwrap();
        let Request::Change(Order::Write(path, value)) = order else { panic!() };
        assert_eq!((path.as_str(), &*value), ("/a", &b"x\0\xff"[..]));
        assert!(parse(MessageType::WRITE, b"/a").is_err());
    }

    #[test]
    fn watches_may_have_a_depth() {
        let with = |payload| match parse(MessageType::WATCH, payload) {
            Ok(Request::Watch { depth, .. }) => Some(depth),
            _ => None,
        };
        assert_eq!(with(b"@introduceDomain\0t\0"), Some(None));
        assert_eq!(with(b"/a\0t\x003\0"), Some(Some(3)));
        assert_eq!(with(b"/a\0t\0x\0"), None);
        assert_eq!(with(b"/a\0"), None);
    }

    #[test]
    fn domains_have_possible_numbers() {
        assert!(parse(MessageType::INTRODUCE, b"1\x00123456\x007\0").is_ok());
        assert!(parse(MessageType::RELEASE, b"32752\0").is_err());
        assert!(parse(MessageType::RELEASE, b"-1\0").is_err());
        assert!(matches!(parse(MessageType(99), b""), Err(Error::Unknown)));
    }
}
