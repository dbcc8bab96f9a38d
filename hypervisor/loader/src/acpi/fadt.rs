//! The Fixed ACPI Description Table: power management registers, reset, where the DSDT is.
//!
//! Source: ACPI 6.5, 5.2.9.

use super::header::REVISION;
use super::{AcpiError, Signature};
use crate::bytes::{u16_at, u32_at, u64_at};

/// Where a [`Register`] lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressSpace(pub u8);

impl AddressSpace {
    /// Physical memory.
    pub const MEMORY: Self = Self(0);
    /// I/O ports.
    pub const IO: Self = Self(1);
    /// PCI configuration space of segment 0, bus 0.
    pub const PCI_CONFIG: Self = Self(2);
}

/// A register block, as ACPI's generic address structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// What `address` is an address in.
    pub space: AddressSpace,
    /// Its width in bits.
    pub bits: u8,
    /// The first byte's address.
    pub address: u64,
}

impl Register {
    /// The number of its first port, if it is ports.
    pub fn port(self) -> Option<u16> {
        (self.space == AddressSpace::IO).then(|| u16::try_from(self.address).ok()).flatten()
    }

    /// Reads the structure at `offset`.
    pub(super) fn read(table: &[u8], offset: usize) -> Option<Self> {
        let field = table.get(offset..)?;
        Some(Self {
            space: AddressSpace(*field.first()?),
            bits: *field.get(1)?,
            address: u64_at(field, 4)?,
        })
    }
}

/// What to write into SLP_TYP to enter a sleep state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SleepType {
    /// For PM1a_CNT.
    pub a: u8,
    /// For PM1b_CNT.
    pub b: u8,
}

impl SleepType {
    /// Finds the `_S5_` package in a DSDT's AML: `Name(_S5_, Package { a, b, ... })`. Firmware
    /// always writes it as constants, so no interpreter is needed.
    pub fn find_s5(dsdt: &[u8]) -> Option<Self> {
        const PACKAGE_OP: u8 = 0x12;
        let at =
            dsdt.windows(5).position(|window| window == [b'_', b'S', b'5', b'_', PACKAGE_OP])?;
        let package = dsdt.get(at..)?.get(5..)?;
        // PkgLength: the top two bits say how many more bytes it has; then the element count.
        let extra = usize::from(*package.first()? >> 6);
        let elements = package.get(extra..)?.get(2..)?;
        let (a, rest) = constant(elements)?;
        let b = constant(rest).map_or(a, |(b, _)| b);
        Some(Self { a, b })
    }
}

/// Reads a small AML integer; gives it and what follows.
fn constant(aml: &[u8]) -> Option<(u8, &[u8])> {
    const BYTE_PREFIX: u8 = 0x0A;
    match aml {
        [value @ (0 | 1), rest @ ..] => Some((*value, rest)),
        [BYTE_PREFIX, value, rest @ ..] => Some((*value, rest)),
        _ => None,
    }
}

/// What the hypervisor reads of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fadt {
    /// The table's revision.
    pub revision: u8,
    /// The FACS's physical address.
    pub facs: u64,
    /// The DSDT's physical address.
    pub dsdt: u64,
    /// The GSI of the system control interrupt.
    pub sci: u16,
    /// The port that switches ACPI mode on; zero on hardware-reduced machines.
    pub smi_command: u32,
    /// What to write there to switch it on.
    pub acpi_enable: u8,
    /// PM1a event block: status, then enable.
    pub pm1a_event: Option<Register>,
    /// PM1b event block.
    pub pm1b_event: Option<Register>,
    /// PM1a control block.
    pub pm1a_control: Option<Register>,
    /// PM1b control block.
    pub pm1b_control: Option<Register>,
    /// The power management timer.
    pub pm_timer: Option<Register>,
    /// Fixed feature flags.
    pub flags: u32,
    /// Boot architecture flags: what legacy devices there are.
    pub boot_arch: u16,
    /// The reset register and what to write to it.
    pub reset: Option<(Register, u8)>,
}

/// `RESET_REG_SUP` of [`Fadt::flags`].
const FLAG_RESET: u32 = 1 << 10;
/// `TMR_VAL_EXT` of [`Fadt::flags`].
const FLAG_TIMER_32: u32 = 1 << 8;

impl Fadt {
    /// Reads a whole table, header included. Fields past its end read as zero, as older
    /// revisions are shorter.
    ///
    /// # Errors
    /// The table is shorter than the ACPI 1.0 table.
    pub fn parse(table: &[u8]) -> Result<Self, AcpiError> {
        Self::read(table).ok_or(AcpiError::BadLength { table: Signature::FADT })
    }

    fn read(table: &[u8]) -> Option<Self> {
        let flags = u32_at(table, 112)?;
        let wide = |offset, narrow| match u64_at(table, offset) {
            Some(address) if address != 0 => address,
            _ => narrow,
        };
        // An X_ field wins over the 32-bit port field that it extends.
        let register = |narrow: usize, len: usize, wide: usize| {
            let legacy = Register {
                space: AddressSpace::IO,
                bits: table.get(len)?.saturating_mul(8),
                address: u64::from(u32_at(table, narrow)?),
            };
            let extended = Register::read(table, wide).filter(|extended| extended.address != 0);
            extended.or((legacy.address != 0).then_some(legacy))
        };
        let reset = Register::read(table, 116)
            .filter(|register| flags & FLAG_RESET != 0 && register.address != 0)
            .zip(table.get(128).copied());
        Some(Self {
            revision: *table.get(REVISION)?,
            facs: wide(132, u32_at(table, 36)?.into()),
            dsdt: wide(140, u32_at(table, 40)?.into()),
            sci: u16_at(table, 46)?,
            smi_command: u32_at(table, 48)?,
            acpi_enable: *table.get(52)?,
            pm1a_event: register(56, 88, 148),
            pm1b_event: register(60, 88, 160),
            pm1a_control: register(64, 89, 172),
            pm1b_control: register(68, 89, 184),
            pm_timer: register(76, 91, 208),
            flags,
            boot_arch: u16_at(table, 109).unwrap_or(0),
            reset,
        })
    }

    /// Whether the PM timer counts 32 bits instead of 24.
    pub const fn pm_timer_is_32_bit(&self) -> bool {
        self.flags & FLAG_TIMER_32 != 0
    }
}
