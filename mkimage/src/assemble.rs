//! Assembles an appliance: from a recipe to finished media in an output folder.
//!
//! The order: name the content by a digest of all inputs; stop there if the output is that content
//! already; else stage the files, write the media under temporary names, and move them into place.

use crate::artifacts::{self, Binaries};
use crate::deb;
use crate::disk::content::{self, Content, Files, Source};
use crate::disk::{grub, iso, pxe, usb};
use crate::error::Error;
use crate::formats::{Form, Outputs};
use crate::fs::{self, Context};
use crate::hash::{Hasher, Sha256};
use crate::lock::Lock;
use crate::manifest::{self, Manifest};
use crate::output::{self, Stamp};
use crate::progress::{self, Step};
use crate::project::Project;
use crate::recipe::{self, Appliance, Kind, Recipe};
use crate::sbom::{self, Bill};
use crate::scratch::Scratch;
use crate::stage::companions::Companions;
use crate::stage::initramfs::Initramfs;
use crate::stage::kernel::{self, Kernel};
use crate::stage::pvgrub;
use crate::tools::Tools;
use std::path::{Path, PathBuf};

/// What was written, with sizes and digests.
const MANIFEST: &str = "manifest.json";

/// The package that all of GRUB comes from.
const GRUB: &str = "grub-common";

/// A form in which an appliance is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Medium {
    /// A raw image for USB sticks and disks.
    Usb,
    /// A hybrid ISO.
    Iso,
    /// A network boot tree.
    Pxe,
}

impl Medium {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Usb, Self::Iso, Self::Pxe];

    /// Name in the output folder.
    fn file(self, name: &str) -> String {
        match self {
            Self::Usb => Form::RAW.file(name),
            Self::Iso => format!("{name}.iso"),
            Self::Pxe => "pxe".to_owned(),
        }
    }
}

/// What to assemble.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The recipe, by name or path.
    pub recipe: String,
    /// The media.
    pub media: Vec<Medium>,
    /// A hypervisor to use instead of the project's.
    pub hypervisor: Option<PathBuf>,
    /// A PID 1 to use instead of the project's.
    pub dom0_init: Option<PathBuf>,
    /// More arguments for the hypervisor, in every entry of the boot menu.
    pub hypervisor_args: String,
    /// More arguments for the kernel, in every entry of the boot menu.
    pub kernel_args: String,
    /// Recipes of guests that come along on the disk image.
    pub guests: Vec<String>,
}

impl Request {
    /// Some media of a recipe, with the project's own binaries.
    pub fn new(recipe: &str, media: &[Medium]) -> Self {
        Self { recipe: recipe.to_owned(), media: media.to_vec(), ..Self::default() }
    }
}

/// Finished media.
#[derive(Debug)]
pub struct Built {
    /// The output folder.
    pub folder: PathBuf,
    /// The media with their paths, in the order of the request. Of a disk image, that is the raw
    /// one, if it was asked for.
    pub media: Vec<(Medium, PathBuf)>,
    /// All that was written: media, the disk image in other forms, the manifest.
    pub files: Vec<PathBuf>,
    /// Names the content.
    pub id: Sha256,
    /// Whether anything had to be written.
    pub fresh: bool,
}

impl Built {
    /// Where a medium is.
    ///
    /// # Errors
    /// [`Error::Image`] when it was not asked for.
    pub fn medium(&self, medium: Medium) -> Result<&Path, Error> {
        let found = self.media.iter().find(|(kind, _)| *kind == medium);
        let missing = || Error::Image(format!("{medium:?} was not asked for"));
        found.map(|(_, path)| path.as_path()).ok_or_else(missing)
    }
}

/// Where finished media go.
#[derive(Debug, Clone)]
pub enum Output {
    /// A folder of the user's.
    Folder(PathBuf),
    /// The cache, in a folder named after the content; other contents stay for a while.
    Cache,
}

/// What one assembly works with.
struct Plan<'a> {
    request: &'a Request,
    recipe: &'a Recipe,
    appliance: &'a Appliance,
    lock: Lock,
    binaries: Binaries,
    guests: Companions,
    /// The forms of the disk image.
    forms: &'a [Form],
    epoch: u64,
}

