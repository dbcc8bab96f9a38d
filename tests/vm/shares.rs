//! What guests get of the machine, and what they give back when they end.

use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::turns;

/// Rounds of guests' lives; `XENOLITH_TEST_ROUNDS` asks for more.
fn rounds() -> u32 {
    let asked = std::env::var("XENOLITH_TEST_ROUNDS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(12)
}

#[test]
fn what_guests_had_comes_back_whole() {
    let web = config("disk = ['file:/data/disk.img,xvda,w']\nvif = ['']");
    let mut host = Setup::new("rounds").text("config/guests/web.cfg", &web).data_mib(256).boot();
    host.shell("dd if=/dev/zero of=/data/disk.img bs=1M count=8 2>/dev/null");
    // The first life fills caches: of kernels, of the daemons' memory.
    host.create("web", "web");
    host.xm("destroy web");
    let before = left(&mut host);
    for round in 0..rounds() {
        host.shell(&format!("xm create web name=web{round} >/dev/null"));
        match round % 4 {
            // While the kernel unpacks itself, and while it starts its drivers.
            0 => {}
            1 => drop(host.shell("sleep 1")),
            2 => drop(host.shell("sleep 3")),
            // In the middle of its work: both devices' rings are mapped, and blocks are in flight.
            _ => {
                let name = format!("web{round}");
                host.wait_for_shell(&name);
                host.guest(&name, WORK);
            }
        }
        host.shell(&format!("xm destroy web{round}"));
        if round % 20 == 19 {
            turns::say(&format!("rounds: {} guests have come and gone", round + 1));
        }
    }
    // Backends let go of their pages a moment later.
    host.wait_until(&format!("[ \"$({LEFT})\" = \"{}\" ]", before.trim()));
    assert_eq!(host.shell("ls /run/xenolith/domains /sys/bus/xen-backend/devices"), EMPTY);
    host.end();
}

/// Keeps both devices busy.
const WORK: &str = "ip link set eth0 up; (dd if=/dev/xvda of=/dev/null & \
                    while dd if=/dev/zero of=/dev/xvda bs=64k; do :; done) 2>/dev/null & true";
/// What `ls` says of two empty folders.
const EMPTY: &str = "/run/xenolith/domains:\n\n/sys/bus/xen-backend/devices:\n";
/// Prints the free memory and how many domains there are.
const LEFT: &str = "echo $(xm info | grep free_memory) $(xm list | wc -l)";

fn left(host: &mut Host) -> String {
    host.shell(LEFT)
}

#[test]
fn busy_guests_get_what_their_weights_say() {
    let mut host = Setup::new("weights")
        .text("config/guests/half.cfg", &config("cpus = '1'\ncpu_weight = 256"))
        .text("config/guests/whole.cfg", &config("cpus = '1'\ncpu_weight = 512"))
        .boot();
    for name in ["half", "whole"] {
        host.create(name, name);
    }
    for name in ["half", "whole"] {
        host.guest(name, "(while :; do :; done) & true");
    }
    host.shell("sleep 2");
    let used = |host: &mut Host| ["half", "whole"].map(|name| cpu_seconds(host, name));
    let before = used(&mut host);
    host.shell("sleep 20");
    let after = used(&mut host);
    let [half, whole] = [after[0] - before[0], after[1] - before[1]];
    let ratio = whole / half;
    assert!((1.9..=2.1).contains(&ratio), "{whole} s and {half} s of CPU: 1:{ratio:.3}");
    host.end();
}

/// The CPU time of a guest, to the nanosecond.
fn cpu_seconds(host: &mut Host, name: &str) -> f64 {
    let long = host.shell(&format!("xm list -l {name}"));
    let (_, rest) = long.split_once("(cpu_time ").unwrap_or_else(|| panic!("{long}"));
    let number = rest.split(')').next().unwrap_or_default();
    number.trim().parse().unwrap_or_else(|error| panic!("{long}: {error}"))
}
