//! A stopped vCPU's registers as a value, and back.

use alloc::sync::Arc;

use hv_x86::state::{MSRS, Segments, VcpuState};
use spin::MutexGuard;

use super::backend::{Backend, PendingEvent};
use super::vcpu::Context;
use crate::platform::Vcpu;

/// The registers of a vCPU that is down, to be changed; `None` if it is, or comes, up.
///
/// Its last run may not be quite over, but then it ends soon. If somebody brings it up meanwhile,
/// it waits for these registers before it runs.
pub fn of_down(vcpu: &Arc<Vcpu>) -> Option<MutexGuard<'_, Context>> {
    while !vcpu.sched.is_up() {
        if let Some(context) = vcpu.arch.context.try_lock() {
            return (!vcpu.sched.is_up()).then_some(context);
        }
        core::hint::spin_loop();
    }
    None
}

/// What a vCPU that doesn't run has in its registers.
pub fn get(context: &mut Context) -> VcpuState {
    let event = context.hw.pending_event();
    let mut msrs = [0; MSRS.len()];
    for (value, msr) in msrs.iter_mut().zip(MSRS) {
        *value = context.hw.stored_msr(msr.0).unwrap_or(0);
    }
    VcpuState {
        general: context.hw.regs().general,
        paging: context.hw.paging(),
        segments: Segments::from_names(|name| context.hw.segment(name)),
        special: context.hw.special(),
        breakpoints: context.fpu.breakpoints(),
        msrs,
        tsc_aux: context.msrs.tsc_aux,
        event: event.info,
        event_code: event.code,
    }
}

/// Gives a vCPU that doesn't run these registers, which have been checked.
pub fn put(context: &mut Context, state: &VcpuState) {
    context.hw.regs_mut().general = state.general;
    context.hw.complete_at(state.general.rip);
    context.hw.set_paging(state.paging);
    for (name, segment) in state.segments.named() {
        context.hw.set_segment(name, segment);
    }
    context.hw.set_special(&state.special);
    context.fpu.set_breakpoints(state.breakpoints);
    for (msr, value) in MSRS.into_iter().zip(state.msrs) {
        context.hw.set_stored_msr(msr.0, value);
    }
    context.msrs.tsc_aux = state.tsc_aux;
    context.hw.set_pending_event(PendingEvent { info: state.event, code: state.event_code });
    context.hw.flush();
}
