//! Shell-like patterns for names and paths in recipes: `*` is any text, `?` any one character.

use schemars::JsonSchema;
use serde::Deserialize;

/// A list of patterns; matches when one of them does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Globs(Vec<String>);

impl Globs {
    /// Takes patterns.
    pub fn new<T: AsRef<str>>(patterns: &[T]) -> Self {
        Self(patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect())
    }

    /// Whether a pattern matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| matches(pattern, text))
    }

    /// Adds patterns.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The patterns.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// Whether `pattern` matches the whole of `text`; `*` also matches slashes.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star stands, and the text it has been tried up to.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, tried)) => {
                    star = Some((at, tried + 1));
                    (p, t) = (at + 1, tried + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("linux-image-*", "linux-image-6.12+deb13", true),
            ("linux-image-*", "linux-headers", false),
            ("*/net/*/e1000*.ko.xz", "kernel/drivers/net/ethernet/e1000e.ko.xz", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b", "xxaxxbb", true),
            ("abc", "abcd", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
