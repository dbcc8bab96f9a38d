//! Fetching a file of known size and digest: in pieces if need be, hashed while it arrives.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use catalogue::content::{Watch, Wrong};
use catalogue::manifest::Artifact;

use super::http::{Http, Unanswered};
use super::progress::Progress;

/// Attempts in a row that bring nothing before giving up.
const ATTEMPTS: u32 = 5;

/// What one attempt came to.
enum Outcome {
    Whole,
    /// Worth another attempt: it broke off, having brought something or not.
    BrokenOff {
        why: String,
        fruitful: bool,
    },
    /// The content is not the announced one.
    Wrong(Wrong),
}

/// Fetches a file into `partial`, which may hold the beginning of it from an earlier run, and in
/// the end holds exactly what was announced.
///
/// # Errors
/// When the server can't be reached or serves something else, or the disk is full. What has arrived
/// stays for the next run, unless it is wrong.
pub fn fetch(
    http: &Http,
    url: &str,
    artifact: &Artifact,
    partial: &Path,
    label: &str,
) -> anyhow::Result<()> {
    let mut transfer = Transfer::open(http, url, artifact, partial)?;
    let mut progress = Progress::new(label, artifact.size, transfer.watch.seen());
    // What an earlier run left may be of something else: then, once, everything is fetched.
    let mut resumed = transfer.watch.seen() > 0;
    let mut fruitless = 0;
    loop {
        match transfer.attempt(&mut progress)? {
            Outcome::Whole => {
                return transfer.file.sync_all().with_context(|| partial.display().to_string());
            }
            Outcome::Wrong(_) if std::mem::take(&mut resumed) => transfer.restart()?,
            Outcome::Wrong(wrong) => {
                std::fs::remove_file(partial).with_context(|| partial.display().to_string())?;
                bail!(
                    "{url}: {wrong}: the server or a proxy has another file or a damaged one; \
                     nothing of it is kept"
                );
            }
            Outcome::BrokenOff { fruitful: true, .. } => fruitless = 0,
            Outcome::BrokenOff { why, fruitful: false } => {
                fruitless += 1;
                if fruitless >= ATTEMPTS {
                    bail!(
                        "{url}: {why}; {} of {} bytes are here: run the command again, and it goes \
                         on there",
                        transfer.watch.seen(),
                        artifact.size
                    );
                }
                std::thread::sleep(http.backoff * 2_u32.pow(fruitless - 1));
            }
        }
    }
}

struct Transfer<'a> {
    http: &'a Http,
    url: &'a str,
    artifact: &'a Artifact,
    partial: &'a Path,
    file: File,
    watch: Watch,
}

