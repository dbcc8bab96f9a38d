//! What an architecture supplies to the rest of the binary, by name.

mod x86;

pub use x86::cpu;
pub use x86::port;
