//! Licences' names: from Debian's short names to SPDX's expressions.

use std::collections::BTreeMap;
use std::fmt;

/// Families whose versions Debian writes shorter, with `+` for "or later".
const FAMILIES: [&str; 5] = ["GPL", "LGPL", "AGPL", "GFDL", "GFDL-NIV"];

/// Other names that differ in more than their case.
const NAMES: &[(&str, &str)] = &[
    ("apache-2", "Apache-2.0"),
    ("artistic", "Artistic-1.0-Perl"),
    ("artistic-2", "Artistic-2.0"),
    ("boost-1.0", "BSL-1.0"),
    ("cc0", "CC0-1.0"),
    ("expat", "MIT"),
    ("psf-2", "PSF-2.0"),
];

/// SPDX's identifier of a licence that Debian calls so.
pub fn identifier(name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let known = NAMES.iter().find(|(debian, _)| *debian == lower).map(|(_, spdx)| *spdx);
    let listed = |id: &str| {
        let mut all = spdx::identifiers::LICENSES.iter();
        all.find(|license| license.name.eq_ignore_ascii_case(id)).map(|l| l.name.to_owned())
    };
    let family = FAMILIES.iter().find_map(|family| {
        let version = lower.strip_prefix(&family.to_ascii_lowercase())?.strip_prefix('-')?;
        let (version, later) =
            version.strip_suffix('+').map_or((version, "only"), |rest| (rest, "or-later"));
        let dotted =
            if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
        let (family, more) = match *family {
            "GFDL-NIV" => ("GFDL", "-no-invariants"),
            other => (other, ""),
        };
        listed(&format!("{family}-{dotted}{more}-{later}"))
    });
    known.map(str::to_owned).or(family).or_else(|| listed(name))
}

/// The texts of licences that SPDX has no name for.
#[derive(Debug, Default)]
pub struct References {
    /// Names and texts, by identifier.
    pub extracted: BTreeMap<String, (String, String)>,
}

impl References {
    /// An identifier for a text; the same for the same name and text.
    pub fn of(&mut self, name: &str, text: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let sum = crate::hash::Sha256::of(text.as_bytes()).short();
        let name = name.trim();
        let id: String = format!("{name}-{}", sum.get(..8).unwrap_or(&sum));
        let id = format!("LicenseRef-{}", id.chars().map(plain).collect::<String>());
        self.extracted.entry(id.clone()).or_insert_with(|| (name.to_owned(), text.to_owned()));
        id
    }
}

/// Licences of a thing, joined. The same one isn't there twice, and neither is a list in a list of
/// its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    /// One licence.
    One(String),
    /// All of them hold.
    All(Vec<Self>),
    /// Any of them may be chosen.
    Any(Vec<Self>),
}

impl Expression {
    /// All of some; `None` of none.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let inner = |part| if let Self::All(inner) = part { inner } else { vec![part] };
        Self::joined(parts.into_iter().flat_map(inner), Self::All)
    }

    /// Any of some; `None` of none.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let inner = |part| if let Self::Any(inner) = part { inner } else { vec![part] };
        Self::joined(parts.into_iter().flat_map(inner), Self::Any)
    }

    fn joined(parts: impl Iterator<Item = Self>, join: fn(Vec<Self>) -> Self) -> Option<Self> {
        let mut distinct = Vec::new();
        for part in parts {
            if !distinct.contains(&part) {
                distinct.push(part);
            }
        }
        if distinct.len() > 1 { Some(join(distinct)) } else { distinct.pop() }
    }

    /// Reads a synopsis such as `GPL-2+ and BSD, or Artistic`; `name` gives one licence's name. A
    /// comma binds weaker than the words, and `or` weaker than `and`.
    pub fn read(synopsis: &str, name: &mut dyn FnMut(&str) -> String) -> Option<Self> {
        let synopsis = synopsis.trim();
        let mut parts = |separators: &[&str]| {
            let parts = split(synopsis, separators);
            let several = parts.len() > 1;
            several.then(|| -> Vec<Self> {
                parts.into_iter().filter_map(|p| Self::read(p, name)).collect()
            })
        };
        if let Some(parts) = parts(&[", or "]) {
            return Self::any(parts);
        }
        if let Some(parts) = parts(&[", and ", ", "]) {
            return Self::all(parts);
        }
        if let Some(parts) = parts(&[" or ", " | "]) {
            return Self::any(parts);
        }
        if let Some(parts) = parts(&[" and ", " & "]) {
            return Self::all(parts);
        }
        (!synopsis.is_empty()).then(|| Self::One(name(synopsis)))
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::One(name) => return f.write_str(name),
            Self::All(parts) => (parts, " AND "),
            Self::Any(parts) => (parts, " OR "),
        };
        for (number, part) in parts.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { word })?;
            match part {
                Self::One(name) => f.write_str(name)?,
                other => write!(f, "({other})")?,
            }
        }
        Ok(())
    }
}

fn split<'a>(text: &'a str, separators: &[&str]) -> Vec<&'a str> {
    let mut parts = vec![text];
    for separator in separators {
        parts = parts.into_iter().flat_map(|part| part.split(separator)).collect();
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_debian() {
        for (debian, spdx) in [
            ("GPL-2+", "GPL-2.0-or-later"),
            ("GPL-3", "GPL-3.0-only"),
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
            ("Expat", "MIT"),
            ("BSD-3-clause", "BSD-3-Clause"),
            ("zlib", "Zlib"),
            ("Artistic", "Artistic-1.0-Perl"),
        ] {
            assert_eq!(identifier(debian).as_deref(), Some(spdx), "{debian}");
        }
        for unknown in ["public-domain", "GPL-9+", "GPL-2+ with OpenSSL exception", ""] {
            assert_eq!(identifier(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn synopses() {
        let read = |text: &str| Expression::read(text, &mut str::to_owned).map(|e| e.to_string());
        for (synopsis, expected) in [
            ("A", "A"),
            ("A or B and C", "A OR (B AND C)"),
            ("A or B, and C", "(A OR B) AND C"),
            ("A, B, and A", "A AND B"),
            ("A and B, or C", "(A AND B) OR C"),
            ("A and B, and B and C", "A AND B AND C"),
        ] {
            assert_eq!(read(synopsis).as_deref(), Some(expected), "{synopsis}");
        }
        assert_eq!(read(" "), None);
    }

    #[test]
    fn references_are_what_spdx_allows() {
        let mut references = References::default();
        let id = references.of("GPL-2+ with Foo_exception", "text");
        assert_eq!(id, references.of("GPL-2+ with Foo_exception", "text"));
        assert_ne!(id, references.of("GPL-2+ with Foo_exception", "another"));
        let rest = id.strip_prefix("LicenseRef-GPL-2--with-Foo-exception-").unwrap();
        assert!(rest.len() == 8 && references.extracted.len() == 2, "{id}");
    }
}
