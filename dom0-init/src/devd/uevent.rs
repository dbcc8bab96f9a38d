//! The kernel's device events, as netlink carries them: `add@/devices/...` and then
//! `KEY=value` strings, each ended by a zero byte.

use std::collections::HashMap;

/// What happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It came.
    Add,
    /// Something about it changed, for example a medium came.
    Change,
    /// It went.
    Remove,
    /// Anything else: bind, unbind, move, online, offline.
    Other(String),
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uevent {
    /// What happened.
    pub action: Action,
    /// The device's path below `/sys`.
    pub device: String,
    values: HashMap<String, String>,
}

impl Uevent {
    /// Parses a message; `None` if it isn't one of the kernel's.
    pub fn parse(message: &[u8]) -> Option<Self> {
        let mut strings = message.split(|&byte| byte == 0).map(String::from_utf8_lossy);
        let header = strings.next()?;
        let (action, device) = header.split_once('@')?;
        let action = match action {
            "add" => Action::Add,
            "change" => Action::Change,
            "remove" => Action::Remove,
            other => Action::Other(other.to_owned()),
        };
        let values = strings
            .filter_map(|s| s.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned())))
            .collect();
        Some(Self { action, device: device.to_owned(), values })
    }

    /// The value of a key such as `MODALIAS`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_device() {
        let message = b"add@/devices/pci0000:00/0000:00:03.0\0ACTION=add\0SUBSYSTEM=pci\0\
            MODALIAS=pci:v00001AF4d00001000sv*\0SEQNUM=1234\0";
        let event = Uevent::parse(message).unwrap();
        assert_eq!(event.action, Action::Add);
        assert_eq!(event.device, "/devices/pci0000:00/0000:00:03.0");
        assert_eq!(event.get("MODALIAS"), Some("pci:v00001AF4d00001000sv*"));
        assert_eq!(event.get("DEVNAME"), None);
    }

    #[test]
    fn others_are_told_apart() {
        let event = Uevent::parse(b"unbind@/devices/x\0ACTION=unbind\0broken\0").unwrap();
        assert_eq!(event.action, Action::Other("unbind".into()));
        assert_eq!(Uevent::parse(b"remove@/devices/x\0").unwrap().action, Action::Remove);
        assert_eq!(Uevent::parse(b"libudev\0\xfe\xed"), None);
        assert_eq!(Uevent::parse(b""), None);
    }
}
