//! Links the binary as a freestanding image when it is built with `hypervisor/build.toml`.
//!
//! A plain `cargo build`, `cargo check` or `cargo clippy` of the workspace has neither that
//! file's flags nor the profile's `panic = "abort"`. It then gets an ordinary program that only
//! says how to build the hypervisor, while the compiler still checks all of its code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

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
    println!("cargo:rustc-env=COMPILER={}", compiler());
    println!("cargo:rustc-env=CHANGESET={}", changeset().unwrap_or_else(|| "unknown".to_owned()));
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

/// The compiler's name and version, without the date of its build.
fn compiler() -> String {
    let rustc = env::var_os("RUSTC").expect("cargo names the compiler");
    let output = Command::new(rustc).arg("--version").output().expect("the compiler runs");
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// The revision of the source, where it lies in a git repository. Read from the repository's
/// files, as there may be no git.
fn changeset() -> Option<String> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let git = package.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
    // A further work tree has a file that says where its own part of the repository is.
    let own = match fs::read_to_string(&git) {
        Ok(text) => git.parent()?.join(text.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    let shared = match fs::read_to_string(own.join("commondir")) {
        Ok(text) => own.join(text.trim()),
        Err(_) => own.clone(),
    };
    let head = watched(&own.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else {
        return Some(head.trim().to_owned());
    };
    let loose = watched(&shared.join(name)).map(|text| text.trim().to_owned());
    loose.or_else(|| {
        let packed = watched(&shared.join("packed-refs"))?;
        let line = packed.lines().find(|line| line.split(' ').nth(1) == Some(name))?;
        Some(line.split(' ').next()?.to_owned())
    })
}

/// A file's text. The package is built again when it changes.
fn watched(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text)
}
