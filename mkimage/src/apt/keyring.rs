//! OpenPGP: verifies an `InRelease` file against certificates that this project carries.
//!
//! rPGP checks the cryptography; whether a certificate, a subkey and a signature are in force at
//! a given time (expiry, revocation, key flags) is decided here. Self-signatures by others than
//! the certificate's own key are passed over.

use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

/// Seconds by which a signature may lie in the future: clocks differ a little.
const CLOCK_SLACK: u64 = 24 * 3600;

/// Why a signed file was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key file can't be read as OpenPGP certificates.
    #[error("the archive keyring is damaged: {0}")]
    Keyring(pgp::errors::Error),
    /// The file is no cleartext-signed message.
    #[error("not a signed file ({0}); a proxy or a login page may have answered instead")]
    Format(pgp::errors::Error),
    /// Text stands outside the signed part.
    #[error("the signed file has text outside its signed part; refused")]
    Surplus,
    /// No signature by a key of the keyring that is in force.
    #[error("no valid signature by a known archive key: {}", .0.join("; "))]
    NoValidSignature(Vec<String>),
}

/// The certificates that may sign the archive.
#[derive(Debug)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

/// A text and who signed it.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// Exactly the signed text, with `\n` line ends.
    pub text: String,
    /// Fingerprint of the key that made the signature, in upper-case hexadecimal.
    pub signer: String,
}

impl Keyring {
    /// Reads certificates from binary key files.
    ///
    /// # Errors
    /// [`Error::Keyring`] when a file is damaged.
    pub fn new(files: &[&[u8]]) -> Result<Self, Error> {
        let mut certificates = Vec::new();
        for file in files {
            for key in SignedPublicKey::from_bytes_many(*file).map_err(Error::Keyring)? {
                certificates.push(key.map_err(Error::Keyring)?);
            }
        }
        Ok(Self { certificates })
    }

    /// The Debian 13 archive keys that the project carries; see `keys/README.md`.
    ///
    /// # Errors
    /// [`Error::Keyring`] when they were damaged.
    pub fn debian() -> Result<Self, Error> {
        Self::new(&[
            include_bytes!("../../keys/debian-archive-trixie-stable.gpg"),
            include_bytes!("../../keys/debian-archive-trixie-automatic.gpg"),
            include_bytes!("../../keys/debian-archive-trixie-security-automatic.gpg"),
        ])
    }

    /// Fingerprints of the primary keys, in upper-case hexadecimal.
    pub fn fingerprints(&self) -> Vec<String> {
        self.certificates.iter().map(|key| fingerprint(&key.primary_key)).collect()
    }

