//! The boot modules: the files that the boot loader put into memory beside us.
#![expect(unsafe_code, reason = "makes a slice out of a module's frames")]

use alloc::vec::Vec;

use hv_boot::info::BootInfo;
use hv_boot::ranges::Range;
use hv_core::frame::{FrameKind, FrameRange, FrameTable};
use hv_core::types::{DomId, FRAME_BYTES, Hpa};
use spin::Once;

use super::{frames, layout, phys};

/// Modules below this address are moved up, so that dom0's kernel finds the memory that it is
/// linked for, with room to unpack it.
const KEEP_FREE: u64 = 256 << 20;

/// A file in memory. Its frames stay reserved until whoever consumes it gives them back, by
/// `FrameTable::put_range` on [`BootModule::frames`].
#[derive(Clone, Debug)]
pub struct BootModule {
    /// Where it lies, on a frame boundary if it was moved or the loader aligned it.
    pub start: Hpa,
    /// Its length in bytes.
    pub len: u64,
    /// Its command line.
    pub command_line: Vec<u8>,
}

impl BootModule {
    /// The whole frames that it touches.
    pub fn frames(&self) -> Range {
        Range::around(self.start.0, self.start.0 + self.len)
    }

    /// The file itself. Its frames must not have been given away.
    pub fn bytes(&self) -> &'static [u8] {
        let place = phys::pointer(self.start, self.len as usize);
        // SAFETY: the module's frames are the hypervisor's, and mapped; nobody writes them as
        // long as that is so.
        unsafe { core::slice::from_raw_parts(place, self.len as usize) }
    }
}

static MODULES: Once<Vec<BootModule>> = Once::new();

/// The modules, in the loader's order.
pub fn modules() -> &'static [BootModule] {
    MODULES.get().map_or(&[], |modules| modules)
}

/// Takes the modules over; those that are in dom0's way are moved.
pub(super) fn init(info: &BootInfo) {
    MODULES.call_once(|| {
        let take = |module: &hv_boot::info::Module| BootModule {
            start: move_up(module.start, module.bytes),
            len: module.bytes,
            command_line: module.command_line.to_vec(),
        };
        info.modules.iter().map(take).collect()
    });
}

/// Moves a module above [`KEEP_FREE`], if it is not there and there is room; gives where it is.
fn move_up(start: Hpa, bytes: u64) -> Hpa {
    let old = Range::around(start.0, start.0 + bytes);
    if old.start >= KEEP_FREE {
        return start;
    }
    // Below 4 GiB: an initrd can't lie higher.
    let ceiling = layout::BOOT_MAPPED;
    let Some(new) = frames::take_early(old.bytes(), FRAME_BYTES as u64, KEEP_FREE, ceiling) else {
        return start;
    };
    phys::copy(start, new, bytes as usize);
    // A page that it only touched may be another's too.
    frames::give_back(Range::inside(start.0, start.0 + bytes));
    new
}

/// Marks the modules' frames as the hypervisor's.
pub(super) fn claim(table: &FrameTable) {
    for module in modules() {
        let frames = module.frames();
        let range = FrameRange::between(Hpa(frames.start).mfn(), Hpa(frames.end).mfn());
        let claimed = table.claim_exact(range, FrameKind::Hypervisor, DomId::XEN);
        assert!(claimed.is_ok(), "a boot module's frames are in use");
    }
}
