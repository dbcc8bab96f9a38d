//! Disks: `phy:vg/root,xvda1,w` and what else is written for one.

use std::fmt;

/// A guest's disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What is behind it.
    pub source: Source,
    /// What the guest sees.
    pub device: VirtualDevice,
    /// Whether the guest may write.
    pub writable: bool,
    /// Whether others may use the same source at once.
    pub shared: bool,
    /// Whether it is a CD.
    pub cdrom: bool,
}

/// What is behind a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A block device of the control domain, with its full path.
    Block(String),
    /// A file with the bytes as they are.
    File(String),
    /// A file in QEMU's format.
    Qcow2(String),
    /// Nothing: a CD drive without a disc.
    Empty,
}

/// A disk or partition as a guest sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualDevice {
    /// As it was written, for example `xvda1`.
    pub name: String,
    /// The number that stands for it between frontend and backend.
    pub number: u32,
}

impl fmt::Display for VirtualDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

const FORM: &str = "write 'SOURCE,DEVICE,MODE', for example 'phy:vg0/web,xvda,w' or \
                    'file:/data/images/web.img,xvda1,w'";

impl Disk {
    /// Reads a disk's description, as xm or as xl has it.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split(',').map(str::trim).collect();
        match fields.as_slice() {
            [source, device, mode] if is_classic(source) => {
                Self::new(classic_source(source)?, device, mode)
            }
            [source, device] if is_classic(source) => {
                Self::new(classic_source(source)?, device, "r")
            }
            _ => modern(&fields),
        }
    }

    fn new(source: Source, device: &str, mode: &str) -> Result<Self, String> {
        let device = device.strip_prefix("ioemu:").unwrap_or(device);
        let (device, kind) = device.split_once(':').unwrap_or((device, "disk"));
        let cdrom = match kind {
            "disk" => false,
            "cdrom" => true,
            other => return Err(format!("{other:?} is no kind of disk: write disk or cdrom")),
        };
        let (writable, shared) = match mode {
            "r" | "ro" => (false, false),
            "w" | "rw" => (true, false),
            "w!" | "rw!" => (true, true),
            "r!" | "ro!" => (false, true),
            other => return Err(format!("{other:?} is no mode: write r, w, or w! to share it")),
        };
        if source == Source::Empty && !cdrom {
            return Err(format!("has no source: only a cdrom may be empty; {FORM}"));
        }
        let device = VirtualDevice::parse(device)?;
        Ok(Self { source, device, writable: writable && !cdrom, shared, cdrom })
    }
}

fn is_classic(source: &str) -> bool {
    source.is_empty() || source.split_once(':').is_some_and(|(kind, _)| !kind.contains(['/', '=']))
}

fn classic_source(text: &str) -> Result<Source, String> {
    let (kind, path) = text.split_once(':').unwrap_or(("phy", text));
    let file = |path: &str| match path {
        "" => Ok(Source::Empty),
        path if path.starts_with('/') => Ok(Source::File(path.to_owned())),
        path => Err(format!("{path:?} isn't the whole path of a file: begin it with /")),
    };
    match kind {
        "phy" if path.is_empty() => Ok(Source::Empty),
        "phy" if path.starts_with('/') => Ok(Source::Block(path.to_owned())),
        "phy" => Ok(Source::Block(format!("/dev/{path}"))),
        "file" => file(path),
        "tap" | "tap2" => match path.split_once(':') {
            Some(("aio" | "ram" | "sync", path)) => file(path),
            Some(("qcow2" | "qcow", path)) => match file(path)? {
                Source::File(path) => Ok(Source::Qcow2(path)),
                other => Ok(other),
            },
            Some((format, _)) => {
                Err(format!("{kind}:{format}: isn't supported: use tap:aio: (raw) or tap:qcow2:"))
            }
            None => Err(format!("{text:?} lacks a format: use tap:aio:/PATH or tap:qcow2:/PATH")),
        },
        "drbd" => Err(format!(
            "drbd: is no kind of source here: a resource that is up is a block device, for example \
             phy:drbd/by-res/{}",
            path.trim()
        )),
        other => {
            Err(format!("{other}: is no kind of source: use phy:, file:, tap:aio: or tap:qcow2:"))
        }
    }
}

