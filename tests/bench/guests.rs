//! Guests on our hypervisor, with `xm`, and on Debian's Xen 4.20, with `xl`: the same kernel as
//! guest and as control domain, in the same machine. What a guest is charged with is counted by
//! QEMU, which knows nothing of either: each VMRUN with the address of the vCPU's control block.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use mkimage::stage::initramfs::Initramfs;
use xenolith_tests::images::{self, Images};
use xenolith_tests::workbench::Folder;

use crate::machine::{Bench, probe};
use crate::said::{self, Probes};
use crate::sides::{self, Job, Side};
use crate::{line, ratio};

/// How many more guests start when two of them run.
const FURTHER: i64 = 3;
/// What QEMU says when a vCPU is entered.
const ENTERED: &str = "vmrun! ";

/// What the control domain does, with the tool's name for `TOOL`. A guest that is destroyed is
/// waited for.
const SCRIPT: &str = "
alone() {
    while [ $(TOOL list | wc -l) -gt 2 ]; do usleep 500000; done
    sleep 1
}
sleep 10
cd /bench
./probe run 'create, first' TOOL create -p /bench/web.cfg
TOOL destroy web; alone
./probe run 'create' TOOL create -p /bench/web.cfg
TOOL destroy web; alone
./probe until 'user space' /local/domain/3/data/ready TOOL create /bench/web.cfg
available() {
    sleep 5
    sync
    echo 3 >/proc/sys/vm/drop_caches
    echo \"available $1: $(grep MemAvailable /proc/meminfo | tr -dc 0-9) KiB\"
}
for number in 4 5 6 7; do
    sed \"s/2b3a4c5d6e7f/00000000000$number/; s/web/web$number/\" web.cfg >more.cfg
    ./probe until 'another' /local/domain/$number/data/ready TOOL create /bench/more.cfg
    [ $number = 4 ] && available before
done
available after
./probe events
";

/// What was counted on one side.
struct Counts {
    probes: Probes,
    /// VM entries of the first guest that ran.
    entries: u64,
    /// Memory of the control domain that each of the following guests takes, in KiB; less than
    /// nothing if something else gave back more meanwhile.
    memory_kib: i64,
}

/// Measures and prints.
pub fn print(bench: &Bench) -> Result<(), Box<dyn Error>> {
    eprintln!("counting what guests take on Xenolith");
    let ours = count(bench.images(), Side::Ours)?;
    eprintln!("counting what guests take on Xen");
    let xens = count(bench.images(), Side::Xens)?;
    println!("A guest of one vCPU and 128 MiB, in instructions; in units of Xen's:");
    for (name, what, target) in [
        ("create, first", "create, kernel not unpacked yet", "at most 0.2"),
        ("create", "create again", "at most 0.2"),
        ("user space", "create to user space", "at most 0.5"),
        ("events", "1000 event round trips in dom0", "at most 1"),
    ] {
        let (one, other) = (ours.probes.get(name)?, xens.probes.get(name)?);
        let ratio = ratio(one.0 as f64, other.0 as f64);
        line(what, format!("{one} of {other}"), &format!("{ratio}, {target}"));
    }
    let (one, other) = (ours.entries, xens.entries);
    let ratio = ratio(one as f64, other as f64);
    line("VM entries to user space", format!("{one} of {other}"), &format!("{ratio}, at most 0.2"));
    let (one, other) = (ours.memory_kib, xens.memory_kib);
    line("dom0 memory for another, KiB", format!("{one} of {other}"), "at most 2048");
    Ok(())
}

fn count(images: &Images, side: Side) -> Result<Counts, Box<dyn Error>> {
    let folder = Folder::new(&format!("guests-{side:?}"));
    let mut ramdisk = Initramfs::default();
    ramdisk.device("dev/console", 5, 1);
    // It tells the store that it runs.
    ramdisk.file("init", &probe(&images::project())?, true);
    let mut files = Initramfs::default();
    files.bytes("bench/ramdisk", ramdisk.archive(0)?);
    files.bytes("bench/web.cfg", sides::config("memory = 128\n"));
    let log = folder.file("entries");
    // Of what QEMU would tell about code, nothing but entries and exits is left.
    let arguments = ["-d", "in_asm", "-dfilter", "0+1", "-D"].map(str::to_owned).into_iter();
    let arguments = arguments.chain([log.display().to_string()]).collect();
    let job = Job { files, script: SCRIPT.to_owned(), arguments };
    let said = sides::run(images, &folder, side, job)?;
    let available = |when| said::number::<i64>(&said, &format!("available {when}: "));
    let taken = available("before")? - available("after")?;
    let probes = said::probes(&said)?;
    Ok(Counts { probes, entries: entries(&log)?, memory_kib: taken / FURTHER })
}

/// How often the first vCPU was entered that isn't the control domain's, which is the very first.
fn entries(log: &Path) -> Result<u64, Box<dyn Error>> {
    let log = BufReader::new(File::open(log)?);
    let (mut blocks, mut count): (Vec<String>, u64) = Default::default();
    for line in log.lines() {
        let line = line?;
        let Some(block) = line.strip_prefix(ENTERED) else { continue };
        match blocks.iter().position(|known| known == block) {
            None => blocks.push(block.to_owned()),
            Some(1) => count += 1,
            Some(_) => {}
        }
    }
    if count == 0 { Err("QEMU told of no VM entry of a guest".into()) } else { Ok(count + 1) }
}
