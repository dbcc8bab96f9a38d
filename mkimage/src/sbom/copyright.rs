//! What a package's `copyright` file says: machine-readable ones (DEP 5) are read, of others the
//! whole text stands for their licence.

use super::names::{self, Expression, References};
use crate::apt::deb822::{self, Stanza};
use std::collections::BTreeMap;

/// What SPDX calls it when nothing is known.
pub const NO_ASSERTION: &str = "NOASSERTION";

/// The licences of a package, as an expression. `text` is its `copyright` file, if it has one.
pub fn licence(package: &str, text: Option<&str>, references: &mut References) -> String {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
        return NO_ASSERTION.to_owned();
    };
    let read = machine_readable(text).and_then(|stanzas| from_stanzas(&stanzas, references));
    read.map_or_else(
        || references.of(&format!("copyright of {package}"), text),
        |expression| expression.to_string(),
    )
}

/// The stanzas of a file that says it can be read.
fn machine_readable(text: &str) -> Option<Vec<Stanza<'_>>> {
    let stanzas: Vec<Stanza<'_>> = deb822::stanzas(text).collect::<Result<_, _>>().ok()?;
    let format = stanzas.first()?.get("Format")?.to_ascii_lowercase();
    let known = ["copyright-format", "dep5", "dep-5", "dep/5"];
    known.iter().any(|word| format.contains(word)).then_some(stanzas)
}

fn from_stanzas(stanzas: &[Stanza<'_>], references: &mut References) -> Option<Expression> {
    let text_of = |license: &str| {
        let (name, text) = license.split_once('\n').unwrap_or((license, ""));
        (name.trim().to_owned(), unindented(text))
    };
    let licences = || stanzas.iter().filter_map(|stanza| Some((stanza, stanza.get("License")?)));
    let texts: BTreeMap<String, String> =
        licences().map(|(_, license)| text_of(license)).filter(|(_, t)| !t.is_empty()).collect();
    let of_files = licences().filter(|(stanza, _)| stanza.get("Files").is_some());
    Expression::all(of_files.filter_map(|(_, license)| {
        let (synopsis, own) = text_of(license);
        Expression::read(&synopsis, &mut |name| {
            let text = || texts.get(name).unwrap_or(if own.is_empty() { &synopsis } else { &own });
            names::identifier(name).unwrap_or_else(|| references.of(name, text()))
        })
    }))
}

/// A field's text as it is meant: without the blank in front, and `.` for empty lines.
fn unindented(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix([' ', '\t']).unwrap_or(line).trim_end() {
        "." => String::new(),
        other => other.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: x

Files: *
Copyright: somebody
License: GPL-2+ or Expat

Files: a
Copyright: somebody else
License: odd
 Do what
 .
   you like.

Files: debian/*
Copyright: third
License: own

License: GPL-2+
 As usual.

License: own
 Its own text.
";

    #[test]
    fn machine_readable_files() {
        let mut references = References::default();
        let read = licence("x", Some(TEXT), &mut references);
        let [(odd, odd_text), (own, own_text)] =
            references.extracted.iter().collect::<Vec<_>>().try_into().unwrap();
        assert!(spdx::Expression::parse(&read).is_ok());
        assert_eq!(read, format!("(GPL-2.0-or-later OR MIT) AND {odd} AND {own}"));
        assert_eq!(odd_text, &("odd".to_owned(), "Do what\n\n  you like.".to_owned()));
        assert_eq!(own_text, &("own".to_owned(), "Its own text.".to_owned()));
    }

    #[test]
    fn others_stand_for_themselves() {
        for text in ["Do what you like.\n", "Format: dep5\n\nnonsense\n", "Format: other\n"] {
            let mut references = References::default();
            let read = licence("x", Some(text), &mut references);
            assert!(read.starts_with("LicenseRef-copyright-of-x-"), "{read}");
            assert_eq!(references.extracted[&read].1, text);
        }
        let mut references = References::default();
        assert_eq!(licence("x", None, &mut references), NO_ASSERTION);
        assert!(references.extracted.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(cut in 0_usize..TEXT.len(), more in "[a-zA-Z,|&(): \n.-]{0,20}") {
            let text = format!("{}{more}{}", &TEXT[..cut], &TEXT[cut..]);
            let read = licence("x", Some(&text), &mut References::default());
            proptest::prop_assert!(spdx::Expression::parse(&read).is_ok(), "{read}");
        }
    }
}
