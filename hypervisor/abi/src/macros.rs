//! The three shapes everything in this crate is written in: a table of constants, an open enum,
//! and the compile-time proof of a structure's layout.

/// Declares constants of one type, each findable by its C spelling where that differs.
macro_rules! constants {
    ($raw:ty { $($(#[$meta:meta])* $name:ident = $value:expr $(, $c_name:tt)?;)* }) => {
        $(
            $(#[$meta])*
            $(
                ///
                #[doc = concat!("C name: `", $c_name, "`.")]
                #[doc(alias = $c_name)]
            )?
            pub const $name: $raw = $value;
        )*
    };
}

/// Declares an integer newtype with named values. Values from outside may be any integer, so
/// these are never Rust enums: an unknown one is legal and has no `name`.
macro_rules! open_enum {
    (
        $(#[$outer:meta])*
        pub struct $name:ident($raw:ty) {
            $($(#[$meta:meta])* $konst:ident = $value:expr, $c_name:tt;)*
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
            $(
                $(#[$meta])*
                ///
                #[doc = concat!("C name: `", $c_name, "`.")]
                #[doc(alias = $c_name)]
                pub const $konst: Self = Self($value);
            )*

            /// The C name of this value; `None` if the public headers don't name it. Of two
            /// names for one value, the first.
            #[must_use]
            #[allow(unreachable_patterns, reason = "some values have two names")]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$konst => Some($c_name),)*
                    _ => None,
                }
            }
        }
    };
}

/// Proves at compile time that a structure has the size and field offsets of its C original.
macro_rules! layout {
    ($ty:ty, size $size:literal, { $($field:ident: $offset:literal),* $(,)? }) => {
        const _: () = {
            assert!(core::mem::size_of::<$ty>() == $size);
            $(assert!(core::mem::offset_of!($ty, $field) == $offset);)*
        };
    };
}

pub(crate) use {constants, layout, open_enum};
