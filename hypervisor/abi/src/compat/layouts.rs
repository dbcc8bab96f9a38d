//! The structures of 32-bit callers, by the names that they have in the modules of the headers.
//! Offsets and sizes are those that `gcc -m32` gives.

use super::Argument;
use crate::GuestHandle;
use crate::grant_table::GrantStatus;
use crate::macros::layout;
use crate::memory::{MapSpace, Resource};
use crate::physdev::PciDevice;
use crate::vcpu::Runstate;
use crate::xen::Ulong;
use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A field that has a type for either kind of caller.
trait Field<Narrow> {
    fn widen(narrow: Narrow) -> Self;
    fn narrow(&self) -> Narrow;
}

impl<T: Copy> Field<T> for T {
    fn widen(narrow: T) -> Self {
        narrow
    }
    fn narrow(&self) -> T {
        *self
    }
}

macro_rules! fields {
    ($([$($generics:tt)*] $wide:ty as $narrow:ty:
        $from:ident => $widen:expr, $this:ident => $to:expr;)*) => {
        $(impl<$($generics)*> Field<$narrow> for $wide {
            fn widen($from: $narrow) -> Self {
                $widen
            }
            fn narrow(&self) -> $narrow {
                let $this = self;
                $to
            }
        })*
    };
}

fields! {
    // A long, as `xen_ulong_t` and `xen_pfn_t` are.
    [] u64 as u32: narrow => narrow.into(), wide => *wide as u32;
    [const N: usize] [u64; N] as [u32; N]:
        narrow => narrow.map(u64::from), wide => wide.map(|long| long as u32);
    [] GuestHandle as u32: narrow => Self(narrow.into()), wide => wide.0 as u32;
    // What has 64 bits, but not their alignment.
    [] u64 as U64: narrow => narrow.get(), wide => U64::new(*wide);
    [const N: usize] [u64; N] as [U64; N]:
        narrow => narrow.map(U64::get), wide => wide.map(U64::new);
}

/// Declares a 32-bit caller's structure, each field with its type and offset, and how it becomes
/// the 64-bit one, whose fields have the same names. Padding that only
/// the latter has is zero.
macro_rules! narrow {
    ($($module:ident::$name:ident, size $size:literal {
        $($field:ident: $ty:ty = $offset:literal),+
    })*) => {
        $(
            #[doc = concat!("[`", stringify!($name), "`](crate::", stringify!($module), "::",
                stringify!($name), ") of 32-bit callers.")]
            #[derive(
                Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout,
                Immutable,
            )]
            #[repr(C)]
            pub struct $name {
                $(
                    #[doc = concat!("As in the other, `", stringify!($field), "`.")]
                    pub $field: $ty,
                )+
            }

            layout!($name, size $size, { $($field: $offset,)+ });

            impl Field<$name> for crate::$module::$name {
                #[allow(clippy::needless_update, reason = "not all have more padding")]
                fn widen(narrow: $name) -> Self {
                    Self { $($field: Field::widen(narrow.$field),)+ ..Self::default() }
                }
                fn narrow(&self) -> $name {
                    $name { $($field: Field::narrow(&self.$field),)+ }
                }
            }

            impl Argument for crate::$module::$name {
                type Narrow = $name;

                fn widen(narrow: $name) -> Self {
                    Field::widen(narrow)
                }

                fn narrow(&self) -> $name {
                    Field::narrow(self)
                }
            }
        )*
    };
}

narrow! {
    memory::MemoryReservation, size 20 {
        extent_start: u32 = 0, nr_extents: u32 = 4, extent_order: u32 = 8, mem_flags: u32 = 12,
        domid: u16 = 16, _pad0: Padding = 18
    }
    memory::AddToPhysmap, size 16 {
        domid: u16 = 0, size: u16 = 2, space: MapSpace = 4, idx: u32 = 8, gpfn: u32 = 12
    }
    memory::AddToPhysmapBatch, size 20 {
        domid: u16 = 0, space: u16 = 2, size: u16 = 4, foreign_domid: u16 = 6, idxs: u32 = 8,
        gpfns: u32 = 12, errs: u32 = 16
    }
    memory::RemoveFromPhysmap, size 8 { domid: u16 = 0, _pad0: Padding = 2, gpfn: u32 = 4 }
    memory::MemoryMap, size 8 { nr_entries: u32 = 0, buffer: u32 = 4 }
    memory::ForeignMemoryMap, size 12 { domid: u16 = 0, _pad0: Padding = 2, map: MemoryMap = 4 }
    memory::PodTarget, size 36 {
        target_pages: U64 = 0, tot_pages: U64 = 8, pod_cache_pages: U64 = 16, pod_entries: U64 = 24,
        domid: u16 = 32, _pad0: Padding = 34
    }
    memory::ReservedDeviceMemoryMap, size 16 {
        flags: u32 = 0, nr_entries: u32 = 4, buffer: u32 = 8, dev: PciDevice = 12
    }
    memory::MemAcquireResource, size 28 {
        domid: u16 = 0, ty: Resource = 2, id: u32 = 4, nr_frames: u32 = 8, _pad0: u32 = 12,
        frame: U64 = 16, frame_list: u32 = 24
    }
    grant_table::SetupTable, size 16 {
        dom: u16 = 0, _pad0: [u8; 2] = 2, nr_frames: u32 = 4, status: GrantStatus = 8,
        _pad1: Padding = 10, frame_list: u32 = 12
    }
    grant_table::CopyPtr, size 8 { u: u32 = 0, domid: u16 = 4, offset: u16 = 6 }
    grant_table::GrantCopy, size 24 {
        source: CopyPtr = 0, dest: CopyPtr = 8, len: u16 = 16, flags: u16 = 18,
        status: GrantStatus = 20, _pad0: [u8; 2] = 22
    }
    sched::Poll, size 16 { ports: u32 = 0, nr_ports: u32 = 4, timeout: U64 = 8 }
    vcpu::SetSingleshotTimer, size 12 { timeout_abs_ns: U64 = 0, flags: u32 = 8 }
    vcpu::RunstateInfo, size 44 {
        state: Runstate = 0, state_entry_time: U64 = 4, time: [U64; 4] = 12
    }
    version::PlatformParameters, size 4 { virt_start: u32 = 0 }
    xen::MulticallEntry, size 32 { op: u32 = 0, result: u32 = 4, args: [u32; 6] = 8 }
}

/// Two bytes of padding where 64-bit callers have six.
type Padding = [u8; 2];

impl Field<Padding> for [u8; 6] {
    fn widen([a, b]: Padding) -> Self {
        [a, b, 0, 0, 0, 0]
    }
    fn narrow(&self) -> Padding {
        let [a, b, ..] = *self;
        [a, b]
    }
}

impl Argument for Ulong {
    type Narrow = u32;

    fn widen(narrow: u32) -> Self {
        Self(narrow.into())
    }

    fn narrow(&self) -> u32 {
        self.0 as u32
    }
}
