//! PCI of the hardware domain: the machine's, with interrupts on the hypervisor's terms.
//!
//! What the domain sees and may do is [`hv_x86::pci`]'s to say; this gives it the machine
//! ([`Host`]), and keeps the pages of MSI-X tables out of the second stage.
//!
//! Locks, in this order: the domain's PCI, the [`HiddenFrames`](super::hidden::HiddenFrames), the
//! p2m.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Range, RangeInclusive};

use hv_core::frame::FrameRange;
use hv_core::memory::{DomainListener, MemoryError};
use hv_core::p2m::FlushBatch;
use hv_core::types::{FRAME_BYTES, Gfn, Gpa, Hpa, Mfn};
use hv_x86::interrupt::Message;
use hv_x86::pci::{
    ADDRESS_PORT, ConfigSpace, Effect, Function, MsiMessage, MsiSource, Pages, PciHost, Register,
    Sbdf, Vpci, Width, scan,
};
use spin::Mutex;

use crate::arch::port;
use crate::drivers::pci::{self, Config};
use crate::irq;
use crate::mm::{Mmio, map_mmio};
use crate::platform::{Domain, hypervisor};

/// Where messages for local APICs are written to.
const MSI_ADDRESS: u64 = 0xFEE0_0000;
/// Base class and subclass of IOMMUs, which are the hypervisor's.
const CLASS_IOMMU: u32 = 0x0806;

/// Where the domain writes the address of a register of configuration space, if the hypervisor
/// itself doesn't: only the access to the register then exits. The byte of the chipset's reset
/// control is among them; resetting the machine is the hardware domain's right.
pub const ADDRESS_PORTS: RangeInclusive<u16> = ADDRESS_PORT..=ADDRESS_PORT + 3;

/// The hardware domain's PCI.
pub struct HardwarePci {
    state: Mutex<Vpci>,
    host: Host,
}

impl HardwarePci {
    /// Finds the machine's functions and takes them over. `reserved` are frames of devices that
    /// the domain must not reach, by no function's base addresses either.
    pub fn discover(reserved: Box<[Range<Gfn>]>) -> Self {
        let config = pci::config();
        let mut state = Vpci::new(config.windows().copied().collect());
        let host = Host { config, reserved, vectors: Mutex::default(), memory: Mutex::default() };
        let functions = all_functions(config);
        info!("PCI: {} functions", functions.len());
        for function in functions {
            debug!("{} {:04x}:{:04x}", function.sbdf, function.id & 0xFFFF, function.id >> 16);
            if function.class >> 8 == CLASS_IOMMU {
                state.hide(function.sbdf);
            } else {
                state.add(&host, function.sbdf);
            }
        }
        Self { state: Mutex::new(state), host }
    }

    /// The pages that must not be mapped because they hold MSI-X tables.
    pub fn tables(&self) -> Vec<Pages> {
        self.state.lock().trapped().collect()
    }
}

fn all_functions(config: &Config) -> Vec<Function> {
    let mut segments: Vec<u16> = config.windows().map(|window| window.segment).collect();
    segments.push(0);
    segments.sort_unstable();
    segments.dedup();
    segments.into_iter().flat_map(|segment| scan(config, segment, 0..=u8::MAX)).collect()
}

/// The machine, as virtual PCI needs it.
struct Host {
    config: &'static Config,
    /// Frames that are no device's of the domain.
    reserved: Box<[Range<Gfn>]>,
    /// The host vector of each source in use.
    vectors: Mutex<BTreeMap<MsiSource, u8>>,
    /// The pages of device memory that were accessed, by frame number.
    memory: Mutex<BTreeMap<u64, Mmio>>,
}

impl Host {
    /// The page that holds `at`; `None` unless it is device memory of the domain's.
    fn page(&self, at: Hpa) -> Option<Mmio> {
        let frame = at.0 / FRAME_BYTES as u64;
        let mut memory = self.memory.lock();
        if let Some(page) = memory.get(&frame) {
            return Some(*page);
        }
        // The domain chooses base addresses, and so what is taken for device memory here.
        let reserved = self.reserved.iter().any(|range| range.contains(&Gfn(frame)));
        let ram = FrameRange { start: Mfn(frame), frames: 1 };
        if reserved || hypervisor().frames.holds_ram(ram) {
            return None;
        }
        let page = map_mmio(Hpa(frame * FRAME_BYTES as u64), FRAME_BYTES)?;
        memory.insert(frame, page);
        Some(page)
    }
}

impl ConfigSpace for Host {
    fn read(&self, function: Sbdf, register: Register) -> u32 {
        self.config.read(function, register)
    }

    fn write(&self, function: Sbdf, register: Register, value: u32) {
        self.config.write(function, register, value);
    }
}

impl PciHost for Host {
    fn connect(&self, source: MsiSource, guest: MsiMessage) -> Option<MsiMessage> {
        let arrives = Message::from_msi(guest.address, guest.data)?;
        let mut vectors = self.vectors.lock();
        let vector = match vectors.get(&source) {
            Some(&vector) => {
                irq::set_message(vector, arrives);
                vector
            }
            None => {
                let Ok(vector) = irq::allocate_message(arrives) else {
                    error!("no interrupt vector is left for {}: it stays silent", source.function);
                    return None;
                };
                vectors.insert(source, vector);
                vector
            }
        };
        // Physical destination, fixed delivery, edge: all zero.
        let address = MSI_ADDRESS | u64::from(irq::destination(&arrives)) << 12;
        Some(MsiMessage { address, data: vector.into() })
    }

    fn disconnect(&self, source: MsiSource) {
        if let Some(vector) = self.vectors.lock().remove(&source) {
            irq::free(vector);
        }
    }

