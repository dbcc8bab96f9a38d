//! Physical interrupts on their way to the hardware domain.
//!
//! Each pin and each message-signalled interrupt that the hardware domain uses has a host vector
//! of its own. A pin leads to its twin in the virtual IO-APIC, a message to the message that the
//! domain meant. A level-triggered pin is masked until the domain has ended its interrupt, so
//! that the local APIC's own end of interrupt need not wait for the guest.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU8, Ordering};

use hv_core::types::{CpuId, DomId, Gpa};
use hv_x86::interrupt::{Message, Trigger};
use hv_x86::vioapic::{Effect, PinConfig, Polarity, Vioapics};
use spin::{Mutex, MutexGuard};
use x86defs::apic::DeliveryMode;
use x86defs::ioapic::RedirectionEntry;

use crate::arch::hvm::{message, vpci};
use crate::arch::{cpu, interrupts, ioapic};
use crate::platform::{Domain, hypervisor};

/// Where a host vector leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Target {
    /// Nowhere: the vector is free.
    #[default]
    Free,
    /// To a pin of the virtual IO-APICs.
    Pin { gsi: u32, level: bool },
    /// To the local APICs, by the message that the guest wrote.
    Message(Message),
}

const VECTORS: usize = 256;
static TARGETS: [Mutex<Target>; VECTORS] = [const { Mutex::new(Target::Free) }; VECTORS];

/// By vector, how many of its interrupts in a row came to another pCPU than that of their vCPU.
static MISSED: [AtomicU8; VECTORS] = [const { AtomicU8::new(0) }; VECTORS];
/// So many, and the source is told to send the next ones elsewhere.
const PATIENCE: u8 = 32;

/// Every host vector is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoVector;

/// Takes a host vector for `target`.
fn allocate(target: Target) -> Result<u8, NoVector> {
    for vector in interrupts::FIRST_DYNAMIC..=interrupts::LAST_DYNAMIC {
        let mut slot = TARGETS[usize::from(vector)].lock();
        if *slot == Target::Free {
            *slot = target;
            drop(slot);
            interrupts::register(vector, arrived);
            return Ok(vector);
        }
    }
    Err(NoVector)
}

/// The vector that leads to this pin, if there is one.
fn vector_of(gsi: u32) -> Option<u8> {
    (interrupts::FIRST_DYNAMIC..=interrupts::LAST_DYNAMIC).find(|&vector| {
        matches!(*TARGETS[usize::from(vector)].lock(), Target::Pin { gsi: of, .. } if of == gsi)
    })
}

/// Takes a host vector for a message-signalled interrupt that is to arrive as `message`.
///
/// # Errors
/// If there is none left.
pub fn allocate_message(message: Message) -> Result<u8, NoVector> {
    allocate(Target::Message(message))
}

/// Changes what a message-signalled interrupt arrives as.
pub fn set_message(vector: u8, message: Message) {
    *TARGETS[usize::from(vector)].lock() = Target::Message(message);
}

/// Gives a host vector back. Its source must be silent by now.
pub fn free(vector: u8) {
    *TARGETS[usize::from(vector)].lock() = Target::Free;
}

/// The local APIC to send an interrupt to that arrives in the hardware domain as `arrives`: that
/// of the pCPU where the vCPU is that takes it, so that no other has to be disturbed. See
/// [`is_elsewhere`] for vCPUs that move.
pub fn destination(arrives: &Message) -> u8 {
    let pcpu = hardware_domain().and_then(|domain| message::pcpu(&domain, arrives));
    pcpu.map_or_else(boot_apic_id, apic_id)
}

fn boot_apic_id() -> u8 {
    cpu::boot_cpu().apic_id() as u8
}

/// A pCPU's local APIC, or the boot CPU's if devices can't address it: they have 8 bits, of which
/// 255 means all.
fn apic_id(pcpu: CpuId) -> u8 {
    let id = cpu::all().get(pcpu.0 as usize).and_then(|cpu| u8::try_from(cpu.apic_id()).ok());
    id.filter(|id| *id != u8::MAX).unwrap_or_else(boot_apic_id)
}

fn hardware_domain() -> Option<Arc<Domain>> {
    hypervisor().domain(DomId::DOM0)
}

fn io_apics(domain: &Domain) -> Option<MutexGuard<'_, Vioapics>> {
    Some(domain.arch.io_apics.as_ref()?.lock())
}

