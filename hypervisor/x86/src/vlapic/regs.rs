//! Registers of the local APIC: numbers, bits, reset values (Intel SDM volume 3, chapter 11).

/// A register by its index: the MMIO offset divided by 16, or the x2APIC MSR minus 0x800.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg(pub u16);

#[expect(missing_docs, reason = "the manual's own names")]
impl Reg {
    pub const ID: Self = Self(0x02);
    pub const VERSION: Self = Self(0x03);
    pub const TPR: Self = Self(0x08);
    pub const APR: Self = Self(0x09);
    pub const PPR: Self = Self(0x0a);
    pub const EOI: Self = Self(0x0b);
    pub const RRD: Self = Self(0x0c);
    pub const LDR: Self = Self(0x0d);
    pub const DFR: Self = Self(0x0e);
    pub const SVR: Self = Self(0x0f);
    pub const ISR: Self = Self(0x10);
    pub const TMR: Self = Self(0x18);
    pub const IRR: Self = Self(0x20);
    pub const ESR: Self = Self(0x28);
    pub const LVT_CMCI: Self = Self(0x2f);
    pub const ICR: Self = Self(0x30);
    pub const ICR_HIGH: Self = Self(0x31);
    pub const LVT_TIMER: Self = Self(0x32);
    pub const LVT_THERMAL: Self = Self(0x33);
    pub const LVT_PERF: Self = Self(0x34);
    pub const LVT_LINT0: Self = Self(0x35);
    pub const LVT_LINT1: Self = Self(0x36);
    pub const LVT_ERROR: Self = Self(0x37);
    pub const TIMER_INITIAL: Self = Self(0x38);
    pub const TIMER_CURRENT: Self = Self(0x39);
    pub const TIMER_DIVIDE: Self = Self(0x3e);
    pub const SELF_IPI: Self = Self(0x3f);
}

/// Version 0x14 with six local vector entries and without suppression of EOI broadcasts.
pub const VERSION: u32 = 0x14 | 5 << 16;

/// SVR: the APIC is enabled by software.
pub const SVR_ENABLE: u32 = 1 << 8;
/// SVR: all bits that can be written (vector, enable, focus checking).
pub const SVR_BITS: u32 = 0x3ff;
/// DFR at reset: the flat model.
pub const DFR_FLAT: u32 = u32::MAX;
/// LVT: the entry is masked.
pub const LVT_MASKED: u32 = 1 << 16;
/// LVT timer: periodic.
pub const LVT_PERIODIC: u32 = 1 << 17;
/// LVT timer: TSC deadline.
pub const LVT_TSC_DEADLINE: u32 = 1 << 18;

/// ESR: an IPI was sent with a vector below 16.
pub const ESR_SEND_ILLEGAL: u32 = 1 << 5;
/// ESR: an interrupt arrived with a vector below 16.
pub const ESR_RECEIVE_ILLEGAL: u32 = 1 << 6;
/// ESR: a register that is not there was accessed.
pub const ESR_ILLEGAL_REGISTER: u32 = 1 << 7;

/// ICR: bits that can be set in the low half in xAPIC mode. Delivery status is read-only.
pub const ICR_BITS: u32 = 0x000c_cfff;

/// APIC_BASE: this is the boot CPU's.
pub const BASE_BSP: u64 = 1 << 8;
/// APIC_BASE: x2APIC mode.
pub const BASE_X2APIC: u64 = 1 << 10;
/// APIC_BASE: enabled.
pub const BASE_ENABLE: u64 = 1 << 11;
/// APIC_BASE at reset, without the flags.
pub const BASE_ADDRESS: u64 = 0xfee0_0000;

/// The six local vector entries that are stored.
#[derive(Clone, Copy, Debug)]
pub struct Lvt {
    entries: [u32; 6],
}

impl Lvt {
    /// All entries masked, as after reset.
    pub const RESET: Self = Self { entries: [LVT_MASKED; 6] };

    /// Writable bits, in the order of the registers from [`Reg::LVT_TIMER`].
    const BITS: [u32; 6] =
        [0x0007_00ff, 0x0001_07ff, 0x0001_07ff, 0x0001_a7ff, 0x0001_a7ff, 0x0001_00ff];

    const fn index(reg: Reg) -> usize {
        reg.0.wrapping_sub(Reg::LVT_TIMER.0) as usize
    }

    /// The entry, if `reg` is one.
    pub fn get(&self, reg: Reg) -> Option<u32> {
        self.entries.get(Self::index(reg)).copied()
    }

    /// The bits of `reg` that can be written, if it is an entry.
    pub fn writable(reg: Reg) -> Option<u32> {
        Self::BITS.get(Self::index(reg)).copied()
    }

    /// Stores the writable bits of `value`. Nothing happens if `reg` is not an entry.
    pub fn set(&mut self, reg: Reg, value: u32) {
        if let (Some(entry), Some(bits)) =
            (self.entries.get_mut(Self::index(reg)), Self::writable(reg))
        {
            *entry = value & bits;
        }
    }

    /// Masks every entry: what disabling the APIC by software does.
    pub fn mask_all(&mut self) {
        self.entries.iter_mut().for_each(|entry| *entry |= LVT_MASKED);
    }

    /// The timer's entry.
    pub const fn timer(&self) -> u32 {
        let [timer, ..] = self.entries;
        timer
    }

    /// The error entry.
    pub const fn error(&self) -> u32 {
        let [.., error] = self.entries;
        error
    }
}
