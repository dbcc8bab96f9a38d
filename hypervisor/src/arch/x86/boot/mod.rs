//! The first Rust code: takes over from `entry.S`, and reads what the boot loader left.
#![expect(unsafe_code, reason = "reads physical memory through the boot page tables")]

use hv_boot::info::BootInfo;
use hv_boot::phys::PhysMemory;
use hv_core::types::Hpa;
use spin::{Mutex, MutexGuard};

use crate::arch::x86::cpu;

/// Physical memory below 4 GiB, which the boot page tables map at address 0.
struct LowMemory {
    _private: (),
}

/// What the boot page tables map.
const MAPPED: u64 = 4 << 30;

impl PhysMemory for LowMemory {
    fn read(&self, at: Hpa, into: &mut [u8]) -> Option<()> {
        let end = at.0.checked_add(into.len() as u64)?;
        if end > MAPPED {
            return None;
        }
        for (place, address) in into.iter_mut().zip(at.0..end) {
            // SAFETY: a `LowMemory` exists only while the boot page tables do, and they map this
            // address. Volatile, because the memory is no Rust object.
            *place = unsafe { core::ptr::read_volatile(address as *const u8) };
        }
        Some(())
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
    match boot_info.read(magic, Hpa(info.into()), &LowMemory { _private: () }) {
        Ok(()) => crate::boot(boot_info),
        Err(error) => fatal!("the boot loader's information is unusable: {error}"),
    }
}
