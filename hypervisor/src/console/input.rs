//! What is typed on the serial lines, by interrupt or by polling: for dom0, or for the debug
//! keys.

use alloc::collections::VecDeque;

use arrayvec::ArrayVec;
use hv_boot::input::{Focus, InputSwitch, Typed};
use hv_boot::options::Options;
use hv_loader::acpi::Madt;
use spin::{Mutex, RwLock};
use x86defs::ioapic::RedirectionEntry;

use super::{CONSOLES, debug_keys};
use crate::arch::{interrupts, ioapic, local_apic};

/// What dom0 has not read yet; more than this is dropped.
const BUFFER_BYTES: usize = 1024;

struct Input {
    switch: InputSwitch,
    for_dom0: VecDeque<u8>,
}

static INPUT: Mutex<Input> = Mutex::new(Input {
    switch: InputSwitch::new(None, Focus::Hypervisor),
    for_dom0: VecDeque::new(),
});
static NOTIFIER: RwLock<Option<fn()>> = RwLock::new(None);

/// Starts input: from now on the lines' interrupts call the debug keys. Dom0 gets the input when
/// [`give_to_dom0`] is called.
pub fn init(options: &Options, madt: &Madt) {
    let mut input = INPUT.lock();
    input.switch = InputSwitch::new(options.switch_letter, Focus::Hypervisor);
    input.for_dom0.reserve(BUFFER_BYTES);
    drop(input);
    interrupts::register(interrupts::CONSOLE, |_| poll());
    for serial in CONSOLES.lock().serial.iter_mut().flatten().filter(|serial| serial.irq != 0) {
        if route(madt, serial.irq) {
            serial.uart.enable_receive_interrupt();
        }
    }
}

/// Sends an ISA interrupt to the boot CPU as [`interrupts::CONSOLE`].
fn route(madt: &Madt, irq: u8) -> bool {
    let wired = madt.overrides.iter().find(|wired| wired.irq == irq);
    let gsi = wired.map_or(irq.into(), |wired| wired.gsi);
    let mut entry = RedirectionEntry::default();
    entry.set(RedirectionEntry::ACTIVE_LOW, wired.is_some_and(|wired| wired.active_low()));
    entry.set(RedirectionEntry::LEVEL, wired.is_some_and(|wired| wired.level()));
    let Ok(boot_cpu) = u8::try_from(local_apic::id()) else { return false };
    ioapic::set(gsi, entry.with_vector(interrupts::CONSOLE).with_destination(boot_cpu))
}

/// Gives the input to dom0, unless the user wants it to begin at the hypervisor. `notify` is
/// called, on any CPU, when there is something to read.
pub fn give_to_dom0(options: &Options, notify: fn()) {
    *NOTIFIER.write() = Some(notify);
    let focus = if options.input_at_hypervisor { Focus::Hypervisor } else { Focus::Dom0 };
    INPUT.lock().switch = InputSwitch::new(options.switch_letter, focus);
    announce(focus);
}

/// Takes what dom0 has not read yet. Gives its length.
pub fn read(into: &mut [u8]) -> usize {
    let mut input = INPUT.lock();
    let count = into.len().min(input.for_dom0.len());
    for (place, byte) in into.iter_mut().zip(input.for_dom0.drain(..count)) {
        *place = byte;
    }
    count
}

/// Takes what has come in on the serial lines. For the interrupt, and for whoever polls lines
/// that have none.
pub fn poll() {
    loop {
        let mut bytes = ArrayVec::<u8, 64>::new();
        for serial in CONSOLES.lock().serial.iter_mut().flatten() {
            while !bytes.is_full() {
                let Some(byte) = serial.uart.receive() else { break };
                bytes.push(byte);
            }
        }
        if bytes.is_empty() {
            return;
        }
        bytes.into_iter().for_each(take);
    }
}

fn take(byte: u8) {
    let mut input = INPUT.lock();
    match input.switch.take(byte) {
        Typed::ForDom0(bytes) => {
            let room = BUFFER_BYTES.saturating_sub(input.for_dom0.len());
            let any = !bytes.is_empty() && room > 0;
            input.for_dom0.extend(bytes.into_iter().take(room));
            drop(input);
            let notify = *NOTIFIER.read();
            if let (true, Some(notify)) = (any, notify) {
                notify();
            }
        }
        Typed::ForHypervisor(bytes) => {
            drop(input);
            bytes.into_iter().for_each(debug_keys::handle);
        }
        Typed::Switched(focus) => {
            let dom0_listens = NOTIFIER.read().is_some();
            drop(input);
            if dom0_listens || focus == Focus::Hypervisor {
                announce(focus);
            }
        }
    }
}

fn announce(focus: Focus) {
    match focus {
        Focus::Dom0 => say!("input goes to dom0 (CTRL-a three times switches it)"),
        Focus::Hypervisor => say!("input goes to the hypervisor: 'h' lists the debug keys"),
    }
}
