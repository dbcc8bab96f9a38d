//! The network boot tree: what a TFTP server serves to BIOS and UEFI machines.

use super::content::{Content, Source};
use super::grub::{self, Flavor};
use crate::error::Error;
use crate::fs;
use crate::tools::Tools;
use std::path::Path;

/// Boot file for BIOS clients.
pub const BIOS_FILE: &str = "core.0";
/// Boot file for UEFI clients.
pub const EFI_FILE: &str = "bootx64.efi";

/// Writes the tree into an existing folder.
///
/// # Errors
/// When a tool fails or the disk is full.
pub fn write(folder: &Path, content: &Content, tools: &Tools, scratch: &Path) -> Result<(), Error> {
    for (flavor, name) in [(Flavor::BiosNet, BIOS_FILE), (Flavor::EfiNet, EFI_FILE)] {
        // With an empty prefix GRUB stays in the folder that the boot file came from.
        let core = grub::core(tools, flavor, "", None, scratch)?;
        fs::write(&folder.join(name), core)?;
    }
    fs::write(&folder.join("grub.cfg"), grub::net_config(content))?;
    fs::copy(&grub::font(tools)?, &folder.join("ascii.pf2"))?;
    fs::write(&folder.join("README"), readme(content))?;
    for (name, source) in &content.files {
        match source {
            Source::Path(path) => fs::copy(path, &folder.join(name))?,
            Source::Bytes(bytes) => fs::write(&folder.join(name), bytes)?,
        }
    }
    Ok(())
}

fn readme(content: &Content) -> String {
    format!(
        "{product} {version}: network boot

Serve this folder by TFTP and point DHCP at it. The files may lie in any folder of the server;
keep them together.

  next-server (siaddr)       the TFTP server's address
  boot file, BIOS clients    {BIOS_FILE}       (DHCP option 93, client architecture: 0)
  boot file, UEFI clients    {EFI_FILE}  (DHCP option 93, client architecture: 7 or 9)

With dnsmasq:

  enable-tftp
  tftp-root=/srv/tftp/{product}
  dhcp-match=set:efi,option:client-arch,7
  dhcp-match=set:efi,option:client-arch,9
  dhcp-boot=tag:efi,{EFI_FILE}
  dhcp-boot=tag:!efi,{BIOS_FILE}

The boot menu is boot.cfg; what it loads lies beside it.
",
        product = content.product,
        version = content.version,
    )
}
