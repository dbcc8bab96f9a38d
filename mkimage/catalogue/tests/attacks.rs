//! What a hostile or broken server can offer, and what a host makes of it.

use catalogue::client::{Client, Expected, Memory, Refusal};
use catalogue::content::{Watch, Wrong};
use catalogue::hash::Sha256;
use catalogue::keys::KeySet;
use catalogue::manifest::{self, Artifact, Disk, Image, Manifest};
use minisign::KeyPair;
use proptest::prelude::*;
use std::sync::LazyLock;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// Key pairs: making them takes a while.
static PAIRS: LazyLock<Vec<KeyPair>> =
    LazyLock::new(|| (0..4).map(|_| KeyPair::generate_unencrypted_keypair().unwrap()).collect());

fn set(generation: u64, threshold: u32, keys: &[usize]) -> KeySet {
    let keys = keys.iter().map(|key| PAIRS[*key].pk.to_base64()).collect();
    KeySet { generation, threshold, keys }
}

fn expected() -> Expected {
    let text = |text: &str| text.to_owned();
    Expected { product: text("xenolith-guests"), channel: text("stable"), arch: text("amd64") }
}

fn manifest(version: u64) -> Manifest {
    let Expected { product, channel, arch } = expected();
    let content = format!("content of version {version}");
    let artifact = Artifact {
        format: "raw.zst".to_owned(),
        file: format!("debian-13.{version}.img.zst"),
        size: content.len() as u64,
        sha256: Sha256::of(content.as_bytes()),
    };
    Manifest {
        format: manifest::FORMAT,
        product,
        channel,
        arch,
        version,
        minimum_version: 1,
        created: NOW - DAY,
        expires: NOW + 30 * DAY,
        keys: set(1, 1, &[0]),
        images: vec![Image {
            name: "debian-13".to_owned(),
            title: String::new(),
            disk: Disk { size: 1 << 20, sha256: Sha256::of(b"disk") },
            artifacts: vec![artifact],
        }],
    }
}

/// A manifest's text and its signatures.
struct Signed(Vec<u8>, Vec<String>);

impl Signed {
    fn by(keys: &[usize], manifest: &Manifest) -> Self {
        Self::text(keys, manifest.to_text().into_bytes())
    }

    fn text(keys: &[usize], bytes: Vec<u8>) -> Self {
        let sign = |key: &usize| {
            let pair = &PAIRS[*key];
            minisign::sign(Some(&pair.pk), &pair.sk, &bytes[..], None, None).unwrap().into_string()
        };
        let signatures = keys.iter().map(sign).collect();
        Self(bytes, signatures)
    }

    fn signatures(&self) -> Vec<&str> {
        self.1.iter().map(String::as_str).collect()
    }

    fn offer_to(&self, client: &Client, now: u64) -> Result<Memory, Refusal> {
        client.accept(&self.0, &self.signatures(), now).map(|accepted| accepted.memory)
    }
}

fn client(memory: Option<Memory>) -> Client {
    Client::new(expected(), set(1, 1, &[0]), memory)
}

/// What a host remembers that has accepted a version.
fn memory(version: u64) -> Memory {
    Signed::by(&[0], &manifest(version)).offer_to(&client(None), NOW).unwrap()
}

#[test]
fn a_sound_release_is_accepted_and_remembered() {
    let memory = memory(5);
    assert_eq!((memory.version, memory.minimum_version), (5, 1));
    let text = serde_json::to_string(&memory).unwrap();
    assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
    let later = Signed::by(&[0], &manifest(6)).offer_to(&client(Some(memory.clone())), NOW);
    assert_eq!(later.unwrap().version, 6);
    // The same one again is nothing new.
    let again = Signed::by(&[0], &manifest(5)).offer_to(&client(Some(memory.clone())), NOW);
    assert_eq!(again.unwrap(), memory);
}

#[test]
fn others_signatures_are_refused() {
    let not_signed = Err(Refusal::NotSigned { found: 0, needed: 1 });
    assert_eq!(Signed::by(&[1], &manifest(1)).offer_to(&client(None), NOW), not_signed);
    assert_eq!(Signed::by(&[], &manifest(1)).offer_to(&client(None), NOW), not_signed);
    let mut flipped = Signed::by(&[0], &manifest(1));
    flipped.0[40] ^= 1;
    assert_eq!(flipped.offer_to(&client(None), NOW), not_signed);
    // The trusted comment is signed too.
    let mut comment = Signed::by(&[0], &manifest(1));
    comment.1[0] = comment.1[0].replace("timestamp", "timestomp");
    assert_eq!(comment.offer_to(&client(None), NOW), not_signed);
}

