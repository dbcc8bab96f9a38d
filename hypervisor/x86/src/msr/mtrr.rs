//! Memory type range registers: stored and checked, without effect.
//!
//! With nested paging the guest's memory types come from its PAT and the second stage; dom0,
//! which is identity-mapped, finds the machine's ranges here.

use x86defs::msr::{MTRR_PHYS_MASK_VALID, Msr, MtrrCap, MtrrDefType, is_valid_pat};

use xen_abi::hvm::save;

use crate::fault::GpFault;

/// Variable ranges that a guest has.
pub const VARIABLE: usize = 8;
const FIXED: usize = 11;
const CAP: u64 = MtrrCap::FIXED.bits() | MtrrCap::WC.bits() | VARIABLE as u64;

/// A vCPU's MTRRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mtrrs {
    /// Default type and enables.
    pub default_type: u64,
    /// The fixed ranges: one of 64 KiB pieces, two of 16 KiB, eight of 4 KiB.
    pub fixed: [u64; FIXED],
    /// Base and mask of the variable ranges, alternating.
    pub variable: [u64; 2 * VARIABLE],
}

impl Default for Mtrrs {
    /// All memory is write-back, which is what a toolstack sets up too.
    fn default() -> Self {
        Self {
            default_type: MtrrDefType::ENABLE.bits() | 6,
            fixed: [0; FIXED],
            variable: [0; 2 * VARIABLE],
        }
    }
}

/// A place in [`Mtrrs`].
enum Slot {
    Fixed(usize),
    Base(usize),
    Mask(usize),
}

fn slot(msr: Msr) -> Option<Slot> {
    let from = |first: Msr| msr.0.wrapping_sub(first.0) as usize;
    match msr {
        Msr::MTRR_FIX_64K_00000 => Some(Slot::Fixed(0)),
        Msr::MTRR_FIX_16K_80000 => Some(Slot::Fixed(1)),
        Msr::MTRR_FIX_16K_A0000 => Some(Slot::Fixed(2)),
        Msr(0x268..=0x26f) => Some(Slot::Fixed(from(Msr::MTRR_FIX_4K_C0000).wrapping_add(3))),
        Msr(0x200..=0x20f) => {
            let place = from(Msr::MTRR_PHYS_BASE0);
            Some(if place & 1 == 0 { Slot::Base(place) } else { Slot::Mask(place) })
        }
        _ => None,
    }
}

const fn is_type(memory_type: u64) -> bool {
    matches!(memory_type, 0 | 1 | 4 | 5 | 6)
}

impl Mtrrs {
    /// The machine's own ranges, read by `rdmsr`: for dom0. Ranges beyond the eighth are left
    /// out. `None` if the machine has none.
    pub fn of_host(mut rdmsr: impl FnMut(Msr) -> u64) -> Option<Self> {
        let cap = MtrrCap(rdmsr(Msr::MTRR_CAP));
        if !cap.contains(MtrrCap::FIXED) {
            return None;
        }
        let default_type = rdmsr(Msr::MTRR_DEF_TYPE);
        let mut mtrrs = Self { default_type, ..Self::default() };
        let fixed = [0x250, 0x258, 0x259].into_iter().chain(0x268..=0x26f);
        mtrrs.fixed.iter_mut().zip(fixed).for_each(|(to, msr)| *to = rdmsr(Msr(msr)));
        let count = usize::from(cap.bits() as u8).saturating_mul(2);
        let variable = mtrrs.variable.iter_mut().zip(Msr::MTRR_PHYS_BASE0.0..).take(count);
        variable.for_each(|(to, msr)| *to = rdmsr(Msr(msr)));
        Some(mtrrs)
    }

    /// The ranges, with the PAT, as Xen's MTRR save record.
    pub const fn save(&self, pat: u64) -> save::Mtrr {
        save::Mtrr {
            msr_pat_cr: pat,
            msr_mtrr_var: self.variable,
            msr_mtrr_fixed: self.fixed,
            msr_mtrr_cap: CAP,
            msr_mtrr_def_type: self.default_type,
        }
    }

    /// The ranges and the PAT of a save record.
    ///
    /// # Errors
    /// A value that a guest could not have written.
    pub fn restore(record: &save::Mtrr, physical_bits: u8) -> Result<(Self, u64), GpFault> {
        let mut mtrrs = Self::default();
        let fixed = [0x250, 0x258, 0x259].into_iter().chain(0x268..=0x26f);
        let fixed = fixed.zip(record.msr_mtrr_fixed);
        let variable = (Msr::MTRR_PHYS_BASE0.0..).zip(record.msr_mtrr_var);
        let default_type = (Msr::MTRR_DEF_TYPE.0, record.msr_mtrr_def_type);
        for (msr, value) in fixed.chain(variable).chain([default_type]) {
            mtrrs.write(Msr(msr), value, physical_bits).unwrap_or(Err(GpFault))?;
        }
        if !is_valid_pat(record.msr_pat_cr) {
            return Err(GpFault);
        }
        Ok((mtrrs, record.msr_pat_cr))
    }

