//! A counter of known rate, to measure the TSC by: the best that the machine has.

use super::hpet::HpetCounter;
use super::pit::Pit;
use super::pm_timer::PmTimer;
use crate::drivers::acpi::Machine;

/// A counter of known rate. The pair is closed, so it is an enum.
pub enum Reference {
    /// High precision event timer.
    Hpet(HpetCounter),
    /// The power management timer.
    PmTimer(PmTimer),
    /// The 8254, which every PC has.
    Pit(Pit),
}

impl Reference {
    /// The machine's best.
    pub fn best(machine: &Machine) -> Self {
        let hpet = machine.hpet.as_ref().and_then(HpetCounter::open).map(Self::Hpet);
        let pm_timer = || PmTimer::open(&machine.fadt).map(Self::PmTimer);
        hpet.or_else(pm_timer).unwrap_or_else(|| Self::Pit(Pit::start()))
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hpet(_) => "HPET",
            Self::PmTimer(_) => "PM timer",
            Self::Pit(_) => "PIT",
        }
    }

    /// Ticks in a second.
    pub fn hz(&self) -> u64 {
        match self {
            Self::Hpet(hpet) => hpet.hz(),
            Self::PmTimer(_) => super::pm_timer::HZ,
            Self::Pit(_) => x86defs::pic::PIT_FREQUENCY_HZ.into(),
        }
    }

    /// The counter's bits; a reading wraps there.
    pub fn bits(&self) -> u32 {
        match self {
            Self::Hpet(_) => 32,
            Self::PmTimer(timer) => timer.bits(),
            Self::Pit(_) => 16,
        }
    }

    /// The counter, which counts upwards.
    pub fn read(&self) -> u64 {
        match self {
            Self::Hpet(hpet) => hpet.read().into(),
            Self::PmTimer(timer) => timer.read().into(),
            Self::Pit(pit) => pit.read().into(),
        }
    }
}
