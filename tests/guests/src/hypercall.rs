//! Hypercalls: the instruction, and a function for each that only writes to what it is given.

#![expect(unsafe_code, reason = "the hypercall instruction")]

use crate::{cpu, memory::Page};
use core::arch::asm;
use core::sync::atomic::{AtomicU8, Ordering};
use xen_abi::console::ConsoleIoCmd;
use xen_abi::event_channel::EventChannelCmd;
use xen_abi::hvm::hvm_op::{EvtchnUpcallVector, HvmCmd, HvmParamOp};
use xen_abi::hvm::params::HvmParam;
use xen_abi::memory::{AddToPhysmap, MapSpace, MemoryCmd};
use xen_abi::sched::{SchedCmd, Shutdown, ShutdownReason};
use xen_abi::vcpu::VcpuCmd;
use xen_abi::version::VersionCmd;
use xen_abi::xen::{DOMID_SELF, Hypercall};
use zerocopy::{FromBytes, Immutable, IntoBytes};

static INSTRUCTION: AtomicU8 = AtomicU8::new(0);
const VMMCALL: u8 = 1;
const VMCALL: u8 = 2;

fn uses_vmmcall() -> bool {
    match INSTRUCTION.load(Ordering::Relaxed) {
        0 => {
            let vmmcall = cpu::uses_vmmcall();
            INSTRUCTION.store(if vmmcall { VMMCALL } else { VMCALL }, Ordering::Relaxed);
            vmmcall
        }
        instruction => instruction == VMMCALL,
    }
}

/// Makes any hypercall with any arguments.
///
/// # Safety
/// What the hypervisor writes at the arguments' request must not be anything that Rust uses.
#[must_use]
pub unsafe fn raw(number: u64, args: [u64; 5]) -> i64 {
    let [a, b, c, d, e] = args;
    let result: i64;
    if uses_vmmcall() {
        // SAFETY: the hypervisor changes RAX, may change the arguments' registers, and writes
        // where the caller let it.
        unsafe {
            asm!("vmmcall", inlateout("rax") number => result, inlateout("rdi") a => _,
                inlateout("rsi") b => _, inlateout("rdx") c => _, inlateout("r10") d => _,
                inlateout("r8") e => _, options(nostack));
        }
    } else {
        // SAFETY: as above.
        unsafe {
            asm!("vmcall", inlateout("rax") number => result, inlateout("rdi") a => _,
                inlateout("rsi") b => _, inlateout("rdx") c => _, inlateout("r10") d => _,
                inlateout("r8") e => _, options(nostack));
        }
    }
    result
}

/// Calls the entry of hypercall `number` in a hypercall page.
///
/// # Safety
/// As of [`raw`]; and the page must have been filled by the hypervisor.
#[must_use]
pub unsafe fn through_page(page: Page, number: u64, args: [u64; 2]) -> i64 {
    let entry = page.address() + number * 32;
    let [a, b] = args;
    let result: i64;
    // SAFETY: the entry loads RAX, makes the call and returns; the rest is as in `raw`.
    unsafe {
        asm!("call {entry}", entry = in(reg) entry, out("rax") result, inlateout("rdi") a => _,
            inlateout("rsi") b => _, out("rcx") _, out("r11") _, out("rdx") _, out("r10") _,
            out("r8") _);
    }
    result
}

/// Makes a hypercall without arguments at CPL 3.
#[cfg(freestanding)]
#[must_use]
pub fn at_user_level(number: u64) -> i64 {
    unsafe extern "C" {
        fn user_hypercall(number: u64, vmmcall: u64) -> i64;
    }
    cpu::disable_interrupts();
    // SAFETY: boot.S saves and restores all that a function must.
    unsafe { user_hypercall(number, u64::from(uses_vmmcall())) }
}

/// Makes a hypercall without arguments at CPL 3.
#[cfg(not(freestanding))]
#[must_use]
pub fn at_user_level(_number: u64) -> i64 {
    0
}

/// Makes any hypercall from 32-bit code.
///
/// # Safety
/// As of [`raw`]; what lies in memory must be laid out as 32-bit code has it.
#[cfg(freestanding)]
#[must_use]
pub unsafe fn from_narrow_code(number: Hypercall, args: [u32; 3]) -> i32 {
    unsafe extern "C" {
        fn narrow_hypercall(number: u32, a: u32, b: u32, c: u32, vmmcall: u32) -> i32;
    }
    let [a, b, c] = args;
    cpu::disable_interrupts();
    // SAFETY: boot.S saves and restores all that a function must; the caller answers for the rest.
    unsafe { narrow_hypercall(number.0, a, b, c, u32::from(uses_vmmcall())) }
}

/// Makes any hypercall from 32-bit code.
///
/// # Safety
/// As of [`raw`].
#[cfg(not(freestanding))]
#[must_use]
pub unsafe fn from_narrow_code(_number: Hypercall, _args: [u32; 3]) -> i32 {
    0
}

/// Makes a hypercall whose arguments are plain numbers.
fn plain(number: Hypercall, args: [u64; 3]) -> i64 {
    let [a, b, c] = args;
    // SAFETY: callers below pass only calls that write nowhere, or where their `T` is.
    unsafe { raw(u64::from(number.0), [a, b, c, 0, 0]) }
}

/// Makes `number(cmd, arg)`. The structure must not hold handles to what Rust uses: use pages.
pub fn with<T: FromBytes + IntoBytes + Immutable>(number: Hypercall, cmd: u32, arg: &mut T) -> i64 {
    plain(number, [u64::from(cmd), &raw mut *arg as u64, 0])
}