/// Assembles an appliance.
///
/// # Errors
/// When an input is missing or wrong, a tool fails, or the output can't be written. The output
/// folder then holds what it held before.
pub fn appliance(project: &Project, request: &Request, output: &Output) -> Result<Built, Error> {
    let recipe = project.recipe(&request.recipe)?;
    check(&recipe, request)?;
    let binaries = Binaries {
        hypervisor: match &request.hypervisor {
            Some(path) => artifacts::given(path)?,
            None => artifacts::hypervisor(project)?,
        },
        dom0_init: match &request.dom0_init {
            Some(path) => artifacts::given(path)?,
            None => artifacts::dom0_init(project)?,
        },
    };
    let plan = Plan::new(project, request, &recipe, binaries, output)?;
    let id = plan.id(project)?;
    let folder = match output {
        Output::Folder(folder) => folder.clone(),
        Output::Cache => project.cache().root().join("images").join(id.short()),
    };
    let names = plan.names();
    let mut stamped = names.clone();
    stamped.push(MANIFEST.to_owned());
    let media = request.media.iter().map(|medium| (*medium, medium.file(&plan.name())));
    let media = media.filter(|(_, file)| names.contains(file));
    let mut built = Built {
        media: media.map(|(medium, file)| (medium, folder.join(file))).collect(),
        files: stamped.iter().map(|name| folder.join(name)).collect(),
        folder,
        id,
        fresh: false,
    };
    let stamp = Stamp::new(project, &built.folder, "", &stamped);
    if !stamp.is_current(id) {
        let tools = project.tools()?;
        let _lock = project.cache().lock()?;
        // Another process may have built it while this one waited.
        if !stamp.is_current(id) {
            plan.write(project, &tools, id, &built.folder)?;
            stamp.write(id)?;
            built.fresh = true;
        }
    }
    if matches!(output, Output::Cache) {
        output::forget_old(&built.folder);
    }
    Ok(built)
}

/// Assembles all media of an appliance, without anything that earlier builds left but downloads;
/// the project's binaries are compiled anew. Returns the names of what is in `folder` then.
///
/// # Errors
/// As [`appliance`].
pub fn again(project: &Project, recipe: &str, folder: &Path) -> Result<Vec<String>, Error> {
    let request = Request::new(recipe, &Medium::ALL);
    let recipe = project.recipe(recipe)?;
    check(&recipe, &request)?;
    let target = Scratch::folder(&folder.join("target"))?;
    let binaries = Binaries::build_in(project, target.path())?;
    let plan = Plan::new(project, &request, &recipe, binaries, &Output::Cache)?;
    let (id, tools) = (plan.id(project)?, project.tools()?);
    let _lock = project.cache().lock()?;
    plan.write(project, &tools, id, folder)?;
    Ok(plan.names())
}

/// Whether a recipe makes what is asked for.
fn check(recipe: &Recipe, request: &Request) -> Result<(), Error> {
    if recipe.kind != Kind::Appliance {
        let reason = "this recipe makes no media: use it with `mkimage tools`, `lock` and `fetch`";
        return Err(recipe.wrong("kind", reason).into());
    }
    for args in [&request.hypervisor_args, &request.kernel_args] {
        recipe::plain_arguments(args).map_err(Error::Image)?;
    }
    if !request.guests.is_empty() && !request.media.contains(&Medium::Usb) {
        return Err(Error::Image("guests come along on a disk only: add --media usb".to_owned()));
    }
    Ok(())
}

impl<'a> Plan<'a> {
    fn new(
        project: &Project,
        request: &'a Request,
        recipe: &'a Recipe,
        binaries: Binaries,
        output: &Output,
    ) -> Result<Self, Error> {
        let missing = || recipe.wrong("kind", "an appliance has a table [appliance]");
        let appliance = recipe.appliance.as_ref().ok_or_else(missing)?;
        Ok(Self {
            request,
            recipe,
            appliance,
            lock: project.lock(recipe)?,
            binaries,
            guests: Companions::prepare(project, &request.guests)?,
            forms: match output {
                Output::Folder(_) => &appliance.formats,
                // What comes from there is for us alone.
                Output::Cache => &[Form::RAW],
            },
            epoch: output::epoch(appliance.epoch)?,
        })
    }

