//! The MSI-X capability and its table: the guest's entries are kept here, the device's table
//! gets the machine's messages.
//!
//! An entry is connected when it is first used (unmasked while MSI-X is enabled) and stays so
//! while it is masked, until MSI-X is disabled or the function reset.

use alloc::vec;
use alloc::vec::Vec;

use hv_core::types::{FRAME_SHIFT, Gfn, Gpa, Hpa};

use super::Pages;
use super::address::{Register, Sbdf};
use super::bar;
use super::host::{MsiMessage, MsiSource, PciHost};

/// In the capability's first dword: signals are enabled.
const ENABLE: u32 = 1 << 31;
/// Entries of the table, less one.
const TABLE_SIZE: u32 = 0x7FF << 16;
/// Which base address register the table is at.
const BAR_INDEX: u32 = 0b111;

const ENTRY_BYTES: u64 = 16;
/// In an entry's last dword: it doesn't signal.
const MASKED: u32 = 1 << 0;

/// An entry as the guest wrote it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    guest: MsiMessage,
    masked: bool,
    connected: bool,
    /// The device's entry was made from the message as it is now.
    current: bool,
}

impl Entry {
    const RESET: Self = Self {
        guest: MsiMessage { address: 0, data: 0 },
        masked: true,
        connected: false,
        current: false,
    };

    const fn dword(&self, index: u64) -> u32 {
        match index {
            0 => self.guest.address as u32,
            1 => (self.guest.address >> 32) as u32,
            2 => self.guest.data,
            _ => self.masked as u32,
        }
    }

    fn set_dword(&mut self, index: u64, value: u32) {
        let address = &mut self.guest.address;
        match index {
            0 => *address = *address & !0xFFFF_FFFF | u64::from(value & !0b11),
            1 => *address = *address & 0xFFFF_FFFF | u64::from(value) << 32,
            2 => self.guest.data = value,
            _ => self.masked = value & MASKED != 0,
        }
        // Even if it is the same: the device may have been reset and forgotten its entry.
        if index < 3 {
            self.current = false;
        }
    }
}

/// A function's MSI-X capability.
#[derive(Clone, Debug)]
pub(super) struct Msix {
    function: Sbdf,
    offset: u16,
    bar: u8,
    offset_in_bar: u64,
    /// Where the table was when the function last began to answer to memory addresses.
    table: Option<Hpa>,
    enabled: bool,
    entries: Vec<Entry>,
}

impl Msix {
    /// Takes over the capability at `offset`; signals are disabled.
    pub(super) fn new(host: &impl PciHost, function: Sbdf, offset: u16) -> Self {
        let control = host.read(function, Register::dword(offset));
        let table = host.read(function, Register::dword(offset.wrapping_add(4)));
        let entries = ((control & TABLE_SIZE) >> 16).saturating_add(1);
        let mut msix = Self {
            function,
            offset,
            bar: (table & BAR_INDEX) as u8,
            offset_in_bar: u64::from(table & !BAR_INDEX),
            table: None,
            enabled: false,
            entries: vec![Entry::RESET; entries as usize],
        };
        msix.set_control(host, control & !ENABLE);
        msix.locate(host);
        msix
    }

    /// Looks where the table is. Gives its pages, if that changed.
    pub(super) fn locate(&mut self, host: &impl PciHost) -> Option<Pages> {
        let base = bar::address(host, self.function, self.bar);
        let table = base.and_then(|base| base.checked_add(self.offset_in_bar)).map(Hpa);
        let old = core::mem::replace(&mut self.table, table);
        if self.table == old { None } else { self.pages() }
    }

    /// The pages that hold the table.
    pub(super) fn pages(&self) -> Option<Pages> {
        let start = self.table?.0;
        let last = start.checked_add(self.table_bytes())?.checked_sub(1)?;
        let (start, end) = (start >> FRAME_SHIFT, (last >> FRAME_SHIFT).saturating_add(1));
        Some(Pages { start: Gfn(start), count: end.saturating_sub(start) })
    }

    fn table_bytes(&self) -> u64 {
        (self.entries.len() as u64).saturating_mul(ENTRY_BYTES)
    }

    /// What the guest sees in the capability's dword; `None` if that is what the device has.
    pub(super) fn read_config(&self, host: &impl PciHost, dword: u16) -> Option<u32> {
        if dword != self.offset {
            return None;
        }
        let control = host.read(self.function, Register::dword(dword));
        Some(control & !ENABLE | if self.enabled { ENABLE } else { 0 })
    }

    /// Writes the dword for which [`Self::read_config`] has a value.
    pub(super) fn write_config(&mut self, host: &impl PciHost, value: u32) {
        if value & ENABLE == 0 {
            self.set_control(host, value);
            self.disconnect_all(host);
            self.enabled = false;
            return;
        }
        self.enabled = true;
        self.program_all(host);
        self.set_control(host, value);
    }

