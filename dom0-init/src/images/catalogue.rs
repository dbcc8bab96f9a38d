//! Asking a catalogue what it has: its manifest, verified, and what is remembered of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::catalogue::client::{Client, Memory, Refusal};
use ::catalogue::keys::LONGEST_SIGNATURE;
use ::catalogue::manifest::{self, Manifest};
use ::catalogue::names;
use anyhow::{Context, anyhow, bail};

use super::Places;
use super::http::Http;
use crate::host_config::catalogues::Catalogue;

/// Changes of keys that are followed in one go.
const MOST_ROTATIONS: u64 = 64;

/// A signed file: its bytes and its signatures.
struct Signed {
    bytes: Vec<u8>,
    signatures: Vec<String>,
}

impl Signed {
    /// Fetches a file and its signatures; nothing when the catalogue hasn't got it.
    fn fetch(http: &Http, catalogue: &Catalogue, name: &str) -> anyhow::Result<Option<Self>> {
        let url = |name: &str| format!("{}/{name}", catalogue.url);
        let Some(bytes) = http.small(&url(name), manifest::LONGEST)? else { return Ok(None) };
        let mut signatures = Vec::new();
        for place in 0..names::MOST_SIGNATURES {
            let url = url(&names::signature(name, place));
            let Some(signature) = http.small(&url, LONGEST_SIGNATURE)? else { break };
            signatures.push(String::from_utf8_lossy(&signature).into_owned());
        }
        Ok(Some(Self { bytes, signatures }))
    }

    fn signatures(&self) -> Vec<&str> {
        self.signatures.iter().map(String::as_str).collect()
    }
}

/// Fetches and verifies a catalogue's manifest, at a time in seconds of Unix time, and remembers
/// that it was seen.
///
/// # Errors
/// When it can't be fetched, or must not be believed.
pub fn refresh(
    http: &Http,
    catalogue: &Catalogue,
    places: &Places,
    now: u64,
) -> anyhow::Result<Manifest> {
    refresh_patiently(http, catalogue, places, now, Duration::from_secs(2))
        .with_context(|| format!("catalogue {} ({})", catalogue.name, catalogue.url))
}

fn refresh_patiently(
    http: &Http,
    catalogue: &Catalogue,
    places: &Places,
    now: u64,
    patience: Duration,
) -> anyhow::Result<Manifest> {
    // What another run has seen meanwhile must not be forgotten by this one.
    std::fs::create_dir_all(&places.seen).with_context(|| places.seen.display().to_string())?;
    let lock = File::create(places.seen.join(".lock"))?;
    lock.lock()?;
    let path = memory_file(places, catalogue);
    let memory = remembered(&path)?;
    let mut client =
        Client::new(catalogue.expected.clone(), catalogue.keys.clone(), memory.clone());
    let current = || {
        Signed::fetch(http, catalogue, names::MANIFEST)?
            .ok_or_else(|| anyhow!("the server has no {}: look at the address", names::MANIFEST))
    };
    let accept =
        |client: &Client, signed: &Signed| client.accept(&signed.bytes, &signed.signatures(), now);
    let mut signed = current()?;
    let mut result = accept(&client, &signed);
    if matches!(result, Err(Refusal::NotSigned { .. } | Refusal::Generation { .. })) {
        follow(http, catalogue, &mut client)?;
        result = accept(&client, &signed);
    }
    if matches!(result, Err(Refusal::NotSigned { .. })) {
        // The manifest and its signature are two files: perhaps they are being replaced.
        std::thread::sleep(patience);
        signed = current()?;
        result = accept(&client, &signed);
    }
    let accepted = result?;
    if memory.as_ref() != Some(&accepted.memory) {
        super::replace(&path, &serde_json::to_vec_pretty(&accepted.memory)?)?;
    }
    Ok(accepted.manifest)
}

/// Goes along the changes of keys since the trusted ones.
fn follow(http: &Http, catalogue: &Catalogue, client: &mut Client) -> anyhow::Result<()> {
    let first = client.next_generation();
    for generation in first..first + MOST_ROTATIONS {
        let name = names::rotation(generation);
        let Some(signed) = Signed::fetch(http, catalogue, &name)? else { return Ok(()) };
        match client.follow(&signed.bytes, &signed.signatures()) {
            Ok(()) => {}
            // The configured key may be younger than this change.
            Err(Refusal::NotSigned { .. }) if client.may_pass_over() => {}
            Err(refusal) => return Err(anyhow!(refusal).context(name)),
        }
    }
    bail!(
        "the keys were changed more than {MOST_ROTATIONS} times: put the present one into the \
           host's configuration"
    )
}

