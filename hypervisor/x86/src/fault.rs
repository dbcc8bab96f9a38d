//! The exceptions that an emulated access can raise in the guest.

/// The access raises #GP(0) in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpFault;

/// The access raises #PF in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// The linear address for CR2.
    pub address: u64,
    /// The error code to push: bits of [`PageFaultError`](x86defs::exception::PageFaultError).
    pub code: u32,
}

/// An exception that emulating an instruction raises in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// #GP(0): a non-canonical address.
    Gp,
    /// #PF.
    Page(PageFault),
}

impl From<GpFault> for Exception {
    fn from(_: GpFault) -> Self {
        Self::Gp
    }
}

impl From<PageFault> for Exception {
    fn from(fault: PageFault) -> Self {
        Self::Page(fault)
    }
}