    /// What files are called after.
    fn name(&self) -> String {
        format!("{}-{}", self.appliance.product, self.recipe.name)
    }

    /// The names of media, and of their bill of materials, in the output folder.
    fn names(&self) -> Vec<String> {
        let name = self.name();
        let files = |medium: &Medium| match medium {
            Medium::Usb => self.outputs(&name).files(),
            other => vec![other.file(&name)],
        };
        self.request.media.iter().flat_map(files).chain(sbom::files(&name)).collect()
    }

    /// What is made of the disk image.
    fn outputs<'b>(&'b self, name: &'b str) -> Outputs<'b> {
        Outputs { name, forms: self.forms, epoch: self.epoch, machine: None }
    }

    /// A digest of everything that the output depends on.
    fn id(&self, project: &Project) -> Result<Sha256, Error> {
        let mut hasher = Hasher::default();
        hasher.part(env!("MKIMAGE_SOURCES")).part(self.recipe.text());
        hasher.part(self.lock.digest().bytes()).part(self.epoch.to_le_bytes());
        let tools = project.recipe("tools")?;
        hasher.part(project.lock(&tools)?.digest().bytes());
        for path in [&self.binaries.hypervisor, &self.binaries.dom0_init] {
            let (_, digest) = Sha256::of_file(path).at("read", path)?;
            hasher.part(digest.bytes());
        }
        hasher.part(&self.request.hypervisor_args).part(&self.request.kernel_args);
        self.guests.digest(&mut hasher);
        let mut overlay = Initramfs::default();
        self.lay_over(&mut overlay)?;
        hasher.part(overlay.archive(0)?);
        Ok(hasher.finish())
    }

    fn lay_over(&self, initramfs: &mut Initramfs) -> Result<(), Error> {
        if let Some(overlay) = &self.appliance.overlay {
            let folder = self.recipe.resolve(overlay);
            if !folder.is_dir() {
                let reason =
                    format!("the overlay folder `{overlay}` doesn't exist beside the recipe");
                return Err(self.recipe.wrong("overlay", &reason).into());
            }
            initramfs.overlay(&folder)?;
        }
        Ok(())
    }

    fn write(
        &self,
        project: &Project,
        tools: &Tools,
        id: Sha256,
        folder: &Path,
    ) -> Result<(), Error> {
        fs::create_dir(folder)?;
        let pattern = &self.appliance.kernel.package;
        let archive = || project.archive();
        let kernel = kernel::prepare(archive, &project.cache(), self.recipe, &self.lock, pattern)?;
        let work = Scratch::folder(&folder.join("work"))?;
        let content = self.content(id, &kernel, tools, work.path())?;
        let (name, mut finished) = (self.name(), Vec::new());
        for medium in &self.request.media {
            let file = medium.file(&name);
            let scratch = Scratch::new(&folder.join(&file))?;
            {
                let _step = Step::spinner(&format!("writing {file}"));
                self.write_medium(*medium, scratch.path(), &content, tools, work.path())?;
            }
            match medium {
                Medium::Usb => finished.extend(self.outputs(&name).write(scratch, folder)?),
                _ => finished.push(scratch),
            }
        }
        finished.extend(self.bill(project, &kernel, &name)?.write(folder, &name)?);
        finished.into_iter().try_for_each(Scratch::finish)?;
        self.write_manifest(folder, &self.names(), &content)
    }

