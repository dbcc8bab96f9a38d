//! What the tests share: a signing key, a small signed archive, and a loopback server that can
//! misbehave.

// Each test program uses its own part.
#![allow(dead_code, missing_docs)]

use mkimage::apt::keyring::Keyring;
use mkimage::apt::sources::Mirror;
use mkimage::hash::Sha256;
use mkimage::net::archive::Archive;
use mkimage::net::cache::Cache;
use mkimage::net::http::Http;
use pgp::composed::{
    CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedPublicKey, SignedSecretKey,
};
use pgp::packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Password, Timestamp};
use rand::thread_rng;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A signing key and its certificate.
pub struct Signer {
    pub secret: SignedSecretKey,
    pub public: SignedPublicKey,
}

impl Signer {
    pub fn new() -> Self {
        let params = SecretKeyParamsBuilder::default()
            .key_type(KeyType::Ed25519Legacy)
            .can_certify(true)
            .can_sign(true)
            .primary_user_id("Test archive".into())
            .build()
            .unwrap();
        let secret = params.generate(thread_rng()).unwrap();
        let public = secret.to_public_key();
        Self { secret, public }
    }

    pub fn keyring(&self) -> Keyring {
        Keyring::new(&[&self.public.to_bytes().unwrap()]).unwrap()
    }

    pub fn sign(&self, text: &str) -> String {
        let key = &self.secret.primary_key;
        let signed = CleartextSignedMessage::sign(thread_rng(), text, key, &Password::empty());
        signed.unwrap().to_armored_string(pgp::composed::ArmorOptions::default()).unwrap()
    }

    /// The certificate with a revocation by its own key.
    pub fn revoked(&self) -> SignedPublicKey {
        let key = &self.secret.primary_key;
        let kind = SignatureType::KeyRevocation;
        let mut config = SignatureConfig::from_key(thread_rng(), key, kind).unwrap();
        config.hashed_subpackets = self.subpackets(None);
        let revocation =
            config.sign_key(key, &Password::empty(), &self.public.primary_key).unwrap();
        let mut public = self.public.clone();
        public.details.revocation_signatures.push(revocation);
        public
    }

    /// The certificate with a self-signature that lets the key expire after some seconds.
    pub fn expiring(&self, seconds: u32) -> SignedPublicKey {
        let key = &self.secret.primary_key;
        let kind = SignatureType::CertPositive;
        let mut public = self.public.clone();
        let user = public.details.users.first_mut().unwrap();
        let mut config = SignatureConfig::from_key(thread_rng(), key, kind).unwrap();
        config.hashed_subpackets = self.subpackets(Some(seconds));
        let tag = pgp::types::Tag::UserId;
        let signature = config
            .sign_certification(key, &self.public.primary_key, &Password::empty(), tag, &user.id)
            .unwrap();
        user.signatures = vec![signature];
        public
    }

    fn subpackets(&self, expiry: Option<u32>) -> Vec<Subpacket> {
        let mut flags = pgp::packet::KeyFlags::default();
        flags.set_sign(true);
        flags.set_certify(true);
        let mut data = vec![
            SubpacketData::SignatureCreationTime(Timestamp::now()),
            SubpacketData::IssuerFingerprint(self.public.primary_key.fingerprint()),
            SubpacketData::KeyFlags(flags),
        ];
        data.extend(expiry.map(|seconds| {
            SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(seconds))
        }));
        data.into_iter().map(|data| Subpacket::regular(data).unwrap()).collect()
    }
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What the server does with a path.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Sends it; honours ranges.
    Bytes(Vec<u8>),
    /// Announces it all and breaks off after so many bytes, the given number of times; then sends.
    Truncated { bytes: Vec<u8>, at: usize, times: u32 },
    /// Sends it all, whatever range is asked for.
    NoRanges { bytes: Vec<u8>, truncate_first_at: Option<usize> },
    /// Answers with this status.
    Status(u16),
}

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

/// An HTTP server on the loopback interface.
pub struct Server {
    pub url: String,
    answers: Answers,
    pub requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = Answers::default();
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (served, log) = (Arc::clone(&answers), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is its own business.
                let _ = serve(stream, &served, &log);
            }
        });
        Self { url, answers, requests }
    }

    pub fn set(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    pub fn remove(&self, path: &str) {
        self.answers.lock().unwrap().remove(path);
    }

    pub fn count(&self, path: &str) -> usize {
        let all = self.requests.lock().unwrap();
        all.iter().filter(|request| request.split(' ').next() == Some(path)).count()
    }
}

