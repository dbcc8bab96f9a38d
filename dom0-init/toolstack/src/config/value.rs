//! The values that a config assigns.

/// A value, with the line that it starts in.
#[derive(Debug, Clone, PartialEq)]
pub struct Located {
    /// The line, from 1; `None` if it came from the command line.
    pub line: Option<usize>,
    /// The value.
    pub value: Value,
}

/// A value of the classic format.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number. True and False are 1 and 0.
    Number(i64),
    /// Another number, as it was written.
    Decimal(String),
    /// A list or tuple.
    List(Vec<Located>),
    /// None.
    Nothing,
}

impl Value {
    /// What kind of value it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Number(_) | Self::Decimal(_) => "a number",
            Self::List(_) => "a list",
            Self::Nothing => "None",
        }
    }
}

/// `key = value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The key.
    pub key: String,
    /// The line of the key; `None` if it came from the command line.
    pub line: Option<usize>,
    /// The value.
    pub value: Value,
}
