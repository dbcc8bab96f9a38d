//! GRUB: its core images, built by `grub-mkimage` of the tools tree, and its configuration.
//!
//! Two files of configuration: each medium's own `grub.cfg` finds the system and sets `$boot` and
//! `$media_args`; `boot.cfg`, which travels with the system's files, is the menu.

use super::content::{self, Content};
use crate::error::Error;
use crate::fs;
use crate::recipe::{Appliance, Entry, EntryKind};
use crate::tools::{self, Tools};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Modules that every core image holds, whatever it boots from.
const MODULES: &[&str] = &[
    "all_video",
    "boot",
    "configfile",
    "echo",
    "font",
    "gfxterm",
    "gzio",
    "halt",
    "linux",
    "loadenv",
    "ls",
    "minicmd",
    "multiboot2",
    "normal",
    "part_gpt",
    "probe",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "serial",
    "sleep",
    "terminal",
    "test",
    "true",
    "videoinfo",
];

/// What a core image boots from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// A disk with a BIOS boot partition.
    BiosDisk,
    /// A CD, on BIOS.
    BiosCd,
    /// The network, on BIOS.
    BiosNet,
    /// Disk or CD, on UEFI.
    Efi,
    /// The network, on UEFI.
    EfiNet,
    /// A guest's own disk, on BIOS.
    GuestBios,
    /// A guest's own disk, on UEFI.
    GuestEfi,
}

impl Flavor {
    const fn format(self) -> &'static str {
        match self {
            Self::BiosDisk | Self::GuestBios => "i386-pc",
            Self::BiosCd => "i386-pc-eltorito",
            Self::BiosNet => "i386-pc-pxe",
            Self::Efi | Self::EfiNet | Self::GuestEfi => "x86_64-efi",
        }
    }

    const fn platform(self) -> &'static str {
        match self {
            Self::BiosDisk | Self::BiosCd | Self::BiosNet | Self::GuestBios => "i386-pc",
            Self::Efi | Self::EfiNet | Self::GuestEfi => "x86_64-efi",
        }
    }

    const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::BiosDisk => &["biosdisk", "fat"],
            Self::BiosCd => &["biosdisk", "fat", "iso9660"],
            Self::BiosNet => &["net", "pxe", "tftp"],
            Self::Efi => &["efi_gop", "efifwsetup", "fat", "iso9660"],
            Self::EfiNet => &["efi_gop", "efifwsetup", "efinet", "http", "net", "tftp"],
            Self::GuestBios => &["biosdisk", "ext2", "search_fs_uuid", "search_label"],
            Self::GuestEfi => {
                &["efi_gop", "efifwsetup", "ext2", "fat", "search_fs_uuid", "search_label"]
            }
        }
    }
}

/// Builds a core image. `early` runs before anything is read from the medium; without it GRUB
/// reads `grub.cfg` in `prefix`.
///
/// # Errors
/// When grub-mkimage fails.
pub fn core(
    tools: &Tools,
    flavor: Flavor,
    prefix: &str,
    early: Option<&str>,
    scratch: &Path,
) -> Result<Vec<u8>, Error> {
    let output = scratch.join("core.img");
    let mut command = tools.command("grub-mkimage")?;
    let folder = tools.file(&format!("usr/lib/grub/{}", flavor.platform()))?;
    command.arg("-d").arg(folder).args(["-O", flavor.format(), "-p", prefix]);
    command.arg("-o").arg(&output);
    if let Some(text) = early {
        let path = scratch.join("early.cfg");
        fs::write(&path, text)?;
        command.arg("-c").arg(path);
    }
    command.args(MODULES).args(flavor.modules());
    tools::run(&mut command, "grub-mkimage")?;
    Ok(fs::read(&output)?)
}

/// A file of the BIOS platform's folder, such as `boot.img`.
///
/// # Errors
/// When the tools tree lacks it.
pub fn bios_file(tools: &Tools, name: &str) -> Result<PathBuf, Error> {
    Ok(tools.file(&format!("usr/lib/grub/i386-pc/{name}"))?)
}

/// The font of the graphical terminal, for media that UEFI boots.
///
/// # Errors
/// When the tools tree lacks it.
pub fn font(tools: &Tools) -> Result<PathBuf, Error> {
    Ok(tools.file("usr/share/grub/ascii.pf2")?)
}

