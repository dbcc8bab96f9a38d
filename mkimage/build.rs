//! Names this version of mkimage by a digest of its sources: images that an older version built
//! are not taken for current ones.

use std::path::Path;

fn main() {
    let mut digest = START;
    for folder in ["src", "keys", "catalogue/src", "formats/src"] {
        println!("cargo:rerun-if-changed={folder}");
        add(Path::new(folder), &mut digest);
    }
    println!("cargo:rustc-env=MKIMAGE_SOURCES={digest:016x}");
    // Configured systems are large: they are only made anew when what makes them changes.
    let mut digest = START;
    add(Path::new("src/deb.rs"), &mut digest);
    for name in CONFIGURING {
        add(&Path::new("src/guest").join(name), &mut digest);
    }
    println!("cargo:rustc-env=MKIMAGE_GUEST_SOURCES={digest:016x}");
}

/// What unpacks and configures a guest's packages.
const CONFIGURING: [&str; 10] = [
    "configure.rs",
    "database.rs",
    "layer.rs",
    "machine.sh",
    "package.rs",
    "plan.rs",
    "sandbox.rs",
    "sandbox.sh",
    "unpack.rs",
    "vm.rs",
];

const START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a over names and contents, in name order.
fn add(path: &Path, digest: &mut u64) {
    let mut mix = |bytes: &[u8]| {
        for byte in bytes {
            *digest = (*digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    mix(path.to_string_lossy().as_bytes());
    if let Ok(bytes) = std::fs::read(path) {
        mix(&bytes);
        return;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut inner: Vec<_> = entries.map(|entry| entry.path()).collect();
    inner.sort();
    for path in inner {
        add(&path, digest);
    }
}
