//! Paravirtual time.

use crate::cpu;
use crate::memory::Page;
use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};
use xen_abi::xen::{SharedInfo, VcpuInfo, VcpuTimeInfo};

/// Nanoseconds of a microsecond.
pub const MICROSECOND: u64 = 1_000;
/// Nanoseconds of a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// A clock: where one vCPU's time information is.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    page: Page,
    offset: usize,
}

impl Clock {
    /// The clock of a vCPU in the shared info page.
    #[must_use]
    pub const fn in_shared_info(page: Page, vcpu: usize) -> Self {
        let info = offset_of!(SharedInfo, vcpu_info) + vcpu * size_of::<VcpuInfo>();
        Self { page, offset: info + offset_of!(VcpuInfo, time) }
    }

    /// The clock in a `vcpu_info`.
    #[must_use]
    pub const fn in_vcpu_info(page: Page, offset: usize) -> Self {
        Self { page, offset: offset + offset_of!(VcpuInfo, time) }
    }

    /// A consistent copy of its parameters.
    #[must_use]
    pub fn parameters(self) -> VcpuTimeInfo {
        loop {
            let before: u32 = self.page.read(self.offset);
            fence(Ordering::SeqCst);
            let info: VcpuTimeInfo = self.page.read(self.offset);
            fence(Ordering::SeqCst);
            let after: u32 = self.page.read(self.offset);
            if before == after && before.is_multiple_of(2) {
                return info;
            }
        }
    }

    /// System time in nanoseconds.
    #[must_use]
    pub fn now(self) -> u64 {
        let info = self.parameters();
        info.system_time + scale(&info, cpu::tsc().wrapping_sub(info.tsc_timestamp))
    }

    /// Waits, without giving up the CPU.
    pub fn spin(self, nanoseconds: u64) {
        let end = self.now() + nanoseconds;
        while self.now() < end {
            core::hint::spin_loop();
        }
    }

    /// Waits until a condition holds, for at most some milliseconds; whether it did.
    pub fn wait_until(self, milliseconds: u64, condition: impl Fn() -> bool) -> bool {
        let end = self.now() + milliseconds * MILLISECOND;
        loop {
            if condition() {
                return true;
            }
            if self.now() > end {
                return false;
            }
            core::hint::spin_loop();
        }
    }
}

/// Nanoseconds of a TSC difference.
#[must_use]
pub fn scale(info: &VcpuTimeInfo, ticks: u64) -> u64 {
    let shift = u32::from(info.tsc_shift.unsigned_abs());
    let ticks =
        if info.tsc_shift < 0 { ticks.wrapping_shr(shift) } else { ticks.wrapping_shl(shift) };
    ((u128::from(ticks) * u128::from(info.tsc_to_system_mul)) >> 32) as u64
}

/// The TSC frequency that the parameters mean, in kHz.
#[must_use]
pub fn tsc_khz(info: &VcpuTimeInfo) -> u64 {
    let scaled = (1_000_000_u64 << 32) / u64::from(info.tsc_to_system_mul.max(1));
    let shift = u32::from(info.tsc_shift.unsigned_abs());
    if info.tsc_shift < 0 { scaled.wrapping_shl(shift) } else { scaled.wrapping_shr(shift) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_as_the_header_says() {
        let info =
            VcpuTimeInfo { tsc_to_system_mul: 1 << 31, tsc_shift: 0, ..VcpuTimeInfo::default() };
        assert_eq!(scale(&info, 2_000_000), 1_000_000);
        assert_eq!(tsc_khz(&info), 2_000_000);
        let slower = VcpuTimeInfo { tsc_shift: 1, ..info };
        assert_eq!(scale(&slower, 1_000_000), 1_000_000);
        assert_eq!(tsc_khz(&slower), 1_000_000);
        let faster = VcpuTimeInfo { tsc_shift: -1, ..info };
        assert_eq!(tsc_khz(&faster), 4_000_000);
    }
}
