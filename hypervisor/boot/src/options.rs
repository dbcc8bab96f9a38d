//! The hypervisor's command line: Xen's option names, read into [`Options`].
//!
//! Options are words between spaces, `name=value` or `name`. A boolean `name` can be written
//! `name`, `name=yes|on|true|enable|1`, or `no-name`, `noname`, `name=no|off|false|disable|0`.
//! What is not understood is handed to the caller, which logs it by name, and changes nothing.

mod serial;
mod size;

use core::fmt;

pub use serial::{Parity, SerialOptions};
pub use size::parse_size;

/// Where the hypervisor's console goes, `console=`; several can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Consoles {
    /// `com1`, `com2`.
    pub com: [bool; 2],
    /// `vga`: VGA text or the framebuffer.
    pub vga: bool,
}

/// The memory that dom0 gets: `dom0_mem=AMOUNT`, `min:AMOUNT`, `max:AMOUNT`, between commas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dom0Memory {
    /// The amount asked for.
    pub amount: Option<MemoryAmount>,
    /// At least this much.
    pub min: Option<MemoryAmount>,
    /// At most this much, later too.
    pub max: Option<MemoryAmount>,
}

/// An amount of memory: so much, a share (`10%`), both (`512M+5%`), or all but so much (`-1G`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryAmount {
    /// So many bytes.
    Bytes(u64),
    /// All but so many bytes.
    AllBut(u64),
    /// So many bytes, and so many hundredths of all.
    Share {
        /// Bytes.
        bytes: u64,
        /// Hundredths, at most 100.
        percent: u8,
    },
}

impl MemoryAmount {
    /// How much that is where there are `all` bytes.
    pub const fn of(self, all: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::AllBut(bytes) => all.saturating_sub(bytes),
            Self::Share { bytes, percent } => bytes.saturating_add(all / 100 * percent as u64),
        }
    }
}

/// How many vCPUs dom0 gets: `dom0_max_vcpus=N` or `N-M`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dom0Vcpus {
    /// At least.
    pub min: u32,
    /// At most.
    pub max: u32,
}

/// How much is logged: messages up to this level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// What the hypervisor can't go on with, and what was asked for: always shown.
    Always,
    /// Something failed.
    Error,
    /// Something is suspicious.
    Warning,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
}

/// Thresholds of one source of messages, `loglvl=` or `guest_loglvl=`: `LEVEL` or
/// `LEVEL/LEVEL`. Messages above the first are limited in rate, above the second dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// Shown without limit.
    pub always: Level,
    /// Shown, but limited in rate.
    pub limited: Level,
}

/// The command line's meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `console=`
    pub consoles: Consoles,
    /// `com1=`, `com2=`
    pub com: [SerialOptions; 2],
    /// `dom0_mem=`
    pub dom0_memory: Dom0Memory,
    /// `dom0_max_vcpus=`
    pub dom0_vcpus: Option<Dom0Vcpus>,
    /// `loglvl=`: the hypervisor's messages.
    pub log: Threshold,
    /// `guest_loglvl=`: messages that guests cause.
    pub guest_log: Threshold,
    /// `noreboot`: stop after a fatal error.
    pub no_reboot: bool,
    /// `sync_console`: accepted; output is synchronous always.
    pub sync_console: bool,
    /// `vga=keep`: the hypervisor goes on showing its console when dom0 runs.
    pub vga_keep: bool,
    /// `x2apic=`; `None` lets the machine decide.
    pub x2apic: Option<bool>,
    /// `iommu=`; off only if asked.
    pub iommu: bool,
    /// `intremap` in `iommu=`; off only if asked.
    pub interrupt_remapping: bool,
    /// `maxcpus=`: pCPUs to bring up.
    pub max_cpus: Option<u32>,
    /// `smep=`, `smap=`; off only if asked.
    pub smep: bool,
    /// See `smep`.
    pub smap: bool,
    /// `conswitch=`: the letter that, with Ctrl, switches console input; `None` never does.
    pub switch_letter: Option<u8>,
    /// `conswitch=`'s second letter was `x`: input begins at the hypervisor.
    pub input_at_hypervisor: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            consoles: Consoles { com: [true, false], vga: true },
            com: [SerialOptions::com1(), SerialOptions::com2()],
            dom0_memory: Dom0Memory::default(),
            dom0_vcpus: None,
            log: Threshold { always: Level::Info, limited: Level::Info },
            guest_log: Threshold { always: Level::Always, limited: Level::Warning },
            no_reboot: false,
            sync_console: false,
            vga_keep: false,
            x2apic: None,
            iommu: true,
            interrupt_remapping: true,
            max_cpus: None,
            smep: true,
            smap: true,
            switch_letter: Some(b'a'),
            input_at_hypervisor: false,
        }
    }
}

