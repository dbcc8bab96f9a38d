//! Machines: started, watched, controlled, and gone when their parent is.

use mkimage::project::{Options, Project};
use mkimage::qemu::{Boot, Machine};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in the process that the last test kills.
const CHILD: &str = "MKIMAGE_TEST_CHILD";

fn machine() -> Machine {
    let project = Project::find(Options::from_environment()).unwrap();
    let tools = project.tools().unwrap_or_else(|error| panic!("no tools tree: {error}"));
    Machine::new(&tools, Boot::Nothing).cpus(1).nic(None).args(["-S"])
}

#[test]
fn control_screenshot_and_end() {
    let mut running = machine().start().unwrap();
    let status = running.qmp().unwrap().execute("query-status", json!({})).unwrap();
    assert_eq!(status["status"], "prelaunch");
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("screen.png");
    running.screenshot(&image).unwrap();
    assert!(std::fs::read(&image).unwrap().starts_with(b"\x89PNG"));
    let error = running.wait_for("never", Duration::from_millis(50)).unwrap_err().to_string();
    assert!(error.contains("never"), "{error}");
    running.qmp().unwrap().execute("quit", json!({})).unwrap();
    assert!(running.wait_exit(Duration::from_secs(20)).unwrap().success());
    let error = running.wait_for("never", Duration::from_secs(5)).unwrap_err().to_string();
    assert!(error.contains("QEMU ended"), "{error}");
}

#[test]
fn wrong_arguments_show_what_qemu_said() {
    let mut running = machine().args(["-device", "no-such-device"]).start().unwrap();
    let error = running.wait_for("x", Duration::from_secs(20)).unwrap_err().to_string();
    assert!(error.contains("no-such-device"), "{error}");
}

/// Not a test of its own: what [`a_machine_dies_with_its_parent`] runs and kills.
#[test]
fn parent_to_be_killed() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // Started on a thread that ends: the machine must outlive it.
    let running = std::thread::spawn(|| machine().start().unwrap()).join().unwrap();
    println!("pid={}", running.pid());
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_machine_dies_with_its_parent() {
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["parent_to_be_killed", "--exact", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pid =
        lines.map_while(Result::ok).find_map(|line| Some(line.split_once("pid=")?.1.to_owned()));
    let process = format!("/proc/{}", pid.expect("the parent says QEMU's pid"));
    // It does not die with the thread that started it.
    std::thread::sleep(Duration::from_millis(300));
    assert!(is_alive(Path::new(&process)));
    parent.kill().unwrap();
    parent.wait().unwrap();
    let start = Instant::now();
    while is_alive(Path::new(&process)) {
        assert!(start.elapsed() < Duration::from_secs(20), "QEMU outlived its parent");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process exists and is no zombie.
fn is_alive(process: &Path) -> bool {
    let stat = std::fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim().starts_with('Z'))
}
