//! The life of a second domain: built by `domctl`, filled through foreign mappings, connected by
//! event channel and grant, run, seen to shut down, and destroyed without a trace.
#![cfg_attr(freestanding, no_std, no_main)]

mod build;
mod code;

use build::Domain;
use guest::events::{self, Shared};
use guest::grants::copy_from;
use guest::hypercall::grant_table;
use guest::memory::Page;
use guest::toolstack::{domain_info, domctl_plain, physinfo};
use guest::{Errno, ensure, ensure_eq, note, report};
use xen_abi::domctl::{DOMINF_PAUSED, DOMINF_SHUTDOWN, DOMINF_SHUTDOWNSHIFT, DomctlCmd};
use xen_abi::event_channel::{AllocUnbound, BindInterdomain, EventChannelCmd};
use xen_abi::grant_table::{GrantStatus, GrantTableCmd, MAP_HOST_MAP, MapGrantRef, UnmapGrantRef};
use xen_abi::sched::ShutdownReason;
use xen_abi::xen::Virq;

guest::guest!("domain", test);

/// How many domains live and die one after the other.
const ROUNDS: u32 = 200;

fn test() {
    let shared = Shared::map();
    let exceptions = events::bind_virq(Virq::DOM_EXC, 0).unwrap_or_else(|error| {
        report::failure(format_args!("binding VIRQ_DOM_EXC returned {error}"));
    });
    life(shared, exceptions);
    // The first domain may leave memory in pools behind; of the second nothing may stay.
    let free = physinfo().free_pages;
    for _ in 0..ROUNDS {
        life(shared, exceptions);
    }
    let back = || physinfo().free_pages >= free;
    let lost = free.saturating_sub(physinfo().free_pages);
    ensure!(shared.clock().wait_until(5000, back), "{lost} of {free} pages are lost");
}

/// One domain from creation to destruction.
fn life(shared: Shared, exceptions: u32) {
    let domain = Domain::create();
    domain.populate();
    let local = connect(&domain);
    let data = domain.map(build::DATA_GFN);
    data.copy_in(0, b"granted text");
    domain.grant(8, build::DATA_GFN);
    domain.load_code();
    domain.set_registers();
    let Some(info) = domain_info(domain.id) else {
        report::failure(format_args!("the new domain isn't there"));
    };
    ensure!(info.flags & DOMINF_PAUSED != 0, "a new domain isn't paused: {:#x}", info.flags);
    ensure_eq!(info.tot_pages, build::PAGES, "pages of the domain");

    grants(&domain);
    let _ = (shared.take(local), shared.take(exceptions));
    ensure_eq!(domctl_plain(DomctlCmd::UNPAUSEDOMAIN, domain.id), 0, "unpausedomain");
    ensure!(shared.wait(local, 5000), "the domain's event didn't come");
    ensure!(shared.wait(exceptions, 5000), "VIRQ_DOM_EXC didn't come");
    let Some(info) = domain_info(domain.id) else {
        report::failure(format_args!("the domain is gone before it was destroyed"));
    };
    ensure!(info.flags & DOMINF_SHUTDOWN != 0, "flags after shutdown: {:#x}", info.flags);
    let reason = ShutdownReason(info.flags >> DOMINF_SHUTDOWNSHIFT & 0xff);
    ensure_eq!(reason, ShutdownReason::REBOOT, "shutdown reason");
    ensure_eq!(data.read::<u32>(0x100), code::PROOF, "what the domain wrote to its memory");
    ensure!(info.cpu_time > 0, "the domain never ran");
    if domain.id == 1 {
        note!("domain {} ran for {} ns", domain.id, info.cpu_time);
    }

    domain.unmap_all();
    destroy(shared, &domain, exceptions);
    ensure_eq!(events::close(local), 0, "close");
}

/// An event channel whose other end is the domain's.
fn connect(domain: &Domain) -> u32 {
    let mut unbound = AllocUnbound { dom: domain.id, remote_dom: 0, port: 0 };
    let result = guest::hypercall::event_channel(EventChannelCmd::ALLOC_UNBOUND, &mut unbound);
    ensure_eq!(result, 0, "alloc_unbound for the domain");
    ensure_eq!(unbound.port, code::PORT, "the domain's first port");
    let mut bind = BindInterdomain {
        remote_dom: domain.id,
        remote_port: unbound.port,
        ..BindInterdomain::default()
    };
    let result = guest::hypercall::event_channel(EventChannelCmd::BIND_INTERDOMAIN, &mut bind);
    ensure_eq!(result, 0, "bind_interdomain to the domain");
    bind.local_port
}

fn grants(domain: &Domain) {
    let copy = Page::new();
    let status = copy_from(domain.id, 8, copy, 12);
    ensure_eq!(status, GrantStatus::OKAY, "copy of a page that the domain grants");
    ensure_eq!(copy.read::<[u8; 12]>(0), *b"granted text", "the copy");
    ensure!(copy_from(domain.id, 9, copy, 12).0 < 0, "copy of a page that it doesn't grant");

    let window = Page::new();
    let mut map = [MapGrantRef {
        host_addr: window.address(),
        flags: MAP_HOST_MAP,
        gref: 8,
        dom: domain.id,
        ..MapGrantRef::default()
    }];
    ensure_eq!(grant_table(GrantTableCmd::MAP_GRANT_REF, &mut map), 0, "map_grant_ref");
    ensure_eq!(map[0].status, GrantStatus::OKAY, "map_grant_ref's status");
    ensure_eq!(window.read::<[u8; 12]>(0), *b"granted text", "the mapped page");
    window.write(0x200, 0x1234_5678_u32);
    let through = domain.map(build::DATA_GFN).read::<u32>(0x200);
    ensure_eq!(through, 0x1234_5678, "a write through the grant");
    let mut unmap = [UnmapGrantRef {
        host_addr: window.address(),
        handle: map[0].handle,
        ..UnmapGrantRef::default()
    }];
    ensure_eq!(grant_table(GrantTableCmd::UNMAP_GRANT_REF, &mut unmap), 0, "unmap_grant_ref");
    ensure_eq!(unmap[0].status, GrantStatus::OKAY, "unmap_grant_ref's status");
}

fn destroy(shared: Shared, domain: &Domain, exceptions: u32) {
    let clock = shared.clock();
    let done = || match domctl_plain(DomctlCmd::DESTROYDOMAIN, domain.id) {
        0 => true,
        again if again == Errno::ERESTART.negated() || again == Errno::EAGAIN.negated() => false,
        error => report::failure(format_args!("destroydomain returned {error}")),
    };
    ensure!(clock.wait_until(10_000, done), "destroydomain doesn't end");
    let gone = || domain_info(domain.id).is_none();
    ensure!(clock.wait_until(10_000, gone), "the destroyed domain stays: something holds it");
    ensure!(shared.wait(exceptions, 5000), "VIRQ_DOM_EXC didn't come after the end");
}