#[test]
fn an_older_release_is_refused() {
    let rolled_back = Signed::by(&[0], &manifest(4)).offer_to(&client(Some(memory(5))), NOW);
    assert_eq!(rolled_back, Err(Refusal::Rollback { seen: 5, found: 4 }));
    let mut other = manifest(5);
    other.expires += 1;
    let replaced = Signed::by(&[0], &other).offer_to(&client(Some(memory(5))), NOW);
    assert_eq!(replaced, Err(Refusal::Replaced { version: 5 }));
}

#[test]
fn an_expired_release_is_refused_and_a_wrong_clock_named() {
    let signed = Signed::by(&[0], &manifest(5));
    let late = NOW + 30 * DAY;
    let expired = Err(Refusal::Expired { expires: late, now: late });
    assert_eq!(signed.offer_to(&client(None), late), expired);
    assert!(signed.offer_to(&client(None), late - 1).is_ok());
    // The clock says 1970: a frozen release would seem fresh for ever.
    let clock = |now| Refusal::Clock { created: NOW - DAY, now };
    assert_eq!(signed.offer_to(&client(None), 5), Err(clock(5)));
    assert!(clock(5).to_string().contains("1970-01-01 00:00:05"));
    // An older manifest doesn't hide it: what was seen last was made later.
    let mut early = manifest(6);
    early.created = NOW - 400 * DAY;
    let early = Signed::by(&[0], &early);
    let now = NOW - 100 * DAY;
    assert_eq!(early.offer_to(&client(Some(memory(5))), now), Err(clock(now)));
}

#[test]
fn another_product_channel_or_architecture_is_refused() {
    type Change = fn(&mut Manifest);
    let changes: [(&str, Change); 3] = [
        ("product", |m| m.product = "other".to_owned()),
        ("channel", |m| m.channel = "testing".to_owned()),
        ("architecture", |m| m.arch = "arm64".to_owned()),
    ];
    for (name, change) in changes {
        let mut manifest = manifest(1);
        change(&mut manifest);
        let refused = Signed::by(&[0], &manifest).offer_to(&client(None), NOW);
        assert!(matches!(refused, Err(Refusal::Other { what, .. }) if what == name), "{refused:?}");
    }
}

#[test]
fn files_of_another_release_and_larger_ones_are_refused() {
    let artifact = manifest(2).images[0].artifacts[0].clone();
    let watch = |bytes: &[u8]| {
        let mut watch = Watch::new(artifact.size, artifact.sha256);
        watch.add(bytes).and_then(|()| watch.finish())
    };
    assert_eq!(watch(b"content of version 2"), Ok(()));
    assert!(matches!(watch(b"content of version 1"), Err(Wrong::Other { .. })));
    assert_eq!(watch(b"content of version 2+"), Err(Wrong::TooLarge { expected: 20 }));
    let large = Signed::text(&[0], vec![b' '; manifest::LONGEST + 1]);
    assert_eq!(large.offer_to(&client(None), NOW), Err(Refusal::TooLarge));
}

#[test]
fn what_is_signed_must_still_make_sense() {
    type Change = fn(&mut Manifest);
    let changes: [(&str, Change); 8] = [
        ("update it", |m| m.format = 2),
        ("versions", |m| m.minimum_version = 9),
        ("before it was made", |m| m.expires = m.created),
        ("no file of a release", |m| m.images[0].artifacts[0].file = "../evil".to_owned()),
        ("no name of an image", |m| m.images[0].name = "a/b".to_owned()),
        ("twice", |m| m.images.push(m.images[0].clone())),
        ("bytes", |m| m.images[0].disk.size = u64::MAX),
        ("can't be asked", |m| m.keys.threshold = 2),
    ];
    for (words, change) in changes {
        let mut manifest = manifest(1);
        change(&mut manifest);
        match Signed::by(&[0], &manifest).offer_to(&client(None), NOW) {
            Err(Refusal::Malformed(what)) => assert!(what.contains(words), "{words}: {what}"),
            other => panic!("{words}: {other:?}"),
        }
    }
    let text = Signed::text(&[0], b"{ no manifest".to_vec()).offer_to(&client(None), NOW);
    assert!(matches!(text, Err(Refusal::Malformed(_))));
}

