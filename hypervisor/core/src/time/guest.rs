//! What guests are told of time: each vCPU's copy of the clock's parameters, and the wall clock.
//!
//! Both are under version locks that readers watch: odd while being written. With one steady TSC
//! the parameters of a domain's clock never change, so they are written once per place.

use alloc::sync::Arc;
use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

use spin::Mutex;
use xen_abi::xen::{SharedInfo, VcpuInfo, VcpuTimeInfo};
use zerocopy::IntoBytes;

use crate::domain::Domain;
use crate::guest_area::GuestArea;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::time::clock::TscClock;
use crate::types::Nanos;
use crate::vcpu::Vcpu;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// A domain's time.
pub struct DomainTime {
    state: Mutex<TimeState>,
}

struct TimeState {
    clock: TscClock,
    /// The guest's TSC is ahead of the host's by this, modulo 2^64.
    tsc_offset: u64,
    /// The domain's wall clock is ahead of the machine's by this.
    wallclock_offset_seconds: i64,
    wallclock_version: u32,
    /// Whether the shared info page is gone.
    closed: bool,
    tsc: TscState,
}

/// How a guest's TSC is to behave, as the toolstack wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TscMode {
    /// As is best.
    Default = 0,
    /// Slowly, but the same everywhere.
    AlwaysEmulate = 1,
    /// Natively.
    NeverEmulate = 2,
}

impl TscMode {
    /// The mode of this number.
    pub const fn from_abi(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Default),
            1 => Some(Self::AlwaysEmulate),
            2 => Some(Self::NeverEmulate),
            _ => None,
        }
    }
}

/// What the toolstack knows of a guest's TSC.
#[derive(Clone, Copy, Debug)]
pub struct TscState {
    /// How it is to behave.
    pub mode: TscMode,
    /// How often the guest has been moved.
    pub incarnation: u32,
    /// The system time when the guest began, here or elsewhere; modulo 2^64.
    began: u64,
}

impl TscState {
    /// Nanoseconds since the guest began.
    pub const fn elapsed_ns(&self, now: Nanos) -> u64 {
        now.0.wrapping_sub(self.began)
    }
}

/// Where a vCPU's clock parameters go beside its `vcpu_info`.
pub(crate) struct VcpuTime {
    version: u32,
    pub area: GuestArea,
    /// Whether the area was given by guest-physical address.
    pub is_physical: bool,
}

impl VcpuTime {
    pub const fn new() -> Self {
        Self { version: 0, area: GuestArea::NONE, is_physical: false }
    }
}

impl DomainTime {
    /// The time of a domain whose TSC is the host's.
    pub(crate) const fn new(clock: TscClock) -> Self {
        Self {
            state: Mutex::new(TimeState {
                clock,
                tsc_offset: 0,
                wallclock_offset_seconds: 0,
                wallclock_version: 0,
                closed: false,
                tsc: TscState { mode: TscMode::Default, incarnation: 0, began: 0 },
            }),
        }
    }

    /// How much the guest's TSC is ahead of the host's, modulo 2^64.
    pub fn tsc_offset(&self) -> u64 {
        self.state.lock().tsc_offset
    }

    /// How many seconds the domain's wall clock is ahead of the machine's.
    pub fn wallclock_offset_seconds(&self) -> i64 {
        self.state.lock().wallclock_offset_seconds
    }

    /// What the toolstack knows of the guest's TSC.
    pub fn tsc_state(&self) -> TscState {
        self.state.lock().tsc
    }

    pub(crate) fn set_tsc_state(
        &self,
        mode: TscMode,
        incarnation: u32,
        elapsed_ns: u64,
        now: Nanos,
    ) {
        let began = now.0.wrapping_sub(elapsed_ns);
        self.state.lock().tsc = TscState { mode, incarnation, began };
    }

    /// Nothing is written into the shared info page any more.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
    }

    fn time_info(&self) -> VcpuTimeInfo {
        let state = self.state.lock();
        state.clock.time_info(state.tsc_offset)
    }
}

impl<P: Platform> Hypervisor<P> {
    /// Sets how much a domain's TSC is ahead of the host's, modulo 2^64, and tells its vCPUs. The
    /// architecture must make the TSC so. `since` is the host TSC's value from which on the guest
    /// may look at its own.
    pub fn set_tsc_offset(&self, domain: &Domain<P>, tsc_offset: u64, since: u64) {
        {
            let mut state = domain.time.state.lock();
            state.clock = self.platform.clock().rebased(since);
            state.tsc_offset = tsc_offset;
        }
        for vcpu in domain.vcpus() {
            self.publish_time(domain, vcpu);
        }
    }

    /// Writes the parameters of a vCPU's clock wherever the guest looks for them.
    pub(crate) fn publish_time(&self, domain: &Domain<P>, vcpu: &Vcpu<P>) {
        let mut time = vcpu.time.lock();
        let mut info = domain.time.time_info();
        time.version = time.version.wrapping_add(2);
        info.version = time.version;
        let in_vcpu_info = vcpu.events.info().map(|(mfn, offset)| {
            let offset = offset.saturating_add(offset_of!(VcpuInfo, time));
            GuestArea::new(offset, size_of::<VcpuTimeInfo>(), mfn, None)
        });
        for area in in_vcpu_info.iter().chain([&time.area]) {
            write_versioned(&self.platform, area, 0, info.as_bytes());
        }
    }

    /// Sets the wall clock: nanoseconds since 1970 when system time was 0. Tells every domain.
    pub fn set_wallclock(&self, base_ns: u64) {
        *self.wallclock_base_ns.lock() = base_ns;
        for domain in self.domains() {
            self.publish_wallclock(&domain);
        }
    }

    /// Nanoseconds since 1970 when system time was 0.
    pub fn wallclock(&self) -> u64 {
        *self.wallclock_base_ns.lock()
    }

    /// Sets how many seconds a domain's wall clock is ahead of the machine's.
    pub fn set_wallclock_offset(&self, domain: &Arc<Domain<P>>, seconds: i64) {
        domain.time.state.lock().wallclock_offset_seconds = seconds;
        self.publish_wallclock(domain);
    }

    /// Writes the wall clock into a domain's shared info page.
    pub(crate) fn publish_wallclock(&self, domain: &Domain<P>) {
        let base_ns = self.wallclock();
        let mut state = domain.time.state.lock();
        if state.closed {
            return;
        }
        state.wallclock_version = state.wallclock_version.wrapping_add(2);
        let seconds = (base_ns / NS_PER_SECOND).wrapping_add_signed(state.wallclock_offset_seconds);
        // Version, seconds, nanoseconds, high half of the seconds.
        let words = [
            state.wallclock_version,
            seconds as u32,
            (base_ns % NS_PER_SECOND) as u32,
            (seconds >> u32::BITS) as u32,
        ];
        let offset = offset_of!(SharedInfo, wc_version);
        let area = GuestArea::new(offset, size_of_val(&words), domain.shared_info(), None);
        write_versioned(&self.platform, &area, 0, words.as_bytes());
    }
}

/// Writes a structure whose first word is its version, so that readers notice.
fn write_versioned<P: Platform>(memory: &P, area: &GuestArea, at: usize, bytes: &[u8]) {
    let Some((version, rest)) = bytes.split_first_chunk::<4>() else { return };
    let even = u32::from_le_bytes(*version);
    area.write(memory, at, &(even | 1).to_le_bytes());
    fence(Ordering::SeqCst);
    area.write(memory, at.saturating_add(version.len()), rest);
    fence(Ordering::SeqCst);
    area.write(memory, at, &even.to_le_bytes());
}
