//! The callback at a vector, which doesn't come through the local APIC and has no
//! end-of-interrupt: events, and interrupts that wait behind it.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::events::{self, Shared, bind_ipi, send};
use guest::hypercall::{get_param, set_param};
use guest::{apic, cpu, ensure, ensure_eq, interrupts};
use x86defs::apic::Register;
use xen_abi::hvm::params::{CALLBACK_IRQ_TYPE_SHIFT, CALLBACK_TYPE_VECTOR, HvmParam};

guest::guest!("callback", test);

const CALLBACK: u8 = 0xf3;
const BEHIND: u8 = 0x51;
const ROUNDS: u32 = 20;

fn test() {
    let shared = Shared::map();
    apic::enable();
    interrupts::set_callback(CALLBACK, shared);
    let via = CALLBACK_TYPE_VECTOR << CALLBACK_IRQ_TYPE_SHIFT | u64::from(CALLBACK);
    ensure_eq!(set_param(HvmParam::CALLBACK_IRQ, via), 0, "setting the callback");
    ensure_eq!(get_param(HvmParam::CALLBACK_IRQ), Ok(via), "the callback");
    let port = bind_ipi(0).unwrap_or(0);
    shared.set_masked(port, false);
    let _ = (shared.take(port), shared.take_upcall());

    for round in 0..ROUNDS {
        let (callbacks, others) = (interrupts::count(CALLBACK), interrupts::count(BEHIND));
        ensure_eq!(send(port), 0, "send");
        apic::write(Register::SELF_IPI, u64::from(BEHIND));
        ensure_eq!(interrupts::count(CALLBACK), callbacks, "callbacks while interrupts are off");
        let both = || interrupts::count(CALLBACK) > callbacks && interrupts::count(BEHIND) > others;
        cpu::enable_interrupts();
        let came = shared.clock().wait_until(1000, both);
        cpu::disable_interrupts();
        ensure!(came, "the callback or the interrupt behind it didn't come in round {round}");
        ensure_eq!(interrupts::count(CALLBACK), callbacks + 1, "callbacks for one event");
        ensure_eq!(interrupts::count(BEHIND), others + 1, "interrupts behind the callback");
        ensure!(shared.take(port), "the event isn't pending");
    }
    ensure_eq!(events::close(port), 0, "close");
}
