//! The `XSAVE` record: extended state in the standard format, behind the masks that say of what
//! (public header `arch-x86/hvm/save.h`).

use x86defs::cr::Xcr0;
use xen_abi::hvm::save::Xsave;
use zerocopy::FromBytes;

use super::records::Malformed;

/// The masks before the state.
pub const MASKS: usize = 24;
/// The legacy area and the header.
pub const MIN_BYTES: usize = 576;
/// Where the header of the state is.
const HEADER: core::ops::Range<usize> = 512..MIN_BYTES;

/// Extended state that was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedState<'a> {
    /// XCR0.
    pub xcr0: u64,
    /// The components that the state holds; the others are as reset leaves them.
    pub present: u64,
    /// The image: legacy area, header, components.
    pub image: &'a [u8],
}

/// The masks for a vCPU with this XCR0, of a domain that can have `max`, whose image holds the
/// components `present`.
pub fn masks(xcr0: u64, present: u64, max: u64) -> [u8; MASKS] {
    let mut masks = [0; MASKS];
    let words = [max, xcr0, xcr0 | present].map(u64::to_le_bytes);
    for (to, from) in masks.iter_mut().zip(words.as_flattened()) {
        *to = *from;
    }
    masks
}

/// Takes a record apart, for a domain that can have the components `max`. `bytes` gives the size
/// of an image with some components.
///
/// # Errors
/// It has components that the domain can't, isn't in the standard format, or is too short for
/// the components that it says it has.
pub fn parse(
    body: &[u8],
    max: Xcr0,
    bytes: impl Fn(u64) -> u32,
) -> Result<ExtendedState<'_>, Malformed> {
    let (record, _) = Xsave::read_from_prefix(body).map_err(|_| Malformed)?;
    let image = body.get(MASKS..).ok_or(Malformed)?;
    let (xcr0, present) = (Xcr0(record.xcr0), record.xstate_bv);
    let long_enough = image.len() >= usize::try_from(bytes(present)).unwrap_or(usize::MAX);
    let fine = xcr0.is_valid(max)
        && max.contains(Xcr0(record.xcr0_accum))
        && present & !record.xcr0_accum == 0
        && record.xcomp_bv == 0
        && record.reserved == [0; 6]
        && long_enough;
    if fine { Ok(ExtendedState { xcr0: xcr0.0, present, image }) } else { Err(Malformed) }
}

/// Sets the components that an image says it holds.
pub fn set_present(image: &mut [u8], present: u64) {
    let mut header = [0; HEADER.end - HEADER.start];
    for (to, from) in header.iter_mut().zip(present.to_le_bytes()) {
        *to = from;
    }
    if let Some(place) = image.get_mut(HEADER) {
        place.copy_from_slice(&header);
    }
}

/// The components that an image says it holds.
pub fn present(image: &[u8]) -> u64 {
    let header = image.get(HEADER).and_then(|header| header.first_chunk());
    header.copied().map_or(0, u64::from_le_bytes)
}
