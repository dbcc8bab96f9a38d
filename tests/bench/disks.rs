//! What a qcow2 disk costs a guest, in units of a file that the kernel serves.

use std::error::Error;
use std::time::Duration;

use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::qemu_img;
use xenolith_tests::workbench::Folder;

use crate::machine::Bench;
use crate::{line, ratio};

/// How much is written and read.
const MEBIBYTES: u32 = 64;
/// Rounds of both disks, alternating; the best of each counts, but for the first, in which
/// clusters are given to the image.
const ROUNDS: usize = 4;
/// Looks at whether a round is done, a second apart.
const LOOKS: usize = 120;

/// The time that a disk takes.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// For writing, in seconds.
    write: f64,
    /// For reading, in seconds.
    read: f64,
}

impl Times {
    const NONE: Self = Self { write: f64::MAX, read: f64::MAX };

    fn best(self, other: Self) -> Self {
        Self { write: self.write.min(other.write), read: self.read.min(other.read) }
    }
}

/// Measures and prints.
pub fn print(_bench: &Bench) -> Result<(), Box<dyn Error>> {
    eprintln!("writing and reading a guest's disks");
    let [image, file] = measure()?;
    println!("A guest's disk that is a qcow2 image, in units of one that is a file:");
    line("time to write 64 MiB", ratio(image.write, file.write), "");
    line("time to read 64 MiB", ratio(image.read, file.read), "");
    Ok(())
}

/// Writes and reads an image and a file in a guest; the image's and the file's times.
fn measure() -> Result<[Times; 2], Box<dyn Error>> {
    let folder = Folder::new("bench-disks-images");
    let image = folder.file("a.qcow2");
    qemu_img::create(&image, &[&format!("{MEBIBYTES}M")]);
    let disks = "disk = ['tap:qcow2:/data/images/a.qcow2,xvda,w', 'file:/data/images/b,xvdb,w']";
    let mut host = Setup::new("bench-disks")
        .text("config/guests/web.cfg", &config(disks))
        .file("images/a.qcow2", &image)
        .data_mib(192 + 3 * MEBIBYTES)
        .boot();
    host.shell(&format!("dd if=/dev/zero of=/data/images/b bs=1M count={MEBIBYTES} 2>/dev/null"));
    host.create("web", "web");
    let mut best = [Times::NONE; 2];
    for round in 0..ROUNDS {
        for (disk, best) in ["/dev/xvda", "/dev/xvdb"].iter().zip(&mut best) {
            let write =
                seconds(&mut host, &format!("if=/dev/zero of={disk} oflag=direct conv=fsync"))?;
            let read = seconds(&mut host, &format!("if={disk} of=/dev/null iflag=direct"))?;
            if round > 0 {
                *best = best.best(Times { write, read });
            }
        }
    }
    host.end();
    Ok(best)
}

/// How long a guest takes for a copy.
fn seconds(host: &mut Host, copy: &str) -> Result<f64, Box<dyn Error>> {
    let now = "cut -d' ' -f1 /proc/uptime";
    let run = format!("{now}; dd bs=1M count={MEBIBYTES} {copy} 2>/dev/null && {now}");
    host.guest("web", &format!("rm -f /tmp/times; ({{ {run}; }} >/tmp/times & true)"));
    for _ in 0..LOOKS {
        std::thread::sleep(Duration::from_secs(1));
        let times = host.guest("web", "cat /tmp/times");
        if let [start, end] = times.split_whitespace().collect::<Vec<_>>().as_slice() {
            return Ok(end.parse::<f64>()? - start.parse::<f64>()?);
        }
    }
    Err(format!("the guest doesn't end: {copy}").into())
}
