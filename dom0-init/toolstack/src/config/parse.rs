//! Assignments out of tokens: the part of Python that configs use, and none that runs.

use super::problem::Problem;
use super::token::{Placed, Token, tokens};
use super::value::{Assignment, Located, Value};

/// Deeper lists than this are nobody's config.
const DEEPEST: usize = 16;

/// All assignments of a text, in order. A line that isn't understood is reported, and the next
/// is looked at.
///
/// # Errors
/// Every line that isn't understood.
pub fn assignments(text: &str) -> Result<Vec<Assignment>, Vec<Problem>> {
    let tokens = tokens(text).map_err(|problem| vec![problem])?;
    let mut parser = Parser { tokens: &tokens };
    let (mut all, mut problems) = (Vec::new(), Vec::new());
    while !parser.tokens.is_empty() {
        if parser.take_end() {
            continue;
        }
        match parser.assignment() {
            Ok(assignment) => all.push(assignment),
            Err(problem) => {
                problems.push(problem);
                parser.skip_line();
            }
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// One `key=value` of the command line. A value that isn't written as one is a string.
///
/// # Errors
/// When there is no key.
pub fn overriding(text: &str) -> Result<Assignment, Problem> {
    let parts = text.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
    let (key, value) = parts.filter(|(key, _)| is_key(key)).ok_or_else(|| {
        Problem::new(None, text, "isn't key=value: for example memory=512, or vif='bridge=xenbr1'")
    })?;
    let parsed = assignments(&format!("x = {value}")).ok();
    let value = match parsed.as_deref() {
        Some([one]) => one.value.clone(),
        _ => Value::Text(value.to_owned()),
    };
    Ok(Assignment { key: key.to_owned(), line: None, value })
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

struct Parser<'a> {
    tokens: &'a [Placed],
}

impl Parser<'_> {
    fn assignment(&mut self) -> Result<Assignment, Problem> {
        let line = self.line();
        let key = match self.next() {
            Some(Token::Name(name)) => name,
            _ => {
                return Err(Problem::new(Some(line), "", "isn't an assignment: write key = value"));
            }
        };
        match self.next() {
            Some(Token::Sign('=')) => {}
            _ => return Err(Problem::new(Some(line), "", no_assignment(&key))),
        }
        let value = self.value(&key, 0)?;
        if !self.take_end() {
            let what = "more follows the value: write one assignment in a line";
            return Err(Problem::new(Some(self.line()), key, what));
        }
        Ok(Assignment { key, line: Some(line), value })
    }

    fn value(&mut self, key: &str, depth: usize) -> Result<Value, Problem> {
        let line = self.line();
        let problem = |what: String| Problem::new(Some(line), key, what);
        let mut value = match self.next() {
            Some(Token::Text(text)) => Value::Text(text),
            Some(Token::Number(text)) => number(&text)
                .ok_or_else(|| problem(format!("{text} is no number; put texts in quotes")))?,
            Some(Token::Sign('-')) => match self.next() {
                Some(Token::Number(text)) => {
                    negative(&text).ok_or_else(|| problem(format!("-{text} is no number")))?
                }
                _ => return Err(problem("a number must follow the minus sign".to_owned())),
            },
            Some(Token::Sign(open @ ('[' | '('))) if depth < DEEPEST => {
                return self.list(key, open, depth + 1);
            }
            Some(Token::Name(name)) => match name.as_str() {
                "True" => Value::Number(1),
                "False" => Value::Number(0),
                "None" => Value::Nothing,
                _ => {
                    return Err(problem(format!(
                        "{name} is no value: put texts in quotes, as in {key} = \"{name}\"; Python isn't run"
                    )));
                }
            },
            Some(Token::End) | None => {
                return Err(problem("has no value: write one behind the =".to_owned()));
            }
            Some(Token::Sign(sign)) => {
                return Err(problem(format!(
                    "a value can't begin with {sign}: write a \"string\", a number or a [list]"
                )));
            }
        };
        // Strings side by side, or with + between them, are one.
        while let Value::Text(text) = &mut value {
            match self.tokens {
                [Placed { token: Token::Text(more), .. }, rest @ ..]
                | [
                    Placed { token: Token::Sign('+'), .. },
                    Placed { token: Token::Text(more), .. },
                    rest @ ..,
                ] => {
                    text.push_str(more);
                    self.tokens = rest;
                }
                _ => break,
            }
        }
        Ok(value)
    }

    fn list(&mut self, key: &str, open: char, depth: usize) -> Result<Value, Problem> {
        let start = self.line();
        let close = if open == '[' { ']' } else { ')' };
        let mut values = Vec::new();
        loop {
            match self.tokens.first().map(|placed| &placed.token) {
                Some(Token::Sign(sign)) if *sign == close => {
                    self.next();
                    return Ok(Value::List(values));
                }
                Some(Token::End) | None => {
                    let what =
                        format!("the list isn't closed: write {close} behind its last value");
                    return Err(Problem::new(Some(start), key, what));
                }
                _ => {}
            }
            let line = Some(self.line());
            values.push(Located { line, value: self.value(key, depth)? });
            match self.tokens.first().map(|placed| &placed.token) {
                Some(Token::Sign(',')) => {
                    self.next();
                }
                Some(Token::Sign(sign)) if *sign == close => {}
                _ => {
                    let what = format!("a comma or {close} is missing behind a value of the list");
                    return Err(Problem::new(Some(self.line()), key, what));
                }
            }
        }
    }

    /// The line of the next token.
    fn line(&self) -> usize {
        self.tokens.first().map_or(0, |placed| placed.line)
    }

    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        // The end of a line stays: whoever finds it where it doesn't belong reports it.
        if first.token != Token::End {
            self.tokens = rest;
        }
        Some(first.token.clone())
    }

    fn take_end(&mut self) -> bool {
        match self.tokens {
            [Placed { token: Token::End, .. }, rest @ ..] => {
                self.tokens = rest;
                true
            }
            rest => rest.is_empty(),
        }
    }

    fn skip_line(&mut self) {
        let is_end = |placed: &Placed| placed.token == Token::End;
        let end = self.tokens.iter().position(is_end).unwrap_or(self.tokens.len());
        self.tokens = self.tokens.get(end..).unwrap_or_default();
    }
}

fn no_assignment(name: &str) -> String {
    const PYTHON: &[&str] =
        &["import", "from", "def", "if", "else", "elif", "for", "while", "try", "print", "class"];
    if PYTHON.contains(&name) {
        format!("`{name}` is Python code, which isn't run: assign the values themselves")
    } else {
        format!("`{name}` isn't followed by =: write {name} = value")
    }
}

fn number(text: &str) -> Option<Value> {
    let digits = text.replace('_', "");
    let lower = digits.to_ascii_lowercase();
    let whole = if let Some(hex) = lower.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()
    } else if let Some(octal) = lower.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok()
    } else if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit())
    {
        i64::from_str_radix(&lower, 8).ok()
    } else {
        lower.trim_end_matches('l').parse().ok()
    };
    match whole {
        Some(number) => Some(Value::Number(number)),
        None => digits.parse::<f64>().ok().map(|_| Value::Decimal(digits)),
    }
}

