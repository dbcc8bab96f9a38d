//! The hypervisor's address space.
//!
//! | from | what |
//! |---|---|
//! | `0xffff_8000_0000_0000` | the direct map: RAM at its physical address plus this |
//! | `0xffff_c000_0000_0000` | device registers, in the order in which they are mapped |
//! | `0xffff_c800_0000_0000` | stacks, each above an unmapped guard page |
//! | `0xffff_d000_0000_0000` | the heap, which grows upwards |
//! | `0xffff_ffff_8020_0000` | the image |
//!
//! The lower half is empty, so that a null or guest pointer always faults. The image's frames
//! are not in the direct map, so that its code has no writable alias.

/// The direct map.
pub const DIRECT_MAP: u64 = 0xFFFF_8000_0000_0000;
/// RAM beyond this physical address is not used: 64 TiB.
pub const DIRECT_MAP_BYTES: u64 = 1 << 46;
/// Device registers.
pub const MMIO: u64 = 0xFFFF_C000_0000_0000;
/// Room for device registers.
pub const MMIO_BYTES: u64 = 1 << 40;
/// Stacks.
pub const STACKS: u64 = 0xFFFF_C800_0000_0000;
/// The heap.
pub const HEAP: u64 = 0xFFFF_D000_0000_0000;
/// What the image's virtual addresses are above its physical ones; `linker.ld` has it too.
pub const IMAGE: u64 = 0xFFFF_FFFF_8000_0000;
/// What the boot page tables map, at 0, at `DIRECT_MAP` and (less of it) at `IMAGE`.
pub const BOOT_MAPPED: u64 = 4 << 30;
