//! Assignments into a [`Guest`]: each key's type and range, and what there isn't.

use uuid::Uuid;

use super::cpus::CpuSet;
use super::disk::Disk;
use super::guest::{Action, Boot, Guest};
use super::parse::{assignments, overriding};
use super::problem::{Note, Problem, Problems};
use super::value::{Assignment, Located, Value};
use super::vif::Vif;

/// The most vCPUs of a guest.
const MOST_VCPUS: u32 = 32;
/// The least and most memory of a guest, in MiB.
const MEMORY_MIB: std::ops::RangeInclusive<u64> = 16..=1 << 24;
/// What a guest gets whose config doesn't say.
const DEFAULT_MEMORY_MIB: u64 = 128;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;

/// Keys whose values are understood.
const KEYS: &[&str] = &[
    "name",
    "uuid",
    "vcpus",
    "maxvcpus",
    "memory",
    "maxmem",
    "kernel",
    "ramdisk",
    "root",
    "extra",
    "cmdline",
    "bootloader",
    "disk",
    "vif",
    "cpus",
    "cpu",
    "cpu_weight",
    "cpu_cap",
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "on_shutdown",
    "on_xend_start",
    "on_xend_stop",
    "builder",
    "type",
];

/// Keys that ask for what this version doesn't do, with what can be had instead.
const LATER: &[(&str, &str)] = &[
    ("pci", "handing devices to guests isn't supported yet: take the line out"),
    ("usbdev", "emulated devices aren't supported yet: take the line out"),
    ("tpm_emulator", "a TPM isn't supported: take the line out"),
];

/// Keys that may stay in a config but change nothing here, with the reason.
const IGNORED: &[(&str, &str)] = &[
    ("vfb", "a guest's screen isn't supported yet; it has a text console: xm console"),
    ("vnc", "a guest's screen isn't supported yet"),
    ("sdl", "a guest's screen isn't supported yet"),
    ("vncunused", "a guest's screen isn't supported yet"),
    ("vnclisten", "a guest's screen isn't supported yet"),
    ("vncpasswd", "a guest's screen isn't supported yet"),
    ("stdvga", "only HVM guests have one"),
    ("boot", "only HVM guests have a boot order"),
    ("device_model", "only HVM guests have a device model"),
    ("serial", "only HVM guests have a serial port; there is a console: xm console"),
    ("localtime", "a guest's clock is UTC"),
    ("pae", "it always is on"),
    ("acpi", "it always is on"),
    ("apic", "it always is on"),
    ("shadow_memory", "there are no shadow page tables"),
    ("bootargs", "GRUB reads its own configuration on the guest's disk"),
    ("bootloader_args", "GRUB reads its own configuration on the guest's disk"),
    ("dhcp", "an address is the guest's own affair, or its command line's"),
    ("netmask", "an address is the guest's own affair, or its command line's"),
    ("gateway", "an address is the guest's own affair, or its command line's"),
    ("hostname", "a name is the guest's own affair, or its command line's"),
    ("ip", "an address is the guest's own affair, or its command line's"),
    ("features", "a guest uses what it knows"),
];

/// Reads a config. `file` is its name for messages, `overrides` are `key=value` texts that win
/// over it.
///
/// # Errors
/// Everything that is wrong with it.
pub fn guest(file: &str, text: &str, overrides: &[String]) -> Result<(Guest, Vec<Note>), Problems> {
    let told = |all| Problems { file: file.to_owned(), all };
    let mut all = assignments(text).map_err(told)?;
    for text in overrides {
        let assignment = overriding(text).map_err(|problem| told(vec![problem]))?;
        // What wins must also win over the ways of writing the same.
        all.retain(|known| known.key != assignment.key);
        all.push(assignment);
    }
    let mut reader = Reader { all, problems: Vec::new(), notes: Vec::new() };
    reader.look_for_strangers();
    let guest = reader.guest(file);
    if reader.problems.is_empty() {
        let notes = reader.notes.into_iter().map(|note| Note::new(file, note)).collect();
        return Ok((guest, notes));
    }
    reader.problems.sort_by_key(|problem| problem.line);
    Err(told(reader.problems))
}

struct Reader {
    all: Vec<Assignment>,
    problems: Vec<Problem>,
    notes: Vec<Problem>,
}

impl Reader {
    fn guest(&mut self, file: &str) -> Guest {
        self.container();
        let vcpus = self.number("vcpus", 1..=u64::from(MOST_VCPUS)).unwrap_or(1);
        let vcpus = u32::try_from(vcpus).unwrap_or(1);
        let memory_mib = self.number("memory", MEMORY_MIB).unwrap_or(DEFAULT_MEMORY_MIB);
        Guest {
            name: self.name(file),
            uuid: self.uuid(),
            vcpus,
            max_vcpus: self.at_least("maxvcpus", "vcpus", u64::from(vcpus), u64::from(MOST_VCPUS))
                as u32,
            memory_mib,
            max_memory_mib: self.at_least("maxmem", "memory", memory_mib, *MEMORY_MIB.end()),
            boot: self.boot(),
            disks: self.disks(),
            vifs: self.each("vif", Vif::parse),
            cpus: self.cpus(),
            weight: self.number("cpu_weight", 1..=65_535).and_then(|n| u16::try_from(n).ok()),
            cap: self
                .number("cpu_cap", 0..=65_535)
                .and_then(|n| u16::try_from(n).ok())
                .filter(|cap| *cap > 0),
            on_poweroff: self.action("on_poweroff", Action::Destroy),
            on_reboot: self.action("on_reboot", Action::Restart),
            on_crash: self.action("on_crash", Action::Restart),
            autostart: self.some_text("on_xend_start").is_some_and(|text| text == "start"),
        }
    }

