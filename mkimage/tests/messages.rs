//! What the program says when something is wrong: one message, and nothing left behind.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use support::{Answer, Server, Signer, publish};
use tempfile::TempDir;

const RECIPE: &str = "kind = \"tools\"\n[base]\nsuites = [\"trixie\"]\n[packages]\napp = {}\n";

const GUEST: &str = "kind = \"guest\"\n[base]\nsuites = [\"trixie\"]\n[packages]\napp = {}\n\
                     [guest]\nepoch = 1\nsize = \"1G\"\n";

/// A project with one recipe.
fn project() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    std::fs::create_dir(folder.path().join("recipes")).unwrap();
    std::fs::write(folder.path().join("recipes/mine.toml"), RECIPE).unwrap();
    folder
}

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkimage"));
    command.current_dir(folder).args(words);
    for name in ["MKIMAGE_MIRROR", "MKIMAGE_CACHE", "http_proxy", "HTTP_PROXY", "all_proxy"] {
        command.env_remove(name);
    }
    command
}

/// Runs the program, which must fail; returns what it says last.
fn message(folder: &Path, words: &[&str]) -> String {
    let output = command(folder, words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let at = said.rfind("mkimage: ").unwrap();
    said[at..].trim_end().to_owned()
}

#[test]
fn recipes_and_locks() {
    let folder = project();
    let recipe = folder.path().join("recipes/mine.toml");
    let lock = folder.path().join("recipes/mine.lock");
    let said = message(folder.path(), &["check", "mime"]);
    assert!(said.contains("no recipe `mime`") && said.contains("known are: mine"), "{said}");
    let said = message(folder.path(), &["check"]);
    assert!(said.contains("run `mkimage lock mine`"), "{said}");
    std::fs::write(&lock, "format = 1\n").unwrap();
    let said = message(folder.path(), &["fetch"]);
    assert!(said.contains("mine.lock") && said.contains("request"), "{said}");
    // What only tests need isn't fetched unless it is named.
    std::fs::write(&recipe, format!("tests-only = true\n{RECIPE}")).unwrap();
    assert!(command(folder.path(), &["fetch"]).output().unwrap().status.success());
    assert!(message(folder.path(), &["fetch", "mine"]).contains("mine.lock"));
    std::fs::write(&recipe, RECIPE.replace("suites", "suits")).unwrap();
    let said = message(folder.path(), &["check"]);
    assert!(said.contains("mine.toml") && said.contains("line 3"), "{said}");
    std::fs::write(&recipe, RECIPE).unwrap();
    let out = folder.path().join("out");
    let said = message(folder.path(), &["build", "mine", "--out", &out.to_string_lossy()]);
    assert!(said.contains("mine.toml:1") && said.contains("makes no media"), "{said}");
    assert!(!out.exists());
}

#[test]
fn guests() {
    let folder = project();
    let recipe = folder.path().join("recipes/mine.toml");
    for (from, to, reason) in [
        ("\"1G\"", "\"1M\"", "mine.toml:8: `size` must be"),
        ("[guest]", "[gast]", "unknown field `gast`"),
        (
            "size = \"1G\"",
            "size = \"1G\"\nhostname = \"My Host\"",
            "mine.toml:9: `My Host` is no host",
        ),
        (
            "size = \"1G\"",
            "size = \"1G\"\nuser = [{ name = \"x\", password-hash = \"x\" }]",
            "openssl passwd -6",
        ),
        (
            "size = \"1G\"",
            "size = \"1G\"\nfile = [{ path = \"a\", mode = \"99\" }]",
            "`99` is no mode",
        ),
        (
            "size = \"1G\"",
            "size = \"1G\"\nfile = [{ path = \"/../a\" }]",
            "must be an absolute path",
        ),
    ] {
        std::fs::write(&recipe, GUEST.replace(from, to)).unwrap();
        let said = message(folder.path(), &["check"]);
        assert!(said.contains(reason), "expected {reason}: {said}");
    }
}

#[test]
fn comparisons() {
    let folder = project();
    for (words, reason) in [
        (&["diff", "a.img", "mine"][..], "two images (.img), or two locks"),
        (&["diff", "a.img", "b.img"], "can't open a.img"),
        (&["diff", "mine", "mine"], "mine.lock"),
        (&["verify", "mine"], "makes no image to verify"),
    ] {
        let said = message(folder.path(), words);
        assert!(said.contains(reason), "expected {reason}: {said}");
    }
}

#[test]
fn mirrors() {
    let folder = project();
    let said = message(folder.path(), &["--mirror", "http://127.0.0.1:9/debian", "lock"]);
    assert!(said.contains("127.0.0.1:9") && said.contains("MKIMAGE_MIRROR"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    // A mirror that is signed, but not by Debian.
    let server = Server::new();
    publish(&server, &Signer::new(), &[("app", "1", "")]);
    let mirror = format!("{}/debian", server.url);
    let said = message(folder.path(), &["--mirror", &mirror, "lock"]);
    assert!(said.contains("no valid signature by a known archive key"), "{said}");
    assert!(!folder.path().join("recipes/mine.lock").exists());
    server.set("/debian/dists/trixie/InRelease", Answer::Bytes(b"<html>log in".to_vec()));
    let said = message(folder.path(), &["--mirror", &mirror, "lock"]);
    assert!(said.contains("not a signed file"), "{said}");
}

#[test]
fn an_interrupt_leaves_nothing_half_done() {
    let folder = project();
    // A listener that accepts and never answers.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mirror = format!("http://{}/debian", listener.local_addr().unwrap());
    let mut child = command(folder.path(), &["--mirror", &mirror, "lock"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _connection = listener.accept().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let names = std::fs::read_dir(folder.path().join("recipes")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["mine.toml"]);
}

#[test]
fn outside_of_a_project_the_one_it_was_built_from_is_used() {
    let folder = TempDir::new().unwrap();
    let output = command(folder.path(), &["check"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("appliance: ok"), "{said}");
}