/// A word of the command line that changes nothing, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected<'a> {
    /// The word.
    pub word: &'a [u8],
    /// The reason.
    pub why: Reason,
}

/// Why a word was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No option has this name.
    Unknown,
    /// The option has no such value.
    BadValue,
}

impl fmt::Display for Rejected<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = core::str::from_utf8(self.word).unwrap_or("(not text)");
        match self.why {
            Reason::Unknown => write!(f, "unknown option \"{word}\" ignored"),
            Reason::BadValue => write!(f, "option \"{word}\" ignored: its value is not understood"),
        }
    }
}

impl Options {
    /// Reads a command line. Each word that is not understood goes to `rejected`.
    pub fn parse<'a>(line: &'a [u8], rejected: &mut dyn FnMut(Rejected<'a>)) -> Self {
        let mut options = Self::default();
        let words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        // "--" ends our part of the line, as it does for kernels.
        for word in words.take_while(|&word| word != b"--") {
            if let Err(why) = options.apply(word) {
                rejected(Rejected { word, why });
            }
        }
        options
    }

    fn apply(&mut self, word: &[u8]) -> Result<(), Reason> {
        let (name, value) = split_once(word, b'=');
        match (name, value) {
            (b"console", Some(value)) => set(&mut self.consoles, consoles(value)),
            (b"com1", Some(value)) => set(&mut self.com[0], SerialOptions::com1().parsed(value)),
            (b"com2", Some(value)) => set(&mut self.com[1], SerialOptions::com2().parsed(value)),
            (b"dom0_mem", Some(value)) => set(&mut self.dom0_memory, dom0_memory(value)),
            (b"dom0_max_vcpus", Some(value)) => set(&mut self.dom0_vcpus, vcpus(value).map(Some)),
            (b"loglvl", Some(value)) => set(&mut self.log, threshold(value)),
            (b"guest_loglvl", Some(value)) => set(&mut self.guest_log, threshold(value)),
            (b"maxcpus", Some(value)) => set(&mut self.max_cpus, number(value).map(Some)),
            (b"vga", Some(value)) => self.vga(value),
            (b"iommu", Some(value)) => self.iommu(value),
            (b"conswitch", Some(value)) => self.switch(value),
            _ => self.boolean(name, value),
        }
    }

    fn boolean(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), Reason> {
        let (name, negated) = if self.flag(name).is_some() {
            (name, false)
        } else {
            let rest = name.strip_prefix(b"no").ok_or(Reason::Unknown)?;
            (rest.strip_prefix(b"-").unwrap_or(rest), true)
        };
        let on = match value {
            None => true,
            Some(value) => truth(value).ok_or(Reason::BadValue)?,
        };
        match self.flag(name).ok_or(Reason::Unknown)? {
            Flag::Plain(flag) => *flag = on != negated,
            Flag::Optional(flag) => *flag = Some(on != negated),
        }
        Ok(())
    }

    fn flag(&mut self, name: &[u8]) -> Option<Flag<'_>> {
        Some(match name {
            b"noreboot" => Flag::Plain(&mut self.no_reboot),
            b"sync_console" => Flag::Plain(&mut self.sync_console),
            b"smep" => Flag::Plain(&mut self.smep),
            b"smap" => Flag::Plain(&mut self.smap),
            b"x2apic" => Flag::Optional(&mut self.x2apic),
            _ => return None,
        })
    }

    fn vga(&mut self, value: &[u8]) -> Result<(), Reason> {
        for word in value.split(|&byte| byte == b',') {
            match word {
                b"keep" => self.vga_keep = true,
                // The mode is the boot loader's business: what it set is used.
                b"current" | b"text-80x25" => {}
                _ if word.starts_with(b"gfx-") => {}
                _ => return Err(Reason::BadValue),
            }
        }
        Ok(())
    }

    fn iommu(&mut self, value: &[u8]) -> Result<(), Reason> {
        for word in value.split(|&byte| byte == b',') {
            match word {
                b"intremap" => self.interrupt_remapping = true,
                b"no-intremap" => self.interrupt_remapping = false,
                b"force" | b"required" | b"verbose" => self.iommu = true,
                _ => self.iommu = truth(word).ok_or(Reason::BadValue)?,
            }
        }
        Ok(())
    }

    fn switch(&mut self, value: &[u8]) -> Result<(), Reason> {
        let (letter, rest) = value.split_first().ok_or(Reason::BadValue)?;
        self.switch_letter = match letter.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => Some(letter),
            b'0' => None,
            _ => return Err(Reason::BadValue),
        };
        self.input_at_hypervisor = rest == b"x";
        Ok(())
    }
}

