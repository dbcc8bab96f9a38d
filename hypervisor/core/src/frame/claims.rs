//! Frames set aside for a domain that is being built, by number only: `XENMEM_claim_pages`.

use core::sync::atomic::Ordering::Relaxed;

use super::{FrameTable, Pool};

impl FrameTable {
    /// Sets `frames` free frames aside: others' requests fail rather than use them up. Gives
    /// whether there were enough.
    pub fn stake(&self, frames: u64) -> bool {
        let mut pool = self.pool.lock();
        if pool.free.saturating_sub(pool.claimed) < frames {
            return false;
        }
        self.set_claimed(&mut pool, |claimed| claimed + frames);
        true
    }

    /// Gives back frames that were set aside, as they were used or aren't needed any more.
    ///
    /// # Panics
    /// If fewer are set aside: the hypervisor's own mistake.
    pub fn unstake(&self, frames: u64) {
        if frames > 0 {
            let mut pool = self.pool.lock();
            self.set_claimed(&mut pool, |claimed| claimed - frames);
        }
    }

    /// Frames that are set aside, for all domains.
    pub fn claimed_frames(&self) -> u64 {
        self.claimed.load(Relaxed)
    }

    fn set_claimed(&self, pool: &mut Pool, change: impl Fn(u64) -> u64) {
        pool.claimed = change(pool.claimed);
        self.claimed.store(pool.claimed, Relaxed);
    }
}
