//! The `[appliance]` table: boot media of hypervisor, kernel and control domain.

use super::Size;
use crate::formats::{self, Form};
use schemars::JsonSchema;
use serde::Deserialize;

/// An appliance's media.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Appliance {
    /// Name of the product; part of file names and of the manifest.
    pub product: String,
    /// Time stamp of every file, in seconds of Unix time, unless SOURCE_DATE_EPOCH is set.
    pub epoch: u64,
    /// Folder of files laid over the initramfs, relative to the recipe.
    pub overlay: Option<String>,
    /// The kernel and its modules.
    pub kernel: Kernel,
    /// Partition sizes of the disk image.
    pub layout: Layout,
    /// The forms in which `mkimage build` writes the disk image.
    #[serde(default = "raw_only")]
    pub formats: Vec<Form>,
    /// Seconds that the boot menu waits.
    #[serde(default)]
    pub timeout: u32,
    /// Command line of the hypervisor in every entry.
    pub hypervisor_args: String,
    /// Command line of the kernel in every entry.
    pub kernel_args: String,
    /// The boot menu; the first entry is the default.
    #[serde(rename = "entry")]
    pub entries: Vec<Entry>,
}

fn raw_only() -> Vec<Form> {
    vec![Form::RAW]
}

/// Where the kernel comes from and which modules go along.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Pattern for the name of the package that holds the image and its modules.
    pub package: String,
    /// Modules by name, or by pattern of their path below `kernel/` when there is a slash.
    /// What they depend on comes along.
    pub modules: Vec<String>,
}

/// Sizes of the partitions of the disk image.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// EFI system partition.
    pub esp: Size,
    /// Each of the two system slots.
    pub system: Size,
    /// The data partition, which grows over the whole medium on first boot.
    pub data: Size,
}

/// What an entry of the boot menu starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// The hypervisor with the control domain.
    #[default]
    Hypervisor,
    /// The control domain's kernel alone, on the bare machine: for rescue.
    Bare,
}

/// One entry of the boot menu.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Entry {
    /// Its title.
    pub title: String,
    /// What it starts.
    #[serde(default)]
    pub kind: EntryKind,
    /// More arguments for the hypervisor.
    #[serde(default)]
    pub hypervisor_args: String,
    /// More arguments for the kernel.
    #[serde(default)]
    pub kernel_args: String,
}

/// Checks that arguments stay words in GRUB's script, where some characters end or change them.
///
/// # Errors
/// The reason in words.
pub fn plain_arguments(text: &str) -> Result<(), String> {
    match text.chars().find(|c| "'\"\\$\n;{}|&<>#".contains(*c)) {
        Some(odd) => Err(format!("the boot menu can't hold `{text}`: leave out the `{odd}`")),
        None => Ok(()),
    }
}

/// Joins the parts of a command line.
fn line(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}

impl Appliance {
    /// The entry that starts without anybody choosing, if it starts the hypervisor.
    pub fn default_entry(&self) -> Option<&Entry> {
        self.entries.first().filter(|entry| entry.kind == EntryKind::Hypervisor)
    }

    /// The hypervisor's command line in an entry, with more arguments at the end.
    pub fn hypervisor_line(&self, entry: &Entry, more: &str) -> String {
        line(&[&self.hypervisor_args, &entry.hypervisor_args, more])
    }

    /// The kernel's command line in an entry, with more arguments and those of the medium.
    pub fn kernel_line(&self, entry: &Entry, more: &str, media: &str) -> String {
        line(&[&self.kernel_args, &entry.kernel_args, more, media])
    }

    /// Checks what the types can't; the error is a key and a reason.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let plain = |text: &str| {
            text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if self.product.is_empty() || !plain(&self.product) {
            return Err(("product", "`product` is part of file names: use a-z, 0-9 and -".into()));
        }
        if self.layout.esp < Size::mib(36) {
            return Err(("esp", "`esp` must be at least 36M: FAT32 needs 65525 clusters".into()));
        }
        let sizes = [self.layout.esp, self.layout.system, self.layout.data];
        if sizes.iter().any(|size| size.bytes() % (1 << 20) != 0) {
            return Err(("[appliance.layout]", "partition sizes must be whole mebibytes".into()));
        }
        formats::check(&self.formats).map_err(|reason| ("formats", reason))?;
        if self.entries.is_empty() {
            return Err((
                "[appliance]",
                "the boot menu is empty; add an [[appliance.entry]]".into(),
            ));
        }
        let all_args = [&self.hypervisor_args, &self.kernel_args].into_iter();
        let entry_args = self.entries.iter();
        let entry_args = entry_args.flat_map(|e| [&e.title, &e.hypervisor_args, &e.kernel_args]);
        for text in all_args.chain(entry_args) {
            plain_arguments(text).map_err(|reason| ("[appliance]", reason))?;
        }
        Ok(())
    }
}
