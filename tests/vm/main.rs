//! Machines boot what the project builds. Each test names what it proves.

mod guests;
mod refusals;
