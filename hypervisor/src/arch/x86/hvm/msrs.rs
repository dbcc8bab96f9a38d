//! RDMSR and WRMSR.
#![expect(unsafe_code, reason = "loads TSC_AUX, which no control block switches")]

use hv_boot::options::Level;
use hv_core::types::Hpa;
use hv_x86::decode::{Gpr, Intercepted};
use hv_x86::fault::{Exception, GpFault};
use hv_x86::msr::{Context, MsrPolicy, Mtrrs, Read, SVM_MAP_BYTES, Write, hypercall_page, svm_map};
use spin::{Mutex, RwLock};
use x86defs::msr::{Efer, Msr};

use super::backend::Backend;
use super::guest::Guest;
use crate::arch::cpu::msr;
use crate::arch::time;
use crate::guest_access;
use crate::mm::FrameBox;
use crate::platform::Domain;

const CR0_PG: u64 = 1 << 31;

/// RDMSR of the register in ECX.
pub fn read(guest: &mut Guest<'_>) {
    let index = guest.context.hw.regs().general.get(Gpr::RCX) as u32;
    match value(guest, index) {
        Ok(value) => {
            let general = &mut guest.context.hw.regs_mut().general;
            general.set(Gpr::RAX, value & 0xffff_ffff);
            general.set(Gpr::RDX, value >> 32);
            guest.skip(Intercepted::Rdmsr);
        }
        Err(GpFault) => {
            guest_log!(
                Level::Debug,
                "{}v{} reads MSR {index:#x}",
                guest.domain.id,
                guest.vcpu.id.0
            );
            guest.raise(Exception::Gp);
        }
    }
}

fn value(guest: &mut Guest<'_>, index: u32) -> Result<u64, GpFault> {
    let lapic = &guest.vcpu.arch.lapic;
    match guest.context.msrs.read(index, &guest.domain.arch.msrs.policy())? {
        Read::Value(value) => Ok(value),
        Read::LocalApic => lapic.with(|lapic| match Msr(index) {
            Msr::APIC_BASE => Ok(lapic.apic_base()),
            Msr::TSC_DEADLINE => Ok(lapic.tsc_deadline()),
            _ => lapic.msr_read(index, time::now),
        }),
        Read::ControlBlock => guest.context.hw.stored_msr(index).ok_or(GpFault),
        Read::Efer => Ok(guest.context.hw.paging().efer),
        Read::Tsc => Ok(time::read_tsc().wrapping_add(guest.context.hw.tsc_offset())),
    }
}

/// WRMSR to the register in ECX.
pub fn write(guest: &mut Guest<'_>) {
    let general = &guest.context.hw.regs().general;
    let index = general.get(Gpr::RCX) as u32;
    let value = general.get(Gpr::RDX) << 32 | general.get(Gpr::RAX) & 0xffff_ffff;
    match store(guest, index, value) {
        Ok(()) => guest.skip(Intercepted::Wrmsr),
        Err(GpFault) => {
            guest_log!(
                Level::Debug,
                "{}v{} writes {value:#x} to MSR {index:#x}",
                guest.domain.id,
                guest.vcpu.id.0
            );
            guest.raise(Exception::Gp);
        }
    }
}

fn store(guest: &mut Guest<'_>, index: u32, value: u64) -> Result<(), GpFault> {
    let paging = guest.context.hw.paging();
    let context = Context { efer: Efer(paging.efer), paging: paging.cr0 & CR0_PG != 0 };
    let offset = guest.context.hw.tsc_offset();
    let tsc = || time::read_tsc().wrapping_add(offset);
    let policy = guest.domain.arch.msrs.policy();
    match guest.context.msrs.write(index, value, &policy, context, tsc)? {
        Write::Done => {}
        Write::LocalApic => return local_apic(guest, index, value),
        Write::ControlBlock => {
            if !guest.context.hw.set_stored_msr(index, value) {
                return Err(GpFault);
            }
        }
        // SAFETY: a command to the branch predictor.
        Write::Hardware => unsafe {
            msr::write(Msr(index), value);
        },
        Write::Efer(efer) => {
            let mut paging = guest.context.hw.paging();
            paging.efer = efer.0;
            guest.context.hw.set_paging(paging);
        }
        Write::ShiftTsc(by) => guest.context.hw.set_tsc_offset(offset.wrapping_add(by)),
        Write::TscAux(value) => load_tsc_aux(value),
        Write::HypercallPage(gfn) => {
            let mut page = [0; 4096];
            hypercall_page::fill(&mut page, guest.domain.arch.hypercall_instruction);
            guest_access::write_physical(guest.domain, gfn.gpa(), &page).map_err(|_| GpFault)?;
        }
    }
    Ok(())
}

fn local_apic(guest: &mut Guest<'_>, index: u32, value: u64) -> Result<(), GpFault> {
    let lapic = &guest.vcpu.arch.lapic;
    let effect = lapic.with(|lapic| match Msr(index) {
        Msr::APIC_BASE => lapic.set_apic_base(value),
        Msr::TSC_DEADLINE => Ok(lapic.set_tsc_deadline(value)),
        _ => lapic.msr_write(index, value, time::now),
    })?;
    guest.apply(effect);
    if index == TPR {
        guest.put_task_priority();
    }
    Ok(())
}

/// The task priority register in x2APIC mode.
const TPR: u32 = 0x808;

/// Loads TSC_AUX, which RDTSCP and RDPID read, with a guest's value.
pub fn load_tsc_aux(value: u32) {
    // SAFETY: the hypervisor itself doesn't use TSC_AUX. A CPU that has none refuses the write.
    unsafe { msr::write(Msr::TSC_AUX, u64::from(value)) };
}

/// Which MSRs a domain has, and which of them it reaches without an exit.
pub struct DomainMsrs {
    policy: RwLock<MsrPolicy>,
    /// The map that the hardware reads.
    map: Mutex<FrameBox<[u8; SVM_MAP_BYTES]>>,
}

impl DomainMsrs {
    /// The MSRs that go with `policy`. `None` if there is no memory for the map.
    pub fn new(policy: MsrPolicy) -> Option<Self> {
        let mut map = FrameBox::<[u8; SVM_MAP_BYTES]>::try_zeroed()?;
        map.copy_from_slice(&svm_map(&policy));
        Some(Self { policy: RwLock::new(policy), map: Mutex::new(map) })
    }

    /// Changes them, before the domain first runs.
    pub fn set_policy(&self, policy: MsrPolicy) {
        *self.policy.write() = policy;
        self.map.lock().copy_from_slice(&svm_map(&policy));
    }

    /// What the domain has.
    pub fn policy(&self) -> MsrPolicy {
        *self.policy.read()
    }

    /// The machine address of the map that the hardware reads.
    pub fn map(&self) -> Hpa {
        self.map.lock().hpa()
    }
}

/// The MTRRs that a domain's vCPUs start with: the hardware domain has the machine's devices,
/// and so the machine's ranges, which say where memory must not be cached.
pub fn mtrrs(domain: &Domain) -> Mtrrs {
    let host = domain.config.hardware.then(|| Mtrrs::of_host(|msr| msr::read(msr).unwrap_or(0)));
    host.flatten().unwrap_or_default()
}
