//! Which program this binary is this time: decided by the name it is called by.

use std::ffi::OsString;
use std::path::Path;

/// One of the programs in this binary.
#[derive(Debug, PartialEq, Eq)]
pub enum Applet {
    /// PID 1.
    Init,
    /// A daemon that PID 1 started: `service NAME ARGUMENTS`.
    Service {
        /// The daemon's name.
        name: String,
        /// What follows the name.
        arguments: Vec<String>,
    },
    /// The kernel's module helper, called as `/sbin/modprobe -q -- ALIAS`.
    Modprobe {
        /// What follows the program's name.
        arguments: Vec<String>,
    },
    /// The management command, called as `xm` or `xl`.
    Xm {
        /// The program's name and what follows it.
        arguments: Vec<String>,
    },
}

/// The names under which the root file system offers this binary.
pub const LINKS: &[&str] = &["/sbin/modprobe", "/usr/bin/xm", "/usr/bin/xl"];

/// Picks the program from the argument vector and the process id.
pub fn choose(arguments: impl IntoIterator<Item = OsString>, pid: u32) -> Applet {
    let arguments: Vec<String> =
        arguments.into_iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let called = arguments.first().map(String::as_str).unwrap_or_default();
    let called = Path::new(called).file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let rest = || arguments.iter().skip(1).cloned().collect::<Vec<_>>();
    if pid == 1 {
        return Applet::Init;
    }
    match (called, arguments.get(1).map(String::as_str)) {
        ("modprobe", _) => Applet::Modprobe { arguments: rest() },
        ("xm" | "xl", _) => Applet::Xm { arguments },
        (_, Some("service")) => Applet::Service {
            name: arguments.get(2).cloned().unwrap_or_default(),
            arguments: arguments.iter().skip(3).cloned().collect(),
        },
        _ => {
            let mut renamed = vec!["xm".to_owned()];
            renamed.extend(rest());
            Applet::Xm { arguments: renamed }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(arguments: &[&str], pid: u32) -> Applet {
        choose(arguments.iter().map(OsString::from), pid)
    }

    #[test]
    fn the_first_process_is_init_whatever_its_name() {
        assert_eq!(chosen(&["/init"], 1), Applet::Init);
        assert_eq!(chosen(&["xm", "list"], 1), Applet::Init);
    }

    #[test]
    fn names_choose_the_program() {
        let arguments = |a: &[&str]| a.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            chosen(&["/usr/bin/xl", "list"], 7),
            Applet::Xm { arguments: arguments(&["/usr/bin/xl", "list"]) }
        );
        assert_eq!(
            chosen(&["/sbin/modprobe", "-q", "--", "fs-ext4"], 7),
            Applet::Modprobe { arguments: arguments(&["-q", "--", "fs-ext4"]) }
        );
        assert_eq!(
            chosen(&["dom0-init", "service", "console", "hvc0"], 7),
            Applet::Service { name: "console".into(), arguments: arguments(&["hvc0"]) }
        );
        assert_eq!(
            chosen(&["dom0-init", "info"], 7),
            Applet::Xm { arguments: arguments(&["xm", "info"]) }
        );
    }

    #[test]
    fn no_arguments_at_all_is_the_command() {
        assert_eq!(chosen(&[], 7), Applet::Xm { arguments: vec!["xm".into()] });
    }
}
