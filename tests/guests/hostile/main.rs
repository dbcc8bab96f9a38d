//! A guest that means harm: bad pointers, ports and arguments. Every call must return an error or
//! do what it says; none may hurt the hypervisor, which must still work at the end.
#![cfg_attr(freestanding, no_std, no_main)]
#![expect(unsafe_code, reason = "makes hypercalls with arguments that point anywhere")]

use guest::events::{self, Shared};
use guest::hypercall::{raw, version_plain};
use guest::memory::Page;
use guest::rng::Rng;
use guest::{Errno, cpu, ensure, ensure_eq, note};
use xen_abi::version::VersionCmd;
use xen_abi::xen::{DOMID_SELF, Hypercall};

guest::guest!("hostile", test);

/// Addresses where nothing is mapped.
const UNMAPPED: [u64; 4] = [0x1_0000_0000, 0x0000_7fff_ffff_f000, 0xffff_8000_0000_0000, !0xfff];
/// Addresses that can't be: an interpretation may be to ignore their upper bits.
const IMPOSSIBLE: [u64; 4] = [0x0000_8000_0000_0000, 1 << 63, 0x7fff_8000_0000_0000, u64::MAX];

const ROUNDS: u32 = 3000;

fn test() {
    let shared = Shared::map();
    bad_pointers();
    bad_operations();
    fuzz();
    ports();
    ensure_eq!(version_plain(VersionCmd::VERSION), 4 << 16 | 20, "version at the end");
    let port = events::alloc_unbound(DOMID_SELF);
    ensure_eq!(events::close(port), 0, "close at the end");
    let now = shared.clock().now();
    ensure!(shared.clock().now() >= now, "time at the end");
}

/// Hypercalls, and a sub-operation of each that reads its argument.
const READERS: [(Hypercall, u64); 8] = [
    (Hypercall::MEMORY_OP, 7),
    (Hypercall::XEN_VERSION, 6),
    (Hypercall::EVENT_CHANNEL_OP, 6),
    (Hypercall::SCHED_OP, 3),
    (Hypercall::HVM_OP, 1),
    (Hypercall::PHYSDEV_OP, 25),
    (Hypercall::MEMORY_OP, 23),
    (Hypercall::EVENT_CHANNEL_OP, 1),
];

fn bad_pointers() {
    for (call, cmd) in READERS {
        for pointer in UNMAPPED {
            // SAFETY: nothing that Rust uses is at these addresses.
            let result = unsafe { raw(u64::from(call.0), [cmd, pointer, 0, 0, 0]) };
            ensure_eq!(result, Errno::EFAULT.negated(), "{:?}({cmd}, {pointer:#x})", call.name());
        }
        for pointer in IMPOSSIBLE {
            // SAFETY: as above; without their upper bits, they lead to page 0 or to none.
            let result = unsafe { raw(u64::from(call.0), [cmd, pointer, 0, 0, 0]) };
            ensure!(result <= 0, "{:?}({cmd}, {pointer:#x}) returned {result}", call.name());
        }
    }
    for pointer in UNMAPPED {
        for cmd in [0, 1, 6] {
            // SAFETY: as above.
            let result = unsafe { raw(u64::from(Hypercall::MEMORY_OP.0), [cmd, pointer, 0, 0, 0]) };
            ensure!(result <= 0, "memory_op({cmd}, {pointer:#x}) did {result} extents");
        }
        // SAFETY: as above.
        let result = unsafe { raw(u64::from(Hypercall::GRANT_TABLE_OP.0), [6, pointer, 1, 0, 0]) };
        ensure_eq!(result, Errno::EFAULT.negated(), "grant_table_op at {pointer:#x}");
        for call in [Hypercall::DOMCTL, Hypercall::SYSCTL, Hypercall::PLATFORM_OP] {
            // SAFETY: as above.
            let result = unsafe { raw(u64::from(call.0), [pointer, 0, 0, 0, 0]) };
            ensure!(result < 0, "{:?}({pointer:#x}) returned {result}", call.name());
        }
        // SAFETY: as above; text is read.
        let result = unsafe { raw(u64::from(Hypercall::CONSOLE_IO.0), [0, 16, pointer, 0, 0]) };
        ensure!(result < 0, "console_io of {pointer:#x} returned {result}");
    }
}

