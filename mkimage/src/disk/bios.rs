//! GRUB's way from a BIOS into a disk: the boot code in the MBR, and the core image in its partition.

use super::{gpt, grub};
use crate::error::Error;
use crate::fs;
use crate::tools::Tools;

/// Size of the partition for the core image, in bytes.
pub const PARTITION: u64 = 1 << 20;

/// `boot.img` for the MBR: loads the core image's first sector.
///
/// # Errors
/// When the tools tree lacks it, or it is damaged.
pub fn boot_code(tools: &Tools, core_offset: u64) -> Result<[u8; 440], Error> {
    patch_boot_code(&fs::read(&grub::bios_file(tools, "boot.img")?)?, core_offset)
}

/// Fields (GRUB's own layout): at 0x5c the sector to load, 8 bytes; at 0x66 a jump that skips the
/// check of the drive number, which buggy firmware makes necessary on disks.
fn patch_boot_code(boot_img: &[u8], core_offset: u64) -> Result<[u8; 440], Error> {
    let mut code = [0; 440];
    let source = boot_img.get(..440).ok_or_else(|| damaged("boot.img"))?;
    code.copy_from_slice(source);
    put(&mut code, 0x5c, &(core_offset / gpt::SECTOR).to_le_bytes())?;
    put(&mut code, 0x66, &[0x90, 0x90])?;
    Ok(code)
}

/// The core image for its place on disk: its first sector loads the rest.
///
/// The list of blocks to load ends that sector: start sector (8 bytes), count and segment (2
/// each), of which grub-mkimage has filled in count and segment.
///
/// # Errors
/// When it doesn't fit into its partition.
pub fn place_core(mut core: Vec<u8>, offset: u64) -> Result<Vec<u8>, Error> {
    if core.len() as u64 > PARTITION {
        return Err(Error::Image("GRUB's core image exceeds the BIOS boot partition".to_owned()));
    }
    put(&mut core, 512 - 12, &(offset / gpt::SECTOR + 1).to_le_bytes())?;
    Ok(core)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), Error> {
    let slot = bytes.get_mut(at..at + value.len()).ok_or_else(|| damaged("core image"))?;
    slot.copy_from_slice(value);
    Ok(())
}

fn damaged(what: &str) -> Error {
    Error::Image(format!("GRUB's {what} is too short; the tools tree is damaged: remove it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_sectors_point_at_the_core_image() {
        let code = patch_boot_code(&[0xcc; 512], 1 << 20).unwrap();
        assert_eq!(code[0x5c..0x64], 2048_u64.to_le_bytes());
        assert_eq!((code[0x65], code[0x66], code[0x67], code[0x68]), (0xcc, 0x90, 0x90, 0xcc));
        let core = place_core(vec![0xcc; 1024], 1 << 20).unwrap();
        assert_eq!(core[500..508], 2049_u64.to_le_bytes());
        assert_eq!((core[499], core[508]), (0xcc, 0xcc));
        assert!(patch_boot_code(&[0; 100], 0).is_err() && place_core(vec![0; 100], 0).is_err());
        assert!(place_core(vec![0; 2 << 20], 0).is_err());
    }
}
