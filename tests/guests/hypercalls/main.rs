//! Hypercalls: by instruction and by page, unknown ones, and from CPL 3.
#![cfg_attr(freestanding, no_std, no_main)]
#![expect(unsafe_code, reason = "makes hypercalls that have no wrapper")]

use guest::cpu::{read_msr, write_msr};
use guest::hypercall::{at_user_level, raw, through_page, version, version_plain};
use guest::memory::Page;
use guest::{Errno, ensure, ensure_eq, note};
use xen_abi::arch_x86::cpuid::HYPERCALL_PAGE_MSR;
use xen_abi::features::Feature;
use xen_abi::version::{FeatureInfo, VersionCmd};
use xen_abi::xen::Hypercall;

guest::guest!("hypercalls", test);

const VERSION_4_20: i64 = 4 << 16 | 20;

fn test() {
    ensure_eq!(version_plain(VersionCmd::VERSION), VERSION_4_20, "version by instruction");
    ensure_eq!(version_plain(VersionCmd::PAGESIZE), 4096, "page size");
    texts();
    features();
    page();
    unknown();
    let result = at_user_level(u64::from(Hypercall::XEN_VERSION.0));
    ensure_eq!(result, Errno::EPERM.negated(), "hypercall at CPL 3");
}

fn texts() {
    let mut capabilities = [0_u8; 1024];
    ensure_eq!(version(VersionCmd::CAPABILITIES, &mut capabilities), 0, "capabilities");
    let end = capabilities.iter().position(|byte| *byte == 0).unwrap_or(capabilities.len());
    let text = core::str::from_utf8(&capabilities[..end]).unwrap_or("");
    note!("capabilities: {text}");
    ensure!(text.split(' ').any(|word| word == "hvm-3.0-x86_64"), "capabilities are {text:?}");
    ensure!(text.split(' ').any(|word| word == "hvm-3.0-x86_32"), "capabilities are {text:?}");

    let mut extra = [0xff_u8; 16];
    ensure_eq!(version(VersionCmd::EXTRAVERSION, &mut extra), 0, "extraversion");
    ensure!(extra.contains(&0), "extraversion has no end");
}

fn features() {
    let mut info = FeatureInfo { submap_idx: 0, submap: 0 };
    ensure_eq!(version(VersionCmd::GET_FEATURES, &mut info), 0, "features");
    note!("features: {:#x}", info.submap);
    for needed in [
        Feature::AUTO_TRANSLATED_PHYSMAP,
        Feature::HVM_CALLBACK_VECTOR,
        Feature::HVM_SAFE_PVCLOCK,
        Feature::DOM0,
    ] {
        ensure!(info.submap & needed.bit() != 0, "{:?} is missing", needed.name());
    }
    ensure!(info.submap & Feature::HVM_PIRQS.bit() == 0, "a PVH domain has no pirqs");
}

/// The MSR fills a page with entries that make the same calls.
fn page() {
    let page = Page::new();
    let before = version_plain(VersionCmd::VERSION);
    if let Err(fault) = write_msr(HYPERCALL_PAGE_MSR, page.address()) {
        guest::report::failure(format_args!("writing the hypercall page MSR raised {fault:?}"));
    }
    ensure!(!page.is_filled(0, 4096, 0), "the hypercall page is empty");
    let number = u64::from(Hypercall::XEN_VERSION.0);
    // SAFETY: the hypervisor filled the page; the call writes nothing.
    let result = unsafe { through_page(page, number, [u64::from(VersionCmd::VERSION.0), 0]) };
    ensure_eq!(result, before, "version by page");
    // SAFETY: as above; nothing is written.
    let result = unsafe { through_page(page, 63, [0, 0]) };
    ensure_eq!(result, Errno::ENOSYS.negated(), "unknown hypercall by page");
    note!("the hypercall page MSR reads as {:x?}", read_msr(HYPERCALL_PAGE_MSR));
}

fn unknown() {
    for number in [11, 43, 47, 56, 63, 64, 127, 1000, u64::from(u32::MAX), 1 << 32 | 17, u64::MAX] {
        // SAFETY: there is no such call, and the arguments point nowhere.
        let result = unsafe { raw(number, [0; 5]) };
        ensure_eq!(result, Errno::ENOSYS.negated(), "hypercall {number:#x}");
    }
    // SAFETY: there is no such sub-operation.
    let result = unsafe { raw(u64::from(Hypercall::XEN_VERSION.0), [99, 0, 0, 0, 0]) };
    ensure_eq!(result, Errno::ENOSYS.negated(), "unknown xen_version operation");
}
