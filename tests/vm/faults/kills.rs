//! Every daemon is killed in the middle of every operation. The operation succeeds, or fails with a
//! reason; doing it again then works; and at the end of a guest's life nothing is left of it.
//!
//! In one round each operation meets one daemon; six rounds (`XENOLITH_TEST_ROUNDS`) bring each
//! operation and each daemon together, and further ones at other moments.

use std::time::{Duration, Instant};
use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::turns;

/// The daemons, by name.
const DAEMONS: [&str; 6] =
    ["xend", "xenstored", "guest-disks", "guest-consoles", "network", "hotplug"];
/// At which moments of an operation, as parts of the time that it takes.
const MOMENTS: [u32; 5] = [3, 0, 8, 1, 5];
const PARTS: u32 = 10;

/// Something that an operator does to the guest `web`.
struct Operation {
    command: &'static str,
    /// A command of the control domain's shell that succeeds once it is done, however that came.
    done: &'static str,
    /// How long it takes, in milliseconds.
    takes: u32,
}

/// A guest's life, in order.
const LIFE: [Operation; 12] = [
    operation(
        "xm create web",
        "xm domid web && [ $(ls /sys/class/net/lan/brif | wc -l) = 1 ]",
        2500,
    ),
    operation(
        "xm block-attach web file:/data/b.img xvdc w",
        "xm block-list web | grep -q ^51744",
        400,
    ),
    operation(
        "xm block-attach web tap:qcow2:/data/r.qcow2 xvdd w",
        "xm block-list web | grep -q ^51760",
        400,
    ),
    operation(
        "xm network-attach web bridge=lan mac=00:16:3e:00:00:77",
        "xm network-list web | grep -q 00:77 && [ $(ls /sys/class/net/lan/brif | wc -l) = 2 ]",
        500,
    ),
    operation("xm mem-set web 144", "xm list web | grep -q ' 14[34] '", 200),
    operation("xm vcpu-set web 1", "[ $(xm vcpu-list web | grep -c -- ' --p ') = 1 ]", 200),
    operation("xm block-detach web xvdd", "! xm block-list web | grep -q ^51760", 400),
    operation("xm block-detach web xvdc", "! xm block-list web | grep -q ^51744", 400),
    operation(
        "xm network-detach web 1",
        "! xm network-list web | grep -q 00:77 && [ $(ls /sys/class/net/lan/brif | wc -l) = 1 ]",
        400,
    ),
    operation("xm reboot web", "[ $(xm domid web) != $(cat /tmp/domid) ]", 3000),
    operation("xm shutdown -w web", "! xm list web", 2000),
    operation("xm create web", "xm domid web", 2500),
];
/// After a while, in the middle of its boot.
const DESTROY: Operation = operation("xm destroy web", "! xm list web", 400);

const fn operation(command: &'static str, done: &'static str, takes: u32) -> Operation {
    Operation { command, done, takes }
}

/// What is left of guests: the store's nodes, as `ls` has them, and everything of the kernel and
/// the daemons.
const LEFT: &str = "
    nodes /local/domain | grep -vx 0; nodes /vm
    for kind in vbd vif qdisk; do nodes /local/domain/0/backend/$kind; done
    ls /sys/bus/xen-backend/devices /sys/class/net/lan/brif | grep -v :
    cat /sys/block/loop*/loop/backing_file 2>/dev/null
    ls /run/xenolith/disks /run/xenolith/domains 2>/dev/null | grep -v :
    xm list | tail -n +3
    xm info | grep free_memory
    true";

