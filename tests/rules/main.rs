//! The source tree keeps its own rules: which package may use which, where `unsafe` may stand,
//! how long a file may be, and under which licences the dependencies come.

mod dependencies;
mod licences;
mod sources;
