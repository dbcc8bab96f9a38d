//! One function as the domain sees it: the machine's registers, but for those that choose where
//! interrupts go.

use alloc::vec::Vec;

use hv_core::types::Gpa;

use super::Effect;
use super::address::{Register, Sbdf};
use super::bar::{self, MemoryBar};
use super::capability::{capabilities, extended_capabilities};
use super::host::PciHost;
use super::msi::Msi;
use super::msix::Msix;
use super::registers::{
    BAR0, CAP_MSI, CAP_MSIX, COMMAND, COMMAND_MEMORY, EXT_CAP_RESIZABLE_BAR, EXT_CAP_SRIOV,
    EXT_CAP_VF_RESIZABLE_BAR,
};

/// Extended capabilities that change what memory a function answers to. They are shown as null
/// capabilities, whose list goes on.
const HIDDEN_CAPABILITIES: [u16; 3] =
    [EXT_CAP_SRIOV, EXT_CAP_RESIZABLE_BAR, EXT_CAP_VF_RESIZABLE_BAR];
/// A capability's place in the list, without its id and version.
const NEXT_CAPABILITY: u32 = 0xFFF0_0000;

/// A function.
#[derive(Clone, Debug)]
pub(super) struct Device {
    sbdf: Sbdf,
    msi: Option<Msi>,
    pub(super) msix: Option<Msix>,
    hidden_capabilities: Vec<u16>,
    bars: Vec<MemoryBar>,
}

impl Device {
    /// Takes a function over; it must not be in use.
    pub(super) fn new(host: &impl PciHost, sbdf: Sbdf) -> Self {
        let bars = bar::probe(host, sbdf);
        let list = capabilities(host, sbdf);
        let find = |id: u8| list.iter().find(|cap| cap.id == id).map(|cap| cap.offset);
        let hidden = extended_capabilities(host, sbdf)
            .into_iter()
            .filter(|capability| HIDDEN_CAPABILITIES.contains(&capability.id));
        Self {
            sbdf,
            msi: find(CAP_MSI).map(|offset| Msi::new(host, sbdf, offset)),
            msix: find(CAP_MSIX).map(|offset| Msix::new(host, sbdf, offset)),
            hidden_capabilities: hidden.map(|capability| capability.offset).collect(),
            bars,
        }
    }

    /// Reads a register.
    pub(super) fn read(&self, host: &impl PciHost, register: Register) -> u32 {
        match self.own_dword(host, register.containing_dword().offset()) {
            Some(dword) => register.extract(dword),
            None => host.read(self.sbdf, register),
        }
    }

    /// A dword that isn't as the machine has it.
    fn own_dword(&self, host: &impl PciHost, dword: u16) -> Option<u32> {
        if self.hidden_capabilities.contains(&dword) {
            return Some(host.read(self.sbdf, Register::dword(dword)) & NEXT_CAPABILITY);
        }
        let msi = self.msi.as_ref().and_then(|msi| msi.read(host, dword));
        msi.or_else(|| self.msix.as_ref().and_then(|msix| msix.read_config(host, dword)))
    }

    /// Writes a register.
    pub(super) fn write(&mut self, host: &impl PciHost, register: Register, value: u32) -> Effect {
        let dword = register.containing_dword().offset();
        if let Some(msi) = &mut self.msi
            && let Some(old) = msi.read(host, dword)
        {
            msi.write(host, dword, register.insert(old, value));
            return Effect::None;
        }
        if let Some(msix) = &mut self.msix
            && let Some(old) = msix.read_config(host, dword)
        {
            msix.write_config(host, register.insert(old, value));
            return Effect::None;
        }
        host.write(self.sbdf, register, value);
        const BARS_END: u16 = BAR0 + 6 * 4;
        if dword == COMMAND || (BAR0..BARS_END).contains(&dword) {
            return self.follow_bars(host);
        }
        Effect::None
    }

    /// Looks where the function's memory is. Only while it answers there: in between, the
    /// registers hold halves of addresses, or masks of sizes.
    fn follow_bars(&mut self, host: &impl PciHost) -> Effect {
        if host.read(self.sbdf, Register::word(COMMAND)) & COMMAND_MEMORY == 0 {
            return Effect::None;
        }
        for memory in &mut self.bars {
            memory.address = bar::address(host, self.sbdf, memory.index).unwrap_or(0);
        }
        let Some(msix) = &mut self.msix else { return Effect::None };
        let moved = msix.locate(host);
        msix.program_all(host);
        moved.map_or(Effect::None, Effect::Trap)
    }

    /// Programs an interrupt's message anew, if it is in use.
    pub(super) fn reconnect(&mut self, host: &impl PciHost, index: u16) {
        if let Some(msix) = &mut self.msix {
            msix.reconnect(host, index);
        }
        if let Some(msi) = &self.msi
            && index == 0
        {
            msi.update(host);
        }
    }

    /// Whether the domain may read all registers from the machine.
    pub(super) const fn reads_are_plain(&self) -> bool {
        self.msi.is_none() && self.msix.is_none() && self.hidden_capabilities.is_empty()
    }

    /// The memory that it answers to.
    pub(super) fn bars(&self) -> &[MemoryBar] {
        &self.bars
    }

    /// Its MSI-X capability, if a page of the table holds this address.
    pub(super) fn msix_at(&mut self, at: Gpa) -> Option<&mut Msix> {
        self.msix.as_mut().filter(|msix| msix.traps(at))
    }

    /// Forgets what the domain wrote, as the function was reset or is gone.
    pub(super) fn reset(&mut self, host: &impl PciHost) {
        if let Some(msi) = &mut self.msi {
            msi.reset(host);
        }
        if let Some(msix) = &mut self.msix {
            msix.reset(host);
        }
    }
}