    /// What is in the media: the kernel, GRUB, and the crates of the project's own binaries. Guests
    /// that come along have bills of their own.
    fn bill<'b>(
        &self,
        project: &Project,
        kernel: &Kernel,
        name: &'b str,
    ) -> Result<Bill<'b>, Error> {
        let mut bill = Bill::new(name, self.epoch);
        let named =
            |lock: &Lock, name: &str| lock.packages.iter().find(|p| p.name == name).cloned();
        if let Some(package) = named(&self.lock, &kernel.package) {
            bill.debian(&package, Some(&kernel.copyright));
        }
        let tools = project.lock(&project.recipe("tools")?)?;
        let path = format!("usr/share/doc/{GRUB}/copyright");
        let grub: Vec<_> = named(&tools, GRUB).into_iter().collect();
        for (package, path_of) in grub.iter().zip(project.archive()?.fetch("tools", &grub)?) {
            bill.debian(package, deb::text(&path_of, &path)?.as_deref());
        }
        let request = self.request;
        let own = [("hypervisor", &request.hypervisor), ("dom0-init", &request.dom0_init)];
        let mut crates = Vec::new();
        for (package, _) in own.iter().filter(|(_, given)| given.is_none()) {
            crates.extend(artifacts::crates(project, package)?);
        }
        crates.sort();
        crates.dedup();
        crates.iter().for_each(|part| bill.rust(part));
        Ok(bill)
    }

    fn write_medium(
        &self,
        medium: Medium,
        path: &Path,
        content: &Content,
        tools: &Tools,
        work: &Path,
    ) -> Result<(), Error> {
        match medium {
            Medium::Usb => usb::write(path, content, &self.appliance.layout, tools, work),
            Medium::Iso => iso::write(path, content, tools, work),
            Medium::Pxe => {
                fs::create_dir(path)?;
                pxe::write(path, content, tools, work)
            }
        }
    }

    /// Stages the files that all media carry.
    fn content(
        &self,
        id: Sha256,
        kernel: &Kernel,
        tools: &Tools,
        work: &Path,
    ) -> Result<Content, Error> {
        let initramfs = work.join(content::INITRAMFS);
        self.initramfs(kernel, pvgrub::build(tools, work)?, &initramfs)?;
        let menu =
            grub::menu(self.appliance, &self.request.hypervisor_args, &self.request.kernel_args)
                .into_bytes();
        let files: Files = vec![
            (content::HYPERVISOR.to_owned(), Source::Path(self.binaries.hypervisor.clone())),
            (content::KERNEL.to_owned(), Source::Path(kernel.image.clone())),
            (content::INITRAMFS.to_owned(), Source::Path(initramfs)),
            (content::ENTRIES.to_owned(), Source::Bytes(menu)),
        ];
        Ok(Content {
            product: self.appliance.product.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.epoch,
            id,
            files,
            data: self.guests.files.clone(),
            timeout: self.appliance.timeout,
        })
    }

    fn initramfs(&self, kernel: &Kernel, pvgrub: Vec<u8>, target: &Path) -> Result<(), Error> {
        let _step = Step::spinner("packing the initramfs");
        let mut initramfs = Initramfs::default();
        for folder in ["dev", "proc", "run", "sys", "tmp", "var"] {
            initramfs.folder(folder);
        }
        initramfs.device("dev/console", 5, 1);
        for name in ["bin", "lib", "lib64", "sbin"] {
            initramfs.folder(&format!("usr/{name}"));
            initramfs.link(name, &format!("usr/{name}"));
        }
        let modules = &kernel.modules;
        let wanted = &self.appliance.kernel.modules;
        let wrong =
            |error: &crate::stage::modules::Error| self.recipe.wrong("modules", &error.to_string());
        let selection = modules.select(wanted).map_err(|error| wrong(&error))?;
        let base = initramfs.modules("usr/lib", modules, &selection);
        for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
            initramfs.file(&format!("{base}/{name}"), &modules.file(name), false);
        }
        initramfs.bytes("etc/os-release", os_release(self.appliance));
        initramfs.file("init", &self.binaries.dom0_init, true);
        initramfs.bytes(pvgrub::PLACE, pvgrub);
        self.lay_over(&mut initramfs)?;
        let size = initramfs.write(target, self.epoch)?;
        progress::detail(&format!("initramfs: {} unpacked", progress::human(size)));
        Ok(())
    }

    fn write_manifest(
        &self,
        folder: &Path,
        names: &[String],
        content: &Content,
    ) -> Result<(), Error> {
        let manifest = Manifest {
            product: content.product.clone(),
            version: content.version.clone(),
            arch: self.recipe.base.arch.clone(),
            epoch: content.epoch,
            files: manifest::entries(folder, names)?,
        };
        let scratch = Scratch::new(&folder.join(MANIFEST))?;
        fs::write(scratch.path(), manifest.to_text())?;
        Ok(scratch.finish()?)
    }
}

fn os_release(appliance: &Appliance) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "NAME=\"Xenolith\"\nID={id}\nVERSION_ID={version}\nPRETTY_NAME=\"Xenolith {version}\"\n\
         VARIANT_ID=dom0\n",
        id = appliance.product,
    )
}
