//! Grant tables, version 1: set up, copies between own pages, mapping own grants, and wrong
//! arguments.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::grants::Table;
use guest::hypercall::grant_table;
use guest::memory::Page;
use guest::{Errno, ensure, ensure_eq, note, report};
use xen_abi::grant_table::{
    COPY_DEST_GREF, COPY_SOURCE_GREF, CopyPtr, GTF_READING, GTF_WRITING, GetVersion, GrantCopy,
    GrantStatus, GrantTableCmd, MAP_HOST_MAP, MAP_READONLY, MapGrantRef, QuerySize, UnmapGrantRef,
};
use xen_abi::xen::DOMID_SELF;

guest::guest!("grants", test);

const DOM0: u16 = 0;

fn test() {
    size();
    let table = Table::map();
    let mut version = [GetVersion { dom: DOMID_SELF, ..Default::default() }];
    ensure_eq!(grant_table(GrantTableCmd::GET_VERSION, &mut version), 0, "get_version");
    ensure_eq!(version[0].version, 1, "version");
    copies(table);
    wrong_copies(table);
    maps(table);
    let none: &mut [QuerySize] = &mut [];
    ensure_eq!(grant_table(GrantTableCmd::QUERY_SIZE, none), Errno::EINVAL.negated(), "no query");
    let result = grant_table(GrantTableCmd(99), &mut version);
    ensure_eq!(result, Errno::ENOSYS.negated(), "unknown operation");
}

fn size() {
    let mut query = [QuerySize { dom: DOMID_SELF, ..Default::default() }];
    ensure_eq!(grant_table(GrantTableCmd::QUERY_SIZE, &mut query), 0, "query_size");
    let [query] = query;
    note!("{} of {} frames", query.nr_frames, query.max_nr_frames);
    ensure_eq!(query.status, GrantStatus::OKAY, "query_size's status");
    ensure!(query.nr_frames <= query.max_nr_frames, "more frames than allowed");
    ensure!(query.max_nr_frames >= 4, "at most {} frames", query.max_nr_frames);
}

fn own(page: Page, offset: u16) -> CopyPtr {
    CopyPtr { u: page.gfn(), domid: DOMID_SELF, offset, ..Default::default() }
}

fn granted(gref: u32, offset: u16) -> CopyPtr {
    CopyPtr { u: u64::from(gref), domid: DOM0, offset, ..Default::default() }
}

fn copy(source: CopyPtr, dest: CopyPtr, len: u16, flags: u16) -> GrantStatus {
    let mut args = [GrantCopy { source, dest, len, flags, ..Default::default() }];
    ensure_eq!(grant_table(GrantTableCmd::COPY, &mut args), 0, "copy");
    args[0].status
}

fn copies(table: Table) {
    let (from, to) = (Page::new(), Page::new());
    from.fill(0x11);
    from.copy_in(0x100, b"xenolith");
    ensure_eq!(copy(own(from, 0x100), own(to, 0x205), 8, 0), GrantStatus::OKAY, "own to own");
    ensure_eq!(to.read::<[u8; 8]>(0x205), *b"xenolith", "the copy");
    ensure!(to.is_filled(0, 0x205, 0) && to.is_filled(0x20d, 4096, 0), "bytes around it changed");

    table.grant(8, DOM0, from.gfn(), false);
    table.grant(9, DOM0, to.gfn(), true);
    let status = copy(granted(8, 0), own(to, 0), 4096, COPY_SOURCE_GREF);
    ensure_eq!(status, GrantStatus::OKAY, "granted to own");
    ensure_eq!(to.read::<[u8; 8]>(0x100), *b"xenolith", "the copy of a granted page");
    from.fill(0x22);
    let status = copy(granted(8, 0), granted(9, 0), 64, COPY_SOURCE_GREF | COPY_DEST_GREF);
    ensure_eq!(status, GrantStatus::OKAY, "granted to granted");
    ensure!(to.is_filled(0, 64, 0x22) && to.is_filled(64, 0x100, 0x11), "the wrong bytes");
    let flags = table.entry(8).flags | table.entry(9).flags;
    ensure!(flags & (GTF_READING | GTF_WRITING) == 0, "entries stay in use after a copy");
}

