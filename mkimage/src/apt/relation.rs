//! Package relations: `a (>= 1) | b:any [amd64] <!nocheck>, c`.

use super::version::Version;
use std::cmp::Ordering;
use std::fmt;

/// How a version must compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<<`
    Less,
    /// `<=`
    LessEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterEqual,
    /// `>>`
    Greater,
}

/// One alternative: a name, perhaps with a version constraint.
#[derive(Debug, Clone, Copy)]
pub struct Relation<'a> {
    /// A package's or virtual package's name.
    pub name: &'a str,
    /// The constraint on its version.
    pub constraint: Option<(Operator, Version<'a>)>,
}

impl Relation<'_> {
    /// Whether a version satisfies the constraint.
    pub fn allows(&self, version: Version<'_>) -> bool {
        self.constraint.is_none_or(|(operator, wanted)| operator.holds(version.cmp(&wanted)))
    }
}

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order == Ordering::Less,
            Self::LessEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::GreaterEqual => order != Ordering::Less,
            Self::Greater => order == Ordering::Greater,
        }
    }

    /// The operator's spelling in relations.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Less => "<<",
            Self::LessEqual => "<=",
            Self::Equal => "=",
            Self::GreaterEqual => ">=",
            Self::Greater => ">>",
        }
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        match self.constraint {
            Some((operator, version)) => write!(f, " ({} {version})", operator.symbol()),
            None => Ok(()),
        }
    }
}

/// A relation that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the relation `{0}` can't be read")]
pub struct SyntaxError(pub String);

/// Parses a relation field into groups of alternatives; every group must be satisfied.
///
/// Architecture lists and build profiles are dropped: binary indices hold none that matter.
///
/// # Errors
/// [`SyntaxError`] with the alternative that can't be read.
pub fn parse(field: &str) -> Result<Vec<Vec<Relation<'_>>>, SyntaxError> {
    let groups = field.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(parse_one).collect()).collect()
}

fn parse_one(text: &str) -> Result<Relation<'_>, SyntaxError> {
    let error = || SyntaxError(text.trim().to_owned());
    let text = text.trim();
    let end = text.find(|c: char| c.is_whitespace() || "([<".contains(c)).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end).ok_or_else(error)?;
    let name = name.split_once(':').map_or(name, |(name, _arch)| name);
    if name.is_empty() {
        return Err(error());
    }
    let Some(inner) = rest.trim_start().strip_prefix('(') else {
        return Ok(Relation { name, constraint: None });
    };
    let inner = inner.split_once(')').ok_or_else(error)?.0.trim();
    let end = inner.find(|c: char| !"<>=".contains(c)).ok_or_else(error)?;
    let (symbol, version) = inner.split_at_checked(end).ok_or_else(error)?;
    let operator = match symbol {
        "<<" => Operator::Less,
        "<=" | "<" => Operator::LessEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::GreaterEqual,
        ">>" => Operator::Greater,
        _ => return Err(error()),
    };
    Ok(Relation { name, constraint: Some((operator, Version::new(version.trim()))) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_alternatives_and_constraints() {
        let groups = parse("libc6 (>= 2.38), a:any | b(<<1:2~) [amd64] <!x>,\n c, ").unwrap();
        let text: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(text, [vec!["libc6 (>= 2.38)"], vec!["a", "b (<< 1:2~)"], vec!["c"]]);
    }

    #[test]
    fn constraints_hold() {
        let groups = parse("x (<= 2), x (>> 2), x (= 2)").unwrap();
        let hold: Vec<bool> = groups.iter().map(|g| g[0].allows(Version::new("2"))).collect();
        assert_eq!(hold, [true, false, true]);
    }

    #[test]
    fn nonsense_is_named() {
        for text in ["(>= 1)", "a (>= 1", "a (~ 1)", "a ()", "a |"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("").unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-c0-9 (<>=)|,:\\[\\]é]{0,60}") {
            let _ = parse(&text);
        }
    }
}
