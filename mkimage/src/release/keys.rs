//! minisign keys: made, kept in files as minisign has them, and used to sign.

use super::Error;
use crate::fs::{self, Context};
use minisign::{KeyPair, PublicKey, SecretKey, SecretKeyBox};
use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Holds the password where nobody can be asked.
pub const PASSWORD_VARIABLE: &str = "MKIMAGE_KEY_PASSWORD";
/// How the second line of a secret key file begins when a password protects it.
const PROTECTED: &str = "RWRTY0";

/// How a password is learned.
#[derive(Debug, Clone, Default)]
pub struct Password {
    /// A file whose first line it is.
    pub file: Option<PathBuf>,
}

impl Password {
    /// The password, unless the terminal is to be asked.
    fn known(&self) -> Result<Option<String>, Error> {
        if let Some(path) = &self.file {
            let text = fs::read_text(path)?;
            return Ok(Some(text.lines().next().unwrap_or_default().to_owned()));
        }
        Ok(std::env::var(PASSWORD_VARIABLE).ok())
    }

    /// The password, or none when there is a terminal to ask on.
    fn or_terminal(&self, key: &Path) -> Result<Option<String>, Error> {
        let known = self.known()?;
        if known.is_none() && !std::io::stdin().is_terminal() {
            let reason =
                format!("its password is needed: set {PASSWORD_VARIABLE}, or give --password-file");
            return Err(Error::Key { path: key.to_owned(), reason });
        }
        Ok(known)
    }
}

/// The files of a key: the secret one and the public one.
pub fn files(base: &Path) -> (PathBuf, PathBuf) {
    (base.with_added_extension("key"), base.with_added_extension("pub"))
}

/// Makes a key: `BASE.key`, which only its owner may read, and `BASE.pub`. Without a password it is
/// for machines that nobody sits at. Returns the public key's text.
///
/// # Errors
/// When a file exists, or can't be written.
pub fn create(base: &Path, password: Option<&Password>) -> Result<String, Error> {
    let (secret, public) = files(base);
    for path in [&secret, &public] {
        if path.exists() {
            let reason = "it exists, and is not overwritten: move it away first".to_owned();
            return Err(Error::Key { path: path.clone(), reason });
        }
    }
    let failed =
        |error: minisign::PError| Error::Key { path: secret.clone(), reason: error.to_string() };
    let pair = match password {
        None => KeyPair::generate_unencrypted_keypair(),
        Some(password) => KeyPair::generate_encrypted_keypair(password.or_terminal(&secret)?),
    }
    .map_err(failed)?;
    let secret_text = pair.sk.to_box(None).map_err(failed)?.into_string();
    let public_text = pair.pk.to_box().map_err(failed)?.into_string();
    if let Some(folder) = base.parent() {
        fs::create_dir(folder)?;
    }
    write_new(&secret, 0o600, &secret_text)?;
    write_new(&public, 0o644, &public_text).inspect_err(|_error| {
        // One without the other is of no use.
        let _ = fs::remove(&secret);
    })?;
    Ok(pair.pk.to_base64())
}

fn write_new(path: &Path, mode: u32, text: &str) -> fs::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).at("create", path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).at("write", path)
}

/// Reads a public key file; returns its key as manifests have it.
///
/// # Errors
/// When it is none.
pub fn read_public(path: &Path) -> Result<String, Error> {
    let text = fs::read_text(path)?;
    let line = text.lines().find(|line| !line.starts_with("untrusted comment:"));
    let key = line.unwrap_or_default().trim().to_owned();
    catalogue::keys::check_key(&key)
        .map_err(|reason| Error::Key { path: path.to_owned(), reason })?;
    Ok(key)
}

/// A secret key that is ready to sign.
pub struct Signer {
    path: PathBuf,
    secret: SecretKey,
    public: PublicKey,
}

impl Signer {
    /// Reads a secret key file.
    ///
    /// # Errors
    /// When it is none, or the password is wrong.
    pub fn open(path: &Path, password: &Password) -> Result<Self, Error> {
        let text = fs::read_text(path)?;
        let wrong = |reason: String| Error::Key { path: path.to_owned(), reason };
        let protected = text.lines().nth(1).is_some_and(|line| line.starts_with(PROTECTED));
        let key = SecretKeyBox::from_string(&text).map_err(|error| wrong(error.to_string()))?;
        let secret = if protected {
            key.into_secret_key(password.or_terminal(path)?)
        } else {
            key.into_unencrypted_secret_key()
        };
        let secret = secret.map_err(|error| wrong(error.to_string()))?;
        let public =
            PublicKey::from_secret_key(&secret).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { path: path.to_owned(), secret, public })
    }

    /// The public key.
    pub fn public(&self) -> String {
        self.public.to_base64()
    }

    /// Signs content; the comment is signed too. Returns the signature file's text.
    ///
    /// # Errors
    /// When the content can't be read.
    pub fn sign(&self, content: impl Read, comment: &str) -> Result<String, Error> {
        let comment = Some(comment);
        minisign::sign(Some(&self.public), &self.secret, content, comment, Some("by mkimage"))
            .map(minisign::SignatureBox::into_string)
            .map_err(|error| Error::Key { path: self.path.clone(), reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_sign_and_are_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().join("new/ci");
        let public = create(&base, None).unwrap();
        let (secret_path, public_path) = files(&base);
        assert_eq!(read_public(&public_path).unwrap(), public);
        assert_eq!(secret_path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&secret_path).unwrap();
        assert!(create(&base, None).unwrap_err().to_string().contains("exists"));
        assert_eq!(fs::read(&secret_path).unwrap(), before);

        let signer = Signer::open(&secret_path, &Password::default()).unwrap();
        assert_eq!(signer.public(), public);
        let signature = signer.sign(&b"text"[..], "file:x").unwrap();
        let keys = catalogue::keys::KeySet { generation: 1, threshold: 1, keys: vec![public] };
        assert!(keys.has_signed(b"text", &[&signature]));
        assert!(!keys.has_signed(b"test", &[&signature]));
        assert!(read_public(&secret_path).is_err());
        assert!(Signer::open(&public_path, &Password::default()).is_err());
    }
}
