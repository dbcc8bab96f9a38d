//! A machine under test: what is waited for, with a time limit, and panics that show the
//! console's end.

use crate::turns::{Turn, say};
use mkimage::qemu::{Machine, Running};
use std::time::{Duration, Instant};

/// From power-on to the prompt, over firmware and GRUB, on a slow host.
const BOOT: Duration = Duration::from_secs(240);
/// For a command at the prompt.
const COMMAND: Duration = Duration::from_secs(60);
/// For an orderly shutdown.
const END: Duration = Duration::from_secs(90);
/// For the hypervisor to report on itself.
const REPORTS: Duration = Duration::from_secs(5);
/// Hands the console to the hypervisor, has it print all reports, and hands the console back.
const ALL_REPORTS: &str = "\x01\x01\x01*\x01\x01\x01";
/// The prompt of the appliance, at the start of a line.
const PROMPT: &str = "\nxm> ";

/// A machine under test. It is killed when dropped.
#[derive(Debug)]
pub struct Vm {
    // In this order: the machine is gone before its CPUs are free for another one.
    running: Running,
    _turn: Turn,
    name: String,
    started: Instant,
}

impl Vm {
    /// Waits for its turn and starts a machine with so many CPUs.
    pub fn start(name: &str, machine: Machine, cpus: u32) -> Self {
        // Of several CPUs, the first runs no guests and is idle.
        let turn = Turn::wait(cpus.saturating_sub(1).max(1));
        let machine = machine.cpus(cpus).args(["-no-reboot"]);
        let running = machine.start().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { running, _turn: turn, name: name.to_owned(), started: Instant::now() }
    }

    fn say(&self, what: &str) {
        say(&format!("{}: {what} after {:.1} s", self.name, self.started.elapsed().as_secs_f32()));
    }

    /// Waits until the console says `pattern`; returns what it said up to there.
    pub fn expect(&mut self, pattern: &str, patience: Duration) -> String {
        self.expect_any(&[pattern], patience).1
    }

    /// As [`Self::expect`], for the first of several patterns; returns its number too.
    pub fn expect_any(&mut self, patterns: &[&str], patience: Duration) -> (usize, String) {
        let said = self.running.wait_for_any(patterns, patience);
        said.unwrap_or_else(|error| self.fail(&error.to_string()))
    }

    /// Fails the test, with what the hypervisor has to say about the machine.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&mut self, why: &str) -> ! {
        let before = self.running.console().len();
        if self.running.send(ALL_REPORTS).is_ok() {
            std::thread::sleep(REPORTS);
        }
        let console = self.running.console();
        let reports = console.get(before..).unwrap_or_default();
        panic!("{}: {why}\nthe hypervisor's reports:\n{reports}", self.name)
    }

    /// Waits for the appliance's prompt; returns the console's output of the boot.
    pub fn boot(&mut self) -> String {
        let said = self.expect(PROMPT, BOOT);
        self.say("the prompt");
        said
    }

    /// Runs a command at the prompt; returns what it printed.
    pub fn command(&mut self, line: &str) -> String {
        self.command_within(line, COMMAND)
    }

    /// Runs a command that may take longer than others.
    pub fn command_within(&mut self, line: &str, patience: Duration) -> String {
        let sent = self.running.send_line(line);
        sent.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let said = self.expect(PROMPT, patience);
        // The line editor echoes what was typed.
        let said = said.strip_suffix(PROMPT).unwrap_or(&said);
        said.split_once('\n').map_or("", |(_, printed)| printed).to_owned()
    }

    /// Types at the prompt a command that ends the machine, and waits for that.
    pub fn end(&mut self, line: &str) {
        let sent = self.running.send_line(line);
        sent.unwrap_or_else(|error| panic!("{}: {error}", self.name));
        self.ends();
    }

    /// Waits until the machine has powered off or asked for a reset.
    pub fn ends(&mut self) {
        let status = self.running.wait_exit(END);
        let status = status.unwrap_or_else(|error| self.fail(&error.to_string()));
        assert!(status.success(), "{}: QEMU ended with {status}", self.name);
        self.say("off");
    }

    /// Presses keys of the machine's keyboard, each with a pause: names as QEMU's monitor has
    /// them, such as `a`, `ret` or `ctrl-alt-delete`.
    pub fn press(&mut self, keys: &[&str]) {
        for key in keys {
            let pressed = self.running.qmp().and_then(|qmp| qmp.monitor(&format!("sendkey {key}")));
            pressed.unwrap_or_else(|error| panic!("{}: {error}", self.name));
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// The machine itself.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }
}