    /// Verifies a cleartext-signed file at `now` (seconds of Unix time) and returns the signed
    /// text. One valid signature by a key in force is enough.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn verify(&self, file: &str, now: u64) -> Result<Verified, Error> {
        refuse_surplus(file)?;
        let (message, _) = CleartextSignedMessage::from_string(file).map_err(Error::Format)?;
        let signed = message.signed_text();
        let mut reasons = Vec::new();
        for signature in message.signatures() {
            match self.check(signature, signed.as_bytes(), now) {
                Ok(signer) => return Ok(Verified { text: signed.replace("\r\n", "\n"), signer }),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(Error::NoValidSignature(reasons))
    }

    /// Finds the key that made the signature and checks it; the error is the reason in words.
    fn check(&self, signature: &Signature, text: &[u8], now: u64) -> Result<String, String> {
        let issuer = issuer(signature);
        for certificate in &self.certificates {
            let primary = &certificate.primary_key;
            if is_issuer(signature, primary) {
                let usable = primary_in_force(certificate, now)?;
                if !usable.sign {
                    return Err(format!("key {issuer} is not a signing key"));
                }
                return check_message(signature, primary, text, now);
            }
            for subkey in &certificate.public_subkeys {
                if is_issuer(signature, &subkey.key) {
                    primary_in_force(certificate, now)?;
                    subkey_in_force(certificate, subkey, now)?;
                    return check_message(signature, &subkey.key, text, now);
                }
            }
        }
        Err(format!("key {issuer} is unknown"))
    }
}

/// Refuses text before the header and after the signature: it would look signed and isn't.
fn refuse_surplus(file: &str) -> Result<(), Error> {
    let end = "-----END PGP SIGNATURE-----";
    let tail = file.split_once(end).map(|(_, tail)| tail.trim());
    let starts = file.starts_with("-----BEGIN PGP SIGNED MESSAGE-----");
    // A file that is no signed message at all gets the parser's own words.
    if (starts && tail.is_some_and(|tail| !tail.is_empty())) || (!starts && tail.is_some()) {
        return Err(Error::Surplus);
    }
    Ok(())
}

fn fingerprint(key: &impl KeyDetails) -> String {
    format!("{:X}", key.fingerprint())
}

/// The issuer as the signature names it, for messages.
fn issuer(signature: &Signature) -> String {
    let long = signature.issuer_fingerprint().first().map(|fingerprint| format!("{fingerprint:X}"));
    let short = || signature.issuer_key_id().first().map(|id| id.to_string().to_uppercase());
    long.or_else(short).unwrap_or_else(|| "(unnamed)".to_owned())
}

fn is_issuer(signature: &Signature, key: &impl KeyDetails) -> bool {
    let fingerprints = signature.issuer_fingerprint();
    if fingerprints.is_empty() {
        return signature.issuer_key_id().iter().any(|id| **id == key.legacy_key_id());
    }
    fingerprints.iter().any(|fingerprint| **fingerprint == key.fingerprint())
}

/// What a certificate's newest valid self-signature says about its primary key.
struct Primary {
    sign: bool,
}

/// Checks self-signatures, revocation and expiry of the primary key.
fn primary_in_force(certificate: &SignedPublicKey, now: u64) -> Result<Primary, String> {
    let key = &certificate.primary_key;
    let name = fingerprint(key);
    let revoked = certificate.details.revocation_signatures.iter();
    if revoked.filter(|s| is_issuer(s, key)).any(|s| s.verify_key(key).is_ok()) {
        return Err(format!("key {name} was revoked"));
    }
    let direct = certificate.details.direct_signatures.iter();
    let mut valid: Vec<&Signature> =
        direct.filter(|s| is_issuer(s, key) && s.verify_key(key).is_ok()).collect();
    for user in &certificate.details.users {
        let own: Vec<&Signature> = user
            .signatures
            .iter()
            .filter(|s| is_issuer(s, key))
            .filter(|s| s.verify_certification(key, Tag::UserId, &user.id).is_ok())
            .collect();
        let revoked = own.iter().any(|s| s.typ() == Some(SignatureType::CertRevocation));
        if !revoked {
            valid.extend(own);
        }
    }
    let newest = newest_at(&valid, now).ok_or(format!("key {name} has no valid self-signature"))?;
    refuse_expired(&name, key, newest, now)?;
    Ok(Primary { sign: newest.key_flags().sign() })
}

/// Checks binding, cross-signature, revocation and expiry of a signing subkey.
fn subkey_in_force(
    certificate: &SignedPublicKey,
    subkey: &SignedPublicSubKey,
    now: u64,
) -> Result<(), String> {
    let primary = &certificate.primary_key;
    let name = fingerprint(&subkey.key);
    let (mut bindings, mut revoked) = (Vec::new(), false);
    for signature in subkey.signatures.iter().filter(|s| is_issuer(s, primary)) {
        let valid = signature.verify_subkey_binding(primary, &subkey.key).is_ok();
        match signature.typ() {
            Some(SignatureType::SubkeyRevocation) => revoked |= valid,
            Some(SignatureType::SubkeyBinding) if valid => bindings.push(signature),
            _ => {}
        }
    }
    if revoked {
        return Err(format!("subkey {name} was revoked"));
    }
    let newest = newest_at(&bindings, now).ok_or(format!("subkey {name} is not bound"))?;
    let cross = newest.embedded_signature();
    let crossed = cross.is_some_and(|s| s.verify_primary_key_binding(&subkey.key, primary).is_ok());
    if !newest.key_flags().sign() || !crossed {
        return Err(format!("subkey {name} may not sign"));
    }
    refuse_expired(&name, &subkey.key, newest, now)
}

/// The newest signature made before `now` that has not expired itself.
fn newest_at<'a>(signatures: &[&'a Signature], now: u64) -> Option<&'a Signature> {
    let in_force = signatures.iter().filter(|signature| signature_in_force(signature, now).is_ok());
    in_force.max_by_key(|signature| created(signature)).copied()
}

fn created(signature: &Signature) -> u64 {
    signature.created().map_or(0, |time| u64::from(time.as_secs()))
}

fn signature_in_force(signature: &Signature, now: u64) -> Result<(), String> {
    let created = created(signature);
    if created == 0 || created > now + CLOCK_SLACK {
        return Err("the signature is dated in the future; check this machine's clock".to_owned());
    }
    let lifetime = signature.signature_expiration_time().map_or(0, |d| u64::from(d.as_secs()));
    if lifetime != 0 && created + lifetime <= now {
        return Err("the signature has expired".to_owned());
    }
    Ok(())
}

fn refuse_expired(
    name: &str,
    key: &impl KeyDetails,
    binding: &Signature,
    now: u64,
) -> Result<(), String> {
    let lifetime = binding.key_expiration_time().map_or(0, |d| u64::from(d.as_secs()));
    if lifetime != 0 && u64::from(key.created_at().as_secs()) + lifetime <= now {
        return Err(format!("key {name} has expired; update mkimage/keys"));
    }
    Ok(())
}

/// The last step: the signature over the text itself.
fn check_message(
    signature: &Signature,
    key: &impl VerifyingKey,
    text: &[u8],
    now: u64,
) -> Result<String, String> {
    let name = fingerprint(key);
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err(format!("the signature by {name} is not over a document"));
    }
    let strong = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];
    if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
        return Err(format!("the signature by {name} uses a weak hash"));
    }
    signature_in_force(signature, now)?;
    match signature.verify(key, text) {
        Ok(()) => Ok(name),
        Err(_) => Err(format!("the signature by {name} doesn't fit the text: it was changed")),
    }
}
