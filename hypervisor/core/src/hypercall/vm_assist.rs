//! `vm_assist`: behaviours that a guest can choose (public header `xen.h`).

use xen_abi::xen::{VmAssistCmd, VmAssistType};

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::platform::Platform;

/// `vm_assist(cmd, type)`.
pub fn vm_assist<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, kind, ..] = call.args;
    let on = match VmAssistCmd(cmd as u32) {
        VmAssistCmd::ENABLE => true,
        VmAssistCmd::DISABLE => false,
        _ => return Err(Errno::ENOSYS),
    };
    // All others are about paravirtual page tables and segments.
    if VmAssistType(kind as u32) != VmAssistType::RUNSTATE_UPDATE_FLAG {
        return Err(Errno::EINVAL);
    }
    call.domain.mark_runstate_updates(on);
    Ok(Outcome::OK)
}
