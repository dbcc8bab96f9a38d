//! The processes of user space, for taking all of them down.

use rustix::process::{Pid, Signal, kill_process};

/// Every process of user space but this one. Kernel threads have no program.
pub fn of_user_space() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|&pid| pid != 1)
        .filter(|pid| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok())
        .filter_map(Pid::from_raw)
        .collect()
}

/// Sends a signal to every process of user space but this one; returns how many there are.
pub fn signal_all(signal: Signal) -> usize {
    let all = of_user_space();
    for pid in &all {
        // It may just have ended by itself.
        let _gone = kill_process(*pid, signal);
    }
    all.len()
}