/// xl's way: `TARGET, FORMAT, VDEV, ACCESS`, each of which may be named.
fn modern(fields: &[&str]) -> Result<Disk, String> {
    let (mut target, mut format, mut device, mut access) = ("", "raw", "", "rw");
    let mut cdrom = false;
    let mut position = 0;
    for field in fields {
        match field.split_once('=') {
            Some(("target", value)) => target = value,
            Some(("format", value)) => format = value,
            Some(("vdev", value)) => device = value,
            Some(("access", value)) => access = value,
            Some(("devtype", value)) => cdrom = value == "cdrom",
            Some(("backendtype" | "discard", _)) => {}
            Some((key, _)) if !key.contains('/') => {
                return Err(format!("{key}= is no part of a disk: {FORM}"));
            }
            _ if *field == "cdrom" => cdrom = true,
            _ => {
                let place =
                    [&mut target, &mut format, &mut device, &mut access].into_iter().nth(position);
                match place {
                    Some(place) if !field.is_empty() => *place = field,
                    Some(_) => {}
                    None => return Err(format!("{field:?} is too much: {FORM}")),
                }
                position += 1;
            }
        }
    }
    if device.is_empty() {
        return Err(format!("lacks the device that the guest sees: {FORM}"));
    }
    let source = match (target, format) {
        ("", _) => Source::Empty,
        (path, "raw" | "phy") if path.starts_with("/dev/") => Source::Block(path.to_owned()),
        (path, _) if !path.starts_with('/') => {
            return Err(format!("{path:?} isn't a whole path: {FORM}"));
        }
        (path, "raw") => Source::File(path.to_owned()),
        (path, "qcow2") => Source::Qcow2(path.to_owned()),
        (_, other) => return Err(format!("format {other:?} isn't supported: use raw or qcow2")),
    };
    let device = if cdrom { format!("{device}:cdrom") } else { device.to_owned() };
    Disk::new(source, &device, access)
}

impl VirtualDevice {
    /// Reads a name: `xvda`, `xvda1`, `sda1`, `hdc`, or the number itself.
    ///
    /// # Errors
    /// What is wrong with it, and what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = Self::number_of(text).ok_or_else(|| {
            format!("{text:?} is no disk that a guest can have: write xvda, xvdb1, sda1, hda ...")
        })?;
        Ok(Self { name: text.to_owned(), number })
    }

    fn number_of(text: &str) -> Option<u32> {
        let text = text.strip_prefix("/dev/").unwrap_or(text);
        if let Ok(number) = text.parse() {
            return Some(number);
        }
        let (kind, rest) = ["xvd", "sd", "hd"]
            .into_iter()
            .find_map(|kind| text.strip_prefix(kind).map(|rest| (kind, rest)))?;
        let letters = rest.bytes().take_while(u8::is_ascii_lowercase).count();
        let disk = disk_of(rest.get(..letters)?)?;
        let partition = match rest.get(letters..)? {
            "" => 0,
            digits if digits.starts_with('0') => return None,
            digits => digits.parse::<u32>().ok()?,
        };
        match kind {
            "xvd" if disk < 16 && partition < 16 => Some(202 << 8 | disk << 4 | partition),
            // The extended numbers have room for more of both.
            "xvd" if disk < 1 << 20 && partition < 256 => Some(1 << 28 | disk << 8 | partition),
            "sd" if disk < 16 && partition < 16 => Some(8 << 8 | disk << 4 | partition),
            "hd" if disk < 4 && partition < 64 => {
                let major = if disk < 2 { 3 } else { 22 };
                Some(major << 8 | (disk & 1) << 6 | partition)
            }
            _ => None,
        }
    }
}

