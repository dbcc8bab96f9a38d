//! `io/console.h`: the ring of a guest's console.

use crate::macros::layout;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The page of a console: indices are free-running.
///
/// `xencons_interface` in `io/console.h`.
#[doc(alias = "xencons_interface")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct XenconsInterface {
    /// To the guest.
    pub input: [u8; 1024],
    /// From the guest.
    pub output: [u8; 2048],
    /// Consumed of `input`, by the guest.
    pub in_cons: u32,
    /// Produced of `input`, by the backend.
    pub in_prod: u32,
    /// Consumed of `output`, by the backend.
    pub out_cons: u32,
    /// Produced of `output`, by the guest.
    pub out_prod: u32,
}

layout!(XenconsInterface, size 3088, {
    input: 0, output: 1024, in_cons: 3072, in_prod: 3076, out_cons: 3080, out_prod: 3084,
});
