//! The overview above the screen's prompt: host, hypervisor, network, data, guests; brought up to
//! date every two seconds in rows that the prompt's scrolling leaves alone.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::termios::tcgetwinsize;
use xenctl::Xen;
use xenctl::xen_abi::domctl::GetDomainInfo;
use xenctl::xen_abi::sysctl::PhysInfo;

use crate::init::{clock, hypervisor};
use crate::net::status::{self, Status};
use crate::storage::MOUNT_POINT;
use crate::xm::domains;

const PERIOD: Duration = Duration::from_secs(2);

/// Save and restore the cursor with its attributes; the Linux console knows these.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
/// Origin mode: rows count from the top of the scrolling region, so that what clears the screen
/// or goes to its top stays below the overview.
const FROM_REGION: &str = "\x1b[?6h";
const FROM_SCREEN: &str = "\x1b[?6l";
const CLEAR: &str = "\x1b[H\x1b[2J";

/// The rows that the screen shows. Drawing is slow on a framebuffer: only what changed is drawn.
type Shown = Vec<String>;

/// The running overview.
#[derive(Debug)]
pub struct Dashboard {
    turn: Arc<Mutex<Shown>>,
    /// Its height, and the terminal's.
    height: u16,
    rows: u16,
}

/// While this lives, the whole screen belongs to a command.
#[derive(Debug)]
pub struct Pause<'a> {
    dashboard: &'a Dashboard,
    turn: MutexGuard<'a, Shown>,
}

impl Dashboard {
    /// Takes the upper rows of the terminal and starts drawing.
    pub fn start(rows: u16) -> Self {
        let turn = Arc::new(Mutex::new(Shown::new()));
        let dashboard = Self { turn: Arc::clone(&turn), height: height(rows), rows };
        dashboard.claim();
        let height = usize::from(dashboard.height);
        let drawing = std::thread::Builder::new().name("dashboard".into()).spawn(move || {
            let mut xen = None;
            loop {
                if xen.is_none() {
                    xen = Xen::open().ok();
                }
                let facts = Facts::gather(xen.as_ref());
                {
                    let mut shown = turn.lock().unwrap_or_else(PoisonError::into_inner);
                    let rows = frame(&facts, height, columns());
                    print_all(&changes(&shown, &rows));
                    *shown = rows;
                }
                std::thread::sleep(PERIOD);
            }
        });
        if let Err(error) = drawing {
            log::error!("the overview can't be drawn: {error}");
        }
        dashboard
    }

    /// Stops drawing, and gives all rows to a command, until the result is dropped.
    pub fn pause(&self) -> Pause<'_> {
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        print_all(&format!("{FROM_SCREEN}\x1b[r{CLEAR}"));
        Pause { dashboard: self, turn }
    }

    /// Draws all rows next time: something else may have been drawn there.
    pub fn redraw(&self) {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Keeps scrolling below the overview.
    fn claim(&self) {
        let first = self.height + 1;
        print_all(&format!("{FROM_SCREEN}{CLEAR}\x1b[{first};{}r{FROM_REGION}", self.rows));
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.dashboard.claim();
        // Nothing is shown now.
        self.turn.clear();
    }
}

/// The overview's height: as much as it needs for some guests, but never most of the screen.
fn height(rows: u16) -> u16 {
    (rows / 2).clamp(6, 20).min(rows.saturating_sub(4))
}

fn columns() -> usize {
    tcgetwinsize(std::io::stdout()).map_or(80, |size| usize::from(size.ws_col.max(20)))
}

/// One write, so that the prompt's own writes come before or after it.
fn print_all(text: &str) {
    let mut out = std::io::stdout().lock();
    // A screen that is gone needs no overview.
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What the overview shows.
#[derive(Debug, Clone, Default)]
struct Facts {
    host: String,
    time: String,
    hypervisor: Option<(String, PhysInfo)>,
    networks: Vec<Status>,
    /// The data partition's size and what is free of it, in bytes.
    data: Option<(u64, u64)>,
    domains: Vec<GetDomainInfo>,
}

impl Facts {
    fn gather(xen: Option<&Xen>) -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        let machine = xen.and_then(|xen| xen.physical_info().ok());
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            time: clock::utc(now),
            hypervisor: machine.map(|machine| (hypervisor::version(), machine)),
            networks: status::all(),
            data: data_space(),
            domains: xen.and_then(|xen| xen.domains().ok()).unwrap_or_default(),
        }
    }
}

