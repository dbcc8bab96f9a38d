//! Links the binary as a freestanding image when it is built with `hypervisor/build.toml`.
//!
//! A plain `cargo build`, `cargo check` or `cargo clippy` of the workspace has neither that
//! file's flags nor the profile's `panic = "abort"`. It then gets an ordinary program that only
//! says how to build the hypervisor, while the compiler still checks all of its code.

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
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if !flags.contains("code-model=kernel") {
        return;
    }
    println!("cargo:rustc-cfg=freestanding");
    let package = env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's folder");
    let script = format!("{package}/linker.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rustc-link-arg-bins=-Wl,-T,{script}");
    for arg in LINK_ARGS {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
