//! Writing images to devices: to files that stand for them, and where the kernel lets us, to real
//! block devices.

mod support;

use disk_formats::zst;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{mkimage, refused};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// An image of 9 MiB and a bit, with content in it.
fn image(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("appliance.img");
    let file = File::create(&path).unwrap();
    file.set_len(9 * MIB + 4096).unwrap();
    for (at, length) in [(0, 512), (MIB - 100, 3 * MIB), (9 * MIB + 4000, 96)] {
        file.write_all_at(&vec![at as u8 | 1; length as usize], at).unwrap();
    }
    path
}

/// A stick that was used before.
fn stick(folder: &TempDir, bytes: u64) -> PathBuf {
    let path = folder.path().join("stick");
    std::fs::write(&path, vec![0xee; usize::try_from(bytes).unwrap()]).unwrap();
    path
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn holds(device: &Path, image: &Path) -> bool {
    let (device, image) = (std::fs::read(device).unwrap(), std::fs::read(image).unwrap());
    device.starts_with(&image)
}

#[test]
fn a_used_stick_holds_exactly_the_image_afterwards() {
    let folder = TempDir::new().unwrap();
    let (image, stick) = (image(&folder), stick(&folder, 12 * MIB));
    let said = mkimage(&["flash", "--yes", text(&image), text(&stick)]);
    // Pieces of a MiB: four with content, and the short last one; five held what had to go.
    assert!(said.contains("4.20 MB of 9.44 MB written, 5.24 MB cleared"), "{said}");
    assert!(holds(&stick, &image));
    assert!(std::fs::read(&stick).unwrap()[10 * MIB as usize..].iter().all(|b| *b == 0xee));
    // The second time nothing has to be cleared.
    let said = mkimage(&["flash", "--yes", text(&image), text(&stick)]);
    assert!(said.contains("written\n") && !said.contains("cleared"), "{said}");
}

#[test]
fn compressed_images_are_unpacked_on_the_way() {
    let folder = TempDir::new().unwrap();
    let (image, stick) = (image(&folder), stick(&folder, 12 * MIB));
    let packed = folder.path().join("appliance.img.zst");
    let mut disk = disk_formats::raw::Raw::open(File::open(&image).unwrap()).unwrap();
    zst::write(&mut disk, File::create(&packed).unwrap()).unwrap();
    mkimage(&["flash", "--yes", text(&packed), text(&stick)]);
    assert!(holds(&stick, &image));
    // Cut off: an error, and no claim that all is well.
    let bytes = std::fs::read(&packed).unwrap();
    std::fs::write(&packed, &bytes[..bytes.len() - 20]).unwrap();
    let said = refused(&["flash", "--yes", text(&packed), text(&stick)]);
    assert!(said.contains("appliance.img.zst: ") && said.contains("damaged"), "{said}");
}

#[test]
fn the_block_map_checks_the_image() {
    let folder = TempDir::new().unwrap();
    let (image, stick) = (image(&folder), stick(&folder, 12 * MIB));
    mkimage(&["convert", text(&image), "--to", "bmap"]);
    mkimage(&["flash", "--yes", text(&image), text(&stick)]);
    assert!(holds(&stick, &image));
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"?", 2 * MIB).unwrap();
    let said = refused(&["flash", "--yes", text(&image), text(&stick)]);
    assert!(said.contains("appliance.img: ") && said.contains("block map"), "{said}");
    file.set_len(8 * MIB).unwrap();
    let said = refused(&["flash", "--yes", text(&image), text(&stick)]);
    assert!(said.contains("and it has 8388608"), "{said}");
}

#[test]
fn what_must_not_be_written_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let (image, small) = (image(&folder), stick(&folder, 3 * MIB));
    let before = std::fs::read(&small).unwrap();
    for (device, words) in [
        (text(&small), "use a larger one"),
        (text(folder.path()), "neither a block device nor a file"),
        ("/dev/null", "neither a block device nor a file"),
        ("/dev/none", "lsblk"),
    ] {
        let said = refused(&["flash", "--yes", text(&image), device]);
        assert!(said.contains(words) && said.contains("is not written"), "{said}");
    }
    let said = refused(&["flash", text(&image), text(&small)]);
    assert!(said.contains("--yes"), "{said}");
    assert!(before == std::fs::read(&small).unwrap());
    let ova = folder.path().join("a.qcow2");
    std::fs::write(&ova, b"QFI\xfb........").unwrap();
    let said = refused(&["flash", "--yes", text(&ova), text(&small)]);
    assert!(said.contains("convert --to raw"), "{said}");
}

/// The device that the root file system is on, where that is a block device.
#[test]
fn the_systems_own_disk_is_refused() {
    let folder = TempDir::new().unwrap();
    let image = image(&folder);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    let number = root.split(' ').nth(2).unwrap();
    let Ok(folder) = std::fs::canonicalize(format!("/sys/dev/block/{number}")) else {
        eprintln!("not tried: the root file system is on no block device");
        return;
    };
    let device = Path::new("/dev").join(folder.file_name().unwrap());
    if File::open(&device).is_err() {
        eprintln!("not tried: {} can't be opened", device.display());
        return;
    }
    let said = refused(&["flash", "--yes", text(&image), text(&device)]);
    assert!(said.contains("mounted at /") || said.contains("is a partition"), "{said}");
}

/// A loop device, given back when dropped.
struct Loop(PathBuf);

impl Loop {
    fn of(file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output().ok()?;
        let name = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| Self(name.trim().into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

#[test]
fn a_block_device_is_written_unless_it_is_in_use() {
    let folder = TempDir::new().unwrap();
    let (image, stick) = (image(&folder), stick(&folder, 12 * MIB));
    let Some(device) = Loop::of(&stick) else {
        eprintln!("not tried: there is no loop device for us");
        return;
    };
    mkimage(&["flash", "--yes", text(&image), text(&device.0)]);
    assert!(holds(&device.0, &image));
    // Somebody has it: the kernel itself says so.
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        rustix::fs::OFlags::EXCL.bits().cast_signed(),
    );
    let user = options.read(true).open(&device.0).unwrap();
    let said = refused(&["flash", "--yes", text(&image), text(&device.0)]);
    assert!(said.contains("something uses it"), "{said}");
    drop(user);
}
