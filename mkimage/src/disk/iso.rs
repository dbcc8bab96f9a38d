//! The hybrid ISO, by xorriso of the tools tree: boots as a CD and, copied to a stick, as a disk,
//! on BIOS and on UEFI.

use super::content::{Content, Source};
use super::fat::{self, Label};
use super::grub::{self, Flavor};
use crate::error::Error;
use crate::fs::{self, Context};
use crate::scratch::Scratch;
use crate::tools::{self, Tools};
use std::path::Path;

/// Volume name: it shows in file managers.
const VOLUME: &str = "XENOLITH";
/// Room for the EFI loader; a multiple of what CD emulation likes.
const EFI_IMAGE: u64 = 4 << 20;

/// Writes the ISO.
///
/// # Errors
/// When a tool fails or the disk is full.
pub fn write(path: &Path, content: &Content, tools: &Tools, scratch: &Path) -> Result<(), Error> {
    let tree = Scratch::folder(&scratch.join("iso"))?;
    let marker = format!("xenolith-{}", content.id.short());
    stage(tree.path(), content, tools, scratch, &marker)?;
    let efi_image = efi_image(content, tools, scratch, &marker)?;
    let mut command = tools.command("xorriso")?;
    let time = iso_time(content.epoch);
    command.env("SOURCE_DATE_EPOCH", content.epoch.to_string());
    command.args(["-no_rc", "-as", "mkisofs", "-quiet", "-R", "-V", VOLUME]);
    command.arg(format!("--modification-date={time}"));
    command.args(["--set_all_file_dates", &time]);
    command.args(["-uid", "0", "-gid", "0", "-dir-mode", "0755", "-file-mode", "0644"]);
    let guid = super::gpt::random_uuid(content.derive("iso disk")).simple().to_string();
    command.args(["--gpt_disk_guid", &guid]);
    command.args(["-b", "boot/grub/eltorito.img", "-no-emul-boot", "-boot-load-size", "4"]);
    command.args(["-boot-info-table", "--grub2-boot-info", "--grub2-mbr"]);
    command.arg(grub::bios_file(tools, "boot_hybrid.img")?);
    command.args(["-append_partition", "2", "0xef"]).arg(&efi_image);
    command.args(["-appended_part_as_gpt", "-eltorito-alt-boot"]);
    command.args(["-e", "--interval:appended_partition_2:all::", "-no-emul-boot"]);
    command.arg("-o").arg(path).arg(tree.path());
    tools::run(&mut command, "xorriso")?;
    Ok(())
}

/// Lays out what the ISO file system holds.
fn stage(
    tree: &Path,
    content: &Content,
    tools: &Tools,
    scratch: &Path,
    marker: &str,
) -> Result<(), Error> {
    let (grub_folder, system) = (tree.join("boot/grub"), tree.join("xenolith"));
    fs::create_dir(&grub_folder)?;
    fs::create_dir(&system)?;
    let early = grub::iso_early(marker);
    let core = grub::core(tools, Flavor::BiosCd, "/boot/grub", Some(&early), scratch)?;
    fs::write(&grub_folder.join("eltorito.img"), core)?;
    fs::write(&grub_folder.join("grub.cfg"), grub::iso_config(content))?;
    fs::copy(&grub::font(tools)?, &grub_folder.join("ascii.pf2"))?;
    fs::write(&tree.join(marker), format!("{} {}\n", content.product, content.version))?;
    for (name, source) in &content.files {
        let target = system.join(name);
        match source {
            Source::Path(path) => fs::copy(path, &target)?,
            Source::Bytes(bytes) => fs::write(&target, bytes)?,
        }
    }
    Ok(())
}

/// The EFI system partition that is also the EFI El Torito image.
fn efi_image(
    content: &Content,
    tools: &Tools,
    scratch: &Path,
    marker: &str,
) -> Result<std::path::PathBuf, Error> {
    let path = scratch.join("efi.img");
    let early = grub::iso_early(marker);
    let core = grub::core(tools, Flavor::Efi, "/boot/grub", Some(&early), scratch)?;
    let files = vec![("EFI/BOOT/BOOTX64.EFI".to_owned(), Source::Bytes(core))];
    let mut image = fs::create(&path)?;
    image.set_len(EFI_IMAGE).at("write", &path)?;
    let [a, b, c, d, ..] = content.derive("iso efi");
    let label = Label { name: "XENO-EFI", serial: u32::from_le_bytes([a, b, c, d]) };
    fat::write(&mut image, EFI_IMAGE, label, false, &files).at("write", &path)?;
    Ok(path)
}

/// A time as xorriso takes it: `YYYYMMDDhhmmsscc`.
fn iso_time(epoch: u64) -> String {
    let (days, seconds) = (epoch / 86_400, epoch % 86_400);
    // Civil date of a day number; years start in March, so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00")
}

#[cfg(test)]
mod tests {
    use super::iso_time;

    #[test]
    fn times() {
        assert_eq!(iso_time(0), "1970010100000000");
        assert_eq!(iso_time(1_709_208_000), "2024022912000000");
        assert_eq!(iso_time(1_767_225_599), "2025123123595900");
    }
}