    fn set_control(&self, host: &impl PciHost, value: u32) {
        host.write(self.function, Register::word(self.offset.wrapping_add(2)), value >> 16);
    }

    /// Makes the device's table what the guest's entries ask for: MSI-X was enabled, or the
    /// device has begun to answer to memory addresses.
    pub(super) fn program_all(&mut self, host: &impl PciHost) {
        if !self.enabled {
            return;
        }
        for index in 0..self.entries.len() {
            if let Some(entry) = self.entries.get_mut(index) {
                entry.current = false;
            }
            self.program(host, index);
        }
    }

    /// Makes one entry of the device's table what the guest's asks for.
    fn program(&mut self, host: &impl PciHost, index: usize) {
        let (Some(entry), Some(table)) = (self.entries.get_mut(index), self.table) else { return };
        if !self.enabled {
            return;
        }
        let set = |dword: u64, value: u32| {
            let offset = (index as u64).saturating_mul(ENTRY_BYTES).saturating_add(dword << 2);
            host.mmio_write(Hpa(table.0.wrapping_add(offset)), 4, u64::from(value));
        };
        if entry.masked {
            set(3, MASKED);
            return;
        }
        if !entry.current {
            let source = MsiSource { function: self.function, index: index as u16 };
            let Some(message) = host.connect(source, entry.guest) else {
                set(3, MASKED);
                return;
            };
            entry.connected = true;
            entry.current = true;
            // An entry must not change while it can signal.
            set(3, MASKED);
            set(0, message.address as u32);
            set(1, (message.address >> 32) as u32);
            set(2, message.data);
        }
        set(3, 0);
    }

    /// Makes an entry's message anew, if it is in use.
    pub(super) fn reconnect(&mut self, host: &impl PciHost, index: u16) {
        let index = usize::from(index);
        if let Some(entry) = self.entries.get_mut(index).filter(|entry| entry.connected) {
            entry.current = false;
            self.program(host, index);
        }
    }

    /// Reads `bytes` of a page that holds the table. What isn't table is the device's.
    pub(super) fn read(&self, host: &impl PciHost, at: Gpa, bytes: u8) -> u64 {
        let Some((index, dword)) = self.place(at) else {
            return host.mmio_read(Hpa(at.0), bytes);
        };
        let Some(entry) = self.entries.get(index) else { return u64::MAX };
        match bytes {
            4 => u64::from(entry.dword(dword)),
            8 if dword & 1 == 0 => {
                u64::from(entry.dword(dword)) | u64::from(entry.dword(dword | 1)) << 32
            }
            // The specification allows aligned accesses of 4 and 8 bytes only.
            _ => u64::MAX,
        }
    }

    /// Writes `bytes` of a page that holds the table.
    pub(super) fn write(&mut self, host: &impl PciHost, at: Gpa, bytes: u8, value: u64) {
        let Some((index, dword)) = self.place(at) else {
            host.mmio_write(Hpa(at.0), bytes, value);
            return;
        };
        let Some(entry) = self.entries.get_mut(index) else { return };
        match bytes {
            4 => entry.set_dword(dword, value as u32),
            8 if dword & 1 == 0 => {
                entry.set_dword(dword, value as u32);
                entry.set_dword(dword | 1, (value >> 32) as u32);
            }
            _ => return,
        }
        self.program(host, index);
    }

    /// Which entry's which dword is at an address. Addresses that aren't dword-aligned are in
    /// the table too, but no dword's; they are given as one past the last entry.
    fn place(&self, at: Gpa) -> Option<(usize, u64)> {
        let offset = at.0.checked_sub(self.table?.0).filter(|at| *at < self.table_bytes())?;
        if offset & 3 != 0 {
            return Some((self.entries.len(), 0));
        }
        Some((usize::try_from(offset / ENTRY_BYTES).ok()?, offset >> 2 & 3))
    }

    /// Whether a page of the table holds this address.
    pub(super) fn traps(&self, at: Gpa) -> bool {
        self.pages().is_some_and(|pages| pages.contains(at.gfn()))
    }

    fn disconnect_all(&mut self, host: &impl PciHost) {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            entry.current = false;
            if core::mem::take(&mut entry.connected) {
                host.disconnect(MsiSource { function: self.function, index: index as u16 });
            }
        }
    }

    /// Forgets what the guest wrote, as the function was reset or is gone.
    pub(super) fn reset(&mut self, host: &impl PciHost) {
        self.disconnect_all(host);
        self.enabled = false;
        self.entries.fill(Entry::RESET);
    }
}