    /// Reads one of the registers; `None` if `msr` is not one.
    pub fn read(&self, msr: Msr) -> Option<u64> {
        match (msr, slot(msr)) {
            (Msr::MTRR_CAP, _) => Some(CAP),
            (Msr::MTRR_DEF_TYPE, _) => Some(self.default_type),
            (_, Some(Slot::Fixed(place))) => self.fixed.get(place).copied(),
            (_, Some(Slot::Base(place) | Slot::Mask(place))) => self.variable.get(place).copied(),
            (_, None) => None,
        }
    }

    /// Writes one of the registers; `None` if `msr` is not one.
    pub fn write(
        &mut self,
        msr: Msr,
        value: u64,
        physical_bits: u8,
    ) -> Option<Result<(), GpFault>> {
        let address = !u64::MAX.checked_shl(u32::from(physical_bits)).unwrap_or(0) & !0xfff;
        let (register, valid) = match (msr, slot(msr)) {
            (Msr::MTRR_CAP, _) => return Some(Err(GpFault)),
            (Msr::MTRR_DEF_TYPE, _) => {
                let enables = MtrrDefType::ENABLE.bits() | MtrrDefType::FIXED_ENABLE.bits();
                (&mut self.default_type, value & !(enables | 0xff) == 0 && is_type(value & 0xff))
            }
            (_, Some(Slot::Fixed(place))) => {
                let types = value.to_le_bytes().into_iter().all(|byte| is_type(byte.into()));
                (self.fixed.get_mut(place)?, types)
            }
            (_, Some(Slot::Base(place))) => {
                let valid = value & !(address | 0xff) == 0 && is_type(value & 0xff);
                (self.variable.get_mut(place)?, valid)
            }
            (_, Some(Slot::Mask(place))) => {
                (self.variable.get_mut(place)?, value & !(address | MTRR_PHYS_MASK_VALID) == 0)
            }
            (_, None) => return None,
        };
        if !valid {
            return Some(Err(GpFault));
        }
        *register = value;
        Some(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_round_trip() {
        let mut mtrrs = Mtrrs::default();
        assert_eq!(mtrrs.read(Msr::MTRR_CAP), Some(0x508));
        assert_eq!(mtrrs.read(Msr::MTRR_DEF_TYPE), Some(0x806));
        assert_eq!(mtrrs.read(Msr::PAT), None);
        for (msr, value) in [
            (0x200, 0xc000_0000),
            (0x201, 0xff_c000_0800),
            (0x20f, 0xff_0000_0800),
            (0x250, 0x0606_0606_0606_0606),
            (0x26f, 0x0505_0505_0404_0100),
            (0x2ff, 0xc00),
        ] {
            assert_eq!(mtrrs.write(Msr(msr), value, 40), Some(Ok(())), "{msr:#x}");
            assert_eq!(mtrrs.read(Msr(msr)), Some(value));
        }
        for (msr, value) in [
            (0xfe, 0x508),
            (0x200, 0xc000_0002),
            (0x200, 1 << 40),
            (0x201, 0x400),
            (0x250, 7),
            (0x2ff, 0x1000),
            (0x2ff, 2),
        ] {
            assert_eq!(mtrrs.write(Msr(msr), value, 40), Some(Err(GpFault)), "{msr:#x}");
        }
        assert_eq!(mtrrs.write(Msr(0x210), 0, 40), None);
    }

    #[test]
    fn save_records() {
        let mut mtrrs = Mtrrs::default();
        assert_eq!(mtrrs.write(Msr(0x203), 0xff_c000_0800, 40), Some(Ok(())));
        assert_eq!(mtrrs.write(Msr(0x269), 0x0404_0404_0404_0404, 40), Some(Ok(())));
        let record = mtrrs.save(0x0007_0406_0007_0406);
        assert_eq!(record.msr_mtrr_def_type, 0x806);
        assert_eq!(Mtrrs::restore(&record, 40), Ok((mtrrs, 0x0007_0406_0007_0406)));
        let bad = save::Mtrr { msr_pat_cr: 2, ..record };
        assert_eq!(Mtrrs::restore(&bad, 40), Err(GpFault));
        let bad = save::Mtrr { msr_mtrr_def_type: 0x803, ..record };
        assert_eq!(Mtrrs::restore(&bad, 40), Err(GpFault));
    }

    #[test]
    fn the_hosts_ranges() {
        let host = |msr: Msr| if msr == Msr::MTRR_CAP { 0x50a } else { u64::from(msr.0) };
        let mtrrs = Mtrrs::of_host(host).unwrap();
        assert_eq!(mtrrs.default_type, 0x2ff);
        assert_eq!(mtrrs.fixed[0], 0x250);
        assert_eq!(mtrrs.fixed[10], 0x26f);
        assert_eq!(mtrrs.variable[15], 0x20f);
        assert_eq!(Mtrrs::of_host(|_| 2), None);
    }
}