impl<'a> Transfer<'a> {
    /// Opens the file and hashes what is in it.
    fn open(
        http: &'a Http,
        url: &'a str,
        artifact: &'a Artifact,
        partial: &'a Path,
    ) -> anyhow::Result<Self> {
        let name = || partial.display().to_string();
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(partial).with_context(name)?;
        let mut watch = Watch::new(artifact.size, artifact.sha256);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut buffer).with_context(name)?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
            if watch.add(chunk).is_err() {
                watch = Watch::new(artifact.size, artifact.sha256);
                file.set_len(0).with_context(name)?;
                break;
            }
        }
        Ok(Self { http, url, artifact, partial, file, watch })
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        self.watch = Watch::new(self.artifact.size, self.artifact.sha256);
        self.file.set_len(0).with_context(|| self.partial.display().to_string())
    }

    /// One request for what is missing.
    fn attempt(&mut self, progress: &mut Progress) -> anyhow::Result<Outcome> {
        if self.watch.missing() == 0 {
            return Ok(self.judge());
        }
        let from = self.watch.seen();
        let broken = |why: String, fruitful| Ok(Outcome::BrokenOff { why, fruitful });
        let answer = match self.http.get(self.url, from) {
            Ok(answer) => answer,
            Err(Unanswered(why)) => return broken(why, false),
        };
        match answer.status {
            206 => {}
            // Without ranges everything comes again.
            200 => self.restart()?,
            // There is nothing behind what is here.
            416 => {
                let (expected, found) = (self.artifact.size, from);
                return Ok(Outcome::Wrong(Wrong::TooShort { expected, found }));
            }
            404 | 410 => {
                return Err(anyhow!(
                    "{}: the server hasn't got it: its files don't belong together; tell its \
                     publisher, or try again later",
                    self.url
                ));
            }
            status => return broken(format!("the server answers HTTP {status}"), false),
        }
        if answer.length.is_some_and(|length| length > self.watch.missing()) {
            return Ok(Outcome::Wrong(Wrong::TooLarge { expected: self.artifact.size }));
        }
        self.receive(answer.into_reader(), progress)
    }

    fn receive(&mut self, mut body: impl Read, progress: &mut Progress) -> anyhow::Result<Outcome> {
        let from = self.watch.seen();
        let name = || format!("can't write {}", self.partial.display());
        self.file.seek(SeekFrom::Start(from)).with_context(name)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let fruitful = self.watch.seen() > from;
            let count = match body.read(&mut buffer) {
                Ok(count) => count,
                Err(error) => return Ok(Outcome::BrokenOff { why: error.to_string(), fruitful }),
            };
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
            if let Err(wrong) = self.watch.add(chunk) {
                return Ok(Outcome::Wrong(wrong));
            }
            self.file.write_all(chunk).with_context(name)?;
            progress.at(self.watch.seen());
        }
        if self.watch.missing() > 0 {
            let why = "the server broke off".to_owned();
            return Ok(Outcome::BrokenOff { why, fruitful: self.watch.seen() > from });
        }
        Ok(self.judge())
    }

    fn judge(&self) -> Outcome {
        self.watch.clone().finish().map_or_else(Outcome::Wrong, |()| Outcome::Whole)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use catalogue::hash::Sha256;

    use super::super::testing::{Reply, Server};
    use super::*;

    fn content() -> Vec<u8> {
        (0..300_000_u32).map(|i| (i * 7 % 251) as u8).collect()
    }

    struct Case {
        server: Server,
        folder: tempfile::TempDir,
    }

    impl Case {
        fn new(reply: Reply) -> Self {
            let (server, folder) = (Server::new(), tempfile::tempdir().unwrap());
            server.set("/file", reply);
            Self { server, folder }
        }

        fn partial(&self) -> PathBuf {
            self.folder.path().join("partial")
        }

        fn fetch(&self) -> Result<Vec<u8>, String> {
            let mut http = Http::new();
            http.backoff = Duration::from_millis(1);
            let bytes = content();
            let artifact = Artifact {
                format: "raw.zst".into(),
                file: "file".into(),
                size: bytes.len() as u64,
                sha256: Sha256::of(&bytes),
            };
            let url = format!("{}/file", self.server.url);
            fetch(&http, &url, &artifact, &self.partial(), "test")
                .map(|()| std::fs::read(self.partial()).unwrap())
                .map_err(|error| format!("{error:#}"))
        }
    }

    #[test]
    fn what_breaks_off_goes_on() {
        let case = Case::new(Reply::Truncated { bytes: content(), at: 100_000, times: 2 });
        assert!(case.fetch().unwrap() == content());
        assert_eq!(case.server.ranges("/file"), [0, 100_000, 200_000]);
    }

    #[test]
    fn a_later_run_goes_on_where_this_one_was_killed() {
        let case = Case::new(Reply::Truncated { bytes: content(), at: 0, times: 99 });
        std::fs::write(case.partial(), &content()[..70_000]).unwrap();
        let error = case.fetch().unwrap_err();
        assert!(error.contains("70000 of 300000 bytes are here: run the command again"), "{error}");
        case.server.set("/file", Reply::Bytes(content()));
        assert!(case.fetch().unwrap() == content());
        assert_eq!(case.server.ranges("/file").last(), Some(&70_000));
    }

    #[test]
    fn other_content_is_refused_and_not_kept() {
        let mut flipped = content();
        flipped[123_456] ^= 1;
        let longer = [content(), vec![0]].concat();
        for (bytes, words) in [(flipped, "SHA-256"), (longer, "larger than the 300000 bytes")] {
            let case = Case::new(Reply::Bytes(bytes));
            let error = case.fetch().unwrap_err();
            assert!(error.contains(words) && error.contains("nothing of it is kept"), "{error}");
            assert!(!case.partial().exists());
        }
    }

    #[test]
    fn a_server_that_says_nothing_of_the_length_can_send_no_more() {
        let case = Case::new(Reply::Endless(content()));
        let error = case.fetch().unwrap_err();
        assert!(error.contains("larger than the 300000 bytes"), "{error}");
    }

    #[test]
    fn what_an_earlier_run_left_of_something_else_is_thrown_away() {
        for left in [vec![1; 50_000], vec![1; 300_000], vec![1; 400_000]] {
            let case = Case::new(Reply::Bytes(content()));
            std::fs::write(case.partial(), left).unwrap();
            assert!(case.fetch().unwrap() == content());
        }
        let case = Case::new(Reply::NoRanges(content()));
        std::fs::write(case.partial(), &content()[..50_000]).unwrap();
        assert!(case.fetch().unwrap() == content());
    }

    #[test]
    fn missing_files_and_failing_servers() {
        let case = Case::new(Reply::Status(404));
        assert!(case.fetch().unwrap_err().contains("don't belong together"));
        let case = Case::new(Reply::Status(503));
        assert!(case.fetch().unwrap_err().contains("HTTP 503"));
        assert_eq!(case.server.ranges("/file").len(), 5);
    }

    #[test]
    fn a_full_disk_is_named() {
        let mut case = Case::new(Reply::Bytes(content()));
        // Writing to this device fails as a full disk does.
        case.folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", case.partial()).unwrap();
        let http = Http::new();
        let artifact = Artifact {
            format: "raw.zst".into(),
            file: "file".into(),
            size: 300_000,
            sha256: Sha256::of(&content()),
        };
        let url = format!("{}/file", case.server.url);
        let partial = case.partial();
        let file = File::options().write(true).open(&partial).unwrap();
        let watch = Watch::new(artifact.size, artifact.sha256);
        let mut transfer = Transfer {
            http: &http,
            url: &url,
            artifact: &artifact,
            partial: &partial,
            file,
            watch,
        };
        let mut progress = Progress::new("test", 1, 0);
        let error = transfer.receive(&content()[..], &mut progress).err().unwrap();
        assert!(format!("{error:#}").contains("No space left"), "{error:#}");
    }
}
