//! The command line.

use crate::assemble::{Medium, Request};
use crate::commands::{build, compare, convert, flash, lock, packages, release, run, verify};
use crate::error::Error;
use crate::guest::isolation::Isolation;
use crate::progress;
use crate::project::{Options, Project};
use crate::recipe;
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Builds and runs Xenolith's images from recipes and pinned packages, without root.
#[derive(Debug, Parser)]
#[command(name = "mkimage", version)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Package archive to use instead of the one in the host's package configuration
    #[arg(long, global = true, value_name = "URL", env = "MKIMAGE_MIRROR")]
    mirror: Option<String>,
    /// Use nothing but the cache
    #[arg(long, global = true)]
    offline: bool,
    /// Cache folder [default: .cache/mkimage in the project]
    #[arg(long, global = true, value_name = "DIR", env = "MKIMAGE_CACHE")]
    cache: Option<PathBuf>,
    /// Where packages' own programs run while a guest's image is made
    #[arg(
        long,
        global = true,
        value_name = "WHERE",
        value_enum,
        default_value_t,
        env = "MKIMAGE_CONFIGURE"
    )]
    configure: Isolation,
    /// Show what is done in detail
    #[arg(long, short, global = true)]
    verbose: bool,
}

/// Binaries to use instead of the project's own
#[derive(Debug, Args)]
struct Binaries {
    /// Hypervisor to use instead of building the project's
    #[arg(long, value_name = "FILE")]
    hypervisor: Option<PathBuf>,
    /// PID 1 of the control domain to use instead of building the project's
    #[arg(long, value_name = "FILE")]
    dom0_init: Option<PathBuf>,
}

impl Binaries {
    fn request(self) -> Request {
        let Self { hypervisor, dom0_init } = self;
        Request { hypervisor, dom0_init, ..Request::default() }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build media: a disk image, a hybrid ISO, a network boot tree, and manifest.json
    Build {
        /// Recipe by name or path
        recipe: String,
        /// Folder to write to
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Which media
        #[arg(long, value_enum, value_delimiter = ',', default_values = ["usb", "iso", "pxe"])]
        media: Vec<Medium>,
        /// Guests that the disk image brings along, by recipe, each with a config that starts it
        #[arg(long, value_name = "RECIPE", value_delimiter = ',')]
        guests: Vec<String>,
        #[command(flatten)]
        binaries: Binaries,
    },
    /// Pin the packages of recipes: resolve them over the signed index, write the lock files
    Lock {
        /// Recipes by name or path [default: all]
        recipes: Vec<String>,
        /// Move to the newest versions: of all packages, or of those named
        #[arg(long, value_name = "PACKAGE", num_args = 0.., value_delimiter = ',', require_equals = true)]
        update: Option<Vec<String>>,
    },
    /// Bring the packages of recipes into the cache, for building offline
    Fetch {
        /// Recipes by name or path [default: all that more than tests need]
        recipes: Vec<String>,
    },
    /// Check recipes and their locks
    Check {
        /// Recipes by name or path [default: all]
        recipes: Vec<String>,
    },
    /// Print the schema of recipes, for editors (JSON Schema)
    Schema,
    /// Show which locked packages have newer versions; nothing is changed
    Outdated {
        /// Recipes by name or path [default: all]
        recipes: Vec<String>,
    },
    /// Compare two locks, or two guests' images: packages, files, sizes
    Diff {
        /// The older one: a recipe's name, a .lock, or a guest's .img
        old: String,
        /// The newer one
        new: String,
    },
    /// Build an image again, from packages and sources, and compare it with one that is there
    Verify {
        /// Recipe by name or path
        recipe: String,
        /// The image to compare with, or an appliance's folder [default: what a build leaves]
        image: Option<PathBuf>,
    },
    /// Build what is needed and boot it in QEMU, on this terminal
    Run {
        #[command(flatten)]
        options: run::Options,
        #[command(flatten)]
        binaries: Binaries,
    },
    /// Prepare the tools tree and print where it is
    Tools,
    /// Write an image in another form: for other hypervisors, clouds, compressed, or its block map
    Convert(convert::Arguments),
    /// Write an image to a stick or disk, and read it back
    Flash(flash::Arguments),
    /// Keys that sign releases
    #[command(subcommand)]
    Key(Key),
    /// Sign files with a minisign key
    Sign(release::Sign),
    /// Publish images: a signed folder that any web server can serve
    Publish(release::Publish),
}

#[derive(Debug, Subcommand)]
enum Key {
    /// Make a key: a secret file, protected by a password, and a public one
    New(release::NewKey),
}

/// Runs a parsed command line.
///
/// # Errors
/// What the user is told.
pub fn run(cli: Cli) -> Result<(), Error> {
    let Global { mirror, offline, cache, configure: isolation, verbose } = cli.global;
    progress::set_verbose(verbose);
    let project = Project::find(Options { mirror, offline, cache, isolation })?;
    match cli.command {
        Command::Build { recipe, out, mut media, guests, binaries } => {
            media.sort();
            media.dedup();
            let request = Request { recipe, media, guests, ..binaries.request() };
            build::build(&project, &request, out)
        }
        Command::Lock { recipes, update } => {
            let update = match update {
                None => lock::Update::None,
                Some(names) if names.is_empty() => lock::Update::All,
                Some(names) => lock::Update::Named(names),
            };
            lock::lock(&project, &recipes, &update)
        }
        Command::Fetch { recipes } => packages::fetch(&project, &recipes),
        Command::Check { recipes } => packages::check(&project, &recipes),
        Command::Schema => {
            print!("{}", recipe::schema());
            Ok(())
        }
        Command::Outdated { recipes } => lock::outdated(&project, &recipes),
        Command::Diff { old, new } => compare::diff(&project, &old, &new),
        Command::Verify { recipe, image } => verify::verify(&project, &recipe, image),
        Command::Run { options, binaries } => run::run(&project, &options, binaries.request()),
        Command::Tools => packages::tools(&project),
        Command::Convert(arguments) => convert::convert(&arguments),
        Command::Flash(arguments) => flash::flash(&arguments),
        Command::Key(Key::New(arguments)) => release::new_key(&arguments),
        Command::Sign(arguments) => release::sign(&arguments),
        Command::Publish(arguments) => release::publish(&project, &arguments),
    }
}
