//! S-expressions as xend's configuration has them: lists of words and lists, texts in quotes,
//! comments from `#` to the line's end.

use toolstack::config::problem::Problem;

/// How deep lists may be nested: none that is meant is deeper.
const DEEPEST: usize = 16;

/// A word, a text, or a list, and the line that it begins in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// From 1.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A word, or what was in quotes.
    Text(String),
    /// What was in parentheses.
    List(Vec<Item>),
}

/// All that a text holds.
///
/// # Errors
/// The first thing that makes the rest of it doubtful.
pub fn parse(text: &str) -> Result<Vec<Item>, Problem> {
    let mut parser = Parser { rest: text, line: 1 };
    let items = parser.items(0)?;
    match parser.next() {
        None => Ok(items),
        Some(_) => Err(wrong(parser.line, "`)` closes nothing: take it out")),
    }
}

fn wrong(line: usize, what: &str) -> Problem {
    Problem::new(Some(line), "", what)
}

struct Parser<'a> {
    rest: &'a str,
    line: usize,
}

impl Parser<'_> {
    fn next(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let taken = characters.next()?;
        self.rest = characters.as_str();
        self.line += usize::from(taken == '\n');
        Some(taken)
    }

    fn take_while(&mut self, mut fits: impl FnMut(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(next) = self.next().filter(|&next| fits(next)) {
            taken.push(next);
            self.take();
        }
        taken
    }

    /// Items up to a `)`, which is left, or the end.
    fn items(&mut self, depth: usize) -> Result<Vec<Item>, Problem> {
        let mut items = Vec::new();
        loop {
            self.take_while(char::is_whitespace);
            let line = self.line;
            let value = match self.next() {
                None | Some(')') => return Ok(items),
                Some('#') => {
                    self.take_while(|c| c != '\n');
                    continue;
                }
                Some('(') if depth == DEEPEST => {
                    return Err(wrong(line, "lists are nested too deep: take some `(` out"));
                }
                Some('(') => {
                    self.take();
                    let inner = self.items(depth + 1)?;
                    self.take().ok_or_else(|| wrong(line, "`(` isn't closed: add `)`"))?;
                    Value::List(inner)
                }
                Some(quote @ ('"' | '\'')) => Value::Text(self.quoted(quote)?),
                Some(_) => Value::Text(self.take_while(|c| {
                    !c.is_whitespace() && !matches!(c, '(' | ')' | '"' | '\'' | '#')
                })),
            };
            items.push(Item { line, value });
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, Problem> {
        let line = self.line;
        self.take();
        let mut text = String::new();
        loop {
            match self.take() {
                Some(c) if c == quote => return Ok(text),
                Some('\\') => text.extend(self.take()),
                Some(c) => text.push(c),
                None => {
                    let what = format!("the quote `{quote}` isn't closed: add another one");
                    return Err(wrong(line, &what));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The items as text, with their lines before lists.
    fn show(items: &[Item]) -> String {
        let one = |item: &Item| match &item.value {
            Value::Text(text) => format!("<{text}>"),
            Value::List(inner) => format!("{}({})", item.line, show(inner)),
        };
        items.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_tutorials_sample() {
        let text = "#(logfile /var/log/xen/xend.log)\n(xend-unix-server yes)\n\
                    (network-script 'network-bridge netdev=eth1')\n#(vnc-listen '127.0.0.1')\n\
                    (vncpasswd '')(a (b \"c)\\\"\" # rest\n)\n)";
        assert_eq!(
            show(&parse(text).unwrap()),
            "2(<xend-unix-server> <yes>) 3(<network-script> <network-bridge netdev=eth1>) \
             5(<vncpasswd> <>) 5(<a> 5(<b> <c)\">))"
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let says = |text: &str, line: usize, words: &str| {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.line, Some(line), "{text}");
            assert!(problem.what.contains(words), "{text}: {}", problem.what);
        };
        says("\n(a\n(b)", 2, "isn't closed");
        says("(a)\n)", 2, "closes nothing");
        says("(a 'b)\n", 1, "quote");
        says(&"(".repeat(1000), 1, "too deep");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[()'\"# a\\\\\n]{0,60}|\\PC*") {
            let _answered = parse(&text);
        }

        #[test]
        fn texts_survive_quoting(text in "\\PC*") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let items = parse(&format!("(k \"{quoted}\")")).unwrap();
            prop_assert_eq!(show(&items), format!("1(<k> <{text}>)"));
        }
    }
}
