//! Sets of pCPUs as the toolstack's structures name them: bitmaps in the caller's memory.

use xen_abi::xen::CtlBitmap;

use crate::errno::Errno;
use crate::hypercall::Call;
use crate::platform::Platform;
use crate::sched::cpu_set::{CpuSet, MAX_CPUS};
use crate::types::Gva;

/// Bytes of a bitmap that has a bit for every pCPU that could be.
const ALL_BYTES: usize = (MAX_CPUS / u8::BITS) as usize;

impl<P: Platform> Call<'_, P> {
    /// Reads a set of pCPUs. Bits beyond those that could be are ignored.
    pub(super) fn read_cpus(&self, bitmap: &CtlBitmap) -> Result<CpuSet, Errno> {
        let mut bytes = [0; ALL_BYTES];
        let given = bitmap_bytes(bitmap.nr_bits);
        let len = given.min(ALL_BYTES);
        let part = bytes.get_mut(..len).ok_or(Errno::EINVAL)?;
        self.guest.copy_from(Gva(bitmap.bitmap.0), part)?;
        let spare = bitmap.nr_bits % u8::BITS;
        if len == given
            && spare != 0
            && let Some(last) = part.last_mut()
        {
            *last &= (1_u8 << spare).wrapping_sub(1);
        }
        Ok(CpuSet::from_bytes(&bytes))
    }

    /// Writes a set of pCPUs, as far as there is room.
    pub(super) fn write_cpus(&self, bitmap: &CtlBitmap, cpus: &CpuSet) -> Result<(), Errno> {
        let mut bytes = [0; ALL_BYTES];
        cpus.write_bytes(&mut bytes);
        let given = bitmap_bytes(bitmap.nr_bits);
        let part = bytes.get(..given.min(ALL_BYTES)).ok_or(Errno::EINVAL)?;
        let to = Gva(bitmap.bitmap.0);
        self.guest.copy_to(to, part)?;
        // What is beyond is not in the set either.
        for index in ALL_BYTES..given.min(ALL_BYTES.saturating_mul(8)) {
            self.write(self.element::<u8>(to, index as u64)?, &0_u8)?;
        }
        Ok(())
    }
}

const fn bitmap_bytes(bits: u32) -> usize {
    bits.div_ceil(u8::BITS) as usize
}
