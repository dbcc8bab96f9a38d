//! The first Rust code: takes over from `entry.S`, and reads what the boot loader left.
#![expect(unsafe_code, reason = "is called by assembly")]

use hv_boot::info::BootInfo;
use hv_boot::phys::PhysMemory;
use hv_core::types::Hpa;
use spin::{Mutex, MutexGuard};

use crate::arch::x86::cpu;
use crate::mm::{self, phys};

/// Physical memory below 4 GiB, which the boot page tables map.
struct LowMemory;

impl PhysMemory for LowMemory {
    fn read(&self, at: Hpa, into: &mut [u8]) -> Option<()> {
        let end = at.0.checked_add(into.len() as u64)?;
        (end <= mm::BOOT_MAPPED).then(|| phys::read(at, into))
    }
}

/// The boot information: static, because it is too large for the boot stack.
static INFO: Mutex<BootInfo> = Mutex::new(BootInfo::new());

/// Where `entry.S` goes to.
///
/// # Safety
/// Called once, by `entry.S`, with the state that it documents.
#[cfg_attr(freestanding, unsafe(no_mangle))]
unsafe extern "C" fn hypervisor_start(magic: u32, info: u32) -> ! {
    cpu::init_boot_cpu();
    let boot_info = MutexGuard::leak(INFO.lock());
    match boot_info.read(magic, Hpa(info.into()), &LowMemory) {
        Ok(()) => crate::boot(boot_info),
        Err(error) => fatal!("the boot loader's information is unusable: {error}"),
    }
}
