//! Programs of a system that is being made, in a user namespace and in a virtual machine: what they
//! see and leave is the same. `XENOLITH_TEST_CONFIGURE=debian-13` builds a
//! whole image both ways, too.

mod support;

use mkimage::guest::isolation::{Isolation, Place};
use mkimage::project::{Options, Project};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use support::mkimage;
use tempfile::TempDir;

/// A system of one program.
struct System {
    folder: TempDir,
}

impl System {
    fn new(project: &Project) -> Self {
        let system = Self { folder: TempDir::new().unwrap() };
        let busybox = project.tools().unwrap().file("usr/bin/busybox").unwrap();
        for name in ["usr/bin", "etc"] {
            std::fs::create_dir_all(system.root().join(name)).unwrap();
        }
        symlink("usr/bin", system.root().join("bin")).unwrap();
        std::fs::copy(busybox, system.root().join("usr/bin/busybox")).unwrap();
        for name in ["sh", "env", "cat", "id", "ls", "stat", "chown", "ping", "sed"] {
            symlink("busybox", system.root().join("usr/bin").join(name)).unwrap();
        }
        let secret = system.root().join("etc/secret");
        std::fs::write(&secret, "s").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o4710)).unwrap();
        system
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// What a script prints, or why it fails.
    fn run(&self, how: Isolation, script: &str) -> Result<String, String> {
        let project =
            Project::find(Options { isolation: how, ..Options::from_environment() }).unwrap();
        let tools = project.tools().unwrap();
        let (root, log) = (self.root(), self.folder.path().join("log"));
        let place = Place { project: &project, tools: &tools, root: &root, log: &log, epoch: 7 };
        let mut printed = String::new();
        let done = place.run("trying", script, &mut |output| {
            printed.clear();
            output.read_to_string(&mut printed).map(drop)
        });
        // Nothing of the machine is left.
        let left = std::fs::read_dir(self.folder.path()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert!(!left.into_iter().any(|name| name.ends_with(".tmp")));
        done.map(|()| printed).map_err(|error| error.to_string())
    }
}

fn project() -> Project {
    Project::find(Options::from_environment()).unwrap()
}

const LOOK: &str = "id -u
stat -c '%a %u:%g %n' /etc/secret /usr/bin/busybox /bin
chown 33:42 /etc/secret
stat -c '%a %u:%g %n' /etc/secret
ls / /dev
sed 1,2d /proc/net/dev
cat /proc/sys/kernel/hostname
echo said >&2";

const FAIL: &str = "echo printed; echo 'no such thing' >&2; exit 3";

#[test]
fn a_namespace_and_a_machine_look_the_same_from_inside() {
    let (one, two) = (System::new(&project()), System::new(&project()));
    let namespace = one.run(Isolation::Namespace, LOOK).unwrap();
    let machine = two.run(Isolation::Vm, LOOK).unwrap();
    assert_eq!(namespace, machine);
    for line in ["0", "4710 0:0 /etc/secret", "710 33:42 /etc/secret", "localhost"] {
        assert!(machine.lines().any(|found| found == line), "{line}: {machine}");
    }
    // The machine had a copy.
    let mode = |system: &System| system.root().join("etc/secret").metadata().unwrap().permissions();
    assert_eq!((mode(&one).mode() & 0o7777, mode(&two).mode() & 0o7777), (0o710, 0o4710));
    if let Ok(recipe) = std::env::var("XENOLITH_TEST_CONFIGURE") {
        a_whole_image_is_the_same(&recipe);
    }
}

fn a_whole_image_is_the_same(recipe: &str) {
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    mkimage(&["build", recipe, "--out", out, "--configure", "namespace"]);
    let image = format!("{out}/{recipe}.img");
    let said = mkimage(&["verify", recipe, &image, "--configure", "vm"]);
    assert!(said.contains("the same bytes as a new build"), "{said}");
}

#[test]
fn where_namespaces_are_forbidden_a_machine_does_it() {
    match std::env::var(EXPECTED) {
        Ok(expected) => forbidden_here(&expected),
        Err(_) => once_more_where_they_are_forbidden(),
    }
}

fn once_more_where_they_are_forbidden() {
    let project = project();
    let failed = System::new(&project).run(Isolation::Namespace, FAIL).unwrap_err();
    assert!(failed.starts_with("trying failed (exit status: 3):\nno such thing"), "{failed}");
    let words = project.tools().unwrap().words("unshare").unwrap();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(["--user", "--map-root-user", "sh", "-c", FORBID, "sh"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", "where_namespaces_are_forbidden_a_machine_does_it", "--nocapture"]);
    let output = command.env(EXPECTED, &failed).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert!(said.contains("using a virtual machine instead"), "{said}");
}

/// In the process that has no user namespaces.
fn forbidden_here(expected: &str) {
    let system = System::new(&project());
    let refused = system.run(Isolation::Namespace, FAIL).unwrap_err();
    assert!(refused.contains("in a user namespace") && refused.contains("--configure vm"));
    assert_eq!(system.run(Isolation::Auto, FAIL).unwrap_err(), expected);
}

/// Runs a program where user namespaces are forbidden: in one that may have none below it.
const FORBID: &str = "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"";
/// Tells the process inside what it is to be told.
const EXPECTED: &str = "MKIMAGE_TEST_EXPECTED";