/// `a` is 0, `z` 25, `aa` 26.
fn disk_of(letters: &str) -> Option<u32> {
    let mut number = 0_u32;
    for letter in letters.bytes() {
        let digit = u32::from(letter.checked_sub(b'a')?) + 1;
        number = number.checked_mul(26)?.checked_add(digit)?;
    }
    number.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn disk(text: &str) -> Disk {
        Disk::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn sources() {
        let source = |text: &str| disk(&format!("{text},xvda,w")).source;
        assert_eq!(source("phy:hda1"), Source::Block("/dev/hda1".into()));
        assert_eq!(source("phy:/dev/vg0/web"), Source::Block("/dev/vg0/web".into()));
        assert_eq!(source("file:/x y/a.img"), Source::File("/x y/a.img".into()));
        assert_eq!(source("tap:aio:/a.img"), Source::File("/a.img".into()));
        assert_eq!(source("tap2:qcow2:/a.q"), Source::Qcow2("/a.q".into()));
        assert_eq!(disk("phy:/dev/cdrom,hdc:cdrom,r").source, Source::Block("/dev/cdrom".into()));
        assert_eq!(disk(",hdc:cdrom,r").source, Source::Empty);
    }

    #[test]
    fn modes_and_kinds() {
        let mode = |text: &str| {
            let disk = disk(&format!("file:/a,{text}"));
            (disk.writable, disk.shared, disk.cdrom)
        };
        assert_eq!(mode("xvda1,w"), (true, false, false));
        assert_eq!(mode("xvda1,r"), (false, false, false));
        assert_eq!(mode("xvda1,w!"), (true, true, false));
        assert_eq!(mode("ioemu:hdc:cdrom,w"), (false, false, true));
        assert_eq!(mode("xvda1"), (false, false, false));
    }

    #[test]
    fn devices_have_the_numbers_of_the_protocol() {
        for (name, number) in [
            ("xvda", 51712),
            ("xvda1", 51713),
            ("xvdp15", 51967),
            ("xvdq", 0x1000_1000),
            ("xvda16", 0x1000_0010),
            ("xvdaa", 0x1000_1a00),
            ("sda1", 2049),
            ("hda", 768),
            ("hdc3", 5635),
            ("/dev/xvdb", 51728),
            ("51712", 51712),
        ] {
            assert_eq!(VirtualDevice::parse(name).unwrap().number, number, "{name}");
        }
        for name in ["", "xvd", "xvda0", "sdq", "hde", "vda", "xvd1", "xvda1x", "sda16"] {
            assert!(VirtualDevice::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn as_xl_has_it() {
        let expected = disk("file:/a.img,xvda,w");
        assert_eq!(disk("/a.img,raw,xvda,rw"), expected);
        assert_eq!(disk("format=raw, vdev=xvda, access=rw, target=/a.img"), expected);
        assert_eq!(disk("/a.img,,xvda"), expected);
        assert_eq!(disk("/dev/vg/x,raw,xvda,ro").source, Source::Block("/dev/vg/x".into()));
        assert!(disk("/a.iso,raw,hdc,ro,cdrom").cdrom);
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, words) in [
            ("file:/a,xvda,x", "w! to share"),
            ("file:a.img,xvda,w", "whole path"),
            ("nbd:/a,xvda,w", "is no kind of source"),
            ("drbd: resource, xvda, w", "phy:drbd/by-res/resource"),
            ("tap:vmdk:/a,xvda,w", "tap:qcow2:"),
            ("tap:/a,xvda,w", "lacks a format"),
            ("file:/a,vda,w", "xvdb1"),
            ("file:/a,xvda:floppy,w", "disk or cdrom"),
            (",xvda,w", "only a cdrom"),
            ("/a.img", "lacks the device"),
            ("/a.img,vhd,xvda,w", "raw or qcow2"),
            ("target=/a,colour=red", "no part of a disk"),
        ] {
            let error = Disk::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC*|[a-z0-9:=/, !.]{0,40}") {
            let _answered = Disk::parse(&text);
        }
    }
}
