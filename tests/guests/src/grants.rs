//! The guest's own grant table, version 1.

use crate::hypercall::{add_to_physmap, grant_table};
use crate::memory::Page;
use crate::report;
use core::sync::atomic::Ordering;
use xen_abi::grant_table::{EntryV1, GTF_PERMIT_ACCESS, GTF_READONLY, GrantTableCmd, SetVersion};
use xen_abi::memory::MapSpace;

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
