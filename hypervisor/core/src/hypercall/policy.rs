//! CPU policies on their way to the caller.

use xen_abi::GuestHandle;
use zerocopy::{Immutable, IntoBytes};

use super::Call;
use crate::errno::Errno;
use crate::machine::CpuPolicy;
use crate::platform::Platform;
use crate::types::Gva;

/// The most leaves that a policy has, as tools put it together: those of `cpu-policy.h`, and the
/// marks of the hypervisors' ranges.
pub(super) const MAX_LEAVES: u32 = 120;
/// The most MSRs.
pub(super) const MAX_MSRS: u32 = 2;

impl<P: Platform> Call<'_, P> {
    /// Writes a policy's leaves and MSRs into the caller's arrays. `room` holds how many fit, and
    /// then how many there are. A null array asks how many there can be, in any policy: tools make
    /// room for all of theirs by that.
    pub(super) fn write_policy(
        &self,
        policy: &CpuPolicy,
        room: (&mut u32, &mut u32),
        arrays: (GuestHandle, GuestHandle),
    ) -> Result<(), Errno> {
        *room.0 = match arrays.0.is_null() {
            true => MAX_LEAVES,
            false => self.write_counted(&policy.leaves, *room.0, arrays.0)?,
        };
        *room.1 = match arrays.1.is_null() {
            true => MAX_MSRS,
            false => self.write_counted(&policy.msrs, *room.1, arrays.1)?,
        };
        Ok(())
    }

    /// Writes all of an array's elements, if there is room, and gives their number.
    pub(super) fn write_counted<T: IntoBytes + Immutable>(
        &self,
        values: &[T],
        room: u32,
        array: GuestHandle,
    ) -> Result<u32, Errno> {
        let count = u32::try_from(values.len()).map_err(|_| Errno::E2BIG)?;
        if !array.is_null() {
            if room < count {
                return Err(Errno::ENOBUFS);
            }
            self.guest.copy_to(Gva(array.0), values.as_bytes())?;
        }
        Ok(count)
    }
}
