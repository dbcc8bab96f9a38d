//! Guest images: a whole system from packages, without root.
//!
//! The way: read the packages ([`package`]), order them ([`plan`]), unpack them ([`unpack`],
//! [`database`]) and have their scripts ([`configure`]) configure them in a [`sandbox`], or in a
//! virtual machine ([`vm`], [`scan`]), as [`isolation`] says. The result is an archive in the cache
//! (`layer`). As data ([`tree`]) it is
//! cleaned ([`clean`]), made the recipe's system ([`system`], [`accounts`], [`units`],
//! [`first_boot`], [`grub`]), and written to a disk ([`disk`]). [`inspect`] reads one again.

pub mod accounts;
pub mod clean;
pub mod configure;
pub mod database;
pub mod disk;
pub mod first_boot;
pub mod grub;
pub mod inspect;
pub mod isolation;
mod layer;
pub mod no_sync;
pub mod package;
pub mod plan;
pub mod sandbox;
pub mod scan;
pub mod system;
pub mod tree;
pub mod units;
pub mod unpack;
pub mod vm;

use crate::assemble::Output;
use crate::error::Error;
use crate::formats::{Form, Outputs};
use crate::fs;
use crate::hash::{Hasher, Sha256};
use crate::lock::Lock;
use crate::manifest::{self, Manifest};
use crate::output::{self, Stamp};
use crate::progress::Step;
use crate::project::Project;
use crate::recipe::{Guest, Recipe};
use crate::sbom::{self, Bill};
use crate::scratch::Scratch;
use crate::tools::Tools;
use disk::Disk;
use std::path::{Path, PathBuf};
use system::Identity;
use tree::Tree;

/// A finished image.
#[derive(Debug)]
pub struct Built {
    /// The disk, in each form that was asked for, and its bill of materials.
    pub files: Vec<PathBuf>,
    /// The raw disk, if that is one of them.
    raw: Option<PathBuf>,
    /// What was written, with sizes and digests.
    pub manifest: PathBuf,
    /// Names the content.
    pub id: Sha256,
    /// Whether anything had to be written.
    pub fresh: bool,
}

impl Built {
    /// The raw disk.
    ///
    /// # Errors
    /// [`Error::Image`] when it was not asked for.
    pub fn disk(&self) -> Result<&Path, Error> {
        let missing = || Error::Image("the raw disk was not asked for".to_owned());
        self.raw.as_deref().ok_or_else(missing)
    }
}

/// What one build works with.
struct Inputs<'a> {
    project: &'a Project,
    recipe: &'a Recipe,
    guest: &'a Guest,
    lock: Lock,
    /// What all clocks show, in seconds since 1970.
    epoch: u64,
}

/// Builds the image of a recipe of kind `guest`.
///
/// # Errors
/// When an input is missing or wrong, a package can't be configured, a tool fails, or the output
/// can't be written. The output folder then holds what it held before.
pub fn build(project: &Project, recipe: &Recipe, output: &Output) -> Result<Built, Error> {
    let Some(guest) = &recipe.guest else {
        return Err(recipe.wrong("kind", "this recipe makes no guest").into());
    };
    let inputs = Inputs::new(project, recipe, guest)?;
    let id = inputs.id()?;
    let (folder, forms) = match output {
        Output::Folder(folder) => (folder.clone(), guest.formats()),
        // What comes from there is for us alone.
        Output::Cache => (project.cache().root().join("images").join(id.short()), &[Form::RAW][..]),
    };
    let outputs = inputs.outputs(&recipe.name, forms);
    let (mut names, manifest) = (files(&outputs), manifest_of(&recipe.name));
    let mut built = Built {
        files: names.iter().map(|name| folder.join(name)).collect(),
        raw: forms.contains(&Form::RAW).then(|| folder.join(Form::RAW.file(&recipe.name))),
        manifest: folder.join(&manifest),
        id,
        fresh: false,
    };
    names.push(manifest);
    let stamp = Stamp::new(project, &folder, &recipe.name, &names);
    if !stamp.is_current(id) {
        let tools = project.tools()?;
        let _lock = project.cache().lock()?;
        // Another process may have built it while this one waited.
        if !stamp.is_current(id) {
            let system = inputs.system(&tools)?;
            system.used(|archive| inputs.write(&tools, archive, id, &outputs, &folder))?;
            stamp.write(id)?;
            built.fresh = true;
        }
    }
    if matches!(output, Output::Cache) {
        output::forget_old(&folder);
    }
    Ok(built)
}