fn memory_file(places: &Places, catalogue: &Catalogue) -> PathBuf {
    places.seen.join(format!("{}.json", catalogue.name))
}

fn remembered(path: &Path) -> anyhow::Result<Option<Memory>> {
    let name = || path.display().to_string();
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(name),
    };
    // To forget it silently would let an old release in.
    serde_json::from_slice(&bytes).map(Some).with_context(|| {
        format!(
            "{}: what was seen of the catalogue is damaged; remove the file to begin anew",
            name()
        )
    })
}

/// The oldest release whose images aren't withdrawn, as far as is remembered.
pub fn minimum_version(places: &Places, catalogue: &Catalogue) -> Option<u64> {
    remembered(&memory_file(places, catalogue)).ok()?.map(|memory| memory.minimum_version)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, NOW, Reply, Server, serve_manifest};
    use super::*;

    struct Case {
        server: Server,
        folder: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            Self { server: Server::new(), folder: tempfile::tempdir().unwrap() }
        }

        fn refresh_at(&self, now: u64) -> Result<u64, String> {
            let catalogue = testing::catalogue(&self.server);
            let places = Places::below(self.folder.path());
            refresh_patiently(&Http::new(), &catalogue, &places, now, Duration::ZERO)
                .map(|manifest| manifest.version)
                .map_err(|error| format!("{error:#}"))
        }

        fn refused(&self, words: &str) {
            let error = self.refresh_at(NOW).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }

        fn memory(&self) -> PathBuf {
            self.folder.path().join("state/catalogues/guests.json")
        }
    }

    #[test]
    fn what_was_seen_stays_seen() {
        let case = Case::new();
        testing::serve_release(&case.server, 5, "five");
        assert_eq!(case.refresh_at(NOW), Ok(5));
        testing::serve_release(&case.server, 4, "four");
        case.refused("version 5 was seen before");
        testing::serve_release(&case.server, 6, "six");
        assert_eq!(case.refresh_at(NOW), Ok(6));
        // A damaged memory doesn't let an old release in.
        std::fs::write(case.memory(), "{").unwrap();
        case.refused("remove the file");
        std::fs::remove_file(case.memory()).unwrap();
        assert_eq!(case.refresh_at(NOW), Ok(6));
    }

    #[test]
    fn what_must_not_be_believed_is_not_remembered() {
        let case = Case::new();
        case.refused("no manifest.json");
        testing::serve_release(&case.server, 5, "five");
        case.server.set("/r/manifest.json.minisig", Reply::Bytes(b"no signature".to_vec()));
        case.refused("0 of the trusted keys have signed");
        let (manifest, _) = testing::release(5, "five");
        serve_manifest(&case.server, names::MANIFEST, &manifest, &[1]);
        case.refused("0 of the trusted keys have signed");
        testing::serve_release(&case.server, 5, "five");
        assert!(case.refresh_at(NOW + 4000).unwrap_err().contains("expired at"));
        assert!(case.refresh_at(1000).unwrap_err().contains("set the clock"));
        case.server.set("/r/manifest.json", Reply::Bytes(vec![b' '; manifest::LONGEST + 1]));
        case.refused("larger than");
        case.server.set("/r/manifest.json", Reply::Status(500));
        case.refused("HTTP 500");
        assert!(!case.memory().exists());
    }

    #[test]
    fn changed_keys_are_followed() {
        let case = Case::new();
        testing::serve_release(&case.server, 5, "five");
        assert_eq!(case.refresh_at(NOW), Ok(5));
        let (mut manifest, _) = testing::release(6, "six");
        manifest.keys = testing::keys(2, &[1]);
        serve_manifest(&case.server, &names::rotation(2), &manifest, &[0, 1]);
        manifest.version = 7;
        // Signed by the new key alone; before the change is published that is nobody.
        serve_manifest(&case.server, names::MANIFEST, &manifest, &[1]);
        case.server.set("/r/manifest.json.1.minisig", Reply::Status(404));
        assert_eq!(case.refresh_at(NOW), Ok(7));
        // The old key signs no more.
        let (mut manifest, _) = testing::release(8, "eight");
        manifest.version = 8;
        serve_manifest(&case.server, names::MANIFEST, &manifest, &[0]);
        case.refused("0 of the trusted keys have signed");
    }

    #[test]
    fn a_server_that_is_not_there() {
        let case = Case::new();
        let mut catalogue = testing::catalogue(&case.server);
        catalogue.url = "http://127.0.0.1:9/r".to_owned();
        let places = Places::below(case.folder.path());
        let error = refresh(&Http::new(), &catalogue, &places, NOW).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("catalogue guests") && text.contains("check the network"), "{text}");
    }
}