fn serve(
    stream: std::net::TcpStream,
    answers: &Answers,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(range) = header.to_lowercase().strip_prefix("range: bytes=") {
            from = range.trim().trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    log.lock().unwrap().push(format!("{path} {from}"));
    let mut stream = reader.into_inner();
    let mut all = answers.lock().unwrap();
    let (status, bytes, limit) = match all.get_mut(&path) {
        None => (404, Vec::new(), None),
        Some(Answer::Status(status)) => (*status, Vec::new(), None),
        Some(Answer::Bytes(bytes)) => (200, bytes.clone(), None),
        Some(Answer::Truncated { bytes, at, times }) => {
            let limit = (*times > 0).then_some(*at);
            *times = times.saturating_sub(1);
            (200, bytes.clone(), limit)
        }
        Some(Answer::NoRanges { bytes, truncate_first_at }) => {
            from = 0;
            (200, bytes.clone(), truncate_first_at.take())
        }
    };
    drop(all);
    let (status, bytes) = match (status, bytes.get(from..)) {
        (200, Some(rest)) if from > 0 => (206, rest.to_vec()),
        (200, None) => (416, Vec::new()),
        (status, _) => (status, bytes),
    };
    let length = bytes.len();
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&bytes[..limit.unwrap_or(length).min(length)])
}

/// A package with one file.
pub fn deb(path: &str, content: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    tar.append_data(&mut header, path, content.as_bytes()).unwrap();
    let mut archive = ar::Builder::new(Vec::new());
    let data = tar.into_inner().unwrap();
    for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("data.tar", &data)] {
        let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        archive.append(&header, bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

/// Publishes packages (name, version, more fields) as suite `trixie` under `/debian`, signed.
pub fn publish(server: &Server, signer: &Signer, packages: &[(&str, &str, &str)]) {
    let mut text = String::new();
    for (name, version, more) in packages {
        let bytes = deb(&format!("usr/share/{name}"), version);
        let path = format!("pool/main/{name}_{version}_amd64.deb");
        text += &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: {path}\nSize: {}\n\
             SHA256: {}\n{more}\n",
            bytes.len(),
            Sha256::of(&bytes)
        );
        server.set(&format!("/debian/{path}"), Answer::Bytes(bytes));
    }
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(text.as_bytes()).unwrap();
    let index = xz.finish().unwrap();
    let sha256 = Sha256::of(&index);
    let release = format!(
        "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n\
         Acquire-By-Hash: yes\nSHA256:\n {sha256} {} main/binary-amd64/Packages.xz\n \
         {} {} main/binary-amd64/Packages\n",
        index.len(),
        Sha256::of(text.as_bytes()),
        text.len()
    );
    let base = "/debian/dists/trixie";
    server.set(&format!("{base}/InRelease"), Answer::Bytes(signer.sign(&release).into_bytes()));
    let hashed = format!("{base}/main/binary-amd64/by-hash/SHA256/{sha256}");
    server.set(&hashed, Answer::Bytes(index.clone()));
    server.set(&format!("{base}/main/binary-amd64/Packages.xz"), Answer::Bytes(index));
}

/// An archive behind the server, caching in a folder.
pub fn archive(server: &Server, signer: &Signer, cache: &Path) -> Archive {
    let mut http = Http::new(false).unwrap();
    http.backoff = Duration::from_millis(1);
    let mirror = Mirror::given(&format!("{}/debian", server.url));
    Archive::new(mirror, http, signer.keyring(), Cache::new(cache))
}

/// The program, in the project it was built from, with nobody at its terminal.
pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkimage"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(words).stdin(Stdio::null());
    command.env_remove("SOURCE_DATE_EPOCH").env_remove("MKIMAGE_KEY_PASSWORD");
    command
}

/// Runs the program, which must succeed; returns what it prints.
pub fn mkimage(words: &[&str]) -> String {
    let output = command(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs the program, which must fail; returns what it says last.
pub fn refused(words: &[&str]) -> String {
    let output = command(words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    let at = said.rfind("mkimage: ").unwrap_or(0);
    said[at..].trim_end().to_owned()
}