fn wrong_copies(table: Table) {
    let page = Page::new();
    table.grant(10, DOM0, page.gfn(), false);
    table.grant(11, 5, page.gfn(), true);
    for (source, dest, len, flags, what) in [
        (granted(8, 4000), own(page, 0), 200, COPY_SOURCE_GREF, "leaving the page"),
        (own(page, 0), granted(10, 0), 8, COPY_DEST_GREF, "writing a read-only grant"),
        (granted(11, 0), own(page, 0), 8, COPY_SOURCE_GREF, "another domain's grant"),
        (granted(12, 0), own(page, 0), 8, COPY_SOURCE_GREF, "a free entry"),
        (granted(1 << 30, 0), own(page, 0), 8, COPY_SOURCE_GREF, "an entry out of range"),
        (granted(8, 0), CopyPtr { u: 1 << 40, ..own(page, 0) }, 8, COPY_SOURCE_GREF, "no memory"),
    ] {
        let status = copy(source, dest, len, flags);
        ensure!(status.0 < 0, "copy {what}: status {status:?}");
    }
    let far = CopyPtr { domid: 77, ..granted(8, 0) };
    let status = copy(far, own(page, 0), 8, COPY_SOURCE_GREF);
    ensure_eq!(status, GrantStatus::BAD_DOMAIN, "copy from a domain that doesn't exist");
    table.revoke(8);
    let status = copy(granted(8, 0), own(page, 0), 8, COPY_SOURCE_GREF);
    ensure!(status.0 < 0, "copy from a revoked grant: status {status:?}");
}

fn map(gref: u32, at: Page, flags: u32) -> MapGrantRef {
    let mut args =
        [MapGrantRef { host_addr: at.address(), flags, gref, dom: DOM0, ..Default::default() }];
    ensure_eq!(grant_table(GrantTableCmd::MAP_GRANT_REF, &mut args), 0, "map_grant_ref");
    args[0]
}

/// A domain may map its own grants. A page of its own is lost to it where that moves pages, so the
/// checks that follow use another one.
fn maps(table: Table) {
    let (page, window) = (Page::new(), Page::new());
    page.fill(0x33);
    table.grant(20, DOM0, page.gfn(), true);
    let mapped = map(20, window, MAP_HOST_MAP);
    if mapped.status != GrantStatus::OKAY {
        note!("mapping an own grant: {:?}", mapped.status.name());
        ensure!(mapped.status.0 < 0, "status {:?}", mapped.status);
        return;
    }
    ensure!(window.is_filled(0, 4096, 0x33), "the mapping isn't the granted page");
    window.write(8, 0x1234_u64);
    ensure_eq!(window.read::<u64>(8), 0x1234, "a write through the mapping");
    // Xen moves an own page there; elsewhere it is in both places.
    let moved = page.read::<u64>(8) != 0x1234;
    let flags = table.entry(20).flags;
    ensure!(flags & (GTF_READING | GTF_WRITING) == GTF_READING | GTF_WRITING, "flags {flags:#x}");

    unmap(window, mapped.handle);
    let flags = table.entry(20).flags;
    ensure!(flags & (GTF_READING | GTF_WRITING) == 0, "flags after unmapping: {flags:#x}");
    window.write(8, 0x5678_u64);
    ensure!(moved || page.read::<u64>(8) == 0x1234, "the mapping works after unmapping");

    let readonly = map(10, window, MAP_HOST_MAP);
    ensure_eq!(readonly.status, GrantStatus::GENERAL_ERROR, "writable map of a read-only grant");
    ensure!(map(12, window, MAP_HOST_MAP).status.0 < 0, "a free entry was mapped");
    let shared = map(10, window, MAP_HOST_MAP | MAP_READONLY);
    ensure_eq!(shared.status, GrantStatus::OKAY, "read-only map");
    unmap(window, shared.handle);
    let mut again = [UnmapGrantRef {
        host_addr: window.address(),
        handle: shared.handle,
        ..Default::default()
    }];
    ensure_eq!(grant_table(GrantTableCmd::UNMAP_GRANT_REF, &mut again), 0, "unmap_grant_ref");
    ensure!(again[0].status.0 < 0, "a mapping was unmapped twice");
}

fn unmap(window: Page, handle: u32) {
    let mut args = [UnmapGrantRef { host_addr: window.address(), handle, ..Default::default() }];
    ensure_eq!(grant_table(GrantTableCmd::UNMAP_GRANT_REF, &mut args), 0, "unmap_grant_ref");
    if args[0].status != GrantStatus::OKAY {
        report::failure(format_args!("unmapping: {:?}", args[0].status));
    }
}
