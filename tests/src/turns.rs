//! Machines take turns: an emulated CPU keeps one of the host's busy, and tests with timeouts
//! must not share it with others.

use std::fs::File;
use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Prints a line of progress, past the test harness, which keeps what passing tests print.
pub fn say(line: &str) {
    // Nobody reads it when it fails.
    let _ = writeln!(std::io::stderr(), "vm: {line}");
}

/// CPUs of the host that no machine uses.
static FREE: Mutex<Option<usize>> = Mutex::new(None);
static FREED: Condvar = Condvar::new();

fn total() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn free() -> MutexGuard<'static, Option<usize>> {
    // A test that fails gives its CPUs back all the same.
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Some of the host's CPUs, given back when dropped.
#[derive(Debug)]
pub struct Turn {
    cpus: usize,
}

impl Turn {
    /// Waits until as many CPUs are free, or all of them if the host has fewer. Tests of other
    /// processes wait until this process has ended.
    pub fn wait(cpus: u32) -> Self {
        only_process();
        let cpus = usize::try_from(cpus).unwrap_or(usize::MAX).min(total());
        let mut guard = free();
        loop {
            let left = *guard.get_or_insert_with(total);
            if left >= cpus {
                *guard = Some(left - cpus);
                return Self { cpus };
            }
            guard = FREED.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut guard = free();
        *guard = guard.map(|left| left + self.cpus);
        FREED.notify_all();
    }
}

/// Takes the lock that all processes with machines share, until this process ends.
fn only_process() {
    static LOCK: OnceLock<File> = OnceLock::new();
    LOCK.get_or_init(|| {
        let path = std::env::temp_dir().join("xenolith-vm-tests.lock");
        let file = File::options().create(true).append(true).open(&path);
        let file = file.unwrap_or_else(|error| panic!("can't open {}: {error}", path.display()));
        if file.try_lock().is_err() {
            say("waiting for the machines of another test run to end");
            file.lock().unwrap_or_else(|error| panic!("can't lock {}: {error}", path.display()));
        }
        file
    });
}