/// What every `grub.cfg` begins with: consoles and the video mode that the hypervisor gets.
fn preamble(content: &Content) -> String {
    format!(
        "# Written by mkimage for {product} {version}.
set timeout={timeout}
set default=0
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
if [ \"$grub_platform\" = efi ]; then
  # Without a firmware console, a framebuffer is all that the hypervisor can draw on.
  if loadfont $prefix/ascii.pf2; then
    set gfxmode=1280x800,1024x768,auto
    terminal_output gfxterm serial
  fi
  set gfxpayload=keep
else
  set gfxpayload=text
fi
",
        product = content.product,
        version = content.version,
        timeout = content.timeout,
    )
}

/// `grub.cfg` of a disk: the system is in slot A or B of the disk that GRUB came from.
pub fn disk_config(content: &Content) -> String {
    preamble(content)
        + "regexp --set=1:disk '^([^,]*)' \"$root\"
probe --set=data --part-uuid ($disk,gpt5)
set slot=a
load_env slot
if [ \"$slot\" = b ]; then set first=b; set second=a; else set first=a; set second=b; fi
for slot in $first $second; do
  if [ $slot = a ]; then set boot=\"($disk,gpt3)\"; else set boot=\"($disk,gpt4)\"; fi
  if [ -f $boot/boot.cfg ]; then
    set media_args=\"xenolith.media=disk xenolith.slot=$slot xenolith.data=$data\"
    export boot media_args
    source $boot/boot.cfg
    break
  fi
done
"
}

/// The environment block beside a disk's `grub.cfg`: 1024 bytes, padded with `#`.
pub fn environment(variables: &[(&str, &str)]) -> Vec<u8> {
    let mut text = "# GRUB Environment Block\n".to_owned();
    for (name, value) in variables {
        // Writing to a string can't fail.
        let _ = writeln!(text, "{name}={value}");
    }
    let mut bytes = text.into_bytes();
    bytes.resize(1024, b'#');
    bytes
}

/// `grub.cfg` of an ISO; the system lies in the folder `xenolith`.
pub fn iso_config(content: &Content) -> String {
    preamble(content)
        + "set boot=\"($root)/xenolith\"
set media_args=\"xenolith.media=iso\"
export boot media_args
source $boot/boot.cfg
"
}

/// What an ISO's core images run first: they look for the medium by a file that only it has,
/// because it may be a CD or a disk.
pub fn iso_early(marker: &str) -> String {
    format!(
        "search --no-floppy --set=root --file /{marker}
set prefix=($root)/boot/grub
"
    )
}

/// `grub.cfg` of a network boot tree; the system lies beside it.
pub fn net_config(content: &Content) -> String {
    preamble(content)
        + "set boot=$prefix
set media_args=\"xenolith.media=pxe\"
export boot media_args
source $boot/boot.cfg
"
}

/// The menu: `boot.cfg`, read with `$boot` (where the files are) and `$media_args` set.
/// `hypervisor_args` and `kernel_args` are added in every entry.
pub fn menu(appliance: &Appliance, hypervisor_args: &str, kernel_args: &str) -> String {
    let mut text = "# Written by mkimage.\n".to_owned();
    for entry in &appliance.entries {
        let hypervisor = appliance.hypervisor_line(entry, hypervisor_args);
        let kernel = appliance.kernel_line(entry, kernel_args, "$media_args");
        text += &menu_entry(entry, &hypervisor, &kernel);
    }
    text += "if [ \"$grub_platform\" = efi ]; then\n  menuentry 'Firmware setup' { fwsetup }\nfi\n";
    text + "menuentry 'Reboot' { reboot }\nmenuentry 'Power off' { halt }\n"
}

fn menu_entry(entry: &Entry, hypervisor: &str, kernel: &str) -> String {
    let (elf, image, initramfs) = (content::HYPERVISOR, content::KERNEL, content::INITRAMFS);
    let load = match entry.kind {
        EntryKind::Hypervisor => format!(
            "  echo 'Loading the hypervisor ...'
  multiboot2 $boot/{elf} {hypervisor}
  echo 'Loading the control domain ...'
  module2 $boot/{image} {kernel}
  module2 $boot/{initramfs}
"
        ),
        EntryKind::Bare => format!(
            "  echo 'Loading the kernel ...'
  linux $boot/{image} {kernel}
  initrd $boot/{initramfs}
"
        ),
    };
    format!("menuentry '{}' {{\n{load}}}\n", entry.title)
}
