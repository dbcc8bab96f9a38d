//! A domain's vCPUs as the records of saved state, and back (public headers `hvm/save.h` and
//! `arch-x86/hvm/save.h`).
//!
//! The domain doesn't run meanwhile. The guest's TSC is the machine's: a record's value of it says
//! what it was, and isn't taken over.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::arch::x86_64::__cpuid;

use hv_boot::options::Level;
use hv_core::sched::entity::BlockReason;
use hv_core::types::VcpuId;
use hv_x86::msr::Mtrrs;
use hv_x86::state::records::{Malformed, Record, Writer, parse};
use hv_x86::state::{Impossible, VcpuState, debug, xsave};
use x86defs::cr::Xcr0;
use x86defs::msr::Msr;
use xen_abi::arch_x86::context::VcpuGuestContext;
use xen_abi::errno::Errno;
use xen_abi::hvm::save::{
    Cpu, FILE_MAGIC, FILE_VERSION, Header, Lapic, LapicRegs, Mtrr, RecordType, TscAdjust,
    X86_FPU_INITIALISED,
};

use super::backend::Backend;
use super::fpu::FpuState;
use super::vcpu::Context;
use super::{lapic, state};
use crate::arch::time;
use crate::platform::{Domain, Hypervisor, Vcpu};

/// The components of an FXSAVE image.
const LEGACY_COMPONENTS: u64 = 3;

/// All records of a domain. Of a vCPU that is down there are no registers: it stays down where it
/// is restored.
pub fn save(domain: &Domain) -> Vec<u8> {
    let mut writer = Writer::new(&Header {
        magic: FILE_MAGIC,
        version: FILE_VERSION,
        changeset: u64::MAX,
        cpuid: __cpuid(1).eax,
        gtsc_khz: time::clock().khz(),
    });
    let up = || domain.vcpus().filter(|vcpu| vcpu.sched.is_up());
    for vcpu in up() {
        let mut context = vcpu.arch.context.lock();
        writer.put(RecordType::CPU, instance(vcpu), &registers(domain, &mut context));
    }
    let lapics: Vec<_> = domain.vcpus().map(|vcpu| (instance(vcpu), lapic_records(vcpu))).collect();
    for (instance, (hidden, _)) in &lapics {
        writer.put(RecordType::LAPIC, *instance, hidden);
    }
    for (instance, (_, registers)) in &lapics {
        writer.put(RecordType::LAPIC_REGS, *instance, registers);
    }
    for vcpu in domain.vcpus() {
        let mut context = vcpu.arch.context.lock();
        let pat = context.hw.stored_msr(Msr::PAT.0).unwrap_or(0);
        writer.put(RecordType::MTRR, instance(vcpu), &context.msrs.mtrrs.save(pat));
    }
    for vcpu in up() {
        let context = vcpu.arch.context.lock();
        let image = image(domain, &context);
        let max = domain.arch.xcr0_mask();
        let masks = xsave::masks(context.fpu.xcr0(), xsave::present(&image), max);
        writer.put_parts(RecordType::XSAVE, instance(vcpu), &[&masks, &image]);
    }
    for vcpu in domain.vcpus() {
        let tsc_adjust = vcpu.arch.context.lock().msrs.tsc_adjust;
        writer.put(RecordType::TSC_ADJUST, instance(vcpu), &TscAdjust { tsc_adjust });
    }
    writer.finish()
}

fn instance(vcpu: &Vcpu) -> u16 {
    vcpu.id.0 as u16
}

/// The extended state: as much as the components need that the domain can have.
fn image(domain: &Domain, context: &Context) -> Vec<u8> {
    let max = domain.arch.xcr0_mask();
    let bytes = domain.arch.cpuid.read().policy().xstate_bytes(max);
    context.fpu.image(&context.hw.regs().xmm, bytes as usize, max)
}

fn registers(domain: &Domain, context: &mut Context) -> Cpu {
    let mut cpu = Cpu::from(&state::get(context));
    let image = image(domain, context);
    for (to, from) in cpu.fpu_regs.iter_mut().zip(image) {
        *to = from;
    }
    cpu.flags = X86_FPU_INITIALISED;
    cpu.tsc = time::read_tsc().wrapping_add(context.hw.tsc_offset());
    cpu
}

/// What debuggers see of a vCPU.
pub fn debug_context(vcpu: &Vcpu) -> Box<VcpuGuestContext> {
    let mut context = vcpu.arch.context.lock();
    let registers = state::get(&mut context);
    let image = context.fpu.image(&context.hw.regs().xmm, 0, FpuState::supported());
    let mut legacy = [0; 512];
    for (to, from) in legacy.iter_mut().zip(image) {
        *to = from;
    }
    Box::new(debug::context(&registers, &legacy, vcpu.sched.is_up()))
}