enum Flag<'a> {
    Plain(&'a mut bool),
    Optional(&'a mut Option<bool>),
}

fn set<T>(place: &mut T, value: Option<T>) -> Result<(), Reason> {
    *place = value.ok_or(Reason::BadValue)?;
    Ok(())
}

/// The part before the first `by`, and what follows it.
fn split_once(text: &[u8], by: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = text.splitn(2, |&byte| byte == by);
    (parts.next().unwrap_or_default(), parts.next())
}

/// A boolean's value, in any of Xen's spellings.
fn truth(value: &[u8]) -> Option<bool> {
    match value {
        b"yes" | b"on" | b"true" | b"enable" | b"1" => Some(true),
        b"no" | b"off" | b"false" | b"disable" | b"0" => Some(false),
        _ => None,
    }
}

/// A decimal number, or a hexadecimal one after `0x`.
fn number(value: &[u8]) -> Option<u32> {
    let text = core::str::from_utf8(value).ok()?;
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn consoles(value: &[u8]) -> Option<Consoles> {
    let mut consoles = Consoles { com: [false; 2], vga: false };
    for name in value.split(|&byte| byte == b',') {
        match name {
            b"com1" => consoles.com[0] = true,
            b"com2" => consoles.com[1] = true,
            b"vga" => consoles.vga = true,
            b"none" => {}
            _ => return None,
        }
    }
    Some(consoles)
}

fn dom0_memory(value: &[u8]) -> Option<Dom0Memory> {
    let mut memory = Dom0Memory::default();
    for word in value.split(|&byte| byte == b',') {
        match split_once(word, b':') {
            (b"min", Some(value)) => memory.min = Some(memory_amount(value)?),
            (b"max", Some(value)) => memory.max = Some(memory_amount(value)?),
            (value, None) => memory.amount = Some(memory_amount(value)?),
            _ => return None,
        }
    }
    Some(memory)
}

fn memory_amount(value: &[u8]) -> Option<MemoryAmount> {
    if let Some(value) = value.strip_prefix(b"-") {
        return parse_size(value).map(MemoryAmount::AllBut);
    }
    let Some(value) = value.strip_suffix(b"%") else {
        return parse_size(value).map(MemoryAmount::Bytes);
    };
    let (bytes, percent) = match split_once(value, b'+') {
        (bytes, Some(percent)) => (parse_size(bytes)?, percent),
        (percent, None) => (0, percent),
    };
    let percent = u8::try_from(number(percent)?).ok().filter(|&percent| percent <= 100)?;
    Some(MemoryAmount::Share { bytes, percent })
}

fn vcpus(value: &[u8]) -> Option<Dom0Vcpus> {
    let (min, max) = match split_once(value, b'-') {
        (max, None) => (1, number(max)?),
        (b"", Some(max)) => (1, number(max)?),
        (min, Some(b"")) => (number(min)?, u32::MAX),
        (min, Some(max)) => (number(min)?, number(max)?),
    };
    (1 <= min && min <= max).then_some(Dom0Vcpus { min, max })
}

fn level(name: &[u8]) -> Option<Level> {
    Some(match name {
        b"none" => Level::Always,
        b"error" => Level::Error,
        b"warning" => Level::Warning,
        b"info" => Level::Info,
        b"debug" | b"all" => Level::Debug,
        _ => return None,
    })
}

fn threshold(value: &[u8]) -> Option<Threshold> {
    let (always, limited) = split_once(value, b'/');
    let always = level(always)?;
    let limited = match limited {
        Some(name) => level(name)?.max(always),
        None => always,
    };
    Some(Threshold { always, limited })
}

#[cfg(test)]
mod tests;