/// An interrupt with a vector of [`allocate`]'s has arrived.
fn arrived(vector: u8) {
    let target = *TARGETS[usize::from(vector)].lock();
    let Some(domain) = hardware_domain() else { return };
    match target {
        Target::Free => {}
        Target::Message(arrives) => {
            message::deliver(&domain, None, &arrives);
            if is_elsewhere(vector, &domain, &arrives) {
                vpci::redirect(&domain, vector);
            }
        }
        Target::Pin { gsi, level } => {
            if level {
                ioapic::set_masked(gsi, true);
            }
            let raised = io_apics(&domain).and_then(|mut io_apics| {
                let (io_apic, pin) = io_apics.pin(gsi)?;
                io_apic.raise(pin)
            });
            if let Some(arrives) = raised {
                message::deliver(&domain, None, &arrives);
                if is_elsewhere(vector, &domain, &arrives) {
                    ioapic::set_destination(gsi, destination(&arrives));
                }
            }
        }
    }
}

/// Whether interrupts with this vector arrive at another pCPU than that of the vCPU which takes
/// them, and have done so for long enough: a vCPU that is pushed aside for a moment comes back.
fn is_elsewhere(vector: u8, domain: &Domain, arrives: &Message) -> bool {
    let missed = &MISSED[usize::from(vector)];
    let at_home = message::pcpu(domain, arrives).is_none_or(|home| home == cpu::this_cpu().id());
    if at_home || missed.load(Ordering::Relaxed) == PATIENCE {
        missed.store(0, Ordering::Relaxed);
        return !at_home;
    }
    missed.fetch_add(1, Ordering::Relaxed);
    false
}

/// A write to the register window of a virtual IO-APIC. `false` if there is none at `gpa`.
pub fn io_apic_write(domain: &Arc<Domain>, gpa: Gpa, len: u8, value: u64) -> bool {
    let Some(mut all) = io_apics(domain) else { return false };
    let Some((io_apic, offset)) = all.at(gpa) else { return false };
    let first_gsi = io_apic.geometry().gsi_base;
    let effect = io_apic.write(offset, len, value);
    let written = match effect {
        Effect::Pin { pin, .. } => io_apic.entry(pin),
        Effect::None | Effect::Eoi(_) => None,
    };
    drop(all);
    match effect {
        Effect::None => {}
        Effect::Pin { pin, config, message } => {
            if let (Some(config), Some(entry)) = (config, written) {
                configure(first_gsi + u32::from(pin), config, &entry.message());
            }
            if let Some(arrives) = message {
                message::deliver(domain, None, &arrives);
            }
        }
        Effect::Eoi(vector) => end_of_interrupt(domain, vector),
    }
    true
}

/// Sets a physical pin as its twin is set, whose interrupts arrive as `arrives`.
fn configure(gsi: u32, config: PinConfig, arrives: &Message) {
    let level = config.trigger == Trigger::Level;
    let known = vector_of(gsi);
    if config.masked {
        if known.is_some() {
            ioapic::set_masked(gsi, true);
        }
        return;
    }
    let target = Target::Pin { gsi, level };
    let vector = match known {
        Some(vector) => {
            *TARGETS[usize::from(vector)].lock() = target;
            vector
        }
        None => match allocate(target) {
            Ok(vector) => vector,
            Err(NoVector) => {
                return error!("no interrupt vector is left for pin {gsi}: it stays masked");
            }
        },
    };
    let mut entry = RedirectionEntry(0)
        .with_vector(vector)
        .with_delivery_mode(DeliveryMode::FIXED)
        .with_destination(destination(arrives));
    if level {
        entry.0 |= RedirectionEntry::LEVEL.0;
    }
    if config.polarity == Polarity::Low {
        entry.0 |= RedirectionEntry::ACTIVE_LOW.0;
    }
    ioapic::set(gsi, entry);
}

/// A vCPU of the domain has ended a level-triggered interrupt.
pub fn end_of_interrupt(domain: &Arc<Domain>, vector: u8) {
    let Some(mut all) = io_apics(domain) else { return };
    all.eoi(vector, |pin| {
        if !pin.config.masked {
            ioapic::set_masked(pin.gsi, false);
        }
        if let Some(arrives) = pin.message {
            message::deliver(domain, None, &arrives);
        }
    });
}
