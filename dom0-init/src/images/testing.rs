//! An HTTP server on the loopback interface that can misbehave, and releases for it to serve.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, LazyLock, Mutex};

use catalogue::client::Expected;
use catalogue::hash::Sha256;
use catalogue::keys::KeySet;
use catalogue::manifest::{self, Artifact, Disk, Image, Manifest};
use catalogue::names;
use minisign::KeyPair;

use crate::host_config::catalogues::Catalogue;

/// What the server does with a path.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Sends it; honours ranges.
    Bytes(Vec<u8>),
    /// Announces it all and breaks off after so many bytes, the given number of times; then sends.
    Truncated { bytes: Vec<u8>, at: usize, times: u32 },
    /// Sends it all, whatever range is asked for.
    NoRanges(Vec<u8>),
    /// Sends it and more, without saying how much.
    Endless(Vec<u8>),
    /// Answers with this status.
    Status(u16),
}

type Replies = Arc<Mutex<HashMap<String, Reply>>>;

/// The server.
pub struct Server {
    /// Its address.
    pub url: String,
    replies: Replies,
    requests: Arc<Mutex<Vec<(String, u64)>>>,
}

impl Server {
    /// Starts one that has nothing yet.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (replies, requests) = (Replies::default(), Arc::default());
        let (served, log) = (Arc::clone(&replies), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is its own business.
                let _gone = serve(&stream, &served, &log);
            }
        });
        Self { url, replies, requests }
    }

    /// Says what it does with a path.
    pub fn set(&self, path: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// The offsets that were asked for.
    pub fn ranges(&self, path: &str) -> Vec<u64> {
        let all = self.requests.lock().unwrap();
        all.iter().filter(|(asked, _)| asked == path).map(|(_, from)| *from).collect()
    }
}

fn serve(
    stream: &TcpStream,
    replies: &Replies,
    log: &Mutex<Vec<(String, u64)>>,
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
    log.lock().unwrap().push((path.clone(), from as u64));
    let mut out = stream;
    let mut all = replies.lock().unwrap();
    let (mut status, mut bytes, mut limit) = (200, Vec::new(), None);
    match all.get_mut(&path) {
        None => status = 404,
        Some(Reply::Status(other)) => status = *other,
        Some(Reply::Bytes(content)) => bytes = content.clone(),
        Some(Reply::Truncated { bytes: content, at, times }) => {
            bytes = content.clone();
            limit = (*times > 0).then_some(*at);
            *times = times.saturating_sub(1);
        }
        Some(Reply::NoRanges(content)) => (from, bytes) = (0, content.clone()),
        Some(Reply::Endless(content)) => {
            write!(out, "HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")?;
            out.write_all(content)?;
            return out.write_all(&vec![7; 1 << 20]);
        }
    }
    drop(all);
    if status == 200 && from > 0 {
        (status, bytes) = match bytes.get(from..).filter(|rest| !rest.is_empty()) {
            Some(rest) => (206, rest.to_vec()),
            None => (416, Vec::new()),
        };
    }
    let length = bytes.len();
    write!(out, "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    out.write_all(&bytes[..limit.unwrap_or(length).min(length)])
}

static PAIRS: LazyLock<Vec<KeyPair>> =
    LazyLock::new(|| (0..2).map(|_| KeyPair::generate_unencrypted_keypair().unwrap()).collect());

/// The time of the releases that are made here.
pub const NOW: u64 = 1_800_000_000;

/// A set of the keys that there are here.
pub fn keys(generation: u64, keys: &[usize]) -> KeySet {
    let keys = keys.iter().map(|key| PAIRS[*key].pk.to_base64()).collect();
    KeySet { generation, threshold: 1, keys }
}

/// The catalogue of the server's folder `/r`, whose configured key is the first one.
pub fn catalogue(server: &Server) -> Catalogue {
    let text = |text: &str| text.to_owned();
    let expected =
        Expected { product: text("guests"), channel: text("stable"), arch: text("amd64") };
    Catalogue {
        name: text("guests"),
        url: format!("{}/r", server.url),
        expected,
        keys: keys(1, &[0]),
    }
}

/// A disk of a MiB with a word in it, and that compressed by zstd.
pub fn disk(word: &str) -> (Vec<u8>, Vec<u8>) {
    let mut disk = vec![0; 1 << 20];
    disk[500_000..500_000 + word.len()].copy_from_slice(word.as_bytes());
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let packed = ruzstd::encoding::compress_to_vec(&disk[..], level);
    (disk, packed)
}

/// A release with the image `tiny`, whose disk has a word in it.
pub fn release(version: u64, word: &str) -> (Manifest, Vec<u8>) {
    let (disk, packed) = disk(word);
    let artifact = Artifact {
        format: "raw.zst".to_owned(),
        file: format!("tiny.{version}.img.zst"),
        size: packed.len() as u64,
        sha256: Sha256::of(&packed),
    };
    let image = Image {
        name: "tiny".to_owned(),
        title: "A small one".to_owned(),
        disk: Disk { size: disk.len() as u64, sha256: Sha256::of(&disk) },
        artifacts: vec![artifact],
    };
    let text = |text: &str| text.to_owned();
    let manifest = Manifest {
        format: manifest::FORMAT,
        product: text("guests"),
        channel: text("stable"),
        arch: text("amd64"),
        version,
        minimum_version: 1,
        created: NOW - 3600,
        expires: NOW + 3600,
        keys: keys(1, &[0]),
        images: vec![image],
    };
    (manifest, packed)
}

/// Has the server serve a manifest under a name, signed by some keys.
pub fn serve_manifest(server: &Server, name: &str, manifest: &Manifest, signers: &[usize]) {
    let text = manifest.to_text().into_bytes();
    for (place, signer) in (0..).zip(signers) {
        let pair = &PAIRS[*signer];
        let signature = minisign::sign(Some(&pair.pk), &pair.sk, &text[..], None, None).unwrap();
        let path = format!("/r/{}", names::signature(name, place));
        server.set(&path, Reply::Bytes(signature.into_string().into_bytes()));
    }
    server.set(&format!("/r/{name}"), Reply::Bytes(text));
}

/// Has the server serve a release with its files.
pub fn serve_release(server: &Server, version: u64, word: &str) {
    let (manifest, packed) = release(version, word);
    server.set(&format!("/r/tiny.{version}.img.zst"), Reply::Bytes(packed));
    serve_manifest(server, names::MANIFEST, &manifest, &[0]);
}
