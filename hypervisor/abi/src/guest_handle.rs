//! Guest handles: pointers in the caller's address space, as they lie in hypercall arguments.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A 64-bit virtual address of the caller, walked with its current CR3 (`XEN_GUEST_HANDLE`,
/// `XEN_GUEST_HANDLE_64` in `arch-x86/xen.h`). Holding one proves nothing about it.
#[doc(alias = "XEN_GUEST_HANDLE")]
#[doc(alias = "XEN_GUEST_HANDLE_64")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(transparent)]
pub struct GuestHandle(pub u64);

impl GuestHandle {
    /// The null handle: usually "only tell me how much there is".
    pub const NULL: Self = Self(0);

    /// Whether this is the null handle.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }
}
