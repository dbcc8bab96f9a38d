//! The context of everything: one value of [`Hypervisor`] exists, and every call gets it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use spin::RwLock;

use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypercall::version::BuildInfo;
use crate::platform::Platform;
use crate::types::DomId;

/// The hypervisor's state that isn't a domain's own.
pub struct Hypervisor<P: Platform> {
    /// The machine.
    pub platform: P,
    /// The hypervisor's command line, as the boot loader gave it.
    pub cmdline: String,
    /// How it was built.
    pub build: BuildInfo,
    domains: RwLock<BTreeMap<DomId, Arc<Domain<P>>>>,
}

impl<P: Platform> Hypervisor<P> {
    /// Makes the context, with no domain yet.
    pub fn new(platform: P, cmdline: String, build: BuildInfo) -> Self {
        Self { platform, cmdline, build, domains: RwLock::new(BTreeMap::new()) }
    }

    /// The domain of this number.
    pub fn domain(&self, id: DomId) -> Option<Arc<Domain<P>>> {
        self.domains.read().get(&id).cloned()
    }

    /// Every domain, in order of their numbers, as of now.
    pub fn domains(&self) -> Vec<Arc<Domain<P>>> {
        self.domains.read().values().cloned().collect()
    }

    /// Makes a domain known by its number.
    ///
    /// # Errors
    /// `EEXIST` if there is one of that number.
    pub fn insert_domain(&self, domain: Arc<Domain<P>>) -> Result<(), Errno> {
        let mut domains = self.domains.write();
        if domains.contains_key(&domain.id) {
            return Err(Errno::EEXIST);
        }
        domains.insert(domain.id, domain);
        Ok(())
    }
}
