//! The deb822 format: stanzas of `Field: value` lines with indented continuations, as in
//! `Packages`, `Release` and `*.sources` files. Zero-copy: a value is a slice of the input.

/// One stanza: its fields in file order.
#[derive(Debug, Clone, Default)]
pub struct Stanza<'a> {
    fields: Vec<(&'a str, &'a str)>,
    /// Number of the stanza's first line in the file, counted from 1.
    pub line: usize,
}

/// A line that is neither a field, nor a continuation, nor a comment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected `Field: value`, found `{text}`")]
pub struct SyntaxError {
    /// The line's number, counted from 1.
    pub line: usize,
    /// What stands there, shortened.
    pub text: String,
}

impl<'a> Stanza<'a> {
    /// The raw value of a field (name compared without case), trimmed, with its continuation
    /// lines and the newlines between them.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The lines of a field, trimmed, without comments and empty lines.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let lines = self.get(name).unwrap_or_default().lines();
        lines.filter(|line| !line.starts_with('#')).map(str::trim).filter(|line| !line.is_empty())
    }

    /// The blank-separated words of a field, over all its lines.
    pub fn words(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.lines(name).flat_map(str::split_whitespace)
    }

    /// Whether the stanza holds no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// Splits a text into its stanzas.
pub fn stanzas(text: &str) -> Stanzas<'_> {
    Stanzas { rest: text, line: 0 }
}

/// Iterator over the stanzas of a text; see [`stanzas`].
#[derive(Debug)]
pub struct Stanzas<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Stanzas<'a> {
    /// Takes the next line (without its newline) and says where it starts in `rest`.
    fn next_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        Some(line.strip_suffix('\r').unwrap_or(line))
    }

    /// The slice from the start of `value` to the end of `last`, both parts of one text.
    fn join(whole: &'a str, value: &'a str, last: &'a str) -> &'a str {
        let start = value.as_ptr() as usize - whole.as_ptr() as usize;
        let end = last.as_ptr() as usize + last.len() - whole.as_ptr() as usize;
        whole.get(start..end).unwrap_or(value).trim()
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let whole = self.rest;
        let mut stanza = Stanza::default();
        while let Some(line) = self.next_line() {
            if line.starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                if stanza.is_empty() {
                    continue;
                }
                return Some(Ok(stanza));
            }
            if line.starts_with([' ', '\t']) {
                if let Some((_, value)) = stanza.fields.last_mut() {
                    *value = Self::join(whole, value, line);
                    continue;
                }
            } else if let Some((name, value)) = line.split_once(':')
                && !name.is_empty()
                && !name.contains(char::is_whitespace)
            {
                if stanza.is_empty() {
                    stanza.line = self.line;
                }
                // An empty first line must still point into `line`, for `join`.
                let value = if value.trim().is_empty() { value } else { value.trim() };
                stanza.fields.push((name, value));
                continue;
            }
            let text = line.chars().take(60).collect();
            return Some(Err(SyntaxError { line: self.line, text }));
        }
        (!stanza.is_empty()).then_some(Ok(stanza))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Stanza<'_>> {
        stanzas(text).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn fields_continuations_and_comments() {
        let text =
            "# first\nPackage: a\nDepends: b,\n c (>= 1)\n# inner\n\td\nEmpty:\n\n\nPackage: e";
        let all = parse(text);
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].line, 2);
        assert_eq!(all[0].get("package"), Some("a"));
        let depends: Vec<_> = all[0].lines("Depends").collect();
        assert_eq!(depends, ["b,", "c (>= 1)", "d"]);
        assert_eq!(all[0].get("Empty").map(str::trim), Some(""));
        assert_eq!(all[1].get("Package"), Some("e"));
        assert_eq!(all[1].line, 10);
    }

    #[test]
    fn value_that_starts_on_the_next_line() {
        let all = parse("SHA256:\n aa 1 x\n bb 2 y\nNext: z\n");
        assert_eq!(all[0].lines("SHA256").collect::<Vec<_>>(), ["aa 1 x", "bb 2 y"]);
        assert_eq!(all[0].get("Next"), Some("z"));
    }

    #[test]
    fn crlf_is_accepted() {
        let all = parse("A: 1\r\nB: 2\r\n\r\nC: 3\r\n");
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("B"), Some("2"));
    }

    #[test]
    fn broken_lines_are_named() {
        let error = stanzas("A: 1\nno colon here\n").next().unwrap().unwrap_err();
        assert_eq!((error.line, error.text.as_str()), (2, "no colon here"));
        assert!(stanzas(" leading\n").next().unwrap().is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[ -~\n\t:#é]{0,200}") {
            for stanza in stanzas(&text).flatten() {
                let _ = stanza.words("A").count();
            }
        }

        #[test]
        fn fields_round_trip(fields in proptest::collection::vec(("[A-Z][a-z]{1,8}", "[a-z0-9]([a-z0-9 ]{0,18}[a-z0-9])?"), 1..8)) {
            let text: String = fields.iter().map(|(k, v)| format!("{k}: {v}\n")).collect();
            let all = parse(&text);
            proptest::prop_assert_eq!(all.len(), 1);
            for (key, _) in &fields {
                let first = fields.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
                proptest::prop_assert_eq!(all[0].get(key), first);
            }
        }
    }
}
