//! Splits a typed line into words: spaces separate, quotes and backslashes keep together.

/// The words of a line; `None` if a quote isn't closed.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().push(characters.next()?),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, c @ ('\'' | '"')) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line).unwrap()
    }

    #[test]
    fn spaces_and_quotes() {
        assert_eq!(words("  list  -l "), ["list", "-l"]);
        assert_eq!(
            words(r#"create "my web.cfg" extra='a "b"' x\ y"#),
            ["create", "my web.cfg", r#"extra=a "b""#, "x y"]
        );
        assert_eq!(words(""), Vec::<String>::new());
        assert_eq!(words("''"), [""]);
    }

    #[test]
    fn an_open_quote_is_no_line() {
        assert_eq!(split("create 'web"), None);
        assert_eq!(split("create web\\"), None);
    }
}