#[test]
fn keys_change_when_old_and_new_ones_agree() {
    let mut change = manifest(6);
    change.keys = set(2, 2, &[1, 2]);
    // The new keys haven't signed: nobody could sign the next release.
    let unproven = Signed::by(&[0], &change).offer_to(&client(Some(memory(5))), NOW);
    assert_eq!(unproven, Err(Refusal::KeysNotProven));
    let unproven = Signed::by(&[0, 1], &change).offer_to(&client(Some(memory(5))), NOW);
    assert_eq!(unproven, Err(Refusal::KeysNotProven));
    // The old ones haven't: anybody could say so.
    let stolen = Signed::by(&[1, 2], &change).offer_to(&client(Some(memory(5))), NOW);
    assert_eq!(stolen, Err(Refusal::NotSigned { found: 0, needed: 1 }));

    let memory = Signed::by(&[0, 1, 2], &change).offer_to(&client(Some(memory(5))), NOW).unwrap();
    assert_eq!(memory.keys, change.keys);
    // From now on the old key is nobody's, and one of two isn't enough; nor is one twice.
    let mut next = manifest(7);
    next.keys = set(2, 2, &[1, 2]);
    let client = client(Some(memory));
    for (keys, found) in [(&[0][..], 0), (&[1], 1), (&[1, 1], 1), (&[0, 1], 1)] {
        let refused = Signed::by(keys, &next).offer_to(&client, NOW);
        assert_eq!(refused, Err(Refusal::NotSigned { found, needed: 2 }), "{keys:?}");
    }
    assert!(Signed::by(&[1, 2], &next).offer_to(&client, NOW).is_ok());
}

#[test]
fn a_host_that_was_away_follows_the_changes_of_keys() {
    let mut second = manifest(6);
    second.keys = set(2, 1, &[1]);
    // It has expired by now, which doesn't matter for the keys in it.
    second.expires = NOW - 1;
    second.created = NOW - 2;
    let mut third = manifest(7);
    third.keys = set(3, 1, &[2]);
    let mut current = manifest(8);
    current.keys = set(3, 1, &[2]);
    let second = Signed::by(&[0, 1], &second);
    let third = Signed::by(&[1, 2], &third);
    let current = Signed::by(&[2], &current);

    let mut client = client(Some(memory(5)));
    assert!(matches!(current.offer_to(&client, NOW), Err(Refusal::NotSigned { .. })));
    assert_eq!(client.next_generation(), 2);
    // None can be left out.
    let skipped = client.follow(&third.0, &third.signatures());
    assert!(matches!(skipped, Err(Refusal::NotSigned { .. })));
    client.follow(&second.0, &second.signatures()).unwrap();
    assert_eq!(client.next_generation(), 3);
    client.follow(&third.0, &third.signatures()).unwrap();
    assert_eq!(current.offer_to(&client, NOW).unwrap().version, 8);

    // A host whose configuration has the second key begins there.
    let mut fresh = Client::new(expected(), set(1, 1, &[1]), None);
    assert!(fresh.may_pass_over() && fresh.next_generation() == 2);
    fresh.follow(&third.0, &third.signatures()).unwrap();
    assert!(current.offer_to(&fresh, NOW).is_ok());
}

#[test]
fn a_memory_of_another_catalogue_is_none() {
    let mut other = memory(5);
    other.expected.channel = "testing".to_owned();
    assert!(Signed::by(&[0], &manifest(1)).offer_to(&client(Some(other)), NOW).is_ok());
}

proptest! {
    #[test]
    fn any_manifest_is_survived(at in 0_usize..2000, cut in 0_usize..30, text in "[{}\",:0-9a-z-]{0,20}") {
        let good = manifest(5).to_text();
        let at = at % good.len();
        let changed = format!("{}{text}{}", &good[..at], &good[(at + cut).min(good.len())..]);
        if let Ok(manifest) = Manifest::parse(changed.as_bytes()) {
            prop_assert!(manifest.check().is_ok());
        }
    }

    #[test]
    fn any_signature_is_survived(at in 0_usize..400, text in "\\PC{0,30}", key in "[A-Za-z0-9+/=]{50,60}") {
        static SIGNED: LazyLock<Signed> = LazyLock::new(|| Signed::by(&[0], &manifest(5)));
        let good = &SIGNED.1[0];
        let at = at % good.len();
        let changed = format!("{}{text}{}", &good[..at], &good[at..]);
        let _ = set(1, 1, &[0]).signers(&SIGNED.0, &[&changed, &text]);
        let _ = catalogue::keys::check_key(&key);
    }
}
