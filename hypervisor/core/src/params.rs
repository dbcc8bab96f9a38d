//! HVM parameters: numbers that the toolstack and the guest leave with a domain (public header
//! `hvm/params.h`).

use core::sync::atomic::{AtomicU64, Ordering};

use xen_abi::hvm::params::{
    CALLBACK_IRQ_TYPE_SHIFT, CALLBACK_TYPE_VECTOR, HvmParam, NR_PARAMS,
    TIMER_ONE_MISSED_TICK_PENDING,
};
use xen_abi::sched::ShutdownReason;

use crate::errno::Errno;

/// The parameters of a domain.
pub struct HvmParams {
    values: [AtomicU64; NR_PARAMS as usize],
}

/// Who sets or reads a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The domain itself.
    Guest,
    /// A domain with privilege over it.
    Toolstack,
}

impl HvmParams {
    pub(crate) fn new() -> Self {
        let params = Self { values: [const { AtomicU64::new(0) }; NR_PARAMS as usize] };
        params.store(HvmParam::TRIPLE_FAULT_REASON, u64::from(ShutdownReason::REBOOT.0));
        params
    }

    /// A parameter's value, whoever asks; 0 if there is no such parameter.
    pub fn load(&self, param: HvmParam) -> u64 {
        self.values.get(param.0 as usize).map_or(0, |value| value.load(Ordering::Acquire))
    }

    /// Sets a parameter, without a check. There must be such a parameter.
    pub fn store(&self, param: HvmParam, value: u64) {
        if let Some(slot) = self.values.get(param.0 as usize) {
            slot.store(value, Ordering::Release);
        }
    }

    /// Reads a parameter for `actor`.
    ///
    /// # Errors
    /// `EINVAL` if there is no such parameter, `EPERM` if it is none of the actor's business.
    pub fn get(&self, actor: Actor, param: HvmParam) -> Result<u64, Errno> {
        check_exists(param)?;
        if actor == Actor::Guest && !guest_may_get(param) {
            return Err(Errno::EPERM);
        }
        Ok(self.load(param))
    }

    /// Checks whether `actor` may give a parameter this value.
    ///
    /// # Errors
    /// `EINVAL` if there is no such parameter, or it can't have the value; `EPERM` if it is none
    /// of the actor's business; `EEXIST` if it is already set and can't change any more;
    /// `EOPNOTSUPP` if nothing stands behind it.
    pub fn check_set(&self, actor: Actor, param: HvmParam, value: u64) -> Result<(), Errno> {
        check_exists(param)?;
        if is_obsolete(param) {
            return Err(Errno::EOPNOTSUPP);
        }
        if actor == Actor::Guest && !guest_may_set(param) {
            return Err(Errno::EPERM);
        }
        let old = self.load(param);
        if is_set_once(param) && old != 0 && old != value {
            return Err(Errno::EEXIST);
        }
        let fine = match param {
            HvmParam::TIMER_MODE => value <= TIMER_ONE_MISSED_TICK_PENDING,
            HvmParam::TRIPLE_FAULT_REASON => value <= u64::from(ShutdownReason::SOFT_RESET.0),
            HvmParam::ACPI_S_STATE => matches!(value, 0 | 3),
            HvmParam::X87_FIP_WIDTH => matches!(value, 0 | 4 | 8),
            HvmParam::ACPI_IOPORTS_LOCATION | HvmParam::HPET_ENABLED | HvmParam::VPT_ALIGN => {
                value <= 1
            }
            _ => true,
        };
        if !fine {
            return Err(Errno::EINVAL);
        }
        let unsupported =
            matches!(param, HvmParam::VIRIDIAN | HvmParam::NESTEDHVM | HvmParam::ALTP2M)
                || param == HvmParam::MCA_CAP;
        if unsupported && value != 0 { Err(Errno::EOPNOTSUPP) } else { Ok(()) }
    }
}

/// The vector in a value of `HVM_PARAM_CALLBACK_IRQ`; 0 if it asks for another kind of upcall.
pub fn callback_vector(value: u64) -> u8 {
    if value >> CALLBACK_IRQ_TYPE_SHIFT == CALLBACK_TYPE_VECTOR { value as u8 } else { 0 }
}

fn check_exists(param: HvmParam) -> Result<(), Errno> {
    if param.0 < NR_PARAMS { Ok(()) } else { Err(Errno::EINVAL) }
}

const fn guest_may_set(param: HvmParam) -> bool {
    matches!(
        param,
        HvmParam::CALLBACK_IRQ
            | HvmParam::VM86_TSS
            | HvmParam::VM86_TSS_SIZED
            | HvmParam::ACPI_S_STATE
            | HvmParam::VM_GENERATION_ID_ADDR
            | HvmParam::STORE_EVTCHN
            | HvmParam::CONSOLE_EVTCHN
            | HvmParam::X87_FIP_WIDTH
    )
}

const fn guest_may_get(param: HvmParam) -> bool {
    guest_may_set(param)
        || matches!(param, HvmParam::STORE_PFN | HvmParam::CONSOLE_PFN | HvmParam::ALTP2M)
}

const fn is_obsolete(param: HvmParam) -> bool {
    matches!(
        param,
        HvmParam::PAE_ENABLED
            | HvmParam::DM_DOMAIN
            | HvmParam::MEMORY_EVENT_CR0
            | HvmParam::MEMORY_EVENT_CR3
            | HvmParam::MEMORY_EVENT_CR4
            | HvmParam::MEMORY_EVENT_INT3
            | HvmParam::MEMORY_EVENT_SINGLE_STEP
            | HvmParam::MEMORY_EVENT_MSR
    )
}

const fn is_set_once(param: HvmParam) -> bool {
    matches!(
        param,
        HvmParam::VIRIDIAN
            | HvmParam::IOREQ_SERVER_PFN
            | HvmParam::NR_IOREQ_SERVER_PAGES
            | HvmParam::ALTP2M
            | HvmParam::MCA_CAP
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_to_their_own() {
        let params = HvmParams::new();
        assert_eq!(params.get(Actor::Guest, HvmParam::STORE_EVTCHN), Ok(0));
        assert_eq!(params.get(Actor::Guest, HvmParam::IOREQ_PFN), Err(Errno::EPERM));
        assert_eq!(params.get(Actor::Toolstack, HvmParam(NR_PARAMS)), Err(Errno::EINVAL));
        assert_eq!(params.check_set(Actor::Guest, HvmParam::STORE_PFN, 1), Err(Errno::EPERM));
        assert_eq!(params.check_set(Actor::Toolstack, HvmParam::STORE_PFN, 1), Ok(()));
        assert_eq!(params.check_set(Actor::Toolstack, HvmParam::TIMER_MODE, 4), Err(Errno::EINVAL));
        params.store(HvmParam::IOREQ_SERVER_PFN, 7);
        let again = params.check_set(Actor::Toolstack, HvmParam::IOREQ_SERVER_PFN, 8);
        assert_eq!(again, Err(Errno::EEXIST));
    }

    #[test]
    fn only_type_2_is_a_vector() {
        assert_eq!(callback_vector(2 << 56 | 0xF3), 0xF3);
        assert_eq!(callback_vector(1), 0);
        assert_eq!(callback_vector(1 << 56 | 0xF3), 0);
    }
}
