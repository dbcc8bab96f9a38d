//! A domain's memory: its limits, and what is where.

use xen_abi::domctl::{
    GetPageFrameInfo3, MaxMem, PFINFO_NOTAB, PFINFO_XTAB, PagingMempool, SetLlcColors, ShadowOp,
    ShadowOpCmd,
};

use super::Request;
use crate::domain::Progress;
use crate::errno::Errno;
use crate::machine::Machine;
use crate::types::{FRAME_BYTES, FRAME_SHIFT, Gfn, Gva};

const KIB_PER_FRAME: u64 = FRAME_BYTES as u64 / 1024;
const MIB: u64 = 1 << 20;
const FRAMES_PER_MIB: u64 = MIB >> FRAME_SHIFT;
/// The most frames that can be asked about at once.
const MAX_FRAME_INFOS: u64 = 1024;
/// The least that a pool is said to be, whatever it was set to.
const MIN_POOL_FRAMES: u64 = 16;

impl<P: Machine> Request<'_, P> {
    pub(super) fn max_mem(&self) {
        let max: MaxMem = self.op.u.read();
        self.domain.memory.set_max_pages(max.max_memkb / KIB_PER_FRAME);
    }

    /// The pool is the second-stage tables, which come from the machine's memory as they are
    /// needed, up to its size.
    pub(super) fn paging_pool(&mut self) {
        self.op.u.write(&PagingMempool { size: self.pool_bytes() });
    }

    pub(super) fn set_paging_pool(&self) -> Result<(), Errno> {
        let pool: PagingMempool = self.op.u.read();
        if !pool.size.is_multiple_of(FRAME_BYTES as u64) {
            return Err(Errno::EINVAL);
        }
        self.set_pool_frames(pool.size >> FRAME_SHIFT);
        Ok(())
    }

    fn pool_bytes(&self) -> u64 {
        let (used, limit) = self.domain.memory.tables();
        // Without a limit, it is as large as it needs to be.
        let frames = if limit == u64::MAX { used } else { limit };
        frames.saturating_mul(FRAME_BYTES as u64)
    }

    fn set_pool_frames(&self, frames: u64) {
        let (used, _) = self.domain.memory.tables();
        self.domain.memory.set_table_limit(frames.max(used).max(MIN_POOL_FRAMES));
    }

    pub(super) fn shadow_op(&mut self) -> Result<(), Errno> {
        self.not_self()?;
        let mut op: ShadowOp = self.op.u.read();
        match op.op {
            ShadowOpCmd::GET_ALLOCATION => {
                op.mb = u32::try_from(self.pool_bytes().div_ceil(MIB)).unwrap_or(u32::MAX);
                self.op.u.write(&op);
            }
            ShadowOpCmd::SET_ALLOCATION => {
                self.set_pool_frames(u64::from(op.mb).saturating_mul(FRAMES_PER_MIB));
            }
            _ => return Err(Errno::EOPNOTSUPP),
        }
        Ok(())
    }

    /// For each frame number in the caller's array: whether there is memory. The structure is
    /// advanced as the work is done, so that it can go on later.
    pub(super) fn page_frame_info(self) -> Result<Progress, Errno> {
        let mut get: GetPageFrameInfo3 = self.op.u.read();
        if get.num > MAX_FRAME_INFOS {
            return Err(Errno::E2BIG);
        }
        while get.num > 0 {
            let at = Gva(get.array.0);
            let gfn: u64 = self.call.read(at)?;
            let found = self.domain.memory.translate(&self.call.hv.platform, Gfn(gfn));
            let is_ram = found.is_ok_and(|found| found.kind.is_own_ram());
            let kind = if is_ram { PFINFO_NOTAB } else { PFINFO_XTAB };
            self.call.write(at, &u64::from(kind))?;
            get.num = get.num.saturating_sub(1);
            get.array.0 = self.call.element::<u64>(at, 1)?.0;
            if get.num > 0 && self.call.hv.platform.preemption_pending() {
                self.op.u.write(&get);
                return Ok(Progress::Again);
            }
        }
        self.op.u.write(&get);
        Ok(Progress::Done)
    }

    /// Memory isn't coloured.
    pub(super) fn set_llc_colors(&self) -> Result<(), Errno> {
        let set: SetLlcColors = self.op.u.read();
        if set.num_llc_colors == 0 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
    }
}
