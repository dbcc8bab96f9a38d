//! Sizes in recipes and on the command line: `64M`, `4G`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A size in bytes; written with an optional binary unit `K`, `M`, `G` or `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size; write e.g. 64M or 4G")]
pub struct ParseError(String);

impl Size {
    /// A size in mebibytes.
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError(text.to_owned());
        let trimmed = text.trim().trim_end_matches("iB");
        let shift = match trimmed.chars().last().ok_or_else(error)? {
            'K' | 'k' => 10,
            'M' | 'm' => 20,
            'G' | 'g' => 30,
            'T' | 't' => 40,
            _ => 0,
        };
        let unit_length = usize::from(shift != 0);
        let digits = trimmed.get(..trimmed.len() - unit_length).ok_or_else(error)?;
        let count: u64 = digits.parse().map_err(|_| error())?;
        count.checked_mul(1 << shift).filter(|size| *size > 0).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(40, 'T'), (30, 'G'), (20, 'M'), (10, 'K')];
        match units.iter().find(|(shift, _)| self.0.trailing_zeros() >= *shift) {
            Some((shift, unit)) => write!(f, "{}{unit}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9]+[KMGTkmgt]?(iB)?$",
            "description": "A size such as `64M` or `4G`, in binary units."
        })
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("64M", 64 << 20), ("4G", 4 << 30), ("1GiB", 1 << 30), ("512", 512)] {
            assert_eq!(text.parse::<Size>().unwrap().bytes(), bytes, "{text}");
        }
        for text in ["", "M", "-1", "0", "1X", "1MG", "99999999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn display_round_trips(bytes in 1_u64..u64::MAX) {
            let size = Size(bytes);
            proptest::prop_assert_eq!(size.to_string().parse::<Size>(), Ok(size));
        }
    }
}
