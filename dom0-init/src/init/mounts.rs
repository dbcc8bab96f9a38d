//! The kernel's own file systems, and the folders and names that the rest relies on.

use std::ffi::CString;
use std::path::Path;

use anyhow::Context;
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

use super::Host;
use crate::applet;
use crate::command_line::CommandLine;

struct KernelFileSystem {
    kind: &'static str,
    at: &'static str,
    flags: MountFlags,
    options: &'static str,
}

const QUIET: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);
const NO_SUID: MountFlags = MountFlags::NOSUID;

const TABLE: &[KernelFileSystem] = &[
    KernelFileSystem { kind: "proc", at: "/proc", flags: QUIET, options: "" },
    KernelFileSystem { kind: "sysfs", at: "/sys", flags: QUIET, options: "" },
    KernelFileSystem { kind: "devtmpfs", at: "/dev", flags: NO_SUID, options: "mode=0755" },
    KernelFileSystem {
        kind: "devpts",
        at: "/dev/pts",
        flags: NO_SUID.union(MountFlags::NOEXEC),
        options: "mode=0600,ptmxmode=0600",
    },
    KernelFileSystem {
        kind: "tmpfs",
        at: "/dev/shm",
        flags: NO_SUID.union(MountFlags::NODEV),
        options: "mode=1777",
    },
    KernelFileSystem { kind: "tmpfs", at: "/run", flags: QUIET, options: "mode=0755" },
    KernelFileSystem { kind: "tmpfs", at: "/tmp", flags: QUIET, options: "mode=1777" },
    KernelFileSystem { kind: "cgroup2", at: "/sys/fs/cgroup", flags: QUIET, options: "" },
];

/// Folders that daemons and commands expect.
const FOLDERS: &[&str] = &["/run/xenolith", "/run/xenolith/net", "/data", "/etc", "/var/log"];

/// Mounts the kernel's file systems, makes the folders and links.
///
/// # Errors
/// Names the first file system that couldn't be mounted; the others are tried all the same.
pub fn mount_kernel_file_systems(host: &mut Host) -> anyhow::Result<String> {
    let mut problem = Ok(());
    for entry in TABLE {
        let done = mount_at(entry.kind, entry.kind, entry.at, entry.flags, entry.options);
        problem = problem.and(done);
    }
    for folder in FOLDERS {
        problem = problem.and(
            std::fs::create_dir_all(folder).with_context(|| format!("can't make folder {folder}")),
        );
    }
    problem = problem.and(link_applets());
    host.command_line = CommandLine::of_running_kernel();
    problem?;
    Ok(format!("{} file systems", TABLE.len()))
}

/// Mounts `source` at `target`, making the folder; that it is mounted already is fine.
///
/// # Errors
/// Names source, target and the system's reason.
pub fn mount_at(
    kind: &str,
    source: &str,
    target: &str,
    flags: MountFlags,
    options: &str,
) -> anyhow::Result<()> {
    if !Path::new(target).is_dir() {
        std::fs::create_dir_all(target).with_context(|| format!("can't make folder {target}"))?;
    }
    let options = CString::new(options).context("mount options hold a zero byte")?;
    match mount(source, target, kind, flags, Some(options.as_c_str())) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("can't mount {source} ({kind}) at {target}"))
        }
    }
}

/// Makes the binary's other names, where the image hasn't.
fn link_applets() -> anyhow::Result<()> {
    let program = std::fs::read_link("/proc/self/exe").context("/proc/self/exe")?;
    for link in applet::LINKS {
        let link = Path::new(link);
        if link.symlink_metadata().is_ok() {
            continue;
        }
        if let Some(folder) = link.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("can't make folder {}", folder.display()))?;
        }
        std::os::unix::fs::symlink(&program, link)
            .with_context(|| format!("can't make link {}", link.display()))?;
    }
    Ok(())
}
