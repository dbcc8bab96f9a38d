//! Machines boot what the project builds. Each test names what it proves.

mod direct;
mod guests;
mod media;
mod refusals;
