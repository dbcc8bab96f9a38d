//! `multicall`: several hypercalls at once (public header `xen.h`).

use xen_abi::xen::{Hypercall, MulticallEntry};

use super::{Call, HypercallResult, Outcome, dispatch};
use crate::errno::Errno;
use crate::machine::Machine;
use crate::types::Gva;

/// `multicall(list, count)`. Each call's result goes into its entry. If one must be continued, or
/// others should run, the caller executes the multicall again for what is left.
pub fn multicall<P: Machine>(call: &Call<'_, P>) -> HypercallResult {
    let [list, count, ..] = call.args;
    let count = u64::from(count as u32);
    for index in 0..count {
        let at = call.element::<MulticallEntry>(Gva(list), index)?;
        let mut entry: MulticallEntry = call.read(at)?;
        let left = |from: Gva| {
            let mut args = call.args;
            [args[0], args[1]] = [from.0, count.saturating_sub(index)];
            args
        };
        if index > 0 && call.hv.platform.preemption_pending() {
            return Ok(Outcome::Continue(left(at)));
        }
        let number = u32::try_from(entry.op).unwrap_or(u32::MAX);
        if Hypercall(number) == Hypercall::MULTICALL {
            return Err(Errno::EINVAL);
        }
        let part = Call { args: entry.args, ..*call };
        match dispatch(number, &part) {
            Outcome::Done(result) => entry.result = result,
            Outcome::Continue(args) => {
                entry.args = args;
                call.write(at, &entry)?;
                return Ok(Outcome::Continue(left(at)));
            }
        }
        call.write(at, &entry)?;
    }
    Ok(Outcome::OK)
}
