//! The architecture's part of a vCPU: its local APIC, its control block, and the mailbox through
//! which other pCPUs reach it.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use hv_core::types::VcpuId;
use hv_x86::interrupt::apic_id;
use hv_x86::vlapic::{SharedVlapic, Vlapic};
use spin::Mutex;

use super::backend::Backend;
use super::fpu::FpuState;
use super::length_cache::LengthCache;
use super::msrs;
use super::svm::SvmVcpu;
use crate::platform::Domain;

/// The control block of the virtualization extension in use.
pub type HwVcpu = SvmVcpu;

/// What other pCPUs may see of a vCPU.
pub struct VcpuArch {
    /// The local APIC.
    pub lapic: SharedVlapic,
    /// Registers. The pCPU that runs the vCPU holds this lock while it does.
    pub context: Mutex<Context>,
    /// The event upcall's vector on its way to the local APIC.
    pub upcall: Upcall,
    /// INIT, start-up and NMI messages that the vCPU has yet to act on.
    pub signals: Signals,
}

/// A vCPU's registers, while nobody runs it.
pub struct Context {
    /// Control block and general registers.
    pub hw: HwVcpu,
    /// Extended state and debug registers.
    pub fpu: FpuState,
    /// MSRs that only this software knows.
    pub msrs: hv_x86::msr::MsrState,
    /// Lengths of instructions that exited before.
    pub lengths: LengthCache,
    /// The second-stage generation that the hardware's cached translations belong to.
    pub second_stage_generation: u64,
    /// CR8 as the local APIC and the hardware last agreed on it.
    pub cr8: u8,
}

impl Context {
    /// Shows the guest in CR8 the local APIC's task priority.
    pub fn show_task_priority(&mut self, lapic: &SharedVlapic) {
        self.cr8 = lapic.with(|lapic| lapic.cr8());
        self.hw.set_task_priority(self.cr8 << 4);
    }
}

impl VcpuArch {
    /// A vCPU with its registers as after power-on; its local APIC is in x2APIC mode, as
    /// firmware may hand over.
    ///
    /// `None` if there is no memory for it.
    pub fn new(id: VcpuId, domain: &Domain) -> Option<Self> {
        let lapic = Vlapic::new(apic_id(id), id.0 == 0, true);
        let mut hw = HwVcpu::new()?;
        hw.set_permission_maps(domain.arch.port_map(), domain.arch.msrs.map());
        hw.set_second_stage(domain.memory.root().hpa());
        Some(Self {
            lapic: SharedVlapic::new(lapic),
            context: Mutex::new(Context {
                hw,
                fpu: FpuState::new(),
                msrs: hv_x86::msr::MsrState::new(msrs::mtrrs(domain)),
                lengths: LengthCache::new(),
                second_stage_generation: 0,
                cr8: 0,
            }),
            upcall: Upcall::default(),
            signals: Signals::default(),
        })
    }
}

/// An event upcall that the local APIC hasn't accepted yet.
///
/// It is kept back until the vCPU can take it. Kernels that start up look for vectors that an
/// earlier one left pending, and try hard to get rid of them (Linux reads all request registers
/// 512 times); those of an upcall would only go away once interrupts are on.
#[derive(Default)]
pub struct Upcall(AtomicU8);

impl Upcall {
    /// Leaves an upcall's vector.
    pub fn post(&self, vector: u8) {
        self.0.store(vector, Ordering::Release);
    }

    /// Whether there is one.
    pub fn is_pending(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Takes it, if its vector is `fit`. Only the pCPU that runs the vCPU does.
    pub fn take_if(&self, fit: impl FnOnce(u8) -> bool) -> Option<u8> {
        let vector = self.0.load(Ordering::Acquire);
        (vector != 0 && fit(vector)).then(|| self.0.swap(0, Ordering::AcqRel))
    }
}

/// Messages that change a vCPU's course rather than interrupt it.
#[derive(Default)]
pub struct Signals(AtomicU32);

/// What waits in the mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// An NMI.
    pub nmi: bool,
    /// An INIT: reset, and wait for a start-up message.
    pub init: bool,
    /// A start-up message, with its vector.
    pub start_up: Option<u8>,
}

impl Signals {
    const NMI: u32 = 1 << 8;
    const INIT: u32 = 1 << 9;
    const START_UP: u32 = 1 << 10;

    /// Whether anything waits.
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Leaves an NMI.
    pub fn nmi(&self) {
        self.0.fetch_or(Self::NMI, Ordering::AcqRel);
    }

    /// Leaves an INIT, which cancels a start-up message that was not acted on.
    pub fn init(&self) {
        self.0.store(Self::INIT, Ordering::Release);
    }

    /// Leaves a start-up message behind an INIT that waits. The first of several counts. `false`
    /// if no INIT waits.
    pub fn start_up(&self, vector: u8) -> bool {
        let left = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| {
            let first = old & Self::START_UP == 0;
            let new = if first { old | Self::START_UP | u32::from(vector) } else { old };
            (old & Self::INIT != 0).then_some(new)
        });
        left.is_ok()
    }

    /// Whether an INIT waits.
    pub fn has_init(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::INIT != 0
    }

    /// Empties the mailbox.
    pub fn take(&self) -> Taken {
        let bits = self.0.swap(0, Ordering::AcqRel);
        Taken {
            nmi: bits & Self::NMI != 0,
            init: bits & Self::INIT != 0,
            start_up: (bits & Self::START_UP != 0).then_some(bits as u8),
        }
    }
}
