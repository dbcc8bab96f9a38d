//! `console_io`: the hypervisor's console, for the hardware domain (public header `xen.h`).

use xen_abi::console::ConsoleIoCmd;

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::platform::Platform;
use crate::types::Gva;

/// How much is copied at a time.
const CHUNK_BYTES: usize = 128;

/// `console_io(cmd, count, buffer)`.
pub fn console_io<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    if !call.domain.config.hardware {
        return Err(Errno::EPERM);
    }
    let [cmd, count, buffer, ..] = call.args;
    let count = u64::from(count as u32);
    if count > i32::MAX as u64 {
        return Err(Errno::EINVAL);
    }
    match ConsoleIoCmd(cmd as u32) {
        ConsoleIoCmd::WRITE => write(call, Gva(buffer), count),
        ConsoleIoCmd::READ => read(call, Gva(buffer), count),
        _ => Err(Errno::ENOSYS),
    }
}

/// Writes in chunks, and lets others run between them: a serial line is slow.
fn write<P: Platform>(call: &Call<'_, P>, buffer: Gva, count: u64) -> HypercallResult {
    let mut chunk = [0; CHUNK_BYTES];
    let mut done: u64 = 0;
    while done < count {
        if done > 0 && call.hv.platform.preemption_pending() {
            let mut args = call.args;
            [args[1], args[2]] = [count.saturating_sub(done), buffer.0.saturating_add(done)];
            return Ok(Outcome::Continue(args));
        }
        let len = count.saturating_sub(done).min(CHUNK_BYTES as u64);
        let part = chunk.get_mut(..len as usize).ok_or(Errno::EINVAL)?;
        let from = buffer.0.checked_add(done).ok_or(Errno::EFAULT)?;
        call.guest.copy_from(Gva(from), part)?;
        call.hv.platform.console_write(call.domain.id, part);
        done = done.saturating_add(len);
    }
    Ok(Outcome::OK)
}

/// Gives what was typed, up to one chunk; the result is its length.
fn read<P: Platform>(call: &Call<'_, P>, buffer: Gva, count: u64) -> HypercallResult {
    let mut chunk = [0; CHUNK_BYTES];
    let room = count.min(CHUNK_BYTES as u64) as usize;
    let part = chunk.get_mut(..room).ok_or(Errno::EINVAL)?;
    let len = call.hv.platform.console_read(part);
    let typed = part.get(..len).ok_or(Errno::EIO)?;
    call.guest.copy_to(buffer, typed)?;
    Ok(Outcome::Done(len as u64))
}
