//! Debian version numbers: `[epoch:]upstream[-revision]`, ordered as Debian Policy 5.6.12 says.

use std::cmp::Ordering;
use std::fmt;

/// A version as the archive writes it; compares by Debian's rules, so `1.0~rc1 < 1.0 < 1.0+b1`.
///
/// Two spellings may be equal in order and differ as text (`1.0` and `0:1.0`).
#[derive(Debug, Clone, Copy)]
pub struct Version<'a>(&'a str);

impl<'a> Version<'a> {
    /// Takes any text: the archive is signed, and every text has a place in the order.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The version as written.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Splits into epoch, upstream version and Debian revision.
    fn parts(self) -> (&'a str, &'a str, &'a str) {
        let (epoch, rest) = self.0.split_once(':').unwrap_or(("0", self.0));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch, upstream, revision)
    }
}

impl fmt::Display for Version<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.parts(), other.parts());
        compare_numbers(a.0, b.0)
            .then_with(|| compare_part(a.1, b.1))
            .then_with(|| compare_part(a.2, b.2))
    }
}

/// Compares alternating runs of non-digits and digits, from the left.
fn compare_part(mut a: &str, mut b: &str) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (text_a, rest_a) = split_run(a, |byte| !byte.is_ascii_digit());
        let (text_b, rest_b) = split_run(b, |byte| !byte.is_ascii_digit());
        let (number_a, next_a) = split_run(rest_a, |byte| byte.is_ascii_digit());
        let (number_b, next_b) = split_run(rest_b, |byte| byte.is_ascii_digit());
        let order = compare_text(text_a, text_b).then_with(|| compare_numbers(number_a, number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// Splits off the longest prefix whose bytes satisfy `belongs`.
fn split_run(text: &str, belongs: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(|byte| !belongs(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Non-digit runs: `~` sorts before the end, letters before everything else.
fn compare_text(a: &str, b: &str) -> Ordering {
    let weights = |text: &str| {
        let own: Vec<i32> = text
            .bytes()
            .map(|byte| match byte {
                b'~' => -1,
                _ if byte.is_ascii_alphabetic() => i32::from(byte),
                _ => i32::from(byte) + 256,
            })
            .collect();
        own.into_iter().chain(std::iter::once(0))
    };
    weights(a).cmp(weights(b))
}

/// Digit runs of any length as numbers; an empty run is zero.
fn compare_numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cmp(a: &str, b: &str) -> Ordering {
        Version::new(a).cmp(&Version::new(b))
    }

    #[test]
    fn policy_examples() {
        let ascending = [
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0~rc1",
            "1.0",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0a",
            "1.0+dfsg",
            "1.0.1",
            "1.9",
            "1.10",
            "1:0.1",
            "2:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(cmp(a, b), i.cmp(&j), "{a} against {b}");
            }
        }
    }

    #[test]
    fn equal_spellings() {
        for (a, b) in [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.02", "1.2"), ("0", "")] {
            assert_eq!(cmp(a, b), Ordering::Equal, "{a} and {b}");
        }
    }

    #[test]
    fn real_pairs() {
        assert_eq!(cmp("6.12.9-1", "6.12.107-1"), Ordering::Less);
        assert_eq!(cmp("2.12-9+deb13u2", "2.12-9"), Ordering::Greater);
        assert_eq!(cmp("1:10.0.13+ds-0+deb13u1", "1:10.0.13+ds~"), Ordering::Greater);
        assert_eq!(cmp("1.23-1-2", "1.23-2"), Ordering::Greater);
    }

    /// The rule of Policy, in its own words: drop equal prefixes character by character.
    fn naive(a: &str, b: &str) -> Ordering {
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        let (mut i, mut j) = (0, 0);
        let weight = |c: Option<&char>| match c {
            None => 0,
            Some('~') => -1,
            Some(c) if c.is_ascii_digit() => 0,
            Some(c) if c.is_ascii_alphabetic() => *c as i32,
            Some(c) => *c as i32 + 256,
        };
        loop {
            loop {
                let (x, y) = (a.get(i), b.get(j));
                let text = |c: Option<&char>| c.is_some_and(|c| !c.is_ascii_digit());
                if !text(x) && !text(y) {
                    break;
                }
                match weight(x).cmp(&weight(y)) {
                    Ordering::Equal => (i, j) = (i + 1, j + 1),
                    order => return order,
                }
            }
            let number = |v: &[char], at: &mut usize| {
                let mut value = 0u128;
                while let Some(digit) = v.get(*at).and_then(|c| c.to_digit(10)) {
                    value = value * 10 + u128::from(digit);
                    *at += 1;
                }
                value
            };
            match number(&a, &mut i).cmp(&number(&b, &mut j)) {
                Ordering::Equal if i >= a.len() && j >= b.len() => return Ordering::Equal,
                Ordering::Equal => {}
                order => return order,
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_naive_rule(a in "[0-9a-c.+~]{0,12}", b in "[0-9a-c.+~]{0,12}") {
            proptest::prop_assert_eq!(cmp(&a, &b), naive(&a, &b));
        }

        #[test]
        fn is_a_total_order(a in "([0-9]:)?[0-9a-z.+~-]{0,9}", b in "([0-9]:)?[0-9a-z.+~-]{0,9}", c in "([0-9]:)?[0-9a-z.+~-]{0,9}") {
            proptest::prop_assert_eq!(cmp(&a, &b), cmp(&b, &a).reverse());
            if cmp(&a, &b) != Ordering::Greater && cmp(&b, &c) != Ordering::Greater {
                proptest::prop_assert_ne!(cmp(&a, &c), Ordering::Greater);
            }
        }
    }
}
