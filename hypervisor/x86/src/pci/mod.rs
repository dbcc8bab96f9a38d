//! PCI as the control domain sees it: the machine's, but that interrupts go through the
//! hypervisor and that some functions aren't its own.
//!
//! [`Vpci`] handles configuration accesses by ports 0xCF8 and 0xCFC and by memory
//! ([`EcamWindow`]) alike, and the pages that hold MSI-X tables. What a device signals, and
//! where, is the hypervisor's choice ([`PciHost::connect`]); the guest's message is kept and
//! read back. All else goes straight to the machine ([`ConfigSpace`]).
//!
//! A function is taken over when it is first addressed, so what is plugged in later needs no
//! announcement. Neighbours: [`interrupt`](crate::interrupt) decodes the guest's messages.

mod address;
mod bar;
mod capability;
mod device;
mod ecam;
mod host;
mod msi;
mod msix;
pub mod registers;
mod scan;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use hv_core::types::{Gfn, Gpa};

pub use address::{Register, Sbdf, Width};
pub use bar::{MemoryBar, probe as probe_bars};
pub use capability::{Capability, capabilities, extended_capabilities};
use device::Device;
pub use ecam::EcamWindow;
pub use host::{ConfigSpace, MsiMessage, MsiSource, PciHost};
pub use scan::{Function, probe, scan};

/// The port that takes an address in configuration space.
pub const ADDRESS_PORT: u16 = 0xCF8;
/// The first of the four ports that read and write there.
pub const DATA_PORT: u16 = 0xCFC;

/// In the address: accesses are meant for configuration space.
const ADDRESS_ENABLE: u32 = 1 << 31;

/// Whole pages of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The first.
    pub start: Gfn,
    /// How many.
    pub count: u64,
}

impl Pages {
    /// Whether this page is one of them.
    pub const fn contains(&self, gfn: Gfn) -> bool {
        gfn.0.wrapping_sub(self.start.0) < self.count
    }
}

/// What the machine must do about a write.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// From now on these pages must not be mapped: accesses to them are for
    /// [`Vpci::mmio_write`].
    Trap(Pages),
}

/// The control domain's PCI. It needs a lock around it, which [`PciHost`]'s methods are called
/// under.
#[derive(Debug)]
pub struct Vpci {
    windows: Vec<EcamWindow>,
    hidden: BTreeSet<Sbdf>,
    read_only: BTreeSet<Sbdf>,
    devices: BTreeMap<Sbdf, Device>,
    /// What was last written to [`ADDRESS_PORT`].
    address: u32,
}

impl Vpci {
    /// PCI with configuration space at `windows`.
    pub const fn new(windows: Vec<EcamWindow>) -> Self {
        Self {
            windows,
            hidden: BTreeSet::new(),
            read_only: BTreeSet::new(),
            devices: BTreeMap::new(),
            address: 0,
        }
    }

    /// Makes a function look absent: an IOMMU's, say.
    pub fn hide(&mut self, function: Sbdf) {
        self.hidden.insert(function);
    }

    /// Ignores writes to a function: the hypervisor's console, say.
    pub fn protect(&mut self, function: Sbdf) {
        self.read_only.insert(function);
    }

    /// Takes a function over, unless that was done. `false` if there is none.
    pub fn add(&mut self, host: &impl PciHost, function: Sbdf) -> bool {
        self.device(host, function).is_some()
    }

    /// Forgets a function that was unplugged.
    pub fn remove(&mut self, host: &impl PciHost, function: Sbdf) {
        if let Some(mut device) = self.devices.remove(&function) {
            device.reset(host);
        }
    }

    /// Forgets what was written to a function, as it was reset.
    pub fn reset(&mut self, host: &impl PciHost, function: Sbdf) {
        if let Some(device) = self.devices.get_mut(&function) {
            device.reset(host);
        }
    }

    /// Connects a source anew, as what to program into it has changed.
    pub fn reconnect(&mut self, host: &impl PciHost, source: MsiSource) {
        if let Some(device) = self.devices.get_mut(&source.function) {
            device.reconnect(host, source.index);
        }
    }

    /// The functions that were taken over.
    pub fn functions(&self) -> impl ExactSizeIterator<Item = Sbdf> {
        self.devices.keys().copied()
    }

    /// The memory of those functions, where it is now. It may be mapped, but for
    /// [`Self::trapped`].
    pub fn bars(&self) -> impl Iterator<Item = (Sbdf, &MemoryBar)> {
        self.devices.iter().flat_map(|(sbdf, device)| device.bars().iter().map(|bar| (*sbdf, bar)))
    }

    /// The memory that an address is in, for mapping all of it at the first access.
    pub fn bar_at(&self, at: Gpa) -> Option<&MemoryBar> {
        self.bars().map(|(_, bar)| bar).find(|bar| bar.contains(at.0))
    }

    /// The pages that must not be mapped besides those of [`Self::windows`], as they hold MSI-X
    /// tables.
    pub fn trapped(&self) -> impl Iterator<Item = Pages> {
        self.devices.values().filter_map(|device| device.msix.as_ref()?.pages())
    }

    /// Where configuration space is memory.
    pub fn windows(&self) -> &[EcamWindow] {
        &self.windows
    }

    /// Whether the domain may read a function's configuration space from the machine: nothing
    /// in it differs. It holds until the function is plugged in or out.
    pub fn reads_are_plain(&self, function: Sbdf) -> bool {
        !self.hidden.contains(&function)
            && self.devices.get(&function).is_none_or(Device::reads_are_plain)
    }

