//! `elfnote.h`: notes with the owner name "Xen" in a guest kernel's ELF file.

use crate::macros::open_enum;

open_enum! {
    /// Note types.
    pub struct ElfNote(u32) {
        /// Free text.
        INFO = 0, "XEN_ELFNOTE_INFO";
        /// PV entry point.
        ENTRY = 1, "XEN_ELFNOTE_ENTRY";
        /// PV: where to put the hypercall page.
        HYPERCALL_PAGE = 2, "XEN_ELFNOTE_HYPERCALL_PAGE";
        /// PV: virtual base address.
        VIRT_BASE = 3, "XEN_ELFNOTE_VIRT_BASE";
        /// PV: offset of physical addresses in the file.
        PADDR_OFFSET = 4, "XEN_ELFNOTE_PADDR_OFFSET";
        /// Text "xen-3.0".
        XEN_VERSION = 5, "XEN_ELFNOTE_XEN_VERSION";
        /// Text: the operating system.
        GUEST_OS = 6, "XEN_ELFNOTE_GUEST_OS";
        /// Text: its version.
        GUEST_VERSION = 7, "XEN_ELFNOTE_GUEST_VERSION";
        /// Text "generic".
        LOADER = 8, "XEN_ELFNOTE_LOADER";
        /// PV only.
        PAE_MODE = 9, "XEN_ELFNOTE_PAE_MODE";
        /// Text: features, separated by `|`.
        FEATURES = 10, "XEN_ELFNOTE_FEATURES";
        /// PV only.
        BSD_SYMTAB = 11, "XEN_ELFNOTE_BSD_SYMTAB";
        /// PV only.
        HV_START_LOW = 12, "XEN_ELFNOTE_HV_START_LOW";
        /// PV only.
        L1_MFN_VALID = 13, "XEN_ELFNOTE_L1_MFN_VALID";
        /// The guest can resume in place when a suspend is cancelled.
        SUSPEND_CANCEL = 14, "XEN_ELFNOTE_SUSPEND_CANCEL";
        /// PV only.
        INIT_P2M = 15, "XEN_ELFNOTE_INIT_P2M";
        /// PV only.
        MOD_START_PFN = 16, "XEN_ELFNOTE_MOD_START_PFN";
        /// Bitmap of [`crate::features::Feature`]s that the guest supports.
        SUPPORTED_FEATURES = 17, "XEN_ELFNOTE_SUPPORTED_FEATURES";
        /// PVH entry point, 4 or 8 bytes: a kernel with it can start as a PVH guest.
        PHYS32_ENTRY = 18, "XEN_ELFNOTE_PHYS32_ENTRY";
        /// The kernel may be moved: u32 alignment, lowest and highest address.
        PHYS32_RELOC = 19, "XEN_ELFNOTE_PHYS32_RELOC";
        /// Crash information of the hypervisor.
        CRASH_INFO = 0x1000001, "XEN_ELFNOTE_CRASH_INFO";
        /// Crash registers of the hypervisor.
        CRASH_REGS = 0x1000002, "XEN_ELFNOTE_CRASH_REGS";
        /// Domain core dump: empty note.
        DUMPCORE_NONE = 0x2000000, "XEN_ELFNOTE_DUMPCORE_NONE";
        /// Domain core dump: header.
        DUMPCORE_HEADER = 0x2000001, "XEN_ELFNOTE_DUMPCORE_HEADER";
        /// Domain core dump: hypervisor version.
        DUMPCORE_XEN_VERSION = 0x2000002, "XEN_ELFNOTE_DUMPCORE_XEN_VERSION";
        /// Domain core dump: format version.
        DUMPCORE_FORMAT_VERSION = 0x2000003, "XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION";
    }
}

/// The owner name of these notes, with its NUL.
pub const OWNER: [u8; 4] = *b"Xen\0";
