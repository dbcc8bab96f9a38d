//! Runstates: how long a vCPU ran, waited for a pCPU, was idle, was offline; and the copy of
//! that in the guest's memory.

use core::mem::offset_of;
use core::sync::atomic::{Ordering, fence};

use xen_abi::compat::layouts::RunstateInfo as NarrowInfo;
use xen_abi::vcpu::{RUNSTATE_UPDATE, Runstate, RunstateInfo};
use zerocopy::IntoBytes;

use crate::guest_area::GuestArea;
use crate::hypercall::Width;
use crate::platform::FrameMemory;
use crate::types::Nanos;

/// A vCPU's runstate, and where the guest wants to see it.
pub(crate) struct VcpuRunstate {
    pub clock: RunstateClock,
    pub area: GuestArea,
    /// How it is laid out there: as who gave the area would have it.
    pub width: Width,
    /// Whether the guest is told, in the area, that an update is under way.
    pub marks_updates: bool,
    /// Whether the area was given by guest-physical address.
    pub is_physical: bool,
}

impl VcpuRunstate {
    pub const fn new(now: Nanos) -> Self {
        Self {
            clock: RunstateClock::new(now),
            area: GuestArea::NONE,
            width: Width::Wide,
            marks_updates: false,
            is_physical: false,
        }
    }

    /// Writes the runstate into the guest's area, if there is one.
    pub fn publish(&self, memory: &impl FrameMemory) {
        if self.area.is_none() {
            return;
        }
        let info = self.clock.info(None);
        let (entry, time) = match self.width {
            Width::Narrow => {
                (offset_of!(NarrowInfo, state_entry_time), offset_of!(NarrowInfo, time))
            }
            Width::Wide => {
                (offset_of!(RunstateInfo, state_entry_time), offset_of!(RunstateInfo, time))
            }
        };
        if self.marks_updates {
            let marked = info.state_entry_time | RUNSTATE_UPDATE;
            self.area.write(memory, entry, marked.as_bytes());
            fence(Ordering::SeqCst);
        }
        self.area.write(memory, 0, info.state.as_bytes());
        self.area.write(memory, time, info.time.as_bytes());
        fence(Ordering::SeqCst);
        self.area.write(memory, entry, info.state_entry_time.as_bytes());
    }
}

/// The state of one vCPU and the time that it has spent in each.
#[derive(Clone, Copy, Debug)]
pub struct RunstateClock {
    state: Runstate,
    since: Nanos,
    spent_ns: [u64; 4],
}

impl RunstateClock {
    /// A vCPU that has been offline since `now`.
    pub const fn new(now: Nanos) -> Self {
        Self { state: Runstate::OFFLINE, since: now, spent_ns: [0; 4] }
    }

    /// The state that it is in.
    pub const fn state(&self) -> Runstate {
        self.state
    }

    /// Enters a state.
    pub fn enter(&mut self, state: Runstate, now: Nanos) {
        if state == self.state {
            return;
        }
        // Two pCPUs' readings of the clock may be a few ns apart: time never runs backwards here.
        let now = Nanos(now.0.max(self.since.0));
        self.settle(now);
        self.state = state;
    }

    /// What the guest is told: the state, when it was entered, and the time spent in each state
    /// up to then (`settled` up to `now`, if the caller wants the sum to be system time).
    pub fn info(&self, now: Option<Nanos>) -> RunstateInfo {
        let mut at = *self;
        if let Some(now) = now {
            at.settle(Nanos(now.0.max(self.since.0)));
        }
        RunstateInfo {
            state: self.state,
            state_entry_time: self.since.0,
            time: at.spent_ns,
            ..RunstateInfo::default()
        }
    }

    /// Nanoseconds spent running up to `now`.
    pub fn running_ns(&self, now: Nanos) -> u64 {
        self.info(Some(now)).time.first().copied().unwrap_or(0)
    }

    fn settle(&mut self, now: Nanos) {
        if let Some(spent) = self.spent_ns.get_mut(self.state.0 as usize) {
            *spent = spent.wrapping_add(now.0.saturating_sub(self.since.0));
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_to_system_time() {
        let mut clock = RunstateClock::new(Nanos(100));
        clock.enter(Runstate::RUNNABLE, Nanos(150));
        clock.enter(Runstate::RUNNING, Nanos(175));
        clock.enter(Runstate::RUNNING, Nanos(180));
        clock.enter(Runstate::BLOCKED, Nanos(170));
        let info = clock.info(Some(Nanos(200)));
        assert_eq!(info.time, [0, 25, 25, 50]);
        assert_eq!(info.time.iter().sum::<u64>(), 100);
        assert_eq!(info.state, Runstate::BLOCKED);
        assert_eq!(info.state_entry_time, 175);
        assert_eq!(clock.info(None).time, [0, 25, 0, 50]);
    }
}