fn lapic_records(vcpu: &Vcpu) -> (Lapic, LapicRegs) {
    vcpu.arch.lapic.with(|lapic| {
        if let Some(vector) = vcpu.arch.upcall.take_if(|_| true) {
            lapic.set_irr(vector, false);
        }
        lapic.save(time::now())
    })
}

/// Takes records over. All vCPUs are down then, but for those whose registers are among them.
///
/// # Errors
/// `EINVAL` if the records are malformed, or such as this domain can't have.
pub fn load(hv: &Hypervisor, domain: &Arc<Domain>, bytes: &[u8]) -> Result<(), Errno> {
    let records = parse(bytes).map_err(|Malformed| {
        guest_log!(Level::Info, "{}: its saved state isn't in the known format", domain.id);
        Errno::EINVAL
    })?;
    for vcpu in domain.vcpus() {
        hv.suspend(vcpu, BlockReason::Down);
    }
    for record in records {
        load_record(hv, domain, &record).map_err(|Impossible(why)| {
            let (kind, instance) = (record.kind.name().unwrap_or("unknown"), record.instance);
            guest_log!(Level::Info, "{}: saved state, {kind} {instance}: {why}", domain.id);
            Errno::EINVAL
        })?;
    }
    Ok(())
}

/// A structure out of a record.
fn read<T: zerocopy::FromBytes + zerocopy::IntoBytes>(
    record: &Record<'_>,
) -> Result<T, Impossible> {
    record.read().map_err(|Malformed| Impossible("too long"))
}

fn load_record(
    hv: &Hypervisor,
    domain: &Arc<Domain>,
    record: &Record<'_>,
) -> Result<(), Impossible> {
    let id = VcpuId(record.instance.into());
    let vcpu = domain.vcpu(id).ok_or(Impossible("there is no such vCPU"))?;
    let mut context = vcpu.arch.context.lock();
    match record.kind {
        RecordType::CPU => {
            load_registers(domain, &mut context, &read(record)?)?;
            drop(context);
            vcpu.set_initialised();
            hv.resume(vcpu, BlockReason::Down);
        }
        RecordType::LAPIC => {
            let hidden: Lapic = read(record)?;
            let restored = vcpu.arch.lapic.with(|lapic| lapic.restore(&hidden));
            restored.map_err(|_| Impossible("APIC_BASE can't be so"))?;
        }
        RecordType::LAPIC_REGS => {
            let registers: LapicRegs = read(record)?;
            vcpu.arch.lapic.with(|lapic| lapic.restore_regs(&registers, time::now()));
            context.show_task_priority(&vcpu.arch.lapic);
            lapic::arm_timer(hv, vcpu);
        }
        RecordType::MTRR => {
            let registers: Mtrr = read(record)?;
            let (mtrrs, pat) = Mtrrs::restore(&registers, domain.arch.physical_bits)
                .map_err(|_| Impossible("a value that no guest could write"))?;
            context.msrs.mtrrs = mtrrs;
            context.hw.set_stored_msr(Msr::PAT.0, pat);
        }
        RecordType::XSAVE => load_extended(domain, &mut context, record.body)?,
        RecordType::TSC_ADJUST => {
            let TscAdjust { tsc_adjust } = read(record)?;
            context.msrs.tsc_adjust = tsc_adjust;
        }
        // Guests have no banks of machine checks, and no MSRs beyond the other records'.
        RecordType::VMCE_VCPU | RecordType::CPU_MSR => {}
        _ => return Err(Impossible("there is no such device")),
    }
    Ok(())
}

fn load_registers(domain: &Domain, context: &mut Context, cpu: &Cpu) -> Result<(), Impossible> {
    let mut registers = VcpuState::from(cpu);
    registers.normalise();
    registers.check(&domain.arch.cpuid.read().control_limits())?;
    context.fpu.reset();
    context.hw.regs_mut().xmm = Default::default();
    if cpu.flags & X86_FPU_INITIALISED != 0 {
        let xmm = context.fpu.set_image(&cpu.fpu_regs, LEGACY_COMPONENTS);
        context.hw.regs_mut().xmm = xmm;
    }
    state::put(context, &registers);
    Ok(())
}

fn load_extended(domain: &Domain, context: &mut Context, body: &[u8]) -> Result<(), Impossible> {
    let max = Xcr0(domain.arch.xcr0_mask());
    let cpuid = domain.arch.cpuid.read();
    let found = xsave::parse(body, max, |components| cpuid.policy().xstate_bytes(components))
        .map_err(|Malformed| Impossible("state that the processor doesn't have"))?;
    let xmm = context.fpu.set_image(found.image, found.present);
    context.hw.regs_mut().xmm = xmm;
    context.fpu.restore_xcr0(found.xcr0);
    Ok(())
}
