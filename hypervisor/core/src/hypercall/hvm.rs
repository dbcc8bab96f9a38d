//! `hvm_op`: parameters of HVM containers, upcall vectors (public header `hvm/hvm_op.h`).

use xen_abi::hvm::hvm_op::{EvtchnUpcallVector, GetMemType, GetTime, HvmCmd, HvmParamOp, MemType};
use xen_abi::hvm::params::HvmParam;

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::p2m::P2mKind;
use crate::params::{Actor, callback_vector};
use crate::platform::Platform;
use crate::types::{DomId, Gfn, Gva, VcpuId};

/// `hvm_op(cmd, arg)`.
pub fn hvm_op<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, arg, ..] = call.args;
    let arg = Gva(arg);
    match HvmCmd(cmd as u32) {
        HvmCmd::SET_PARAM => set_param(call, call.read(arg)?)?,
        HvmCmd::GET_PARAM => get_param(call, arg)?,
        HvmCmd::SET_EVTCHN_UPCALL_VECTOR => {
            let set: EvtchnUpcallVector = call.read(arg)?;
            let vcpu = call.domain.vcpu(VcpuId(set.vcpu)).ok_or(Errno::ENOENT)?;
            call.hv.set_upcall_vector(vcpu, set.vector)?;
        }
        HvmCmd::FLUSH_TLBS if arg.0 == 0 => call.hv.platform.flush_second_stage(call.domain.id),
        HvmCmd::GET_TIME => call.write(arg, &GetTime { now: call.hv.platform.now().0 })?,
        HvmCmd::GET_MEM_TYPE => get_mem_type(call, arg)?,
        // Only for shadow paging: guests that get an error never call it again.
        HvmCmd::FLUSH_TLBS | HvmCmd::PAGETABLE_DYING => return Err(Errno::EINVAL),
        HvmCmd::ALTP2M | HvmCmd::GUEST_REQUEST_VM_EVENT => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Outcome::OK)
}

fn set_param<P: Platform>(call: &Call<'_, P>, set: HvmParamOp) -> Result<(), Errno> {
    let target = call.resolve_owned(DomId(set.domid))?;
    let actor = actor(call, &target.id);
    target.params.check_set(actor, set.index, set.value)?;
    target.params.store(set.index, set.value);
    if set.index == HvmParam::CALLBACK_IRQ {
        target.events.set_callback_vector(callback_vector(set.value));
        for vcpu in target.vcpus() {
            call.hv.repeat_upcall(vcpu);
        }
    }
    Ok(())
}

fn get_param<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut get: HvmParamOp = call.read(arg)?;
    let target = call.resolve_owned(DomId(get.domid))?;
    get.value = target.params.get(actor(call, &target.id), get.index)?;
    call.write(arg, &get)
}

fn actor<P: Platform>(call: &Call<'_, P>, target: &DomId) -> Actor {
    if *target == call.domain.id { Actor::Guest } else { Actor::Toolstack }
}

fn get_mem_type<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<(), Errno> {
    let mut get: GetMemType = call.read(arg)?;
    let target = call.resolve(DomId(get.domid))?;
    let leaf = target.memory.lookup(&call.hv.platform, Gfn(get.pfn)).leaf;
    get.mem_type = match leaf.map(|leaf| leaf.kind) {
        None | Some(P2mKind::Mmio | P2mKind::MmioReadOnly) => MemType::MMIO_DM,
        Some(P2mKind::RamReadOnly | P2mKind::GrantRo) => MemType::RAM_RO,
        Some(_) => MemType::RAM_RW,
    };
    call.write(arg, &get)
}
