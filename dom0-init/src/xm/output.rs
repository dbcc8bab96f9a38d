//! Printing a table for people or for programs.

use clap::ValueEnum;
use serde::Serialize;

/// How tables are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Prints rows as the format has it; `text` makes what people see.
pub fn print<T: Serialize + ?Sized>(
    format: Format,
    rows: &T,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Text => print!("{}", text()),
        Format::Json => println!("{}", serde_json::to_string_pretty(rows)?),
    }
    Ok(())
}
