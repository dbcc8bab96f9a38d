//! One vCPU's control block, and entering guest mode with it.
#![expect(unsafe_code, reason = "the world switch")]

use core::arch::global_asm;

use hv_core::types::Hpa;
use hv_x86::decode::Gpr;
use hv_x86::state::Table;
use x86defs::vmcb::{
    self, Event as RawEvent, INTERRUPT_SHADOW, Intercept1, Intercept2, NESTED_PAGING, Vmcb,
    int_ctl, tlb,
};

use super::super::backend::{
    Backend, Event, PagingState, PendingEvent, Segment, SegmentName, Special,
};
use super::super::exit::Exit;
use super::super::regs::GuestRegs;
use super::cpu::{Asid, SvmCpu};
use super::decode;
use crate::arch::cpu::features;
use crate::arch::local_apic;
use crate::mm::FrameBox;

global_asm!(include_str!("switch.S"));

unsafe extern "sysv64" {
    /// See `switch.S`.
    fn svm_run(regs: *mut GuestRegs, guest: u64, host: u64);
}

const EFER_SVME: u64 = 1 << 12;
const RFLAGS_IF: u64 = 1 << 9;
/// #DB and #AC: a guest could otherwise keep the CPU in their delivery for ever. #MC is ours.
const WATCHED_EXCEPTIONS: u32 = 1 << 1 | 1 << 17 | 1 << 18;

/// Parts of the control block that the CPU may keep from one VMRUN to the next
/// (AMD64 APM vol. 2, 15.15.3).
mod clean {
    pub const ALL: u32 = 0x1fff;
    pub const INTERCEPTS: u32 = 1 << 0;
    pub const PERMISSION_MAPS: u32 = 1 << 1;
    pub const ASID: u32 = 1 << 2;
    pub const TPR: u32 = 1 << 3;
    pub const NESTED_PAGING: u32 = 1 << 4;
    pub const CONTROL_REGISTERS: u32 = 1 << 5;
    pub const SEGMENTS: u32 = 1 << 8;
    pub const CR2: u32 = 1 << 9;
}

/// A vCPU as SVM sees it.
pub struct SvmVcpu {
    vmcb: FrameBox<Vmcb>,
    regs: GuestRegs,
    asid: Asid,
    /// The pCPU on which it last ran, known by its host control block.
    last_cpu: Hpa,
    flush_wanted: bool,
}

impl SvmVcpu {
    /// A vCPU with nothing but its intercepts set. `None` if there is no memory for it.
    pub fn new() -> Option<Self> {
        let mut vmcb = FrameBox::<Vmcb>::try_zeroed()?;
        let control = &mut vmcb.control;
        control.intercept_exceptions = WATCHED_EXCEPTIONS;
        control.intercept1 = (Intercept1::INTR
            | Intercept1::NMI
            | Intercept1::INIT
            | Intercept1::RDPMC
            | Intercept1::CPUID
            | Intercept1::INVD
            | Intercept1::HLT
            | Intercept1::INVLPGA
            | Intercept1::IOIO
            | Intercept1::MSR
            | Intercept1::FERR_FREEZE
            | Intercept1::SHUTDOWN)
            .bits();
        control.intercept2 = (Intercept2::VMRUN
            | Intercept2::VMMCALL
            | Intercept2::VMLOAD
            | Intercept2::VMSAVE
            | Intercept2::STGI
            | Intercept2::CLGI
            | Intercept2::SKINIT
            | Intercept2::WBINVD
            | Intercept2::MONITOR
            | Intercept2::MWAIT
            | Intercept2::MWAIT_ARMED
            | Intercept2::XSETBV
            | Intercept2::RDPRU)
            .bits();
        control.int_ctl = int_ctl::V_INTR_MASKING;
        control.nested_ctl = NESTED_PAGING;
        vmcb.save.efer = EFER_SVME;
        vmcb.save.g_pat = 0x0007_0406_0007_0406;
        vmcb.save.dr6 = 0xffff_0ff0;
        vmcb.save.dr7 = 0x400;
        Some(Self {
            vmcb,
            regs: GuestRegs::ZERO,
            asid: Asid::default(),
            last_cpu: Hpa(0),
            flush_wanted: true,
        })
    }

