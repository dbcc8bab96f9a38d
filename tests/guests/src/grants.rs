//! The guest's own grant table, version 1, and copies from others'.

use crate::hypercall::{add_to_physmap, grant_table};
use crate::memory::Page;
use crate::report;
use core::sync::atomic::Ordering;
use xen_abi::grant_table::{
    COPY_SOURCE_GREF, CopyPtr, EntryV1, GTF_PERMIT_ACCESS, GTF_READONLY, GrantCopy, GrantStatus,
    GrantTableCmd, SetVersion,
};
use xen_abi::memory::MapSpace;
use xen_abi::xen::DOMID_SELF;

/// The first frame of the table, mapped.
#[derive(Clone, Copy, Debug)]
pub struct Table(Page);

impl Table {
    /// Chooses version 1 and maps the first frame.
    #[must_use]
    pub fn map() -> Self {
        let mut version = [SetVersion { version: 1 }];
        let result = grant_table(GrantTableCmd::SET_VERSION, &mut version);
        if result != 0 {
            report::failure(format_args!("choosing grant table version 1 returned {result}"));
        }
        let page = Page::new();
        let result = add_to_physmap(MapSpace::GRANT_TABLE, 0, page.gfn());
        if result != 0 {
            report::failure(format_args!("mapping the grant table returned {result}"));
        }
        Self(page)
    }

    fn offset(gref: u32) -> usize {
        gref as usize * size_of::<EntryV1>()
    }

    /// Grants a frame.
    pub fn grant(self, gref: u32, domid: u16, frame: u64, writable: bool) {
        let readonly = if writable { 0 } else { GTF_READONLY };
        self.0.write(Self::offset(gref), EntryV1 { flags: 0, domid, frame: frame as u32 });
        core::sync::atomic::fence(Ordering::SeqCst);
        self.0.write(Self::offset(gref), GTF_PERMIT_ACCESS | readonly);
    }

    /// Takes a grant back.
    pub fn revoke(self, gref: u32) {
        self.0.write(Self::offset(gref), 0_u16);
    }

    /// The entry as it is now.
    #[must_use]
    pub fn entry(self, gref: u32) -> EntryV1 {
        self.0.read(Self::offset(gref))
    }
}

/// Copies the start of a page that another domain grants to a page of this one.
#[must_use]
pub fn copy_from(domain: u16, gref: u32, page: Page, bytes: u16) -> GrantStatus {
    let mut args = [GrantCopy {
        source: CopyPtr { u: u64::from(gref), domid: domain, ..CopyPtr::default() },
        dest: CopyPtr { u: page.gfn(), domid: DOMID_SELF, ..CopyPtr::default() },
        len: bytes,
        flags: COPY_SOURCE_GREF,
        ..GrantCopy::default()
    }];
    let result = grant_table(GrantTableCmd::COPY, &mut args);
    if result != 0 {
        report::failure(format_args!("grant copy returned {result}"));
    }
    args[0].status
}
