//! What the files of a release are called.

/// The manifest.
pub const MANIFEST: &str = "manifest.json";
/// Digests of all files, as `sha256sum` reads them.
pub const SUMS: &str = "SHA256SUMS";
/// The index that virt-builder reads.
pub const INDEX: &str = "index";
/// How signatures end.
pub const SIGNATURE: &str = ".minisig";
/// How many signatures a file may have.
pub const MOST_SIGNATURES: u32 = 16;

/// A file's signature by the key of that place in the order of signing, from 0: the first has the
/// name that minisign gives it.
pub fn signature(file: &str, place: u32) -> String {
    match place {
        0 => format!("{file}{SIGNATURE}"),
        _ => format!("{file}.{place}{SIGNATURE}"),
    }
}

/// The manifest that introduced a generation of keys.
pub fn rotation(generation: u64) -> String {
    format!("keys-{generation}.json")
}

/// Whether a text can be an image's name: it becomes part of paths, and a guest's name.
pub fn is_image_name(text: &str) -> bool {
    let plain =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.' | '_');
    let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins && text.len() <= 64 && text.chars().all(plain) && !text.contains("..")
}

/// Whether a text can be a file's name in a release folder.
pub fn is_file_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '+');
    let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    begins && text.len() <= 128 && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(signature(MANIFEST, 0), "manifest.json.minisig");
        assert_eq!(signature(MANIFEST, 2), "manifest.json.2.minisig");
        for good in ["debian-13", "a", "0.x_y"] {
            assert!(is_image_name(good), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "a..b", "A", "a b", "é", &"a".repeat(65)] {
            assert!(!is_image_name(bad), "{bad}");
        }
        for bad in ["", ".a", "../a", "a/b", "a b", "a?b", "a%2f"] {
            assert!(!is_file_name(bad), "{bad}");
        }
        assert!(is_file_name("Debian-13.1a2b.img.zst"));
    }
}
