//! Which signed files are believed.

mod support;

use mkimage::apt::keyring::{Error, Keyring};
use pgp::ser::Serialize;
use support::{Signer, now};

const TEXT: &str = "Suite: stable\nCodename: trixie\n- dashes\n";

fn reasons(error: Error) -> String {
    match error {
        Error::NoValidSignature(reasons) => reasons.join("; "),
        other => panic!("another error: {other}"),
    }
}

#[test]
fn a_good_signature_gives_exactly_the_signed_text() {
    let signer = Signer::new();
    let verified = signer.keyring().verify(&signer.sign(TEXT), now()).unwrap();
    assert_eq!(verified.text, TEXT);
    assert_eq!(verified.signer, signer.keyring().fingerprints()[0]);
}

#[test]
fn a_changed_text_is_refused() {
    let signer = Signer::new();
    let file = signer.sign(TEXT);
    for (from, to) in [("stable", "stablf"), ("trixie\n", "trixie\nExtra: 1\n"), ("- dashes", "")] {
        let error = signer.keyring().verify(&file.replace(from, to), now()).unwrap_err();
        assert!(reasons(error).contains("it was changed"), "{from}");
    }
}

#[test]
fn text_outside_the_signed_part_is_refused() {
    let signer = Signer::new();
    let file = signer.sign(TEXT);
    for changed in [format!("Suite: evil\n\n{file}"), format!("{file}\nSuite: evil\n")] {
        let error = signer.keyring().verify(&changed, now()).unwrap_err();
        assert!(matches!(error, Error::Surplus), "{error}");
    }
}

#[test]
fn unknown_keys_and_unsigned_files_are_refused() {
    let (signer, other) = (Signer::new(), Signer::new());
    let error = other.keyring().verify(&signer.sign(TEXT), now()).unwrap_err();
    assert!(reasons(error).contains("is unknown"));
    for file in ["", TEXT, "<html>Please log in</html>"] {
        let error = signer.keyring().verify(file, now()).unwrap_err();
        assert!(matches!(error, Error::Format(_)), "{error}");
    }
}

#[test]
fn revoked_keys_are_refused() {
    let signer = Signer::new();
    let keyring = Keyring::new(&[&signer.revoked().to_bytes().unwrap()]).unwrap();
    let error = keyring.verify(&signer.sign(TEXT), now()).unwrap_err();
    assert!(reasons(error).contains("was revoked"));
}

#[test]
fn expired_keys_are_refused_from_their_time_on() {
    let signer = Signer::new();
    let keyring = Keyring::new(&[&signer.expiring(1000).to_bytes().unwrap()]).unwrap();
    let file = signer.sign(TEXT);
    assert!(keyring.verify(&file, now()).is_ok());
    let error = keyring.verify(&file, now() + 2000).unwrap_err();
    assert!(reasons(error).contains("has expired"));
}

#[test]
fn signatures_from_the_future_are_refused() {
    let signer = Signer::new();
    let file = signer.sign(TEXT);
    let error = signer.keyring().verify(&file, now() - 3 * 86_400).unwrap_err();
    let reasons = reasons(error);
    assert!(reasons.contains("no valid self-signature") || reasons.contains("future"), "{reasons}");
}

#[test]
fn the_keys_of_the_project_are_the_documented_ones() {
    let readme = include_str!("../keys/README.md");
    let fingerprints = Keyring::debian().unwrap().fingerprints();
    assert_eq!(fingerprints.len(), 3);
    for fingerprint in fingerprints {
        assert!(readme.contains(&fingerprint), "{fingerprint} is not in keys/README.md");
    }
}