fn negative(text: &str) -> Option<Value> {
    match number(text)? {
        Value::Number(number) => number.checked_neg().map(Value::Number),
        _ => Some(Value::Decimal(format!("-{text}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(text: &str) -> Value {
        match assignments(text).unwrap().as_slice() {
            [one] => one.value.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    fn problem(config: &str) -> Problem {
        assignments(config).unwrap_err().remove(0)
    }

    #[test]
    fn strings_as_python_has_them() {
        assert_eq!(one("a = 'x'"), text("x"));
        assert_eq!(one(r#"a = "it's \"so\"\n\x41\101\q""#), text("it's \"so\"\nAA\\q"));
        assert_eq!(one(r"a = r'\n\\'"), text(r"\n\\"));
        assert_eq!(one("a = '''two\nlines'''"), text("two\nlines"));
        assert_eq!(one("a = 'x' \"y\" + 'z'"), text("xyz"));
        assert_eq!(one("a = 'x' \\\n  'y'"), text("xy"));
        assert_eq!(one("a = 'x#y' # a comment"), text("x#y"));
        assert_eq!(one("a = ''"), text(""));
    }

    #[test]
    fn numbers_as_python_has_them() {
        for (written, number) in [
            ("7", 7),
            ("0x1F", 31),
            ("010", 8),
            ("0o17", 15),
            ("-3", -3),
            ("0", 0),
            ("1_000", 1000),
        ] {
            assert_eq!(one(&format!("a={written}")), Value::Number(number), "{written}");
        }
        assert_eq!(one("a = 1.5"), Value::Decimal("1.5".into()));
        assert_eq!((one("a = True"), one("a = None")), (Value::Number(1), Value::Nothing));
    }

    #[test]
    fn lists_go_over_lines() {
        let Value::List(values) = one("disk = [ 'a', # first\n\n  'b',\n]") else { panic!() };
        let found: Vec<_> = values.into_iter().map(|v| (v.line, v.value)).collect();
        assert_eq!(found, [(Some(1), text("a")), (Some(3), text("b"))]);
        assert_eq!(one("a = []"), Value::List(vec![]));
        assert!(matches!(one("a = (1, [2])"), Value::List(values) if values.len() == 2));
    }

    #[test]
    fn lines_and_semicolons_end_assignments() {
        let all = assignments("\u{feff}a = 1; b = 2\r\n\n# nothing\nc = 3").unwrap();
        let found: Vec<_> = all.iter().map(|a| (a.key.as_str(), a.line)).collect();
        assert_eq!(found, [("a", Some(1)), ("b", Some(1)), ("c", Some(4))]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (config, line, key, words) in [
            ("\nname = web", 2, "name", "put texts in quotes"),
            ("import os", 1, "", "Python code"),
            ("name = 'web", 1, "", "doesn't end"),
            ("name =", 1, "name", "has no value"),
            ("a = 1\ndisk = [ 'x'\nb = 2", 3, "disk", "a comma or ]"),
            ("disk = [ 'x',", 1, "disk", "isn't closed"),
            ("a = 1 2", 1, "a", "more follows"),
            ("memory 512", 1, "", "isn't followed by ="),
            ("= 5", 1, "", "isn't an assignment"),
            ("a = 12x", 1, "a", "no number"),
            ("a = {'b': 1}", 1, "a", "can't begin with {"),
            ("a = $HOME", 1, "", "means nothing"),
        ] {
            let problem = problem(config);
            assert_eq!((problem.line, problem.key.as_str()), (Some(line), key), "{config:?}");
            assert!(problem.what.contains(words), "{config:?}: {}", problem.what);
        }
        assert_eq!(assignments("a = x\nb = 1\nc = y").unwrap_err().len(), 2, "all are told");
    }

    #[test]
    fn the_command_line_needs_no_quotes() {
        let value = |text: &str| overriding(text).map(|a| (a.key, a.value));
        assert_eq!(value("memory=512"), Ok(("memory".into(), Value::Number(512))));
        assert_eq!(value("vif=bridge=xenbr1"), Ok(("vif".into(), text("bridge=xenbr1"))));
        assert_eq!(value("kernel=/boot/vmlinuz"), Ok(("kernel".into(), text("/boot/vmlinuz"))));
        assert!(matches!(value("disk=['phy:sda1,sda1,w']"), Ok((_, Value::List(_)))));
        assert_eq!(value("extra="), Ok(("extra".into(), text(""))));
        assert!(value("=1").is_err() && value("memory").is_err() && value("a b=1").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC*|([a-z=\\[\\]()'\"\\\\#\n ,0-9x+-]|'''){0,40}") {
            if let Err(problems) = assignments(&text) {
                prop_assert!(!problems.is_empty());
                let lines = text.matches('\n').count() + 1;
                prop_assert!(problems.iter().all(|p| p.line.is_some_and(|l| l >= 1 && l <= lines)));
            }
        }

        #[test]
        fn what_is_quoted_comes_back(value in "\\PC*") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(one(&format!("a = \"{quoted}\"")), text(&value));
        }
    }
}
