//! Shell-style patterns, as module aliases use them: `*`, `?` and `[a-z]`.

/// Whether `text` matches `pattern` as a whole.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to take up again after a `*` that must swallow one more byte.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => set_matches(&pattern[p..], text[t]),
            Some(&byte) if byte == text[t] => Some(1),
            _ => None,
        };
        match (step, retry) {
            (Some(length), _) => {
                p += length;
                t += 1;
            }
            (None, Some((after_star, from))) => {
                p = after_star;
                t = from + 1;
                retry = Some((after_star, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Matches one byte against the set at the start of `pattern`; gives the set's length.
fn set_matches(pattern: &[u8], byte: u8) -> Option<usize> {
    let end = pattern.iter().position(|&b| b == b']')?;
    let mut members = &pattern[1..end];
    let mut found = false;
    while let [first, rest @ ..] = members {
        match rest {
            [b'-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&byte);
                members = rest;
            }
            rest => {
                found |= *first == byte;
                members = rest;
            }
        }
    }
    found.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_aliases() {
        let virtio = "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00";
        assert!(matches("pci:v00001AF4d*sv*sd*bc*sc*i*", virtio));
        assert!(matches("pci:v00001AF4d00001000sv*sd*bc*sc*i*", virtio));
        assert!(!matches("pci:v00008086d*sv*sd*bc*sc*i*", virtio));
        assert!(matches("pci:v*d*sv*sd*bc02sc00i*", virtio));
        assert!(!matches("pci:v*d*sv*sd*bc01sc06i01*", virtio));
    }

    #[test]
    fn sets_and_ends() {
        assert!(matches("usb:v0525pA4A[5-7]d*", "usb:v0525pA4A6d0001"));
        assert!(!matches("usb:v0525pA4A[5-7]d*", "usb:v0525pA4A8d0001"));
        assert!(matches("a[bc]d?", "acde"));
        assert!(matches("", "") && matches("*", "") && matches("**", "x"));
        assert!(!matches("a", "") && !matches("", "a") && !matches("a*b", "acbd"));
        assert!(!matches("a[b", "ab"));
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            fn naive(pattern: &[u8], text: &[u8]) -> bool {
                match (pattern, text) {
                    ([], text) => text.is_empty(),
                    ([b'*', rest @ ..], text) => {
                        naive(rest, text) || (!text.is_empty() && naive(pattern, &text[1..]))
                    }
                    ([b'?', rest @ ..], [_, more @ ..]) => naive(rest, more),
                    ([p, rest @ ..], [t, more @ ..]) => p == t && naive(rest, more),
                    (_, []) => false,
                }
            }
            proptest::prop_assert_eq!(
                matches(&pattern, &text),
                naive(pattern.as_bytes(), text.as_bytes())
            );
        }
    }
}