    /// Reads a register of configuration space.
    pub fn read(&mut self, host: &impl PciHost, function: Sbdf, register: Register) -> u32 {
        if self.hidden.contains(&function) {
            return register.width().ones();
        }
        match self.device(host, function) {
            Some(device) => device.read(host, register),
            None => host.read(function, register),
        }
    }

    /// Writes a register of configuration space.
    pub fn write(
        &mut self,
        host: &impl PciHost,
        function: Sbdf,
        register: Register,
        value: u32,
    ) -> Effect {
        if self.hidden.contains(&function) || self.read_only.contains(&function) {
            return Effect::None;
        }
        match self.device(host, function) {
            Some(device) => device.write(host, register, value),
            None => {
                host.write(function, register, value);
                Effect::None
            }
        }
    }

    /// What was last written to [`ADDRESS_PORT`], where that does not exit.
    pub const fn set_address(&mut self, address: u32) {
        self.address = address;
    }

    /// Reads a port from [`ADDRESS_PORT`] to [`DATA_PORT`]` + 3`.
    pub fn port_read(&mut self, host: &impl PciHost, port: u16, width: Width) -> u32 {
        if port == ADDRESS_PORT && width == Width::Dword {
            return self.address;
        }
        match self.port_register(port, width) {
            Some((function, register)) => self.read(host, function, register),
            None => width.ones(),
        }
    }

    /// Writes a port from [`ADDRESS_PORT`] to [`DATA_PORT`]` + 3`.
    pub fn port_write(
        &mut self,
        host: &impl PciHost,
        port: u16,
        width: Width,
        value: u32,
    ) -> Effect {
        if port == ADDRESS_PORT && width == Width::Dword {
            self.address = value;
            return Effect::None;
        }
        match self.port_register(port, width) {
            Some((function, register)) => self.write(host, function, register, value),
            None => Effect::None,
        }
    }

    /// What a data port stands for.
    fn port_register(&self, port: u16, width: Width) -> Option<(Sbdf, Register)> {
        let byte = port.checked_sub(DATA_PORT).filter(|byte| *byte < 4)?;
        if self.address & ADDRESS_ENABLE == 0 {
            return None;
        }
        let function = Sbdf::from_devfn(0, (self.address >> 16) as u8, (self.address >> 8) as u8);
        // Bits 27:24 extend the offset on AMD's processors.
        let offset = (self.address & 0xFC) as u16 | (self.address >> 16) as u16 & 0xF00;
        Some((function, Register::new(offset | byte, width)?))
    }

    /// Whether accesses to this address are for [`Self::mmio_read`] and [`Self::mmio_write`].
    pub fn is_mmio(&self, at: Gpa) -> bool {
        self.windows.iter().any(|window| window.decode(at).is_some())
            || self.trapped().any(|pages| pages.contains(at.gfn()))
    }

    /// Reads `bytes` (1, 2, 4 or 8) of memory; all ones where [`Self::is_mmio`] is false.
    pub fn mmio_read(&mut self, host: &impl PciHost, at: Gpa, bytes: u8) -> u64 {
        if let Some((function, offset)) = self.config_place(at) {
            let parts = Parts::new(offset, bytes);
            return parts.fold(0, |value, (shift, register)| {
                value | u64::from(self.read(host, function, register)) << shift
            });
        }
        match self.devices.values_mut().find_map(|device| device.msix_at(at)) {
            Some(msix) => msix.read(host, at, bytes),
            None => u64::MAX,
        }
    }

    /// Writes `bytes` (1, 2, 4 or 8) of memory; nothing happens where [`Self::is_mmio`] is
    /// false.
    pub fn mmio_write(&mut self, host: &impl PciHost, at: Gpa, bytes: u8, value: u64) -> Effect {
        if let Some((function, offset)) = self.config_place(at) {
            let mut effect = Effect::None;
            for (shift, register) in Parts::new(offset, bytes) {
                match self.write(host, function, register, (value >> shift) as u32) {
                    Effect::None => {}
                    trap => effect = trap,
                }
            }
            return effect;
        }
        if let Some(msix) = self.devices.values_mut().find_map(|device| device.msix_at(at)) {
            msix.write(host, at, bytes, value);
        }
        Effect::None
    }

    fn config_place(&self, at: Gpa) -> Option<(Sbdf, u16)> {
        self.windows.iter().find_map(|window| window.decode(at))
    }

    /// The function, taken over if need be. `None` if it isn't there, or not the domain's.
    fn device(&mut self, host: &impl PciHost, function: Sbdf) -> Option<&mut Device> {
        if !self.devices.contains_key(&function) {
            if self.hidden.contains(&function) || self.read_only.contains(&function) {
                return None;
            }
            probe(host, function)?;
            self.devices.insert(function, Device::new(host, function));
        }
        self.devices.get_mut(&function)
    }
}

/// The registers that a memory access of up to 8 bytes touches, each with the bit of the value
/// at which it starts. Accesses that aren't aligned are taken apart.
struct Parts {
    offset: u16,
    shift: u32,
    left: u8,
}

impl Parts {
    const fn new(offset: u16, bytes: u8) -> Self {
        Self { offset, shift: 0, left: bytes }
    }
}

impl Iterator for Parts {
    type Item = (u32, Register);

    fn next(&mut self) -> Option<Self::Item> {
        let fits = |width: &Width| {
            self.left >= width.bytes() && Register::new(self.offset, *width).is_some()
        };
        let width = [Width::Dword, Width::Word, Width::Byte].into_iter().find(fits)?;
        let part = (self.shift, Register::new(self.offset, width)?);
        self.offset = self.offset.saturating_add(width.bytes().into());
        self.shift = self.shift.saturating_add(u32::from(width.bytes()) << 3);
        self.left = self.left.saturating_sub(width.bytes());
        Some(part)
    }
}
