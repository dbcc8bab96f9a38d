//! Guests live and die as `xm` has it: started, looked at, paused, rebooted, shut down and
//! destroyed, with the control domain's daemons killed in between.

use std::time::Duration;
use xenolith_tests::host::{Host, Setup, config};

fn host(name: &str) -> Host {
    Setup::new(name)
        .text("config/guests/web.cfg", &config(""))
        .text("config/guests/smp.cfg", &config("vcpus = 4"))
        .boot()
}

/// The words of a guest's line in `xm list`.
fn row(host: &mut Host, name: &str) -> Vec<String> {
    let list = host.xm("list");
    let line = list.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no line of {name}: {list}"));
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_guest_lives_from_create_to_shutdown() {
    let mut host = host("life");
    host.create("web", "web");
    let listed = row(&mut host, "web");
    assert_eq!(listed.get(1..4).unwrap_or_default(), ["1", "192", "1"], "{listed:?}");
    let kernel = host.guest("web", "uname -s; cat /sys/hypervisor/type");
    assert_eq!(kernel, "Linux\nxen\n");

    host.xm("pause web");
    host.wait_for_state("web", Some("--p---"));
    host.xm("unpause web");
    assert_eq!(host.guest("web", "echo on"), "on\n");

    // A guest that reboots at once would only do so again: it must have run for a while.
    host.shell("sleep 5");
    host.xm("reboot web");
    host.wait_until("xm domid web | grep -qx 2");
    host.wait_for_shell("web");

    host.create("smp", "smp");
    assert_eq!(host.guest("smp", "nproc"), "4\n");
    host.xm("destroy smp");
    host.wait_for_state("smp", None);

    host.xm("shutdown -w web");
    host.wait_for_state("web", None);
    assert_eq!(host.shell("ls /run/xenolith/domains"), "");
    host.end();
}

#[test]
fn the_store_dies_and_guests_go_on() {
    let mut host = host("store");
    host.create("web", "web");
    host.kill("xenstored");
    host.wait_until("xm list web | grep -q web && xm domid web | grep -qx 1");
    assert_eq!(host.guest("web", "echo on"), "on\n");
    // The guest's kernel hears of what it watched before.
    host.shell("xm shutdown -w web");
    host.wait_for_state("web", None);
    host.end();
}

#[test]
fn daemons_die_and_guests_go_on() {
    let mut host = host("adoption");
    host.create("web", "web");
    host.guest("web", "(while sleep 1; do date +%s >/tmp/alive; done) & true");
    for daemon in ["xend", "guest-consoles"] {
        host.kill(daemon);
        host.wait_until("xm list web | grep -q web && xm domid web | grep -qx 1");
        assert_eq!(host.guest("web", "echo on"), "on\n");
    }
    host.wait_until("xm pause web && xm unpause web");
    host.guest("web", "[ $(($(date +%s) - $(cat /tmp/alive))) -lt 5 ]");
    host.xm("shutdown -w web");
    host.wait_for_state("web", None);
    host.end();
}

/// Waits until what a guest says is this.
fn wait_for_guest(host: &mut Host, name: &str, command: &str, expected: &str) {
    let mut said = String::new();
    for _ in 0..30 {
        said = host.guest(name, command);
        if said.trim() == expected {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("{name}: {command}: {said} instead of {expected}");
}

#[test]
fn what_a_guest_has_changes_while_it_runs() {
    let mut host = Setup::new("changes")
        .text("config/guests/smp.cfg", &config("vcpus = 4"))
        .data_mib(400)
        .boot();
    host.create("smp", "smp");

    host.shell("xm vcpu-set smp 2");
    wait_for_guest(&mut host, "smp", "nproc", "2");
    let (_, refused) = host.try_shell("xm vcpu-set smp 5 2>&1");
    assert!(refused.contains("1 to 4 vCPUs"), "{refused}");
    host.shell("xm vcpu-pin smp all 1");
    let vcpus = host.shell("xl vcpu-list smp");
    assert_eq!(vcpus.matches("1 / all").count(), 4, "{vcpus}");
    host.shell("xm sched-credit2 -d smp -w 512 -c 90");
    let shares = host.shell("xm sched-credit2");
    let share: Vec<&str> = shares.lines().last().unwrap_or_default().split_whitespace().collect();
    assert_eq!(share, ["smp", "1", "512", "90"], "{shares}");

    host.shell("xm mem-set smp 144");
    host.wait_until("xm list smp | grep -q ' 144 '");
    let (_, refused) = host.try_shell("xm mem-set smp 4g 2>&1");
    assert!(refused.contains("maxmem="), "{refused}");
    host.shell("xm mem-set smp 192m && xm mem-max smp 192");
    host.wait_until("xm list smp | grep -q ' 19[12] '");

    host.shell("dd if=/dev/urandom of=/data/disk.img bs=1M count=4 2>/dev/null");
    host.shell("xm block-attach smp file:/data/disk.img xvdb w");
    let sum = host.shell("md5sum </data/disk.img");
    let list = host.shell("xm block-list smp");
    assert!(list.lines().any(|line| line.starts_with("51728 0   1      ")), "{list}");
    wait_for_guest(&mut host, "smp", "[ -b /dev/xvdb ] && echo there || echo not", "there");
    assert_eq!(host.guest("smp", "md5sum </dev/xvdb"), sum);
    host.shell("xm block-detach smp xvdb");
    wait_for_guest(&mut host, "smp", "[ -b /dev/xvdb ] && echo there || echo not", "not");
    let (_, refused) = host.try_shell("xm block-detach smp xvdb 2>&1");
    assert!(refused.contains("xm block-list"), "{refused}");

    host.shell("xm sysrq smp h");
    wait_for_guest(&mut host, "smp", "dmesg | grep -c 'sysrq: HELP'", "1");

    host.shell("xm dump-core smp /data/smp.core");
    let size: u64 = host.shell("wc -c </data/smp.core").trim().parse().expect("a size");
    assert!(size > 180 << 20, "{size}");
    assert_eq!(host.shell("head -c 4 /data/smp.core | tail -c 3"), "ELF");
    host.shell("rm /data/smp.core");
    assert_eq!(host.guest("smp", "echo on"), "on\n");
    host.end();
}

#[test]
fn crashes_are_kept_and_guests_start_again() {
    let mut host = Setup::new("crashes")
        .text("config/guests/core.cfg", &config("on_crash = 'coredump-restart'"))
        .text("config/guests/beside.cfg", &config("on_crash = 'rename-restart'\nvcpus = 2"))
        .data_mib(400)
        .boot();
    host.create("core", "core");
    host.create("beside", "beside");
    let uuid = "xm list -l beside | grep uuid";
    let before = host.shell(uuid);
    // What was changed while it ran goes for its next life as well.
    host.shell("xm vcpu-set beside 1 && xm sched-credit2 -d beside -w 300");
    // A guest that crashes at once would only do so again: it must have run for a while.
    host.shell("sleep 8");
    for (name, next) in [("core", 3), ("beside", 4)] {
        host.guest(name, "(sleep 1; echo c >/proc/sysrq-trigger) & true");
        host.wait_until(&format!("xm domid {name} | grep -qx {next}"));
        host.wait_for_shell(name);
    }
    assert_eq!(host.shell("head -c 4 /data/cores/core.core | tail -c 3"), "ELF");
    host.wait_for_state("beside-1", Some("---sc-"));
    assert_eq!(host.guest("beside", "nproc"), "1\n");
    let shares = host.shell("xm sched-credit2 -d beside");
    assert!(shares.contains(" 300 "), "{shares}");
    assert_eq!(host.shell(uuid), before);
    host.kill("xend");
    host.wait_until("xm destroy beside-1");
    host.shell("xm destroy beside && xm destroy core");
    assert_eq!(host.shell("ls /run/xenolith/domains; xm list | wc -l"), "2\n");
    host.end();
}

#[test]
fn guests_are_known_without_running() {
    let mut host = Setup::new("managed")
        .text("config/guests/web.cfg", &config(""))
        .text("config/auto/first.cfg", &config("memory = 160"))
        .boot();
    // It started with the machine.
    host.wait_until("xm list first | grep -q ' 160 '");
    host.shell("xm destroy first");

    host.shell("xm new web memory=176");
    let list = host.shell("xm list");
    assert!(list.lines().any(|line| line.starts_with("web ") && line.contains(" 176 ")), "{list}");
    host.shell("xm start -p web");
    host.wait_for_state("web", Some("--p---"));
    let (_, refused) = host.try_shell("xm delete web 2>&1");
    assert!(refused.contains("shut it down first"), "{refused}");
    host.shell("xm destroy web && xm delete web");
    host.wait_for_state("web", None);

    // What can't be started leaves nothing behind.
    let before = host.shell("xm info | grep free_memory");
    for (config, reason) in [
        ("web kernel=/data/none", "/data/none: "),
        ("web kernel=/data/config/guests/web.cfg", "kernel /data/config/guests/web.cfg"),
        ("web disk=phy:vg/none,xvda,w", "there is no such device"),
        ("web memory=64000", "aren't free"),
        ("web builder=hvm", "HVM guests aren't supported yet"),
    ] {
        let (status, said) = host.try_shell(&format!("xm create {config} 2>&1"));
        assert!(status != 0 && said.contains(reason), "{config}: {said}");
    }
    assert_eq!(host.shell("xm list | wc -l"), "2\n");
    assert_eq!(host.shell("xm info | grep free_memory"), before);
    assert_eq!(host.shell("ls /run/xenolith/domains"), "");
    host.end();
}

#[test]
fn a_guest_boots_its_own_kernel_from_its_own_disk() {
    let guest =
        "bootloader = \"pygrub\"\nmemory = 256\ndisk = ['file:/data/images/own.img,xvda,w']\n";
    let mut host = Setup::new("pvgrub")
        .text("config/guests/own.cfg", guest)
        .guest_disk("images/own.img")
        .boot();
    host.create("own", "own");
    let line = host.guest("own", "cat /proc/cmdline");
    assert!(line.contains("from=disk"), "{line}");
    host.xm("shutdown -w own");
    host.wait_for_state("own", None);

    // A disk that nothing can be booted from: GRUB says so.
    host.shell("dd if=/dev/zero of=/data/images/empty.img bs=1M count=2 2>/dev/null");
    host.xm("create own name=empty disk=file:/data/images/empty.img,xvda,w");
    host.open_console("empty");
    host.vm.expect("No disk of this guest has a /boot/grub/grub.cfg", Duration::from_secs(60));
    host.leave_console();
    host.wait_for_state("empty", None);
    host.end();
}
