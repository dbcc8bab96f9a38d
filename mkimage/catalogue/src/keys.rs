//! Public keys, in sets of which some must sign.

use minisign_verify::{PublicKey, Signature};
use serde::{Deserialize, Serialize};

/// More keys than any set has.
const MOST_KEYS: usize = 16;
/// A signature's text is at most so long.
pub const LONGEST_SIGNATURE: usize = 4096;

/// Keys of which a number must sign. Each generation is named by the manifests of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// Counts the changes of keys, from 1.
    pub generation: u64,
    /// How many of the keys must sign.
    pub threshold: u32,
    /// The keys, as minisign writes them: the second line of a public key file.
    pub keys: Vec<String>,
}

impl KeySet {
    /// Checks that the set makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if self.generation == 0 || self.keys.is_empty() || self.keys.len() > MOST_KEYS {
            return Err("its set of keys is empty, too large, or not numbered".to_owned());
        }
        let count = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        if !(1..=count).contains(&self.threshold) {
            return Err(format!("{} of {count} keys can't be asked to sign", self.threshold));
        }
        for (index, key) in self.keys.iter().enumerate() {
            check_key(key)?;
            if self.keys.iter().take(index).any(|other| other == key) {
                return Err(format!("the key {key} is there twice"));
            }
        }
        Ok(())
    }

    /// How many keys of the set have signed these bytes.
    pub fn signers(&self, bytes: &[u8], signatures: &[&str]) -> u32 {
        let decoded: Vec<Signature> = signatures
            .iter()
            .filter(|text| text.len() <= LONGEST_SIGNATURE)
            .filter_map(|text| Signature::decode(text).ok())
            .collect();
        let has_signed = |key: &&String| {
            let key = PublicKey::from_base64(key);
            key.is_ok_and(|key| decoded.iter().any(|sig| key.verify(bytes, sig, false).is_ok()))
        };
        u32::try_from(self.keys.iter().filter(has_signed).count()).unwrap_or(0)
    }

    /// Whether enough keys of the set have signed these bytes.
    pub fn has_signed(&self, bytes: &[u8], signatures: &[&str]) -> bool {
        self.signers(bytes, signatures) >= self.threshold.max(1)
    }
}

/// Checks that a text is a public key as minisign writes it.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(text: &str) -> Result<(), String> {
    let sound = text.len() == 56 && PublicKey::from_base64(text).is_ok();
    sound.then_some(()).ok_or_else(|| {
        format!(
            "`{text}` is no public key: it is the second line of a .pub file, 56 characters that \
             begin with RW"
        )
    })
}
