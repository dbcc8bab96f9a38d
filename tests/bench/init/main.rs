//! PID 1 of the benchmarks: says when it started, by the machine's clock, and waits for ever.
#![expect(unsafe_code, reason = "reads the time stamp counter")]

fn main() {
    // SAFETY: RDTSC is there on every x86-64 CPU, and user space may execute it.
    let now = unsafe { core::arch::x86_64::_rdtsc() };
    println!("PID 1 runs at TSC {now}.");
    loop {
        std::thread::park();
    }
}