/// The data partition's size and free space, when it is mounted.
fn data_space() -> Option<(u64, u64)> {
    let device = |path: &str| rustix::fs::stat(path).ok().map(|stat| stat.st_dev);
    if device(MOUNT_POINT)? == device("/")? {
        return None;
    }
    let space = rustix::fs::statvfs(MOUNT_POINT).ok()?;
    Some((space.f_blocks.checked_mul(space.f_frsize)?, space.f_bavail.checked_mul(space.f_frsize)?))
}

/// The overview's `height` rows of `columns`, as they are written; the last one is a line.
fn frame(facts: &Facts, height: usize, columns: usize) -> Vec<String> {
    let mut lines = vec![title(facts, columns)];
    lines.extend(about_host(facts));
    let room = height.saturating_sub(lines.len() + 1);
    lines.extend(about_domains(&facts.domains, room));
    lines.resize(height.saturating_sub(1), String::new());
    lines.push("─".repeat(columns));
    let rows = lines.iter().enumerate().map(|(index, line)| {
        let line: String = line.chars().take(columns).collect();
        let (on, off) = if index == 0 { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        // Behind a full line the cursor still stands on its last character.
        let clear = if line.chars().count() < columns { "\x1b[K" } else { "" };
        format!("{on}{line}{off}{clear}")
    });
    rows.collect()
}

/// What makes a screen that shows `shown` show `rows`.
fn changes(shown: &[String], rows: &[String]) -> String {
    let changed = rows.iter().enumerate().filter(|(index, row)| shown.get(*index) != Some(row));
    let drawn: String = changed.map(|(index, row)| format!("\x1b[{};1H{row}", index + 1)).collect();
    if drawn.is_empty() {
        drawn
    } else {
        format!("{SAVE}{FROM_SCREEN}{drawn}{FROM_REGION}{RESTORE}")
    }
}

fn title(facts: &Facts, columns: usize) -> String {
    let left = format!("Xenolith {}  {}", env!("CARGO_PKG_VERSION"), facts.host);
    let gap = columns.saturating_sub(left.chars().count() + facts.time.chars().count()).max(2);
    format!("{left}{}{}", " ".repeat(gap), facts.time)
}

fn about_host(facts: &Facts) -> Vec<String> {
    let hypervisor = match &facts.hypervisor {
        None => "none: the kernel runs bare".to_owned(),
        Some((version, machine)) => {
            let mib = |pages: u64| pages / 256;
            format!(
                "Xen {version}, {} CPUs at {} MHz, {} MiB of {} MiB free",
                machine.nr_cpus,
                machine.cpu_khz / 1000,
                mib(machine.free_pages),
                mib(machine.total_pages)
            )
        }
    };
    let networks: Vec<String> = facts.networks.iter().map(network).collect();
    let networks =
        if networks.is_empty() { "no wired interface".to_owned() } else { networks.join(";  ") };
    let data = match facts.data {
        None => "no data partition: state is kept in memory".to_owned(),
        Some((size, free)) => format!("{} MiB of {} MiB free", free >> 20, size >> 20),
    };
    vec![
        format!("Hypervisor  {hypervisor}"),
        format!("Network     {networks}"),
        format!("Data        {data}"),
    ]
}

fn network(status: &Status) -> String {
    let name = &status.interface;
    match (status.address, status.carrier) {
        (Some((address, prefix)), _) => {
            let router: Option<Ipv4Addr> = status.router;
            let router = router.map(|r| format!(" via {r}")).unwrap_or_default();
            format!("{name} {address}/{prefix}{router}")
        }
        (None, true) => format!("{name} asking for an address"),
        (None, false) => format!("{name} no cable"),
    }
}

/// As many domains as there is room for, and how many there are beyond those.
fn about_domains(all: &[GetDomainInfo], room: usize) -> Vec<String> {
    if all.is_empty() || room < 2 {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "Domains     {:<28} {:>5} {:>7} {:>5}  {:6} {:>9}",
        "Name", "ID", "MiB", "vCPUs", "State", "Time(s)"
    )];
    let fits = room - 1;
    let shown = if all.len() > fits { fits.saturating_sub(1) } else { all.len() };
    lines.extend(all.iter().take(shown).map(|domain| {
        format!(
            "            {:<28} {:>5} {:>7} {:>5}  {:6} {:>9.1}",
            domains::name(domain.domain),
            domain.domain,
            domains::memory_kib(domain) / 1024,
            domain.nr_online_vcpus,
            domains::state(domain),
            domains::cpu_seconds(domain)
        )
    }));
    if shown < all.len() {
        lines.push(format!("            and {} more: `list` shows all", all.len() - shown));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xm::domains::tests::domain;

    fn facts(domains: u16) -> Facts {
        let mut status = Status::unconfigured("eth0", true);
        status.address = Some(([10, 0, 2, 15].into(), 24));
        status.router = Some([10, 0, 2, 2].into());
        let machine = PhysInfo {
            nr_cpus: 4,
            cpu_khz: 3_000_000,
            total_pages: 524_288,
            free_pages: 262_144,
            ..PhysInfo::default()
        };
        Facts {
            host: "xenolith".into(),
            time: "2026-11-22 06:36:00 UTC".into(),
            hypervisor: Some(("4.20.0".into(), machine)),
            networks: vec![status, Status::unconfigured("eth1", false)],
            data: Some((20 << 30, 12 << 30)),
            domains: (0..domains).map(|id| domain(id, 0)).collect(),
        }
    }

    /// The frame's lines without the escapes in them.
    fn lines(facts: &Facts, height: usize) -> Vec<String> {
        let plain = |row: &String| {
            ["\x1b[1m", "\x1b[0m", "\x1b[K"].iter().fold(row.clone(), |row, e| row.replace(e, ""))
        };
        frame(facts, height, 80).iter().map(plain).collect()
    }

    #[test]
    fn only_what_changed_is_drawn() {
        let before = frame(&facts(2), 12, 80);
        let mut later = facts(2);
        later.time = "2026-11-22 06:36:02 UTC".into();
        let after = frame(&later, 12, 80);
        let drawn = changes(&before, &after);
        assert!(drawn.contains("\x1b[1;1H") && drawn.contains("06:36:02"), "{drawn:?}");
        assert_eq!(drawn.matches('H').count(), 1, "{drawn:?}");
        assert_eq!(changes(&after, &after), "");
        assert_eq!(changes(&[], &after).matches(";1H").count(), 12);
    }

    #[test]
    fn everything_at_a_glance() {
        let lines = lines(&facts(2), 12);
        assert_eq!(
            lines[1],
            "Hypervisor  Xen 4.20.0, 4 CPUs at 3000 MHz, 1024 MiB of 2048 MiB free"
        );
        assert_eq!(lines[2], "Network     eth0 10.0.2.15/24 via 10.0.2.2;  eth1 no cable");
        assert_eq!(lines[3], "Data        12288 MiB of 20480 MiB free");
        assert!(lines[0].ends_with("2026-11-22 06:36:00 UTC") && lines[0].chars().count() == 80);
        assert!(lines[5].contains("Domain-0"), "{lines:?}");
        assert_eq!(lines[11], "─".repeat(80));
    }

    #[test]
    fn more_guests_than_rows_are_counted() {
        let text = frame(&facts(50), 12, 80).concat();
        assert!(text.contains("and 45 more"), "{text:?}");
        assert_eq!(lines(&facts(50), 12).len(), 12, "never more rows than its height");
    }

    #[test]
    fn small_screens_keep_room_for_the_prompt() {
        assert_eq!((height(25), height(24), height(64)), (12, 12, 20));
        assert!(height(8) <= 4);
        frame(&Facts::default(), usize::from(height(8)), 20);
    }
}
