//! The `[guest]` table: a system of its own that runs in a virtual machine.

use super::{Size, plain_arguments};
use crate::formats::{self, Form};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A guest's image.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Guest {
    /// The host's name; the recipe's own unless given.
    pub hostname: Option<String>,
    /// Time stamp of every file, in seconds of Unix time, unless `SOURCE_DATE_EPOCH` is set.
    #[serde(default)]
    pub epoch: Option<u64>,
    /// Size of the disk. Its last partition holds the system and grows over a larger disk.
    #[serde(default)]
    pub size: Option<Size>,
    /// What the disk begins with.
    pub partition_table: Option<PartitionTable>,
    /// The forms in which `mkimage build` writes the disk; raw unless given.
    pub formats: Option<Vec<Form>>,
    /// Memory of the virtual machine, in configs that are made for it.
    pub memory: Option<Size>,
    /// Its virtual CPUs, likewise.
    pub vcpus: Option<u32>,
    /// Folder of files laid over the system, relative to the recipe.
    pub overlay: Option<String>,
    /// The overlays of the recipes that this one inherits from, and its own: the last one wins.
    #[serde(skip)]
    pub overlays: Vec<PathBuf>,
    /// More arguments for the kernel.
    #[serde(default)]
    pub kernel_args: String,
    /// Seconds that the boot menu waits.
    pub timeout: Option<u32>,
    /// Time zone, such as `Europe/Berlin`.
    pub timezone: Option<String>,
    /// What the initramfs holds.
    #[serde(default)]
    pub initramfs: Initramfs,
    /// Which units start by themselves.
    #[serde(default)]
    pub units: Units,
    /// Answers to the packages' questions: `"package/question" = "answer"`.
    #[serde(default)]
    pub debconf: BTreeMap<String, Answer>,
    /// Patterns of paths that are left out.
    #[serde(default)]
    pub strip: Vec<String>,
    /// People and services that log in.
    #[serde(default, rename = "user")]
    pub users: Vec<User>,
    /// Modes and owners of files, where the overlay can't tell them.
    #[serde(default, rename = "file")]
    pub files: Vec<FileSpec>,
    /// Programs of the system, run in it when its packages are configured.
    #[serde(default, rename = "hook")]
    pub hooks: Vec<Hook>,
}

/// What a guest's disk begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PartitionTable {
    /// GPT, with boot loaders for BIOS and UEFI: it starts in any machine.
    #[default]
    Gpt,
    /// None: the disk is a bare file system, which pvgrub or a kernel from outside starts.
    None,
}

/// An answer to a package's question.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Answer {
    /// Yes or no.
    Bool(bool),
    /// Anything else.
    Text(String),
}

/// What goes into the initramfs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Initramfs {
    /// Modules that it loads. When there are any, it holds these and their dependencies alone;
    /// else what most machines need.
    #[serde(default)]
    pub modules: Vec<String>,
}

/// Units of the service manager.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// Units that start by themselves, as their `[Install]` sections say.
    #[serde(default)]
    pub enable: Vec<String>,
    /// Units that don't.
    #[serde(default)]
    pub disable: Vec<String>,
    /// Units that can't be started at all.
    #[serde(default)]
    pub mask: Vec<String>,
}

/// An account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct User {
    /// The login name; `root` changes the account that is there already.
    pub name: String,
    /// The password's hash, as crypt(5) has it. Without it, no password fits.
    pub password_hash: Option<String>,
    /// Public keys that log in over SSH.
    #[serde(default)]
    pub ssh_keys: Vec<String>,
    /// Groups besides the account's own. They must exist.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The user's and the group's number; the next free one from 1000 unless given.
    pub uid: Option<u32>,
    /// Login shell.
    #[serde(default = "bash")]
    pub shell: String,
    /// Home folder; `/home/NAME` unless given.
    pub home: Option<String>,
    /// The person's or service's real name.
    #[serde(default)]
    pub comment: String,
}

fn bash() -> String {
    "/bin/bash".to_owned()
}

/// Mode and owner of what is at a path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// The absolute path.
    pub path: String,
    /// Permissions in octal digits, such as `"0640"`.
    pub mode: Option<Mode>,
    /// Owner by name.
    pub owner: Option<String>,
    /// Group by name.
    pub group: Option<String>,
    /// Text of the file, instead of one from the overlay.
    pub content: Option<String>,
}

/// Permission bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl JsonSchema for Mode {
    fn schema_name() -> Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-7]{1,4}$",
            "description": "Permissions in octal digits, such as `0640`."
        })
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777);
        let wrong = || format!("`{text}` is no mode; write octal digits, such as \"0640\"");
        mode.map(Self).ok_or_else(|| serde::de::Error::custom(wrong()))
    }
}

/// A program that is run once, while the image is made.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The program and its arguments.
    pub run: Vec<String>,
}

impl Guest {
    /// The time zone.
    pub fn timezone(&self) -> &str {
        self.timezone.as_deref().unwrap_or("Etc/UTC")
    }

    /// Memory of the virtual machine.
    pub fn memory(&self) -> Size {
        self.memory.unwrap_or(Size::mib(512))
    }

    /// Its virtual CPUs.
    pub fn vcpus(&self) -> u32 {
        self.vcpus.unwrap_or(1)
    }