/// For the shell: asks the store as the kernel does, for a node's children.
const NODES: &str = r#"nodes() {
    length=$((${#1} + 1))
    exec 4<>/dev/xen/xenbus
    printf "\\1\\0\\0\\0\\1\\0\\0\\0\\0\\0\\0\\0\\$(printf %o $length)\\0\\0\\0$1\\0" >&4
    dd bs=4096 count=1 <&4 2>/dev/null | tail -c +17 | tr '\0' '\n' | grep -vx ENOENT
    exec 4>&-
}"#;

/// For what a daemon that is started again has to put right.
const PATIENCE: Duration = Duration::from_secs(60);

fn rounds() -> u32 {
    let asked = std::env::var("XENOLITH_TEST_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(1)
}

#[test]
fn daemons_die_in_the_middle_of_everything() {
    let web = config(
        "memory = 160\nvcpus = 2\nvif = ['bridge=lan']\n\
         disk = ['file:/data/a.img,xvda,w', 'tap:qcow2:/data/q.qcow2,xvdb,w']",
    );
    let folder = xenolith_tests::workbench::Folder::new("kills-images");
    let image = folder.file("q.qcow2");
    xenolith_tests::qemu_img::create(&image, &["8M"]);
    let mut host = Setup::new("kills")
        .text("config/guests/web.cfg", &web)
        .text("config/xend-config.sxp", "(network-script 'network-bridge bridge=lan netdev=none')")
        .file("q.qcow2", &image)
        .file("r.qcow2", &image)
        .data_mib(256)
        .boot();
    host.shell(NODES);
    host.shell(
        "for name in a b; do dd if=/dev/zero of=/data/$name.img bs=1M count=4 2>/dev/null; done",
    );
    // The first life fills caches.
    host.create("web", "web");
    host.xm("destroy web");
    let before = host.shell(LEFT);
    for round in 0..rounds() {
        for (number, operation) in (0..).zip(&LIFE) {
            if operation.command == "xm reboot web" {
                // It must have run for a while, or it isn't started again.
                host.shell("sleep 3; xm domid web >/tmp/domid");
            }
            meet(&mut host, round, number, operation);
            if operation.command.ends_with("boot web") || number == 0 {
                host.wait_for_shell("web");
                watch_the_console(&mut host, round, number);
            }
        }
        host.shell(&format!("usleep {}", 700_000 * round % 5_000_000));
        meet(&mut host, round, 12, &DESTROY);
        wait_until_all_is_gone(&mut host, &before);
    }
    let log = host.shell("xm log");
    assert!(!log.contains("panicked"), "{log}");
    host.end();
}

/// Waits until there is as much of guests as there was before.
fn wait_until_all_is_gone(host: &mut Host, before: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = host.shell(LEFT);
        if left == before {
            return;
        }
        assert!(Instant::now() < deadline, "left: {left}before: {before}{}", host.shell("xm log"));
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Does something while a daemon is killed; does it again if it fails.
fn meet(host: &mut Host, round: u32, number: u32, operation: &Operation) {
    let daemon = daemon(round, number);
    let moment = MOMENTS[usize::try_from(number + round / 6).unwrap_or(0) % MOMENTS.len()];
    let Operation { command, done, takes } = operation;
    let done = format!("{{ {done}; }} >/dev/null 2>&1");
    let process = host.process_of(daemon);
    host.shell(&format!(
        "rm -f /tmp/status; ({command} >/tmp/said 2>&1; echo $? >/tmp/status) & \
         usleep {}; kill -9 {process} || true",
        takes * 1000 * moment / PARTS
    ));
    host.wait_until("[ -s /tmp/status ]");
    let (status, said) = (host.shell("cat /tmp/status"), host.shell("cat /tmp/said"));
    turns::say(&format!("{command}, {daemon} killed: {} {}", status.trim(), said.trim()));
    host.wait_for_successor(daemon, &process);
    if status.trim() != "0" {
        let told = ["xend ended before it answered", "the connection to the store broke"];
        assert!(told.iter().any(|words| said.contains(words)), "{command}, {daemon}: {said}");
        // It may have been asked for all the same.
        let soon = format!("for _ in $(seq 20); do {done} && break; usleep 200000; done; {done}");
        if host.try_shell(&soon).0 != 0 {
            host.shell(command);
        }
    }
    host.wait_until(&done);
    host.wait_until(
        "[ $(ls /run/xenolith/domains | wc -l) = $(xm list | tail -n +3 | grep -vc null) ]",
    );
}

/// Looks at the guest's console while a daemon is killed: what the guest says next is seen.
fn watch_the_console(host: &mut Host, round: u32, number: u32) {
    let daemon = if round == 0 { "guest-consoles" } else { daemon(round, number + 3) };
    host.shell(
        "rm -f /tmp/status /tmp/keys; mkfifo /tmp/keys; \
         (xm console web </tmp/keys >/tmp/seen 2>&1; echo $? >/tmp/status) & exec 5>/tmp/keys",
    );
    host.wait_until("printf '\\r' >&5; usleep 300000; grep -q guest# /tmp/seen");
    let process = host.process_of(daemon);
    host.shell(&format!("kill -9 {process}"));
    host.wait_for_successor(daemon, &process);
    host.shell(&format!("printf 'echo se''en-{round}-{number}\\r' >&5"));
    host.wait_until(&format!("grep -q '^seen-{round}-{number}' /tmp/seen"));
    host.shell("printf '\\035' >&5; exec 5>&-");
    host.wait_until("[ -s /tmp/status ]");
    assert_eq!(host.shell("cat /tmp/status"), "0\n");
}

fn daemon(round: u32, number: u32) -> &'static str {
    DAEMONS[usize::try_from(round + number).unwrap_or(0) % DAEMONS.len()]
}
