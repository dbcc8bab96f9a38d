//! A domain's second-stage changes, as the machine hears of them.

use crate::p2m::{Leaf, Stage2Listener};
use crate::platform::Platform;
use crate::types::{DomId, Gfn};

/// Passes the changes of one domain's map on to the machine.
#[derive(Debug)]
pub struct DomainListener<'a, P> {
    platform: &'a P,
    domain: DomId,
}

impl<'a, P: Platform> DomainListener<'a, P> {
    /// For the changes of `domain`.
    pub fn new(platform: &'a P, domain: DomId) -> Self {
        Self { platform, domain }
    }
}

impl<P: Platform> Stage2Listener for DomainListener<'_, P> {
    fn changed(&self, gfn: Gfn, order: u32, leaf: Option<Leaf>) {
        self.platform.second_stage_changed(self.domain, gfn, order, leaf);
    }

    fn flush(&self) {
        self.platform.flush_second_stage(self.domain);
    }
}
