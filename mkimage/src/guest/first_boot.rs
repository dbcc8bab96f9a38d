//! What a guest makes for itself when it boots for the first time, because it must be different in
//! each, or can't be the same in two builds: host keys, and the databases of MariaDB.

use super::tree::Tree;
use super::units;

/// OpenSSH's own unit makes keys on what the service manager calls the first boot, which needs a
/// machine id that isn't even empty; presets would then start everything that is installed.
const SSH: &str = "\
[Unit]
ConditionFirstBoot=
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
";

const MARIADB: &str = "\
[Unit]
Description=Databases of MariaDB, made at first boot
Before=mariadb.service
ConditionPathExists=!/var/lib/mysql/mysql

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/mariadb-install-db --rpm --cross-bootstrap --user=mysql --disable-log-bin --skip-test-db

[Install]
WantedBy=mariadb.service
";

/// Prepares what the installed packages need.
///
/// # Errors
/// The reason in words, when a package isn't what it was.
pub fn prepare(tree: &mut Tree, epoch: u64) -> Result<(), String> {
    if tree.get("usr/lib/systemd/system/sshd-keygen.service").is_some() {
        tree.write("etc/systemd/system/sshd-keygen.service.d/first-boot.conf", SSH);
        units::enable(tree, "sshd-keygen.service")?;
    }
    if tree.get("usr/lib/systemd/system/mariadb.service").is_some() {
        tree.write("etc/systemd/system/mariadb-first-boot.service", MARIADB);
        units::enable(tree, "mariadb-first-boot.service")?;
    }
    // Caches that are built when a system was updated are: packages did it.
    for folder in ["etc", "var"] {
        let text = format!("# Written by mkimage.\nTIMESTAMP_NSEC={epoch}000000000\n");
        tree.write(&format!("{folder}/.updated"), text);
    }
    // Empty: the service manager makes one and keeps it.
    tree.write("etc/machine-id", "");
    if let Some(node) = tree.get_mut("etc/machine-id") {
        node.mode = 0o444;
    }
    if tree.get("usr/bin/dbus-uuidgen").is_some() {
        tree.link("var/lib/dbus/machine-id", "/etc/machine-id");
    }
    Ok(())
}
