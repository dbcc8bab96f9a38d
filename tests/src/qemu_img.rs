//! `qemu-img` of the tools tree: makes images for tests and looks at them.

use crate::images;
use crate::turns::say;
use std::path::Path;
use std::process::Command;

/// Runs it; returns its exit status and what it printed.
///
/// # Panics
/// When it can't be run.
pub fn run(arguments: &[&str]) -> (i32, String) {
    let words = images::appliance().tools.words("qemu-img");
    let words = words.unwrap_or_else(|error| panic!("{error}"));
    let (program, rest) = words.split_first().expect("a program");
    let output = Command::new(program).args(rest).args(arguments).output();
    let output = output.expect("qemu-img runs");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    (output.status.code().expect("qemu-img ends by itself"), printed)
}

/// Makes an image in QEMU's format.
///
/// # Panics
/// When it can't be made.
pub fn create(path: &Path, arguments: &[&str]) {
    let place = path.display().to_string();
    let (status, said) = run(&[&["create", "-q", "-f", "qcow2", &place], arguments].concat());
    assert_eq!(status, 0, "{said}");
}

/// Checks that an image is whole; clusters that are counted and not used do no harm.
///
/// # Panics
/// When it isn't.
pub fn assert_whole(image: &Path) {
    const LEAKS: i32 = 3;
    let (status, said) = run(&["check", "-f", "qcow2", &image.display().to_string()]);
    say(&format!("qemu-img check: {}", said.lines().next().unwrap_or_default()));
    assert!(status == 0 || status == LEAKS, "{said}");
}
