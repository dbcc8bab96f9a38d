//! Guests that all work at once: no byte and no event is lost.

use mkimage::recipe::Size;
use std::fmt::Write;
use std::time::Duration;
use xenolith_tests::host::{Host, Setup, config};

/// A number that a variable may raise: the suite takes a short look, release tests a long one.
fn asked(variable: &str, usual: u32) -> u32 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Writes noise to the disk and reads it back, over and over.
const DISK: &str = r#"
good=0
while [ ! -e /tmp/stop ]; do
    dd if=/dev/urandom of=/tmp/noise bs=256k count=8 2>/dev/null
    dd if=/tmp/noise of=/dev/xvda bs=256k conv=fsync 2>/dev/null
    echo 3 >/proc/sys/vm/drop_caches
    if dd if=/dev/xvda bs=256k count=8 2>/dev/null | cmp -s - /tmp/noise; then
        good=$((good + 1)); echo $good >/tmp/disk
    else
        echo disk >>/tmp/wrong
    fi
done
"#;
/// Serves a text that everybody knows.
const SERVE: &str = "
mkdir -p /www
yes xenolith | head -c 1000000 >/www/text
httpd -p 80 -h /www
";
/// Fetches it from a neighbour, over and over.
const FETCH: &str = r#"
good=0
while [ ! -e /tmp/stop ]; do
    wget -q -T 20 -O /tmp/fetched http://$1/text || continue
    if cmp -s /tmp/fetched /www/text; then
        good=$((good + 1)); echo $good >/tmp/net
    else
        echo net >>/tmp/wrong
    fi
done
"#;

#[test]
fn guests_under_load_lose_nothing() {
    let (guests, seconds) = (asked("XENOLITH_TEST_GUESTS", 3), asked("XENOLITH_TEST_SECONDS", 30));
    let mut setup = Setup::new("load")
        .text("config/xend-config.sxp", "(network-script 'network-bridge bridge=lan netdev=none')")
        .memory(Size::mib(1280 + 192 * u64::from(guests)))
        .data_mib(160 + 8 * guests);
    for (number, name) in names(guests) {
        let disk = format!("disk = ['file:/data/{name}.img,xvda,w']\nvif = ['bridge=lan']");
        setup = setup.text(&format!("config/guests/{name}.cfg"), &config(&disk));
        assert!(number < 200, "that many have no address");
    }
    let mut host = setup.boot();
    for (number, name) in names(guests) {
        host.shell(&format!("dd if=/dev/zero of=/data/{name}.img bs=1M count=4 2>/dev/null"));
        host.create(&name, &name);
        host.guest(&name, &format!("ip addr add 10.9.0.{number}/24 dev eth0; ip link set eth0 up"));
    }
    for (number, name) in names(guests) {
        let neighbour = number % guests + 1;
        for (file, script) in [("disk", DISK), ("serve", SERVE), ("fetch", FETCH)] {
            write_script(&mut host, &name, file, script);
        }
        host.guest(&name, "sh /tmp/serve.sh; sh /tmp/disk.sh & true");
        host.guest(&name, &format!("sleep 2; sh /tmp/fetch.sh 10.9.0.{neighbour} & true"));
    }
    host.shell(&format!("sleep {}", seconds.min(50)));
    std::thread::sleep(Duration::from_secs(seconds.saturating_sub(50).into()));
    let half: Vec<_> = names(guests).map(|(_, name)| done(&mut host, &name)).collect();
    host.shell("sleep 20");
    for ((_, name), before) in names(guests).zip(half) {
        let now = done(&mut host, &name);
        // Nobody waits for an event that was lost.
        assert!(now.0 > before.0 && now.1 > before.1, "{name} stands still: {before:?} {now:?}");
        host.guest(&name, "touch /tmp/stop; [ ! -e /tmp/wrong ] || { cat /tmp/wrong; false; }");
    }
    host.end();
}

fn names(guests: u32) -> impl Iterator<Item = (u32, String)> {
    (1..=guests).map(|number| (number, format!("load{number}")))
}

/// Writes a script by the guest's console, line by line.
fn write_script(host: &mut Host, name: &str, file: &str, script: &str) {
    let mut command = format!(": >/tmp/{file}.sh");
    for line in script.lines() {
        write!(command, "; echo '{line}' >>/tmp/{file}.sh").expect("a string");
    }
    host.guest(name, &command);
}

/// How often a guest's disk and network proved right.
fn done(host: &mut Host, name: &str) -> (u32, u32) {
    let said = host.guest(name, "cat /tmp/disk /tmp/net 2>/dev/null || true");
    let mut numbers = said.split_whitespace().map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