    fn dirty(&mut self, parts: u32) {
        self.vmcb.control.clean &= !parts;
    }

    /// Makes sure that VMRUN uses no translation that it must not.
    fn prepare_asid(&mut self, cpu: &mut SvmCpu) {
        self.vmcb.control.tlb_control = tlb::NONE;
        if self.last_cpu != cpu.host_vmcb() {
            self.last_cpu = cpu.host_vmcb();
            self.vmcb.control.clean = 0;
        } else if cpu.is_current(self.asid) && !self.flush_wanted {
            return;
        }
        let (asid, flush_all) = cpu.new_asid();
        self.asid = asid;
        self.flush_wanted = false;
        self.vmcb.control.asid = asid.id;
        if flush_all {
            self.vmcb.control.tlb_control = tlb::FLUSH_ALL;
        }
        self.dirty(clean::ASID);
    }

    /// Gives the control block its share of the registers.
    fn put_registers(&mut self) {
        let general = &self.regs.general;
        let save = &mut self.vmcb.save;
        save.rax = general.get(Gpr::RAX);
        save.rsp = general.get(Gpr::RSP);
        save.rip = general.rip;
        save.rflags = general.rflags;
    }

    /// Takes them back.
    fn take_registers(&mut self) {
        let general = &mut self.regs.general;
        let save = &self.vmcb.save;
        general.set(Gpr::RAX, save.rax);
        general.set(Gpr::RSP, save.rsp);
        general.rip = save.rip;
        general.rflags = save.rflags;
    }

    fn raw_segment(&self, name: SegmentName) -> &vmcb::Segment {
        let save = &self.vmcb.save;
        match name {
            SegmentName::Es => &save.es,
            SegmentName::Cs => &save.cs,
            SegmentName::Ss => &save.ss,
            SegmentName::Ds => &save.ds,
            SegmentName::Fs => &save.fs,
            SegmentName::Gs => &save.gs,
            SegmentName::Ldtr => &save.ldtr,
            SegmentName::Tr => &save.tr,
        }
    }

    fn raw_segment_mut(&mut self, name: SegmentName) -> &mut vmcb::Segment {
        let save = &mut self.vmcb.save;
        match name {
            SegmentName::Es => &mut save.es,
            SegmentName::Cs => &mut save.cs,
            SegmentName::Ss => &mut save.ss,
            SegmentName::Ds => &mut save.ds,
            SegmentName::Fs => &mut save.fs,
            SegmentName::Gs => &mut save.gs,
            SegmentName::Ldtr => &mut save.ldtr,
            SegmentName::Tr => &mut save.tr,
        }
    }

    /// Where the block keeps an MSR of the guest's.
    fn msr_slot(&mut self, index: u32) -> Option<&mut u64> {
        let save = &mut self.vmcb.save;
        Some(match index {
            0x174 => &mut save.sysenter_cs,
            0x175 => &mut save.sysenter_esp,
            0x176 => &mut save.sysenter_eip,
            0x1d9 => &mut save.dbgctl,
            0x277 => &mut save.g_pat,
            0xc000_0081 => &mut save.star,
            0xc000_0082 => &mut save.lstar,
            0xc000_0083 => &mut save.cstar,
            0xc000_0084 => &mut save.sfmask,
            0xc000_0100 => &mut save.fs.base,
            0xc000_0101 => &mut save.gs.base,
            0xc000_0102 => &mut save.kernel_gs_base,
            _ => return None,
        })
    }
}

impl Backend for SvmVcpu {
    type Cpu = SvmCpu;