    fn mmio_read(&self, at: Hpa, bytes: u8) -> u64 {
        if !is_whole(at, bytes) {
            return (0..bytes.min(8)).rev().fold(0, |value, byte| {
                value << 8 | self.mmio_read(Hpa(at.0.wrapping_add(byte.into())), 1)
            });
        }
        let offset = at.offset();
        match (self.page(at), bytes) {
            (Some(page), 1) => page.read_u8(offset).into(),
            (Some(page), 2) => page.read_u16(offset).into(),
            (Some(page), 4) => page.read_u32(offset).into(),
            (Some(page), _) => page.read_u64(offset),
            (None, _) => u64::MAX >> (64 - 8 * u32::from(bytes)),
        }
    }

    fn mmio_write(&self, at: Hpa, bytes: u8, value: u64) {
        if !is_whole(at, bytes) {
            for (index, byte) in (0..u64::from(bytes)).zip(value.to_le_bytes()) {
                self.mmio_write(Hpa(at.0.wrapping_add(index)), 1, byte.into());
            }
            return;
        }
        let (Some(page), offset) = (self.page(at), at.offset()) else { return };
        match bytes {
            1 => page.write_u8(offset, value as u8),
            2 => page.write_u16(offset, value as u16),
            4 => page.write_u32(offset, value as u32),
            _ => page.write_u64(offset, value),
        }
    }
}

/// Whether a device takes an access in one piece.
fn is_whole(at: Hpa, bytes: u8) -> bool {
    matches!(bytes, 1 | 2 | 4 | 8) && at.0 & (u64::from(bytes) - 1) == 0
}

/// Reads memory. `None` if PCI has nothing to do with it.
pub fn mmio_read(domain: &Arc<Domain>, gpa: Gpa, len: u8) -> Option<u64> {
    let read = |state: &mut Vpci, host: &Host| {
        let value = state.is_mmio(gpa).then(|| state.mmio_read(host, gpa, len));
        (value, Effect::None)
    };
    access(domain, read).flatten()
}

/// Writes memory, if it is PCI's.
pub fn mmio_write(domain: &Arc<Domain>, gpa: Gpa, len: u8, value: u64) {
    access(domain, |state, host| ((), state.mmio_write(host, gpa, len, value)));
}

/// Reads one of the ports of configuration space.
pub fn port_read(domain: &Arc<Domain>, at: u16, bytes: u8) -> u32 {
    let Some(width) = Width::from_bytes(bytes) else { return u32::MAX };
    let read = |state: &mut Vpci, host: &Host| {
        latch_address(state, host);
        (state.port_read(host, at, width), Effect::None)
    };
    access(domain, read).unwrap_or(width.ones())
}

/// Writes one of the ports of configuration space.
pub fn port_write(domain: &Arc<Domain>, at: u16, bytes: u8, value: u32) {
    let Some(width) = Width::from_bytes(bytes) else { return };
    let write = |state: &mut Vpci, host: &Host| {
        latch_address(state, host);
        ((), state.port_write(host, at, width, value))
    };
    access(domain, write);
}

/// Takes over the address that the domain last wrote, where it did so without an exit.
fn latch_address(state: &mut Vpci, host: &Host) {
    if host.config.leaves_ports_alone() {
        state.set_address(port::read(ADDRESS_PORT, 4));
    }
}

/// The hardware domain has found a function. `false` if there is none.
pub fn found(domain: &Arc<Domain>, function: Sbdf) -> bool {
    access(domain, |state, host| (state.add(host, function), Effect::None)).unwrap_or(false)
}

/// A function was unplugged.
pub fn removed(domain: &Arc<Domain>, function: Sbdf) {
    access(domain, |state, host| (state.remove(host, function), Effect::None));
}

/// The hardware domain has reset a function.
pub fn was_reset(domain: &Arc<Domain>, function: Sbdf) {
    access(domain, |state, host| (state.reset(host, function), Effect::None));
}

/// Tells the source of the interrupts with this host vector to send them where their vCPU is now.
pub fn redirect(domain: &Arc<Domain>, vector: u8) {
    access(domain, |state, host| {
        let vectors = host.vectors.lock();
        let source = vectors.iter().find(|(_, of)| **of == vector).map(|(source, _)| *source);
        drop(vectors);
        if let Some(source) = source {
            state.reconnect(host, source);
        }
        ((), Effect::None)
    });
}

/// Lets `act` at the domain's PCI, and hides the MSI-X tables that come to light. `None` if the
/// domain has no PCI.
fn access<R>(domain: &Arc<Domain>, act: impl FnOnce(&mut Vpci, &Host) -> (R, Effect)) -> Option<R> {
    let pci = domain.arch.pci.as_ref()?;
    let mut state = pci.state.lock();
    let known = state.functions().len();
    let (result, effect) = act(&mut state, &pci.host);
    if effect != Effect::None || state.functions().len() != known {
        hide_tables(domain, state.trapped().collect());
    }
    Some(result)
}

/// Makes accesses to these pages exit.
fn hide_tables(domain: &Arc<Domain>, tables: Vec<Pages>) {
    domain.arch.hidden.set_tables(tables.clone());
    let hv = hypervisor();
    let listener = DomainListener::new(&hv.platform, domain.id);
    let mut batch = FlushBatch::new(&hv.frames, &listener);
    for pages in tables {
        for frame in pages.start.0..pages.start.0.saturating_add(pages.count) {
            let unmapped = domain.memory.unmap_mmio(hv.frames(), Gfn(frame), 0, &mut batch);
            match unmapped {
                // Behind RAM, the table is out of everybody's reach.
                Ok(()) | Err(MemoryError::Busy) => {}
                Err(error) => error!("can't hide the MSI-X table in frame {frame:#x}: {error:?}"),
            }
        }
    }
}
