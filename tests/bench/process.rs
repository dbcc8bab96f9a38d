//! The memory that a process and all its children take together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of a page.
const PAGE: u64 = 4096;

/// Runs something; its result, and the most bytes that were resident in this process and its
/// children meanwhile. A page that several of them share counts for each.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, most.load(Ordering::Relaxed))
    })
}

/// The bytes that are resident now.
fn resident() -> u64 {
    let mut parents = HashMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        // A process may end at any moment.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        if let Some(parent) = fields.split(' ').nth(1).and_then(|parent| parent.parse().ok()) {
            parents.insert(pid, parent);
        }
    }
    let own = std::process::id();
    let is_ours = |pid: &u32| {
        let up = std::iter::successors(Some(*pid), |pid| parents.get(pid).copied());
        up.take(parents.len()).any(|pid: u32| pid == own)
    };
    parents.keys().filter(|pid| is_ours(pid)).map(|pid| pages(*pid) * PAGE).sum()
}

/// The resident pages of a process.
fn pages(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0)
}
