//! The small disk that tells a guest who it is, as cloud-init's data source NoCloud reads it: a FAT
//! file system labelled CIDATA with `meta-data` and `user-data`.

use std::fmt::Write as _;
use std::io::{Cursor, Write};

use anyhow::{Context, ensure};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

/// The disk's size in bytes: room for more user data than cloud-init takes.
const SIZE: usize = 1 << 20;
/// User data is at most so long, in bytes.
pub const MOST_USER_DATA: usize = 512 << 10;

/// What a guest is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Changes when the guest is to take it for its first boot.
    pub instance: String,
    /// Its host name.
    pub hostname: String,
    /// Public SSH keys that its user is reached with.
    pub ssh_keys: Vec<String>,
    /// User data to give instead of what follows from the rest.
    pub user_data: Option<String>,
}

impl Metadata {
    fn meta_data(&self) -> String {
        let mut text = String::new();
        // Writing to a string can't fail.
        let _infallible = writeln!(text, "instance-id: {}", quoted(&self.instance));
        let _infallible = writeln!(text, "local-hostname: {}", quoted(&self.hostname));
        text + &list("public-keys", &self.ssh_keys)
    }

    fn user_data(&self) -> String {
        if let Some(text) = &self.user_data {
            return text.clone();
        }
        let name = quoted(&self.hostname);
        let keys = list("ssh_authorized_keys", &self.ssh_keys);
        format!("#cloud-config\nhostname: {name}\npreserve_hostname: false\n{keys}")
    }

    /// The disk.
    ///
    /// # Errors
    /// When the user data is too long.
    pub fn disk(&self) -> anyhow::Result<Vec<u8>> {
        let user_data = self.user_data();
        ensure!(
            user_data.len() <= MOST_USER_DATA,
            "the user data is longer than {} KiB: have the guest fetch it",
            MOST_USER_DATA >> 10
        );
        let mut bytes = vec![0; SIZE];
        let options = FormatVolumeOptions::new()
            .fat_type(FatType::Fat12)
            .volume_id(0x0c1d_a7a0)
            .volume_label(*b"CIDATA     ");
        fatfs::format_volume(Cursor::new(&mut bytes[..]), options)?;
        {
            let system = FileSystem::new(Cursor::new(&mut bytes[..]), FsOptions::new())?;
            for (name, text) in [("meta-data", self.meta_data()), ("user-data", user_data)] {
                let mut file = system.root_dir().create_file(name)?;
                file.write_all(text.as_bytes()).and_then(|()| file.flush()).context(name)?;
            }
            system.unmount()?;
        }
        Ok(bytes)
    }
}

/// A YAML scalar: a JSON string is one.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn list(key: &str, items: &[String]) -> String {
    if items.is_empty() {
        return String::new();
    }
    let lines = items.iter().map(|item| format!("  - {}\n", quoted(item)));
    format!("{key}:\n{}", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn metadata() -> Metadata {
        Metadata {
            instance: "i-1".into(),
            hostname: "web".into(),
            ssh_keys: vec!["ssh-ed25519 AAAA me \"at\" home".into()],
            user_data: None,
        }
    }

    fn read(disk: Vec<u8>, name: &str) -> String {
        let system = FileSystem::new(Cursor::new(disk), FsOptions::new()).unwrap();
        assert_eq!(system.volume_label(), "CIDATA");
        let mut text = String::new();
        system.root_dir().open_file(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn the_disk_has_what_cloud_init_looks_for() {
        let disk = metadata().disk().unwrap();
        assert_eq!(
            read(disk.clone(), "meta-data"),
            "instance-id: \"i-1\"\nlocal-hostname: \"web\"\npublic-keys:\n  \
             - \"ssh-ed25519 AAAA me \\\"at\\\" home\"\n"
        );
        let user = read(disk, "user-data");
        assert!(user.starts_with("#cloud-config\nhostname: \"web\"\n"), "{user}");
        assert!(user.contains("ssh_authorized_keys:\n  - \"ssh-ed25519"), "{user}");
    }

    #[test]
    fn given_user_data_is_taken_as_it_is() {
        let script = "#!/bin/sh\necho hello\n".to_owned();
        let disk = Metadata { user_data: Some(script.clone()), ..metadata() }.disk().unwrap();
        assert_eq!(read(disk, "user-data"), script);
        let long = Metadata { user_data: Some("x".repeat(600 << 10)), ..metadata() };
        assert!(long.disk().unwrap_err().to_string().contains("longer than 512 KiB"));
    }
}
