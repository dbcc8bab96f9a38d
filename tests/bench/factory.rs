//! What an image costs to make, beside mmdebstrap and mke2fs, from the same packages.
//!
//! Both work below the folder for temporary files, with their packages at hand, in a user
//! namespace where the real root is none; mmdebstrap's own mode there is `root`, since it is that
//! of a namespace already.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mkimage::assemble::Output;
use mkimage::commands::lock::{self, Update};
use mkimage::guest;
use mkimage::lock::Lock;
use mkimage::project::{Options, Project};
use mkimage::recipe::Recipe;
use xenolith_tests::debian::{self, Debian};
use xenolith_tests::images;
use xenolith_tests::workbench::Folder;

use crate::{line, process, ratio};

/// The image that is made.
const RECIPE: &str = "demo";
/// Rounds of both, alternating; the best of each counts.
const ROUNDS: usize = 2;

/// mmdebstrap's part. Essential and required packages come by themselves, and nothing else is in
/// the archive, so what is installed is exactly what the lock names.
const PEER: &str = r#"
rm -rf /var/tmp/system /var/tmp/image
include=$(sed -n 's/^Package: //p' /archive/Packages | paste -sd,)
mmdebstrap --quiet --mode=root --variant=required --format=directory --include="$include" \
    '' /var/tmp/system 'deb [trusted=yes] copy:/archive ./'
mke2fs -q -F -t ext4 -d /var/tmp/system /var/tmp/image 2g
"#;
const PEERS_PACKAGES: &str =
    "dpkg-query --admindir=/var/tmp/system/var/lib/dpkg -W -f '${Package} ${Version}\\n'";

/// Measures and prints.
pub fn print() -> Result<(), Box<dyn Error>> {
    eprintln!("building images");
    let bench = Factory::prepare()?;
    let (mut peer, mut first, mut changed, mut unchanged) =
        (Duration::MAX, Duration::MAX, Duration::MAX, Duration::MAX);
    let mut memory = 0;
    for round in 0..ROUNDS {
        peer = peer.min(bench.peer()?);
        bench.forget()?;
        let (time, peak) = process::peak(|| bench.build());
        first = first.min(time?);
        memory = memory.max(peak);
        std::fs::write(bench.overlay().join("etc/changed"), format!("{round}\n"))?;
        changed = changed.min(bench.build()?);
        unchanged = unchanged.min(bench.build()?);
    }
    let resolution = resolution(&images::project())?;
    println!("The image of {RECIPE}, from packages at hand, in seconds:");
    let seconds = |time: Duration| format!("{:.2}", time.as_secs_f64());
    line("mmdebstrap and mke2fs", seconds(peer), "");
    line("mkimage", seconds(first), "");
    line("in units of mmdebstrap", ratio(first.as_secs_f64(), peer.as_secs_f64()), "(0.5)");
    line("one file of the overlay changed", seconds(changed), "(5)");
    line("nothing changed", seconds(unchanged), "(1)");
    line("resolving its packages", seconds(resolution), "(0.5)");
    line("most memory, MiB", memory >> 20, "(1024)");
    Ok(())
}

/// How long the answer takes when the index is at hand, unpacked.
fn resolution(project: &Project) -> Result<Duration, Box<dyn Error>> {
    let recipe = project.recipe(RECIPE)?;
    let archive = project.archive()?;
    let mut best = Duration::MAX;
    for _ in 0..=ROUNDS {
        // The signed release itself comes over the network.
        let suites = lock::read_suites(&archive, &recipe)?;
        let start = Instant::now();
        let packages = lock::resolve_recipe(&recipe, &suites, None, &Update::All)?;
        best = best.min(start.elapsed());
        assert!(!packages.is_empty(), "{RECIPE} has packages");
    }
    Ok(best)
}

/// Recipes and a cache of their own, and the peer.
struct Factory {
    folder: Folder,
    project: Project,
    lock: Lock,
    debian: Debian,
}

impl Factory {
    fn prepare() -> Result<Self, Box<dyn Error>> {
        let real = images::project();
        let folder = Folder::new("bench-factory");
        let recipe = real.recipe(RECIPE)?;
        let lock = real.lock(&recipe)?;
        let debian = Debian::new("bench-factory-peer");
        let cache = real.cache();
        for package in real.archive()?.fetch(RECIPE, &lock.packages)? {
            let inner = package.strip_prefix(cache.root())?;
            copy(&package, &folder.file("cache").join(inner))?;
        }
        debian::archive(&cache, &lock.packages, &debian.file("archive"))?;
        for source in [real.recipes(), real.root().join("overlays")] {
            copy_all(
                &source,
                &folder.file(&source.file_name().unwrap_or_default().to_string_lossy()),
            )?;
        }
        // The tools tree isn't measured.
        let tools = real.tools()?;
        let inner = tools.root().strip_prefix(cache.root())?;
        copy_all(tools.root(), &folder.file("cache").join(inner))?;
        let options =
            Options { offline: true, cache: Some(folder.file("cache")), ..Options::default() };
        Ok(Self { project: Project::find(options)?, folder, lock, debian })
    }

    fn overlay(&self) -> PathBuf {
        self.folder.file("overlays").join(RECIPE)
    }

    /// Takes everything away but the packages.
    fn forget(&self) -> Result<(), Box<dyn Error>> {
        for name in ["cache/systems", "cache/stamps", "out"] {
            mkimage::fs::remove(&self.folder.file(name))?;
        }
        Ok(())
    }

    fn build(&self) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        let recipe = Recipe::read(&self.folder.file("recipes").join(format!("{RECIPE}.toml")))?;
        guest::build(&self.project, &recipe, &Output::Folder(self.folder.file("out")))?;
        Ok(start.elapsed())
    }

    fn peer(&self) -> Result<Duration, Box<dyn Error>> {
        let start = Instant::now();
        self.debian.run("mmdebstrap", PEER);
        let time = start.elapsed();
        let installed = self.debian.run("dpkg-query", PEERS_PACKAGES);
        let mut installed: Vec<&str> = installed.lines().collect();
        installed.sort_unstable();
        let locked = self.lock.packages.iter().map(|p| format!("{} {}", p.name, p.version));
        let mut locked: Vec<String> = locked.collect();
        locked.sort_unstable();
        if installed != locked {
            return Err("mmdebstrap installed other packages than the lock names".into());
        }
        Ok(time)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::copy(from, to)?;
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> Result<(), Box<dyn Error>> {
    for path in mkimage::fs::list(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        let kind = path.symlink_metadata()?.file_type();
        if kind.is_dir() {
            copy_all(&path, &target)?;
        } else if kind.is_symlink() {
            std::fs::create_dir_all(to)?;
            std::os::unix::fs::symlink(path.read_link()?, target)?;
        } else {
            copy(&path, &target)?;
        }
    }
    Ok(())
}
