//! The shapes that this crate is written in: bit sets, open enums, tables of constants, and the
//! compile-time proof of a structure's layout.

/// Declares a bit set over an integer. Bits without a name are kept: registers and guests may
/// set them, and writing them back unchanged is usually what the manual asks for.
macro_rules! flags {
    (
        $(#[$outer:meta])*
        pub struct $name:ident($raw:ty) {
            $($(#[$attr:ident $($args:tt)*])* $flag:ident = $value:expr;)*
        }
    ) => {
        $(#[$outer])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, Hash,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable,
        )]
        #[repr(transparent)]
        pub struct $name(pub $raw);

        bitflags::bitflags! {
            impl $name: $raw {
                $($(#[$attr $($args)*])* const $flag = $value;)*
                const _ = !0;
            }
        }
    };
}

/// Declares an integer newtype with named values; any other value is legal and has no `name`.
macro_rules! open_enum {
    (
        $(#[$outer:meta])*
        pub struct $name:ident($raw:ty) {
            $($(#[$meta:meta])* $konst:ident = $value:expr;)*
        }
    ) => {
        $(#[$outer])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::KnownLayout, zerocopy::Immutable,
        )]
        #[repr(transparent)]
        pub struct $name(pub $raw);

        impl $name {
            $($(#[$meta])* pub const $konst: Self = Self($value);)*

            /// The manual's name of this value, if it has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$konst => Some(stringify!($konst)),)*
                    _ => None,
                }
            }
        }
    };
}

/// Declares constants of one type.
macro_rules! constants {
    ($raw:ty { $($(#[$meta:meta])* $name:ident = $value:expr;)* }) => {
        $($(#[$meta])* pub const $name: $raw = $value;)*
    };
}

/// Proves at compile time that a structure has the size and field offsets that the manual gives.
macro_rules! layout {
    ($ty:ty, size $size:literal, { $($field:ident: $offset:literal),* $(,)? }) => {
        const _: () = {
            assert!(core::mem::size_of::<$ty>() == $size);
            $(assert!(core::mem::offset_of!($ty, $field) == $offset);)*
        };
    };
}

pub(crate) use {constants, flags, layout, open_enum};