    fn run(&mut self, cpu: &mut SvmCpu) -> Exit {
        self.prepare_asid(cpu);
        self.put_registers();
        let window = self.vmcb.control.int_ctl & int_ctl::V_IRQ != 0;
        let guest = self.vmcb.hpa().0;
        let host = cpu.host_vmcb().0;
        // SAFETY: both control blocks are frames of our own, SVM is on for this pCPU, interrupts
        // are off, and nothing else refers to the registers or the guest's block meanwhile.
        unsafe { svm_run(&raw mut self.regs, guest, host) };
        self.take_registers();
        if window && features().tcg {
            // Entering with V_IRQ, TCG changes the word that other threads raise this CPU's
            // interrupts in, without a lock (QEMU 10.0): one may have been lost from it.
            local_apic::accept_all();
        }
        let control = &mut self.vmcb.control;
        control.clean = clean::ALL;
        // An exit in the middle of a delivery undid it: deliver it again.
        control.event_injection = control.exit_int_info;
        let delivered_software = control.event_injection.kind() == 4;
        if delivered_software {
            // INT n runs again by itself, as RIP still points at it.
            control.event_injection = RawEvent::NONE;
        }
        decode::exit(control)
    }

    fn control_block(&self) -> Hpa {
        self.vmcb.hpa()
    }

    fn regs(&self) -> &GuestRegs {
        &self.regs
    }

    fn regs_mut(&mut self) -> &mut GuestRegs {
        &mut self.regs
    }

    fn complete_at(&mut self, rip: u64) {
        self.regs.general.rip = rip;
        self.vmcb.control.int_state &= !INTERRUPT_SHADOW;
    }

    fn next_rip(&self) -> Option<u64> {
        Some(self.vmcb.control.next_rip).filter(|&rip| rip != 0)
    }

    fn cpl(&self) -> u8 {
        self.vmcb.save.cpl
    }

    fn segment(&self, name: SegmentName) -> Segment {
        let raw = self.raw_segment(name);
        Segment {
            selector: raw.selector,
            attributes: raw.attributes,
            limit: raw.limit,
            base: raw.base,
        }
    }

    fn set_segment(&mut self, name: SegmentName, value: Segment) {
        *self.raw_segment_mut(name) = vmcb::Segment {
            selector: value.selector,
            attributes: value.attributes,
            limit: value.limit,
            base: value.base,
        };
        if name == SegmentName::Ss {
            self.vmcb.save.cpl = (value.attributes >> 5 & 3) as u8;
        }
        self.dirty(clean::SEGMENTS);
    }

    fn paging(&self) -> PagingState {
        let save = &self.vmcb.save;
        PagingState { cr0: save.cr0, cr3: save.cr3, cr4: save.cr4, efer: save.efer & !EFER_SVME }
    }

    fn set_paging(&mut self, state: PagingState) {
        let save = &mut self.vmcb.save;
        save.cr0 = state.cr0;
        save.cr3 = state.cr3;
        save.cr4 = state.cr4;
        save.efer = state.efer | EFER_SVME;
        self.dirty(clean::CONTROL_REGISTERS);
    }

    fn interruptible(&self) -> bool {
        self.regs.general.rflags & RFLAGS_IF != 0
            && self.vmcb.control.int_state & INTERRUPT_SHADOW == 0
            && !self.event_queued()
    }

    fn event_queued(&self) -> bool {
        self.vmcb.control.event_injection.is_valid()
    }

    fn inject(&mut self, event: Event) {
        self.vmcb.control.event_injection = match event {
            Event::Interrupt(vector) => RawEvent::interrupt(vector),
            Event::Nmi => RawEvent::NMI,
            Event::Exception(vector, code) => RawEvent::exception(vector, code),
        };
    }

    fn pending_event(&self) -> PendingEvent {
        let event = self.vmcb.control.event_injection;
        if event.is_valid() {
            PendingEvent { info: event.0 as u32, code: (event.0 >> 32) as u32 }
        } else {
            PendingEvent::default()
        }
    }

