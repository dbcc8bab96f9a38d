//! Links the guests as freestanding kernels when they are built with `tests/guests/build.toml`.
//! A plain `cargo build`, `cargo check` or `cargo clippy` of the workspace gets ordinary programs
//! that only say so, while the compiler still checks all of their code.

use std::env;

const LINK_ARGS: &[&str] = &[
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
    "-Wl,-z,max-page-size=0x1000",
    "-Wl,-z,noexecstack",
    "-Wl,-z,norelro",
    "-Wl,--no-eh-frame-hdr",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(freestanding)");
    if env::var_os("CARGO_CFG_FREESTANDING").is_none() {
        return;
    }
    let package = env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    let script = format!("{package}/guest.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{script}");
    for arg in LINK_ARGS {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
