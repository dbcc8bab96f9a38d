//! Giving back all memory of a domain that is being destroyed: what it has mapped of others' by
//! grants, its own memory and tables, its grant table.

use crate::domain::{Domain, Progress};
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;

/// Frames that are given back between looks at whether others should run.
const STEP_FRAMES: u64 = 512;

impl<P: Platform> Hypervisor<P> {
    /// Gives back the memory of a domain whose vCPUs have stopped for good, until it is done or
    /// others should run. Frames that other domains have mapped stay until they unmap them. The
    /// shared info page stays too: [`free_shared_info`] is for when nobody can be using the domain
    /// any more.
    ///
    /// [`free_shared_info`]: crate::memory::DomainMemory::free_shared_info
    pub(crate) fn relinquish_memory(&self, domain: &Domain<P>) -> Progress {
        let frames = self.frames();
        domain.grants.stop_granting();
        domain.memory.stop_growing();
        // Granters learn that their frames are no longer used, so no translation may be left.
        self.platform.flush_second_stage(domain.id);
        while let Some(mapping) = domain.grants.take_mapping() {
            let granter = self.domain(mapping.granter());
            let granter = granter.as_ref().map(|granter| &granter.grants);
            domain.grants.finish_unmap(frames, granter, mapping);
            if self.platform.preemption_pending() {
                return Progress::Again;
            }
        }
        while !domain.memory.tear_down(frames, STEP_FRAMES) {
            if self.platform.preemption_pending() {
                return Progress::Again;
            }
        }
        domain.grants.free_frames(frames);
        Progress::Done
    }
}
