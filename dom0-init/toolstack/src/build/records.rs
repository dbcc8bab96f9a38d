//! Records of a saved context: `hvm/save.h`.

use xen_abi::hvm::save::{Descriptor, RecordType};
use zerocopy::FromBytes;

/// The first record of a type, or that of an instance.
pub fn record<T: FromBytes>(
    mut saved: &[u8],
    typecode: RecordType,
    instance: Option<u16>,
) -> Option<T> {
    loop {
        let (descriptor, rest) = Descriptor::read_from_prefix(saved).ok()?;
        let (value, rest) = rest.split_at_checked(usize::try_from(descriptor.length).ok()?)?;
        let is_it = instance.is_none_or(|instance| descriptor.instance == instance);
        if descriptor.typecode == typecode && is_it {
            return T::read_from_prefix(value).ok().map(|(value, _)| value);
        }
        if descriptor.typecode == RecordType::END {
            return None;
        }
        saved = rest;
    }
}