/// Builds an image without anything that earlier builds left but downloads; returns its path, which
/// is in `folder`.
///
/// # Errors
/// As [`build`].
pub fn build_again(project: &Project, recipe: &Recipe, folder: &Path) -> Result<PathBuf, Error> {
    let Some(guest) = &recipe.guest else {
        return Err(recipe.wrong("kind", "this recipe makes no guest").into());
    };
    let inputs = Inputs::new(project, recipe, guest)?;
    let tools = project.tools()?;
    let _lock = project.cache().lock()?;
    let system = inputs.make_system(&tools, folder.join("system.tar"))?;
    let (id, outputs) = (inputs.id()?, inputs.outputs("again", &[Form::RAW]));
    system.used(|archive| inputs.write(&tools, archive, id, &outputs, folder))?;
    Ok(folder.join(Form::RAW.file(outputs.name)))
}

/// The names of what is made of a disk: its forms, and its bill of materials.
fn files(outputs: &Outputs<'_>) -> Vec<String> {
    outputs.files().into_iter().chain(sbom::files(outputs.name)).collect()
}

/// The name of an image's manifest.
fn manifest_of(name: &str) -> String {
    format!("{name}.manifest.json")
}

impl<'a> Inputs<'a> {
    fn new(project: &'a Project, recipe: &'a Recipe, guest: &'a Guest) -> Result<Self, Error> {
        let lock = project.lock(recipe)?;
        let epoch = output::epoch(guest.epoch.unwrap_or(0))?;
        Ok(Self { project, recipe, guest, lock, epoch })
    }

    /// A digest of everything that the image depends on.
    fn id(&self) -> Result<Sha256, Error> {
        let mut hasher = Hasher::default();
        hasher.part(env!("MKIMAGE_SOURCES")).part(&self.recipe.name).part(self.recipe.text());
        hasher.part(self.lock.digest().bytes()).part(self.epoch.to_le_bytes());
        let tools = self.project.recipe("tools")?;
        hasher.part(self.project.lock(&tools)?.digest().bytes());
        for folder in self.guest.overlays.iter().filter(|folder| folder.is_dir()) {
            let mut files = Tree::new(self.epoch);
            files.overlay(folder)?;
            let digest = files.archive(&mut hasher);
            fs::Context::at(digest, "read the overlay", folder)?;
        }
        Ok(hasher.finish())
    }

    /// What is made of the disk.
    fn outputs<'b>(&self, name: &'b str, forms: &'b [Form]) -> Outputs<'b> {
        let machine = Some((self.guest.memory().bytes() >> 20, self.guest.vcpus()));
        Outputs { name, forms, epoch: self.epoch, machine }
    }

    /// What is in a system.
    fn bill(&self, tree: &Tree) -> Result<Bill<'_>, Error> {
        let mut bill = Bill::new(&self.recipe.name, self.epoch);
        for package in &self.lock.packages {
            let path = format!("usr/share/doc/{}/copyright", package.name);
            let copyright = tree.file(&path)?;
            let copyright = copyright.as_deref().map(String::from_utf8_lossy);
            bill.debian(package, copyright.as_deref());
        }
        Ok(bill)
    }

    fn write(
        &self,
        tools: &Tools,
        system: &Path,
        id: Sha256,
        outputs: &Outputs<'_>,
        folder: &Path,
    ) -> Result<(), Error> {
        let (recipe, guest) = (self.recipe, self.guest);
        let (size, table) = (guest.size_bytes(), guest.partition_table());
        let disk = Disk { id, size, epoch: self.epoch, table, tools };
        let identity = Identity { root: disk.root_uuid(), epoch: self.epoch };
        let mut tree = Tree::read(system, self.epoch)?;
        clean::clean(&mut tree, &guest.strip, self.epoch)?;
        system::apply(&mut tree, recipe, guest, &identity)?;
        fs::create_dir(folder)?;
        let work = Scratch::folder(&folder.join("work"))?;
        let raw = Scratch::new(&folder.join(Form::RAW.file(outputs.name)))?;
        {
            let _step = Step::spinner(&format!("writing the disk of {}", recipe.name));
            disk.write(raw.path(), &tree, work.path())?;
        }
        let mut finished = outputs.write(raw, folder)?;
        finished.extend(self.bill(&tree)?.write(folder, outputs.name)?);
        finished.into_iter().try_for_each(Scratch::finish)?;
        let files = files(outputs);
        let manifest = Manifest {
            product: recipe.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            arch: recipe.base.arch.clone(),
            epoch: self.epoch,
            files: flushed(folder, &files, || manifest::entries(folder, &files))?,
        };
        let scratch = Scratch::new(&folder.join(manifest_of(outputs.name)))?;
        fs::write(scratch.path(), manifest.to_text())?;
        Ok(scratch.finish()?)
    }
}

/// Does something while files find their way to the host's disk.
fn flushed<T>(
    folder: &Path,
    files: &[String],
    work: impl FnOnce() -> fs::Result<T>,
) -> fs::Result<T> {
    let flush = |name: &String| {
        let path = folder.join(name);
        fs::Context::at(fs::open(&path)?.sync_all(), "write", &path)
    };
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| files.iter().try_for_each(flush));
        let done = work();
        match flushing.join() {
            Ok(Err(error)) => Err(error),
            _ => done,
        }
    })
}