/// Makes `number(arg)`. Handles in the structure must lead to pages.
pub(crate) fn privileged<T: FromBytes + IntoBytes + Immutable>(
    number: Hypercall,
    arg: &mut T,
) -> i64 {
    plain(number, [&raw mut *arg as u64, 0, 0])
}

/// `event_channel_op(cmd, arg)`.
pub fn event_channel<T: FromBytes + IntoBytes + Immutable>(
    cmd: EventChannelCmd,
    arg: &mut T,
) -> i64 {
    with(Hypercall::EVENT_CHANNEL_OP, cmd.0, arg)
}

/// `memory_op(cmd, arg)`.
pub fn memory<T: FromBytes + IntoBytes + Immutable>(cmd: MemoryCmd, arg: &mut T) -> i64 {
    with(Hypercall::MEMORY_OP, cmd.0, arg)
}

/// `sched_op(cmd, arg)`.
pub fn sched<T: FromBytes + IntoBytes + Immutable>(cmd: SchedCmd, arg: &mut T) -> i64 {
    with(Hypercall::SCHED_OP, cmd.0, arg)
}

/// `sched_op(cmd, NULL)`.
pub fn sched_plain(cmd: SchedCmd) -> i64 {
    plain(Hypercall::SCHED_OP, [u64::from(cmd.0), 0, 0])
}

/// `vcpu_op(cmd, vcpu, arg)`.
pub fn vcpu<T: FromBytes + IntoBytes + Immutable>(cmd: VcpuCmd, vcpu: u32, arg: &mut T) -> i64 {
    plain(Hypercall::VCPU_OP, [u64::from(cmd.0), u64::from(vcpu), &raw mut *arg as u64])
}

/// `vcpu_op(cmd, vcpu, NULL)`.
pub fn vcpu_plain(cmd: VcpuCmd, vcpu: u32) -> i64 {
    plain(Hypercall::VCPU_OP, [u64::from(cmd.0), u64::from(vcpu), 0])
}

/// `xen_version(cmd, arg)`.
pub fn version<T: FromBytes + IntoBytes + Immutable>(cmd: VersionCmd, arg: &mut T) -> i64 {
    with(Hypercall::XEN_VERSION, cmd.0, arg)
}

/// `xen_version(cmd, NULL)`.
#[must_use]
pub fn version_plain(cmd: VersionCmd) -> i64 {
    plain(Hypercall::XEN_VERSION, [u64::from(cmd.0), 0, 0])
}

/// `hvm_op(cmd, arg)`.
pub fn hvm<T: FromBytes + IntoBytes + Immutable>(cmd: HvmCmd, arg: &mut T) -> i64 {
    with(Hypercall::HVM_OP, cmd.0, arg)
}

/// `grant_table_op(cmd, args, count)`.
pub fn grant_table<T: FromBytes + IntoBytes + Immutable>(
    cmd: xen_abi::grant_table::GrantTableCmd,
    args: &mut [T],
) -> i64 {
    let count = args.len() as u64;
    plain(Hypercall::GRANT_TABLE_OP, [u64::from(cmd.0), args.as_mut_ptr() as u64, count])
}

/// `set_timer_op(system_time)`.
#[must_use]
pub fn set_timer(system_time: u64) -> i64 {
    plain(Hypercall::SET_TIMER_OP, [system_time, 0, 0])
}

/// `vm_assist(cmd, type)`.
#[must_use]
pub fn vm_assist(cmd: u32, kind: u32) -> i64 {
    plain(Hypercall::VM_ASSIST, [u64::from(cmd), u64::from(kind), 0])
}

/// `console_io(write, text)`.
#[must_use]
pub fn console_write(text: &[u8]) -> i64 {
    let cmd = u64::from(ConsoleIoCmd::WRITE.0);
    plain(Hypercall::CONSOLE_IO, [cmd, text.len() as u64, text.as_ptr() as u64])
}

/// Maps the frame `idx` of a space at a page.
#[must_use]
pub fn add_to_physmap(space: MapSpace, idx: u64, gpfn: u64) -> i64 {
    let mut arg = AddToPhysmap { domid: DOMID_SELF, space, idx, gpfn, ..AddToPhysmap::default() };
    memory(MemoryCmd::ADD_TO_PHYSMAP, &mut arg)
}

/// Sets a parameter of this domain.
#[must_use]
pub fn set_param(index: HvmParam, value: u64) -> i64 {
    let mut arg = HvmParamOp { domid: DOMID_SELF, index, value, ..HvmParamOp::default() };
    hvm(HvmCmd::SET_PARAM, &mut arg)
}

/// Reads a parameter of this domain.
///
/// # Errors
/// The negative result of the call.
pub fn get_param(index: HvmParam) -> Result<u64, i64> {
    let mut arg = HvmParamOp { domid: DOMID_SELF, index, ..HvmParamOp::default() };
    match hvm(HvmCmd::GET_PARAM, &mut arg) {
        0 => Ok(arg.value),
        error => Err(error),
    }
}

/// Asks for upcalls of a vCPU on a vector.
#[must_use]
pub fn set_upcall_vector(vcpu: u32, vector: u8) -> i64 {
    let mut arg = EvtchnUpcallVector { vcpu, vector, ..EvtchnUpcallVector::default() };
    hvm(HvmCmd::SET_EVTCHN_UPCALL_VECTOR, &mut arg)
}

/// Ends the domain.
pub fn shutdown(reason: ShutdownReason) -> ! {
    let _ = sched(SchedCmd::SHUTDOWN, &mut Shutdown { reason });
    cpu::halt()
}
