//! Hypercalls from 32-bit code, whose structures have another layout: what a boot loader like
//! GRUB's PVH build does.
#![cfg_attr(freestanding, no_std, no_main)]
#![expect(unsafe_code, reason = "makes hypercalls that have no wrapper")]

use guest::hypercall::{from_narrow_code, memory};
use guest::memory::Page;
use guest::{Errno, ensure, ensure_eq, note};
use xen_abi::grant_table::GrantTableCmd;
use xen_abi::hvm::hvm_op::HvmCmd;
use xen_abi::hvm::params::HvmParam;
use xen_abi::memory::{MapSpace, MemoryCmd, MemoryMap};
use xen_abi::sched::SchedCmd;
use xen_abi::vcpu::VcpuCmd;
use xen_abi::version::VersionCmd;
use xen_abi::xen::{DOMID_SELF, Hypercall, VcpuTimeInfo};

guest::guest!("narrow", test);

const SELF: u32 = DOMID_SELF as u32;
/// What shouldn't be written holds this.
const UNTOUCHED: u32 = 0xabcd_ef01;

fn test() {
    ensure_eq!(
        call(Hypercall::XEN_VERSION, [VersionCmd::VERSION.0, 0, 0]),
        4 << 16 | 20,
        "version"
    );
    ensure_eq!(call(Hypercall(63), [0; 3]), Errno::ENOSYS.negated() as i32, "hypercall 63");
    memory_map();
    grant_table();
    shared_info();
    extents();
    times();
}

fn call(number: Hypercall, args: [u32; 3]) -> i32 {
    // SAFETY: the arguments name pages of this test, in which nothing of Rust's is.
    unsafe { from_narrow_code(number, args) }
}

/// Makes `number(cmd, arg)` on these words at the end of a page. Its result, and the words then.
fn with<const N: usize>(number: Hypercall, cmd: u32, words: [u32; N]) -> (i32, [u32; N]) {
    let page = Page::run(2);
    let start = 4096 - 4 * N;
    page.copy_in(start, zerocopy::IntoBytes::as_bytes(&words));
    page.offset(1).write(0, UNTOUCHED);
    let at = page.address() as u32 + start as u32;
    let args = if number == Hypercall::VCPU_OP { [cmd, 0, at] } else { [cmd, at, 1] };
    let result = call(number, args);
    ensure_eq!(page.offset(1).read::<u32>(0), UNTOUCHED, "what follows the structure");
    (result, core::array::from_fn(|index| page.read(start + 4 * index)))
}

/// The map is the one that 64-bit code gets.
fn memory_map() {
    let (narrow, wide) = (Page::new(), Page::new());
    let mut arg = MemoryMap { nr_entries: 128, buffer: wide.handle(0), ..Default::default() };
    ensure_eq!(memory(MemoryCmd::MEMORY_MAP, &mut arg), 0, "memory_map of 64-bit code");
    let words = [128, narrow.address() as u32];
    let (result, [entries, _]) = with(Hypercall::MEMORY_OP, MemoryCmd::MEMORY_MAP.0, words);
    ensure_eq!((result, entries), (0, arg.nr_entries), "memory_map");
    let same = (0..4096).step_by(4).all(|at| narrow.read::<u32>(at) == wide.read::<u32>(at));
    ensure!(same, "the maps differ");
}

fn grant_table() {
    let (frame, list) = (Page::new(), Page::new());
    let add = [SELF, MapSpace::GRANT_TABLE.0, 0, frame.gfn() as u32];
    let result = with(Hypercall::MEMORY_OP, MemoryCmd::ADD_TO_PHYSMAP.0, add).0;
    ensure_eq!(result, 0, "mapping the grant table");
    list.write(4, UNTOUCHED);
    let setup = [SELF, 1, 99, list.address() as u32];
    let done = with(Hypercall::GRANT_TABLE_OP, GrantTableCmd::SETUP_TABLE.0, setup);
    ensure_eq!(done, (0, [SELF, 1, 0, list.address() as u32]), "setup_table");
    ensure_eq!(list.read::<u32>(0), frame.gfn() as u32, "the frame's number");
    ensure_eq!(list.read::<u32>(4), UNTOUCHED, "what follows the frame's number");
    let version = with(Hypercall::GRANT_TABLE_OP, GrantTableCmd::SET_VERSION.0, [1]);
    ensure_eq!(version, (0, [1]), "set_version");
}

fn shared_info() {
    let page = Page::new();
    let add = [SELF, MapSpace::SHARED_INFO.0, 0, page.gfn() as u32];
    let result = with(Hypercall::MEMORY_OP, MemoryCmd::ADD_TO_PHYSMAP.0, add).0;
    ensure_eq!(result, 0, "mapping the shared info");
    // vCPU 0's time has the same place for both.
    let time: VcpuTimeInfo = page.read(32);
    note!("multiplier {:#x}, shift {}", time.tsc_to_system_mul, time.tsc_shift);
    ensure!(time.tsc_to_system_mul != 0, "there is no time in the shared info");
}

/// Two pages are given back and come again.
fn extents() {
    let (pages, list) = (Page::run(2), Page::new());
    list.write(0, pages.gfn() as u32);
    list.write(4, pages.offset(1).gfn() as u32);
    let reservation = [list.address() as u32, 2, 0, 0, SELF];
    let change = |cmd: MemoryCmd| with(Hypercall::MEMORY_OP, cmd.0, reservation).0;
    ensure_eq!(change(MemoryCmd::DECREASE_RESERVATION), 2, "decrease_reservation");
    ensure_eq!(change(MemoryCmd::POPULATE_PHYSMAP), 2, "populate_physmap");
    pages.offset(1).write(0, UNTOUCHED);
    ensure_eq!(pages.offset(1).read::<u32>(0), UNTOUCHED, "a page that was given back");
}

fn times() {
    let get = [SELF, HvmParam::STORE_PFN.0, UNTOUCHED, UNTOUCHED];
    let (result, got) = with(Hypercall::HVM_OP, HvmCmd::GET_PARAM.0, get);
    ensure_eq!((result, got[3]), (0, 0), "get_param");
    let (result, runstate) = with(Hypercall::VCPU_OP, VcpuCmd::GET_RUNSTATE_INFO.0, [9; 11]);
    ensure_eq!((result, runstate[0]), (0, 0), "get_runstate_info of a vCPU that runs");
    // A time that has passed: it doesn't wait.
    let poll = [0, 0, 1, 0];
    ensure_eq!(with(Hypercall::SCHED_OP, SchedCmd::POLL.0, poll).0, 0, "poll");
    ensure_eq!(call(Hypercall::SCHED_OP, [SchedCmd::YIELD.0, 0, 0]), 0, "yield");
    let timer = with(Hypercall::VCPU_OP, VcpuCmd::SET_SINGLESHOT_TIMER.0, [1, 0, 0]).0;
    ensure_eq!(timer, 0, "set_singleshot_timer");
}
