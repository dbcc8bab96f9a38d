//! The exceptions that an emulated access can raise in the guest.

/// The access raises #GP(0) in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpFault;

/// The access raises #PF in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// The linear address for CR2.
    pub address: u64,
    /// The error code to push: see [`error_code`].
    pub code: u32,
}

/// Bits of a page fault's error code (Intel SDM volume 3, 4.7).
pub mod error_code {
    /// The page was present: the access broke its rights. Otherwise there was no translation.
    pub const PRESENT: u32 = 1 << 0;
    /// The access was a write.
    pub const WRITE: u32 = 1 << 1;
    /// The access came from CPL 3.
    pub const USER: u32 = 1 << 2;
    /// A paging structure had a reserved bit set.
    pub const RESERVED: u32 = 1 << 3;
    /// The access was an instruction fetch.
    pub const FETCH: u32 = 1 << 4;
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