    fn set_pending_event(&mut self, event: PendingEvent) {
        let raw = u64::from(event.info) | u64::from(event.code) << 32;
        self.vmcb.control.event_injection = RawEvent(raw);
    }

    fn want_interrupt_window(&mut self, wanted: bool) {
        const BITS: u32 = int_ctl::V_IRQ | int_ctl::V_IGN_TPR | 0xf << int_ctl::V_INTR_PRIO_SHIFT;
        let control = &mut self.vmcb.control;
        let is_set = control.int_ctl & int_ctl::V_IRQ != 0;
        if wanted == is_set {
            return;
        }
        if wanted {
            control.int_ctl |= BITS;
            control.intercept1 |= Intercept1::VINTR.bits();
        } else {
            control.int_ctl &= !BITS;
            control.intercept1 &= !Intercept1::VINTR.bits();
        }
        self.dirty(clean::INTERCEPTS | clean::TPR);
    }

    fn task_priority(&self) -> u8 {
        ((self.vmcb.control.int_ctl & int_ctl::V_TPR_MASK & 0xf) as u8) << 4
    }

    fn set_task_priority(&mut self, tpr: u8) {
        let control = &mut self.vmcb.control;
        let wanted = u32::from(tpr >> 4);
        if control.int_ctl & int_ctl::V_TPR_MASK != wanted {
            control.int_ctl = control.int_ctl & !int_ctl::V_TPR_MASK | wanted;
            self.dirty(clean::TPR);
        }
    }

    fn tsc_offset(&self) -> u64 {
        self.vmcb.control.tsc_offset
    }

    fn set_tsc_offset(&mut self, offset: u64) {
        self.vmcb.control.tsc_offset = offset;
        self.dirty(clean::INTERCEPTS);
    }

    fn set_second_stage(&mut self, root: Hpa) {
        self.vmcb.control.nested_cr3 = root.0;
        self.flush_wanted = true;
        self.dirty(clean::NESTED_PAGING);
    }

    fn flush(&mut self) {
        self.flush_wanted = true;
    }

    fn stored_msr(&mut self, index: u32) -> Option<u64> {
        self.msr_slot(index).map(|slot| *slot)
    }

    fn set_stored_msr(&mut self, index: u32, value: u64) -> bool {
        let Some(slot) = self.msr_slot(index) else {
            return false;
        };
        *slot = value;
        self.vmcb.control.clean = 0;
        true
    }

    fn fetched_instruction(&self) -> &[u8] {
        let control = &self.vmcb.control;
        let len = usize::from(control.fetched_len & 0xf);
        control.fetched_bytes.get(..len).unwrap_or(&[])
    }

    fn special(&self) -> Special {
        let save = &self.vmcb.save;
        let table = |raw: &vmcb::Segment| Table { base: raw.base, limit: raw.limit };
        Special {
            gdtr: table(&save.gdtr),
            idtr: table(&save.idtr),
            cr2: save.cr2,
            dr6: save.dr6,
            dr7: save.dr7,
        }
    }

    fn set_special(&mut self, special: &Special) {
        let table = |from: Table| vmcb::Segment {
            base: from.base,
            limit: from.limit,
            ..vmcb::Segment::default()
        };
        let save = &mut self.vmcb.save;
        (save.gdtr, save.idtr) = (table(special.gdtr), table(special.idtr));
        (save.cr2, save.dr6, save.dr7) = (special.cr2, special.dr6, special.dr7);
        self.vmcb.control.clean = 0;
    }

    fn set_cr2(&mut self, value: u64) {
        self.vmcb.save.cr2 = value;
        self.dirty(clean::CR2);
    }

    fn set_permission_maps(&mut self, ports: Hpa, msrs: Hpa) {
        self.vmcb.control.iopm_base = ports.0;
        self.vmcb.control.msrpm_base = msrs.0;
        self.dirty(clean::PERMISSION_MAPS);
    }
}
