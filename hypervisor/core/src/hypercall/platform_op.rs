//! `platform_op`: the machine as the hardware domain's kernel sees it (public header
//! `platform.h`).

use xen_abi::platform::{
    EfiRuntimeCall, FirmwareInfo, GetIdleTime, INTERFACE_VERSION, PCPU_FLAGS_INVALID,
    PCPU_FLAGS_ONLINE, PcpuInfo, PcpuVersion, PlatformCmd, PlatformOp, SetTime32, SetTime64,
};

use super::{Call, HypercallResult, Outcome, Width};
use crate::errno::Errno;
use crate::machine::Machine;
use crate::sched::cpu_set::CpuSet;
use crate::types::{CpuId, Gva};

const NS_PER_SECOND: u64 = 1_000_000_000;
/// The interface version's major part. The minor ones differ in what nobody uses.
const MAJOR_VERSION_MASK: u32 = 0xFF00_0000;

/// `platform_op(op)`.
pub fn platform_op<P: Machine>(call: &Call<'_, P>) -> HypercallResult {
    let [arg, ..] = call.args;
    let arg = Gva(arg);
    // Hardware domains are 64-bit ones.
    if call.width == Width::Narrow {
        return Err(Errno::ENOSYS);
    }
    let mut op: PlatformOp = call.read(arg)?;
    if op.interface_version & MAJOR_VERSION_MASK != INTERFACE_VERSION & MAJOR_VERSION_MASK {
        return Err(Errno::EACCES);
    }
    if !call.domain.is_privileged() {
        return Err(Errno::EPERM);
    }
    match op.cmd {
        PlatformCmd::SETTIME32 => {
            let SetTime32 { secs, nsecs, system_time } = op.u.read();
            set_time(call, u64::from(secs), nsecs, system_time);
        }
        PlatformCmd::SETTIME64 => {
            let set: SetTime64 = op.u.read();
            if set.mbz != 0 {
                return Err(Errno::EINVAL);
            }
            set_time(call, set.secs, set.nsecs, set.system_time);
        }
        PlatformCmd::GETIDLETIME => idle_time(call, &mut op)?,
        PlatformCmd::GET_CPUINFO => cpu_info(call, &mut op),
        PlatformCmd::GET_CPU_VERSION => cpu_version(call, &mut op),
        // The hypervisor doesn't change frequencies or idle states: there is nothing to do with
        // what the hardware domain knows of them.
        PlatformCmd::SET_PROCESSOR_PMINFO => {}
        PlatformCmd::FIRMWARE_INFO => {
            let mut info: FirmwareInfo = op.u.read();
            call.hv.platform.firmware_info(&mut info, call.guest)?;
            op.u.write(&info);
        }
        PlatformCmd::EFI_RUNTIME_CALL => {
            let mut efi: EfiRuntimeCall = op.u.read();
            call.hv.platform.efi_call(&mut efi, call.guest)?;
            op.u.write(&efi);
        }
        PlatformCmd::GET_DOM0_CONSOLE => {
            let (console, len) = call.hv.platform.dom0_console().ok_or(Errno::ENODEV)?;
            op.u.write(&console);
            call.write(arg, &op)?;
            return Ok(Outcome::Done(len as u64));
        }
        cmd if cmd.name().is_some() => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::ENOSYS),
    }
    call.write(arg, &op)?;
    Ok(Outcome::OK)
}

/// Sets the wall clock, given what it is at some system time.
fn set_time<P: Machine>(call: &Call<'_, P>, secs: u64, nsecs: u32, system_time: u64) {
    let at = secs.saturating_mul(NS_PER_SECOND).saturating_add(u64::from(nsecs));
    call.hv.set_wallclock(at.saturating_sub(system_time));
}

/// The idle times of the pCPUs in a bitmap, which is left with those that there are.
fn idle_time<P: Machine>(call: &Call<'_, P>, op: &mut PlatformOp) -> Result<(), Errno> {
    let mut get: GetIdleTime = op.u.read();
    let bitmap = xen_abi::xen::CtlBitmap {
        bitmap: get.cpumap_bitmap,
        nr_bits: get.cpumap_nr_cpus,
        ..Default::default()
    };
    let cpus = call.read_cpus(&bitmap)?.intersection(&CpuSet::first(call.hv.platform.cpu_count()));
    let asked: CpuSet = cpus.iter().filter(|cpu| cpu.0 < get.cpumap_nr_cpus).collect();
    let now = call.hv.platform.now();
    for cpu in asked.iter() {
        let at = call.element::<u64>(Gva(get.idletime.0), u64::from(cpu.0))?;
        call.write(at, &call.hv.scheduler.idle_ns(cpu, now))?;
    }
    get.now = now.0;
    call.write_cpus(&bitmap, &asked)?;
    op.u.write(&get);
    Ok(())
}

fn last_cpu<P: Machine>(call: &Call<'_, P>) -> u32 {
    call.hv.platform.cpu_count().saturating_sub(1)
}

fn cpu_info<P: Machine>(call: &Call<'_, P>, op: &mut PlatformOp) {
    let mut info: PcpuInfo = op.u.read();
    let cpu = CpuId(info.xen_cpuid);
    info.max_present = last_cpu(call);
    if cpu.0 < call.hv.platform.cpu_count() {
        info.flags = PCPU_FLAGS_ONLINE;
        (info.apic_id, info.acpi_id) = call.hv.platform.cpu_ids(cpu);
    } else {
        info.flags = PCPU_FLAGS_INVALID;
    }
    op.u.write(&info);
}

fn cpu_version<P: Machine>(call: &Call<'_, P>, op: &mut PlatformOp) {
    let get: PcpuVersion = op.u.read();
    let cpu = CpuId(get.xen_cpuid);
    let known = if cpu.0 < call.hv.platform.cpu_count() {
        call.hv.platform.cpu_version(cpu)
    } else {
        PcpuVersion::default()
    };
    op.u.write(&PcpuVersion { xen_cpuid: get.xen_cpuid, max_present: last_cpu(call), ..known });
}
