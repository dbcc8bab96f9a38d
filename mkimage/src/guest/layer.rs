//! The configured system of a recipe's packages: an archive in the cache, named after everything
//! that it is made from. What a recipe changes afterwards is applied to it without root.

use super::Inputs;
use super::configure;
use super::database;
use super::isolation::Place;
use super::package::Package;
use super::plan;
use super::sandbox::Sandbox;
use super::unpack::{self, Owner};
use crate::error::Error;
use crate::fs::{self, Context};
use crate::hash::{Hasher, Sha256};
use crate::output;
use crate::progress::Step;
use crate::scratch::{self, Scratch};
use crate::tools::{Tools, for_each_parallel};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

impl Inputs<'_> {
    /// Names the configured system: the packages, what is asked of them, and how they are configured.
    fn system_key(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        hasher.part(env!("MKIMAGE_GUEST_SOURCES")).part(self.lock.digest().bytes());
        hasher.part(self.epoch.to_le_bytes());
        for (question, answer) in &self.guest.debconf {
            hasher.part(question).part(format!("{answer:?}"));
        }
        for module in &self.guest.initramfs.modules {
            hasher.part("module").part(module);
        }
        for hook in &self.guest.hooks {
            hasher.part("hook").part(format!("{:?}", hook.run));
        }
        hasher.finish()
    }

    /// The configured system, made unless it is there. The caller holds the cache's lock.
    ///
    /// # Errors
    /// As [`Self::make_system`].
    pub(super) fn system<'t>(&self, tools: &'t Tools) -> Result<System<'t>, Error> {
        let systems = self.project.cache().root().join("systems");
        let archive = systems.join(format!("{}.tar", self.system_key().short()));
        let system = if archive.is_file() {
            System { archive, work: None }
        } else {
            fs::create_dir(&systems)?;
            scratch::remove_left(&systems)?;
            self.make_system(tools, archive)?
        };
        output::forget_old(&system.archive);
        Ok(system)
    }

    /// Makes the configured system, its archive at a path. The caller holds the cache's lock.
    ///
    /// # Errors
    /// When a package can't be fetched, unpacked or configured.
    pub(super) fn make_system<'t>(
        &self,
        tools: &'t Tools,
        archive: PathBuf,
    ) -> Result<System<'t>, Error> {
        let debs = self.project.archive()?.fetch(&self.recipe.name, &self.lock.packages)?;
        let work = Work::new(tools, &self.project.cache().root().join("work"))?;
        let packages = read(&debs)?;
        let owners = unpack(&packages, &work, self.epoch)?;
        let plan = plan::plan(&packages);
        let script = configure::script(&packages, &plan, &owners, self.guest, self.epoch);
        let scratch = Scratch::new(&archive)?;
        let _step = Step::spinner("configuring packages");
        let (root, log) = (work.root(), work.log());
        let place =
            Place { project: self.project, tools, root: &root, log: &log, epoch: self.epoch };
        place.run("configuring the packages", &script, &mut |output| {
            let mut file = std::fs::File::create(scratch.path())?;
            std::io::copy(output, &mut file).map(drop)
        })?;
        scratch.finish()?;
        Ok(System { archive, work: Some(work) })
    }
}

/// A configured system.
#[derive(Debug)]
pub(super) struct System<'a> {
    archive: PathBuf,
    /// Where it was made.
    work: Option<Work<'a>>,
}

impl System<'_> {
    /// Does something with the archive, while what else is left is removed: thousands of files.
    pub(super) fn used<T>(self, work: impl FnOnce(&Path) -> T) -> T {
        std::thread::scope(|scope| {
            scope.spawn(|| drop(self.work));
            work(&self.archive)
        })
    }
}

/// Reads what all packages say about themselves.
fn read(debs: &[PathBuf]) -> Result<Vec<Package>, Error> {
    let found: Vec<Mutex<Option<Package>>> = debs.iter().map(|_| Mutex::default()).collect();
    let numbers: Vec<usize> = (0..debs.len()).collect();
    for_each_parallel(&numbers, |at| {
        if let (Some(deb), Some(slot)) = (debs.get(*at), found.get(*at)) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Package::read(deb)?);
        }
        Ok::<(), crate::deb::Error>(())
    })?;
    let inner = |slot: Mutex<_>| slot.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(found.into_iter().filter_map(inner).collect())
}

/// Unpacks what mkimage unpacks itself, and lays out what dpkg needs for the rest.
fn unpack(packages: &[Package], work: &Work<'_>, epoch: u64) -> Result<Vec<Owner>, Error> {
    let plan = plan::plan(packages);
    let root = &work.root();
    let chosen: Vec<(usize, &Package)> =
        plan.extracted.iter().filter_map(|at| Some((*at, packages.get(*at)?))).collect();
    let list: Vec<&Package> = chosen.iter().map(|(_, package)| *package).collect();
    let unpacked = unpack::unpack(&list, root, epoch)?;
    let known: Vec<_> = chosen
        .iter()
        .zip(&unpacked)
        .filter(|((at, _), _)| plan.unpacked.contains(at))
        .map(|((_, package), unpacked)| (*package, unpacked))
        .collect();
    database::write(root, &known)?;
    fs::create_dir(&root.join(configure::FOLDER))?;
    for (at, package) in packages.iter().enumerate() {
        if !plan.unpacked.contains(&at) {
            let target = root.join(configure::deb(at).trim_start_matches('/'));
            if std::fs::hard_link(&package.path, &target).is_err() {
                fs::copy(&package.path, &target)?;
            }
        }
    }
    Ok(unpacked.into_iter().flat_map(|one| one.owners).collect())
}

/// Where a system is being configured. Files in it may belong to users that only its sandbox has.
#[derive(Debug)]
struct Work<'a> {
    tools: &'a Tools,
    scratch: Scratch,
}

impl<'a> Work<'a> {
    /// A new one; what interrupted builds left in `folder` is removed.
    fn new(tools: &'a Tools, folder: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(folder)?;
        for left in fs::list(folder)? {
            remove(tools, &left)?;
        }
        // Users of the host with the numbers of users of the inside have no business here.
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
            .at("change", folder)?;
        let work = Self { tools, scratch: Scratch::folder(&folder.join("system"))? };
        fs::create_dir(&work.root())?;
        Ok(work)
    }

    fn root(&self) -> PathBuf {
        self.scratch.path().join("root")
    }

    fn log(&self) -> PathBuf {
        self.scratch.path().join("log")
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        // Best effort: the next build tries again.
        let _ = remove(self.tools, self.scratch.path());
    }
}

/// Removes a folder, also when files in it belong to other users of the sandbox.
fn remove(tools: &Tools, folder: &Path) -> Result<(), Error> {
    if fs::remove(folder).is_err() {
        Sandbox::new(tools, &folder.join("root"), &folder.join("log")).empty()?;
        fs::remove(folder)?;
    }
    Ok(())
}