    /// Names keys that nobody asked for.
    fn look_for_strangers(&mut self) {
        for assignment in &self.all {
            let key = assignment.key.as_str();
            let find = |list: &[(&str, &'static str)]| {
                list.iter().find(|(name, _)| *name == key).map(|(_, reason)| *reason)
            };
            let is_empty = matches!(&assignment.value, Value::List(list) if list.is_empty());
            if KEYS.contains(&key) || is_empty {
                continue;
            }
            let told = |what: String| Problem::new(assignment.line, key, what);
            if let Some(reason) = find(LATER) {
                self.problems.push(told(reason.to_owned()));
            } else if let Some(reason) = find(IGNORED) {
                self.notes.push(told(format!("changes nothing: {reason}")));
            } else if let Some(near) = nearest(key) {
                self.notes.push(told(format!("isn't a known key; did you mean {near}?")));
            } else {
                self.notes.push(told("isn't a known key; it changes nothing".to_owned()));
            }
        }
    }

    /// The last assignment of a key, if it has a value.
    fn get(&self, key: &str) -> Option<Assignment> {
        let last = self.all.iter().rev().find(|assignment| assignment.key == key);
        last.filter(|assignment| assignment.value != Value::Nothing).cloned()
    }

    fn problem(&mut self, line: Option<usize>, key: &str, what: impl Into<String>) {
        self.problems.push(Problem::new(line, key, what));
    }

    fn text(&mut self, key: &str) -> Option<String> {
        let Assignment { line, value, .. } = self.get(key)?;
        match value {
            Value::Text(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Decimal(number) => Some(number),
            other => {
                let what = format!("is {}: write a string, {key} = \"...\"", other.kind());
                self.problem(line, key, what);
                None
            }
        }
    }

    /// A text that isn't empty.
    fn some_text(&mut self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty())
    }

    fn number(&mut self, key: &str, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let Assignment { line, value, .. } = self.get(key)?;
        let number = match &value {
            Value::Number(number) => u64::try_from(*number).ok(),
            Value::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        if number.is_none_or(|number| !range.contains(&number)) {
            let what = format!(
                "must be a number from {} to {}: for example {key} = {}",
                range.start(),
                range.end(),
                range.start().max(&1)
            );
            self.problem(line, key, what);
            return None;
        }
        number
    }

    /// A number that another must not be above; it is that other one's if it isn't given.
    fn at_least(&mut self, key: &str, other: &str, least: u64, most: u64) -> u64 {
        let given = self.number(key, 1..=most);
        if let Some(given) = given.filter(|given| *given < least) {
            let line = self.get(key).and_then(|assignment| assignment.line);
            self.problem(line, key, format!("{given} is less than {other} ({least}): raise it"));
        }
        given.unwrap_or(least).max(least)
    }

    fn name(&mut self, file: &str) -> String {
        let line = self.get("name").and_then(|assignment| assignment.line);
        let stem = std::path::Path::new(file).file_stem().and_then(|stem| stem.to_str());
        let name = self.some_text("name").or_else(|| stem.map(str::to_owned)).unwrap_or_default();
        let fits = (1..=LONGEST_NAME).contains(&name.len());
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+@".contains(c));
        let only_digits = name.chars().all(|c| c.is_ascii_digit());
        if !fits || !plain {
            let what = format!(
                "{name:?} is no name: at most {LONGEST_NAME} letters, digits and any of - _ . + @"
            );
            self.problem(line, "name", what);
        } else if only_digits {
            self.problem(
                line,
                "name",
                format!("{name:?} would pass for a domain's number: add a letter"),
            );
        } else if matches!(name.as_str(), "Domain-0" | "." | "..") {
            self.problem(line, "name", format!("{name:?} means something else: take another"));
        }
        name
    }

    fn uuid(&mut self) -> Option<Uuid> {
        let text = self.some_text("uuid")?;
        let parsed = Uuid::parse_str(&text);
        if parsed.is_err() {
            let line = self.get("uuid").and_then(|assignment| assignment.line);
            self.problem(
                line,
                "uuid",
                format!("{text:?} is no UUID: leave it out to have one chosen"),
            );
        }
        parsed.ok()
    }

    /// What kind of guest it is: all but HVM ones run in a PVH container.
    fn container(&mut self) {
        for key in ["builder", "type"] {
            let Some(text) = self.some_text(key) else { continue };
            let line = self.get(key).and_then(|assignment| assignment.line);
            match text.as_str() {
                "linux" | "generic" | "pv" | "pvh" => {}
                "hvm" => self.problem(
                    line,
                    key,
                    "HVM guests aren't supported yet: give a kernel, or bootloader = \"pvgrub\" \
                     for a disk with a Linux on it",
                ),
                _ => self.problem(line, key, format!("{text:?} isn't known: leave it out")),
            }
        }
    }

    fn boot(&mut self) -> Boot {
        let loader = self.some_text("bootloader");
        if let Some(loader) = loader {
            let line = self.get("bootloader").and_then(|assignment| assignment.line);
            match loader.rsplit('/').next().unwrap_or_default() {
                // What pygrub did in the control domain, GRUB does in the guest.
                "pvgrub" | "pygrub" | "grub" => return Boot::Pvgrub,
                _ => self.problem(
                    line,
                    "bootloader",
                    format!("{loader:?} isn't known: use \"pvgrub\", or give a kernel"),
                ),
            }
        }
        let Some(kernel) = self.some_text("kernel") else {
            let what = "is missing: give the kernel's path, or bootloader = \"pvgrub\" to boot \
                        from the guest's own disk";
            if !self
                .problems
                .iter()
                .any(|p| matches!(p.key.as_str(), "builder" | "type" | "bootloader"))
            {
                self.problem(None, "kernel", what);
            }
            return Boot::Pvgrub;
        };
        if kernel.ends_with("hvmloader") {
            let line = self.get("kernel").and_then(|assignment| assignment.line);
            self.problem(line, "kernel", "hvmloader is for HVM guests, which aren't supported yet");
        }
        let ramdisk = self.some_text("ramdisk");
        Boot::Kernel { kernel, ramdisk, command_line: self.command_line() }
    }

    fn command_line(&mut self) -> String {
        if let Some(line) = self.some_text("cmdline") {
            return line;
        }
        // As xm did it: what mounts the root, then whatever else.
        let root = self.some_text("root").map(|root| format!("root={root}"));
        let parts = [root, self.some_text("extra")];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    fn disks(&mut self) -> Vec<Disk> {
        let disks: Vec<Disk> = self.each("disk", Disk::parse);
        for (index, disk) in disks.iter().enumerate() {
            let earlier = disks.get(..index).unwrap_or_default();
            if earlier.iter().any(|other| other.device.number == disk.device.number) {
                let line = self.get("disk").and_then(|assignment| assignment.line);
                self.problem(line, "disk", format!("{} is there twice: rename one", disk.device));
            }
        }
        disks
    }

    /// Every value of a list of texts; a text by itself is a list of one.
    fn each<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(Assignment { line, value, .. }) = self.get(key) else { return Vec::new() };
        let values = match value {
            Value::List(values) => values,
            other => vec![Located { line, value: other }],
        };
        let mut parsed = Vec::new();
        for Located { line, value } in values {
            match value {
                Value::Text(text) => match parse(&text) {
                    Ok(one) => parsed.push(one),
                    Err(what) => self.problem(line, key, what),
                },
                other => {
                    let what = format!("{} is in the list: write strings", other.kind());
                    self.problem(line, key, what);
                }
            }
        }
        parsed
    }

    fn cpus(&mut self) -> Vec<CpuSet> {
        let key = if self.get("cpus").is_some() { "cpus" } else { "cpu" };
        let Some(Assignment { line, value, .. }) = self.get(key) else { return Vec::new() };
        let values = match value {
            Value::List(values) => values,
            // xm's way of saying anywhere.
            Value::Number(-1) => return Vec::new(),
            other => vec![Located { line, value: other }],
        };
        let mut sets = Vec::new();
        for Located { line, value } in values {
            let text = match value {
                Value::Text(text) => text,
                Value::Number(number) => number.to_string(),
                other => {
                    self.problem(line, key, format!("is {}: write \"0-3,^1\"", other.kind()));
                    continue;
                }
            };
            match CpuSet::parse(&text) {
                Ok(set) => sets.push(set),
                Err(what) => self.problem(line, key, what),
            }
        }
        sets
    }

    fn action(&mut self, key: &str, default: Action) -> Action {
        let Some(text) = self.some_text(key) else { return default };
        let known = Action::NAMES.iter().find(|(name, _)| *name == text);
        if let Some((_, action)) = known {
            return *action;
        }
        let line = self.get(key).and_then(|assignment| assignment.line);
        let names: Vec<&str> = Action::NAMES.iter().map(|(name, _)| *name).collect();
        self.problem(line, key, format!("{text:?} isn't known: there are {}", names.join(", ")));
        default
    }
}

/// A known key that is written almost so.
fn nearest(key: &str) -> Option<&'static str> {
    let near = |known: &&&str| distance(key, known) <= 1 + key.len() / 6;
    KEYS.iter().filter(near).min_by_key(|known| distance(key, known)).copied()
}

/// How many letters to change, add or take away (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (above, column) in row.iter().skip(1).zip(&other) {
            let changed = diagonal + usize::from(letter != *column);
            left = changed.min(above + 1).min(left + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
