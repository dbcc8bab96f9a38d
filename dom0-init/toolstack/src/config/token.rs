//! Text into tokens: names, strings, numbers, signs, ends of lines.

use super::problem::Problem;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A name, or a keyword.
    Name(String),
    /// A string, unquoted.
    Text(String),
    /// A number, as it is written.
    Number(String),
    /// Any other character that means something.
    Sign(char),
    /// The end of a line, where that ends something.
    End,
}

/// A token and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The line, from 1.
    pub line: usize,
    /// The token.
    pub token: Token,
}

/// All tokens of a text.
///
/// # Errors
/// The first string that doesn't end, or character that means nothing.
pub fn tokens(text: &str) -> Result<Vec<Placed>, Problem> {
    let mut scanner = Scanner { rest: text, line: 1, open: 0, tokens: Vec::new() };
    while scanner.step()? {}
    scanner.put(Token::End);
    Ok(scanner.tokens)
}

struct Scanner<'a> {
    rest: &'a str,
    line: usize,
    /// How many brackets are open: within them lines don't end anything.
    open: usize,
    tokens: Vec<Placed>,
}

impl Scanner<'_> {
    /// Takes one token, or what separates tokens; false at the end.
    fn step(&mut self) -> Result<bool, Problem> {
        let Some(next) = self.rest.chars().next() else { return Ok(false) };
        match next {
            '\n' => {
                self.skip(1);
                if self.open == 0 {
                    self.put(Token::End);
                }
                self.line += 1;
            }
            '#' => self.skip(self.rest.find('\n').unwrap_or(self.rest.len())),
            '\\' if self
                .rest
                .get(1..)
                .is_some_and(|rest| rest.trim_start_matches('\r').starts_with('\n')) =>
            {
                self.skip(self.rest.find('\n').map_or(1, |end| end + 1));
                self.line += 1;
            }
            c if c.is_whitespace() || c == '\u{feff}' => self.skip(c.len_utf8()),
            ';' => {
                self.skip(1);
                self.put(Token::End);
            }
            '"' | '\'' => self.string(false)?,
            c if c.is_alphabetic() || c == '_' => self.name()?,
            c if c.is_ascii_digit() => self.number(),
            c @ ('[' | '(') => {
                self.open += 1;
                self.sign(c);
            }
            c @ (']' | ')') => {
                self.open = self.open.saturating_sub(1);
                self.sign(c);
            }
            c @ ('=' | ',' | '+' | '-' | '.' | ':' | '{' | '}' | '%' | '*' | '/' | '<' | '>'
            | '!' | '@') => self.sign(c),
            c => {
                let what = format!("{c:?} means nothing here: put texts in quotes");
                return Err(Problem::new(Some(self.line), "", what));
            }
        }
        Ok(true)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn put(&mut self, token: Token) {
        self.tokens.push(Placed { line: self.line, token });
    }

    fn sign(&mut self, sign: char) {
        self.skip(sign.len_utf8());
        self.put(Token::Sign(sign));
    }

    fn name(&mut self) -> Result<(), Problem> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let name = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default();
        let quoted = self.rest.get(name.len()..).is_some_and(|rest| rest.starts_with(['"', '\'']));
        // r"..." and the like: the letters say how to read the string.
        if quoted && matches!(name.to_ascii_lowercase().as_str(), "r" | "u" | "b" | "br" | "ur") {
            let raw = name.to_ascii_lowercase().contains('r');
            self.skip(name.len());
            return self.string(raw);
        }
        let name = name.to_owned();
        self.skip(name.len());
        self.put(Token::Name(name));
        Ok(())
    }

    fn number(&mut self) {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
        let number = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default().to_owned();
        self.skip(number.len());
        self.put(Token::Number(number));
    }

    fn string(&mut self, raw: bool) -> Result<(), Problem> {
        let start = self.line;
        let long = ["\"\"\"", "'''"].into_iter().find(|quote| self.rest.starts_with(quote));
        let quote = long.or_else(|| self.rest.get(..1)).unwrap_or_default().to_owned();
        self.skip(quote.len());
        let mut text = String::new();
        let unended = |line| {
            let what = format!("a string begins here with {quote} and doesn't end: close it");
            Problem::new(Some(line), "", what)
        };
        loop {
            if self.rest.starts_with(&quote) {
                self.skip(quote.len());
                self.tokens.push(Placed { line: start, token: Token::Text(text) });
                return Ok(());
            }
            let next = self.rest.chars().next().ok_or_else(|| unended(start))?;
            match next {
                '\n' if long.is_none() => return Err(unended(start)),
                '\n' => self.line += 1,
                '\\' => {
                    self.escape(raw, &mut text).ok_or_else(|| unended(start))?;
                    continue;
                }
                _ => {}
            }
            text.push(next);
            self.skip(next.len_utf8());
        }
    }

    /// A backslash and what follows it, as Python reads them; `None` at the end of the text.
    fn escape(&mut self, raw: bool, text: &mut String) -> Option<()> {
        let next = self.rest.chars().nth(1)?;
        if next == '\n' {
            self.line += 1;
        }
        self.skip(1 + next.len_utf8());
        let plain = match next {
            _ if raw => None,
            '\n' => return Some(()),
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            '\\' | '\'' | '"' => Some(next),
            'x' => self.digits(2, 16),
            '0'..='7' => {
                // The digit itself is the first of up to three.
                let first = next.to_digit(8)?;
                let more = self.rest.chars().take(2).take_while(|c| c.is_digit(8)).count();
                let rest = self.rest.get(..more).unwrap_or_default();
                let rest_value = u32::from_str_radix(rest, 8).unwrap_or(0);
                let value = (first << (3 * more)) | rest_value;
                self.skip(more);
                char::from_u32(value)
            }
            _ => None,
        };
        match plain {
            Some(plain) => text.push(plain),
            None => {
                text.push('\\');
                text.push(next);
            }
        }
        Some(())
    }

    /// Exactly `count` digits, as a character; nothing is taken if they aren't there.
    fn digits(&mut self, count: usize, radix: u32) -> Option<char> {
        let digits = self.rest.get(..count)?;
        if !digits.chars().all(|c| c.is_digit(radix)) {
            return None;
        }
        let value = u32::from_str_radix(digits, radix).ok()?;
        self.skip(count);
        char::from_u32(value)
    }
}