    /// Size of the disk in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size.map_or(0, Size::bytes)
    }

    /// What its disk begins with.
    pub fn partition_table(&self) -> PartitionTable {
        self.partition_table.unwrap_or_default()
    }

    /// The forms in which its disk is written.
    pub fn formats(&self) -> &[Form] {
        self.formats.as_deref().unwrap_or(&[Form::RAW])
    }

    /// Takes over what a recipe says that this one inherits from: single values unless they are
    /// given here, and all lists, before those here.
    pub(super) fn inherit(&mut self, from: Self) {
        fn one<T>(here: &mut Option<T>, from: Option<T>) {
            *here = here.take().or(from);
        }
        fn list<T>(here: &mut Vec<T>, mut from: Vec<T>) {
            from.append(here);
            *here = from;
        }
        one(&mut self.hostname, from.hostname);
        one(&mut self.epoch, from.epoch);
        one(&mut self.size, from.size);
        one(&mut self.partition_table, from.partition_table);
        // One choice, although it has several parts: what one heir needs no other has to write.
        one(&mut self.formats, from.formats);
        one(&mut self.memory, from.memory);
        one(&mut self.vcpus, from.vcpus);
        one(&mut self.timeout, from.timeout);
        one(&mut self.timezone, from.timezone);
        list(&mut self.overlays, from.overlays);
        list(&mut self.initramfs.modules, from.initramfs.modules);
        list(&mut self.units.enable, from.units.enable);
        list(&mut self.units.disable, from.units.disable);
        list(&mut self.units.mask, from.units.mask);
        list(&mut self.strip, from.strip);
        list(&mut self.users, from.users);
        list(&mut self.files, from.files);
        list(&mut self.hooks, from.hooks);
        let mut debconf = from.debconf;
        debconf.append(&mut self.debconf);
        self.debconf = debconf;
        if !from.kernel_args.is_empty() {
            self.kernel_args = format!("{} {}", from.kernel_args, self.kernel_args);
            self.kernel_args.truncate(self.kernel_args.trim_end().len());
        }
    }

    /// Checks what the types can't; the error is a key and a reason.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        if let Some(name) = self.hostname.as_deref().filter(|name| !is_hostname(name)) {
            let reason = format!("`{name}` is no host name: use a-z, 0-9 and - (at most 63)");
            return Err(("hostname", reason));
        }
        if self.epoch.is_none() {
            return Err(("[guest]", "`epoch` is missing: the time stamp of every file".into()));
        }
        let size =
            self.size.ok_or(("[guest]", "`size` is missing: that of the disk".to_owned()))?;
        if !size.bytes().is_multiple_of(1 << 20) || size < Size::mib(256) {
            return Err(("size", "`size` must be whole mebibytes, at least 256M".into()));
        }
        formats::check(self.formats()).map_err(|reason| ("formats", reason))?;
        plain_arguments(&self.kernel_args).map_err(|reason| ("kernel-args", reason))?;
        for user in &self.users {
            user.check().map_err(|reason| ("name", format!("user `{}`: {reason}", user.name)))?;
        }
        for file in &self.files {
            if !is_plain_path(&file.path) {
                let reason = format!("`{}` must be an absolute path without ..", file.path);
                return Err(("path", reason));
            }
        }
        if self.hooks.iter().any(|hook| hook.run.is_empty()) {
            return Err(("run", "`run` names no program".into()));
        }
        let odd = |text: &str| text.contains(char::is_whitespace) || text.contains("..");
        if odd(self.timezone()) {
            return Err(("timezone", format!("`{}` is no time zone", self.timezone())));
        }
        Ok(())
    }
}

impl User {
    fn check(&self) -> Result<(), String> {
        let mut letters = self.name.chars();
        let starts = letters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
        let goes_on =
            letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c));
        if !starts || !goes_on || self.name.len() > 32 {
            return Err("names are a-z, 0-9, _ and -, and start with a letter".to_owned());
        }
        let hash = self.password_hash.as_deref().unwrap_or("$");
        if !hash.starts_with('$') || hash.contains([':', '\n']) {
            return Err("`password-hash` is no crypt(5) hash; `openssl passwd -6` makes one, \
                        which begins with $6$"
                .to_owned());
        }
        let fields = [Some(&self.comment), Some(&self.shell), self.home.as_ref()];
        if fields.into_iter().flatten().any(|text| text.contains([':', '\n'])) {
            return Err("`:` and line breaks can't be in an account's fields".to_owned());
        }
        let paths = [Some(&self.shell), self.home.as_ref()];
        if let Some(path) = paths.into_iter().flatten().find(|path| !is_plain_path(path)) {
            return Err(format!("`{path}` must be an absolute path without .."));
        }
        if let Some(key) = self.ssh_keys.iter().find(|key| !is_ssh_key(key)) {
            return Err(format!("`{key}` is no public key; it is one line, `ssh-ed25519 AAAA...`"));
        }
        Ok(())
    }
}

fn is_hostname(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('-')
}

/// Whether a path is absolute, has a name, and stays where it is.
fn is_plain_path(path: &str) -> bool {
    let mut parts = path.trim_end_matches('/').split('/');
    let absolute = parts.next() == Some("");
    let mut parts = parts.peekable();
    absolute && parts.peek().is_some() && parts.all(|part| !matches!(part, "" | "." | ".."))
}

fn is_ssh_key(text: &str) -> bool {
    let mut words = text.split(' ');
    let kind = words.next().unwrap_or_default();
    let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| kind.starts_with(prefix));
    known && words.next().is_some_and(|data| data.len() > 40) && !text.contains('\n')
}
