//! What is created is recognised, interruptions too; and where `e2fsck` is at hand (in its usual
//! place, or `XENOLITH_E2FSCK` names it), it finds nothing to mend.

use std::io::Cursor;
use std::path::PathBuf;
use std::process::Command;

use super::*;

const MIB: u64 = 1 << 20;

impl Target for Cursor<Vec<u8>> {
    fn settle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn identity() -> Identity<'static> {
    Identity { uuid: Uuid::from_u128(0x1234_5678), label: "xenolith-data", created: 1_767_225_600 }
}

fn created(bytes: u64) -> Vec<u8> {
    let mut out = Cursor::new(vec![0; usize::try_from(bytes).unwrap()]);
    format(&mut out, bytes, &identity()).unwrap();
    out.into_inner()
}

#[test]
fn a_new_file_system_is_recognised() {
    let image = created(16 * MIB);
    assert!(is_ext4(&image) && !is_unfinished(&image));
    let mut device = Cursor::new(image);
    assert_eq!(blocks_to_grow_to(&mut device, 16 * MIB).unwrap(), None);
    assert_eq!(blocks_to_grow_to(&mut device, 16 * MIB + 4096).unwrap(), None);
    assert_eq!(blocks_to_grow_to(&mut device, 64 * MIB).unwrap(), Some(16384));
}

#[test]
fn an_interrupted_creation_is_recognised() {
    /// Fails when the file system is to be completed.
    struct PowerCut(Cursor<Vec<u8>>, u32);
    impl Write for PowerCut {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    impl Seek for PowerCut {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    impl Target for PowerCut {
        fn settle(&mut self) -> io::Result<()> {
            self.1 += 1;
            if self.1 == 2 { Err(io::Error::other("power cut")) } else { Ok(()) }
        }
    }
    let mut cut = PowerCut(Cursor::new(vec![0; 16 << 20]), 0);
    assert!(format(&mut cut, 16 * MIB, &identity()).is_err());
    let image = cut.0.into_inner();
    assert!(is_unfinished(&image) && !is_ext4(&image));
}

#[test]
fn too_little_room_is_an_error() {
    let mut out = Cursor::new(vec![0; 1 << 20]);
    let error = format(&mut out, MIB, &identity()).unwrap_err();
    assert!(error.to_string().contains("too few"), "{error}");
}

#[test]
fn e2fsck_finds_nothing_to_mend() {
    let named = std::env::var_os("XENOLITH_E2FSCK").map(PathBuf::from);
    let usual = PathBuf::from("/sbin/e2fsck");
    let Some(e2fsck) = named.or_else(|| usual.exists().then_some(usual)) else {
        eprintln!("skipped: there is no e2fsck");
        return;
    };
    for bytes in [8 * MIB, 16 * MIB + 12_345, 127 * MIB, 130 * MIB, 700 * MIB, 40 << 30] {
        let file = std::env::temp_dir().join(format!("ext4-{}-{bytes}", std::process::id()));
        let mut image =
            File::options().create_new(true).read(true).write(true).open(&file).unwrap();
        image.set_len(bytes).unwrap();
        format(&mut image, bytes, &identity()).unwrap();
        let checked = Command::new(&e2fsck).args(["-f", "-n", "-v"]).arg(&file).output().unwrap();
        std::fs::remove_file(&file).unwrap();
        let text = String::from_utf8_lossy(&checked.stdout);
        let errors = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{bytes}: {text}{errors}");
    }
}
