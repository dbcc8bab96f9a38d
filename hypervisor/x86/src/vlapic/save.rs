//! The local APIC in Xen's save records: LAPIC, and LAPIC_REGS with the first KiB of the
//! register page (public header `arch-x86/hvm/save.h`).

use hv_core::types::Nanos;
use x86defs::apic::{DFR_CLUSTER, Esr, Register, timer_divisor};
use x86defs::msr::ApicBase;
use xen_abi::hvm::save::{Lapic, LapicRegs};

use super::regs::{DIVIDE_BITS, ICR_BITS, LvtTable, SVR_BITS};
use super::timer::Timer;
use super::{VectorSet, Vlapic};
use crate::fault::GpFault;

/// LAPIC: disabled by software, disabled by APIC_BASE.
const DISABLED_SOFTWARE: u32 = 1 << 0;
const DISABLED_HARDWARE: u32 = 1 << 1;

const LVT: [Register; 6] = [
    Register::LVT_TIMER,
    Register::LVT_THERMAL,
    Register::LVT_PERF,
    Register::LVT_LINT0,
    Register::LVT_LINT1,
    Register::LVT_ERROR,
];

fn put(page: &mut [u8; 1024], register: Register, value: u32) {
    let place = page.chunks_exact_mut(4).nth(usize::from(register.0 >> 2));
    if let Some(place) = place {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

fn get(page: &[u8; 1024], register: Register) -> u32 {
    let place = page.as_chunks::<4>().0.get(usize::from(register.0 >> 2));
    u32::from_le_bytes(place.copied().unwrap_or_default())
}

fn put_vectors(page: &mut [u8; 1024], first: Register, set: &VectorSet) {
    for (offset, word) in (first.0..).step_by(16).zip(set.words()) {
        put(page, Register(offset), *word);
    }
}

/// Vectors below 16 are not legal, and are dropped.
fn get_vectors(page: &[u8; 1024], first: Register) -> VectorSet {
    let mut words = [0; 8];
    for (offset, word) in (first.0..).step_by(16).zip(&mut words) {
        *word = get(page, Register(offset));
    }
    let [low, ..] = &mut words;
    *low &= !0xffff;
    VectorSet::from_words(words)
}

impl Vlapic {
    /// The APIC as the two records.
    pub fn save(&self, now: Nanos) -> (Lapic, LapicRegs) {
        let software = if self.is_software_enabled() { 0 } else { DISABLED_SOFTWARE };
        let hardware = if self.is_enabled() { 0 } else { DISABLED_HARDWARE };
        let hidden = Lapic {
            apic_base_msr: self.apic_base(),
            disabled: software | hardware,
            timer_divisor: timer_divisor(self.timer.divide()),
            tdt_msr: self.tsc_deadline(),
            pending_esr: self.esr_pending.bits(),
            ..Default::default()
        };
        let mut page = [0; 1024];
        let id = if self.is_x2apic() { self.apic_id } else { self.apic_id << 24 };
        let current = self.timer.current(self.timer_mode(), now);
        for (register, value) in [
            (Register::ID, id),
            (Register::VERSION, super::regs::VERSION),
            (Register::TPR, u32::from(self.tpr)),
            (Register::PPR, u32::from(self.ppr())),
            (Register::LDR, self.logical_id),
            (Register::DFR, self.destination_format),
            (Register::SVR, self.svr),
            (Register::ESR, self.esr.bits()),
            (Register::ICR_LOW, self.icr as u32),
            (Register::ICR_HIGH, (self.icr >> 32) as u32),
            (Register::TIMER_INITIAL, self.timer.initial()),
            (Register::TIMER_CURRENT, current),
            (Register::TIMER_DIVIDE, self.timer.divide()),
        ] {
            put(&mut page, register, value);
        }
        for register in LVT {
            put(&mut page, register, self.lvt.get(register).unwrap_or_default().bits());
        }
        put_vectors(&mut page, Register::ISR0, &self.isr);
        put_vectors(&mut page, Register::TMR0, &self.tmr);
        put_vectors(&mut page, Register::IRR0, &self.irr);
        (hidden, LapicRegs { data: page })
    }

    /// Takes the LAPIC record. The registers come after it, by [`restore_regs`].
    ///
    /// # Errors
    /// Its APIC_BASE can't be.
    ///
    /// [`restore_regs`]: Self::restore_regs
    pub fn restore(&mut self, hidden: &Lapic) -> Result<(), GpFault> {
        let base = ApicBase(hidden.apic_base_msr);
        let flags = ApicBase::BSP | ApicBase::X2APIC | ApicBase::ENABLE;
        let mode = (base.contains(ApicBase::X2APIC), base.contains(ApicBase::ENABLE));
        if base.0 & !(flags.bits() | ApicBase::ADDRESS_MASK) != 0 || mode == (true, false) {
            return Err(GpFault);
        }
        self.base = base;
        self.reset();
        self.esr_pending = Esr(hidden.pending_esr);
        self.timer.set_tsc_deadline(hidden.tdt_msr);
        Ok(())
    }

    /// Takes the LAPIC_REGS record. The caller arms the timer by [`deadline`](Self::deadline).
    pub fn restore_regs(&mut self, regs: &LapicRegs, now: Nanos) {
        let page = &regs.data;
        self.tpr = get(page, Register::TPR) as u8;
        if !self.is_x2apic() {
            self.logical_id = get(page, Register::LDR) & 0xff00_0000;
            self.destination_format = get(page, Register::DFR) | DFR_CLUSTER;
        }
        self.svr = get(page, Register::SVR) & SVR_BITS;
        self.esr = Esr(get(page, Register::ESR));
        let low = get(page, Register::ICR_LOW) & ICR_BITS;
        self.icr = u64::from(get(page, Register::ICR_HIGH)) << 32 | u64::from(low);
        self.lvt = LvtTable::RESET;
        for register in LVT {
            self.lvt.set(register, get(page, register));
        }
        if !self.is_software_enabled() {
            self.lvt.mask_all();
        }
        self.isr = get_vectors(page, Register::ISR0);
        self.tmr = get_vectors(page, Register::TMR0);
        self.irr = get_vectors(page, Register::IRR0);
        let divide = get(page, Register::TIMER_DIVIDE) & DIVIDE_BITS;
        let initial = get(page, Register::TIMER_INITIAL);
        self.timer = Timer::stopped(divide, self.timer.tsc_deadline());
        self.timer.load(initial, now);
        // Xen does not save the current count: then the whole period starts again.
        let current = get(page, Register::TIMER_CURRENT);
        if (1..=initial).contains(&current) {
            self.timer.resume(current, now);
        }
    }
}