/// Sub-operations that don't exist.
fn bad_operations() {
    let page = Page::new();
    for call in [
        Hypercall::MEMORY_OP,
        Hypercall::XEN_VERSION,
        Hypercall::EVENT_CHANNEL_OP,
        Hypercall::SCHED_OP,
        Hypercall::HVM_OP,
        Hypercall::VCPU_OP,
        Hypercall::PHYSDEV_OP,
        Hypercall::CONSOLE_IO,
    ] {
        // SAFETY: the page is nobody's.
        let result = unsafe { raw(u64::from(call.0), [63, 0, page.address(), 0, 0]) };
        ensure!(result < 0, "{:?}(63) returned {result}", call.name());
    }
}

/// Operations that would do what they are asked to: end or stop the guest, change its map.
fn is_harmful(call: u64, cmd: u64) -> bool {
    let call = Hypercall(call as u32);
    let cmd = cmd as u32;
    match call {
        // block, shutdown and poll wait or end; remote_shutdown, shutdown_code, the watchdog.
        Hypercall::SCHED_OP | Hypercall::SCHED_OP_COMPAT => cmd != 0,
        // Anything that takes memory away or puts something else there.
        Hypercall::MEMORY_OP => !matches!(cmd & 0x3f, 2..=4 | 9 | 10 | 14 | 26 | 27),
        // console output would bury the report; kexec, domctl and sysctl can end the host.
        Hypercall::CONSOLE_IO
        | Hypercall::KEXEC_OP
        | Hypercall::DOMCTL
        | Hypercall::SYSCTL
        | Hypercall::PLATFORM_OP
        | Hypercall::PHYSDEV_OP
        | Hypercall::ARCH_0
        | Hypercall::XSM_OP
        | Hypercall::MULTICALL
        | Hypercall::DM_OP => true,
        // Taking vCPUs down, or changing where things are written.
        Hypercall::VCPU_OP => matches!(cmd, 0..=2 | 5 | 10 | 11 | 13..=15),
        // Setting parameters can change how the guest runs.
        Hypercall::HVM_OP => matches!(cmd, 0 | 9 | 11 | 23..),
        Hypercall::EVENT_CHANNEL_OP | Hypercall::EVENT_CHANNEL_OP_COMPAT => {
            matches!(cmd, 10..=12)
        }
        Hypercall::GRANT_TABLE_OP => !matches!(cmd, 6 | 10),
        _ => false,
    }
}

/// An argument: a small number, a pointer to random bytes, an edge, or anything.
fn argument(rng: &mut Rng, page: Page) -> u64 {
    match rng.below(5) {
        0 => rng.below(64),
        1 => page.address() + rng.below(4096 - 256),
        2 => UNMAPPED[rng.below(UNMAPPED.len() as u64) as usize],
        3 => 1 << rng.below(64),
        _ => rng.next(),
    }
}

fn fuzz() {
    let mut rng = Rng::new(0x0058_454e_4f4c_4954);
    let page = Page::new();
    let mut errors = 0;
    let mut made = 0;
    for round in 0..ROUNDS {
        for offset in (0..256).step_by(8) {
            page.write(offset, rng.next());
        }
        let (call, cmd) = (rng.below(64), rng.below(40));
        if is_harmful(call, cmd) {
            continue;
        }
        let args = core::array::from_fn(|_| argument(&mut rng, page));
        let [_, b, c, d, e] = args;
        // SAFETY: of the pointers, some lead to a page that is nobody's, the others nowhere; calls
        // that write elsewhere are left out.
        let result = unsafe { raw(call, [cmd, b, c, d, e]) };
        ensure!(result >= -4095, "round {round}: hypercall {call}({cmd}) returned {result:#x}");
        made += 1;
        errors += u32::from(result < 0);
    }
    note!("{made} random hypercalls, {errors} errors");
}

/// Ports that no device of this guest has: reads give ones or a value, writes vanish.
fn ports() {
    for port in [0x00e9_u16, 0x80, 0x500, 0x1234, 0x9000, 0xfff0] {
        let _ = (cpu::in8(port), cpu::in16(port), cpu::in32(port));
    }
    for port in [0x1234, 0x9000, 0xfff0] {
        cpu::out8(port, 0xff);
        cpu::out32(port, 0xffff_ffff);
        ensure_eq!(cpu::in32(port), 0xffff_ffff, "port {port:#x}");
    }
    // The interrupt controllers and the timer aren't dom0's.
    for port in [0x20, 0x21, 0xa0, 0xa1] {
        let value = cpu::in8(port);
        cpu::out8(port, 0xfb);
        ensure_eq!(cpu::in8(port), value, "port {port:#x} after a write");
    }
}
