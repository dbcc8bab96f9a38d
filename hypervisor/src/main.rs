//! The Xenolith hypervisor: all mechanism, and the boot as one list of calls.
//!
//! Built freestanding with `hypervisor/build.toml` (see `build.rs`). In a plain workspace build
//! it is an ordinary program that says so, while the compiler still checks every line.
#![no_std]
#![cfg_attr(freestanding, no_main)]
#![cfg_attr(
    not(freestanding),
    allow(dead_code, unused_imports, reason = "the program that says so calls none of this")
)]

extern crate alloc;
#[cfg(not(freestanding))]
extern crate std;

#[macro_use]
mod log;

mod arch;
mod console;
mod debug;
mod dom0;
mod domain_reports;
mod drivers;
mod guest_access;
mod irq;
mod machine;
mod mm;
mod panic;
mod platform;
mod power;

use core::sync::atomic::{AtomicBool, Ordering};

use hv_boot::info::BootInfo;
use hv_boot::options::Options;
use xen_abi::xen::Virq;

use crate::platform::Hypervisor;

/// Boots the machine. Called once, on the boot CPU, by the architecture's entry code.
fn boot(info: &'static BootInfo) -> ! {
    let started = arch::time::read_tsc();
    let options = Options::parse(&info.command_line, &mut |word| warning!("{word}"));
    console::init(&options, info);
    log::set_thresholds(&options);
    panic::set_no_reboot(options.no_reboot);
    banner(info);
    arch::cpu::require();
    mm::init(info);
    let protections = arch::cpu::Protections { smep: options.smep, smap: options.smap };
    arch::cpu::enable(protections);
    drivers::acpi::init(info);
    arch::reset::init(&drivers::acpi::machine().fadt);
    arch::interrupts::init();
    arch::local_apic::init(options.x2apic);
    arch::ioapic::init(&drivers::acpi::machine().madt);
    arch::time::init(started);
    console::init_late_screen(&options, info);
    console::debug_keys::init();
    debug::init();
    domain_reports::init();
    console::input::init(&options, &drivers::acpi::machine().madt);
    arch::cpu::start_others(&drivers::acpi::machine().madt, options.max_cpus, protections);
    machine::firmware::set_screen(info.display, info.efi);
    let hv = platform::init(info);
    let virt = enable_virtualization();
    drivers::iommu::init(options.iommu);
    share_out_cpus(hv);
    dom0::start(hv, info, &options);
    console::relinquish_screen(&options);
    console::input::give_to_dom0(&options, || {
        platform::hypervisor().raise_global_virq(Virq::CONSOLE);
    });
    info!("hypervisor memory: {} KiB", platform::used_bytes(info) >> 10);
    // What benchmarks count from.
    debug!("entered at TSC {started}, dom0 starts at TSC {}", arch::time::read_tsc());
    DOM0_BUILT.store(true, Ordering::Release);
    arch::cpu::kick_others();
    work(virt)
}

/// Tells the scheduler which CPUs run guests.
fn share_out_cpus(hv: &Hypervisor) {
    let spare = arch::cpu::spare();
    if let Some(spare) = spare {
        info!("CPU {} runs no guests: QEMU's TCG could corrupt its state", spare.0);
    }
    for cpu in arch::cpu::all().iter().filter(|cpu| Some(cpu.id()) != spare) {
        hv.scheduler.set_online(cpu.id());
    }
}

/// What a CPU does from when dom0 is there.
fn work(virt: arch::hvm::SvmCpu) -> ! {
    if arch::cpu::spare() == Some(arch::cpu::this_cpu().id()) {
        arch::hvm::serve()
    }
    arch::hvm::run(virt)
}

static DOM0_BUILT: AtomicBool = AtomicBool::new(false);

/// What every other CPU does once it is set up.
fn secondary() -> ! {
    while !DOM0_BUILT.load(Ordering::Acquire) {
        arch::interrupts::wait();
    }
    work(enable_virtualization())
}

fn enable_virtualization() -> arch::hvm::SvmCpu {
    arch::hvm::SvmCpu::enable().unwrap_or_else(|why| fatal!("this machine can't run guests: {why}"))
}

fn banner(info: &BootInfo) {
    say!("Xenolith {} (Xen ABI 4.20)", env!("CARGO_PKG_VERSION"));
    info!("started by {} {}", info.protocol.name(), info.loader.escape_ascii());
    info!("command line: {}", info.command_line.escape_ascii());
}

#[cfg(not(freestanding))]
fn main() {
    std::eprintln!(
        "this is not the hypervisor: build it with\n  cargo build -p hypervisor --profile \
         hypervisor --target x86_64-unknown-linux-gnu --config hypervisor/build.toml"
    );
    std::process::exit(1);
}
