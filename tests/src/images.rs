//! What the machines of the tests boot: the appliance's media and the test guests, built once
//! for all tests of a process, with the caches that `cargo mkimage` uses.

use crate::turns::say;
use mkimage::artifacts;
use mkimage::assemble::{self, Built, Medium, Output, Request};
use mkimage::disk::content;
use mkimage::project::{Options, Project};
use mkimage::qemu::Boot;
use mkimage::stage::kernel::{self, Kernel};
use mkimage::tools::Tools;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

/// The appliance's media and the tools tree.
#[derive(Debug)]
pub struct Images {
    /// QEMU and its firmware.
    pub tools: Tools,
    built: Built,
}

/// The appliance, built when it is first asked for.
pub fn appliance() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let start = Instant::now();
        say("building the appliance");
        let project = project();
        // Other binaries, to find out where a failure comes from.
        let given = |name| std::env::var_os(name).map(PathBuf::from);
        let request = Request {
            hypervisor: given("XENOLITH_TEST_HYPERVISOR"),
            dom0_init: given("XENOLITH_TEST_DOM0_INIT"),
            ..Request::new("appliance", &Medium::ALL)
        };
        let built = assemble::appliance(&project, &request, &Output::Cache)
            .unwrap_or_else(|error| panic!("the appliance can't be built: {error}"));
        let tools = project
            .tools()
            .unwrap_or_else(|error| panic!("the tools tree can't be prepared: {error}"));
        say(&format!("the appliance is built: {} s", start.elapsed().as_secs()));
        Images { tools, built }
    })
}

/// The appliance's kernel as it is packaged, with all its modules.
pub fn kernel() -> Kernel {
    let appliance = project().recipe("appliance").unwrap_or_else(|error| panic!("{error}"));
    let appliance = appliance.appliance.expect("the recipe of an appliance");
    kernel_of("appliance", &appliance.kernel.package)
}

/// The kernel of a recipe as it is packaged, by a pattern that fits its package's name.
pub fn kernel_of(recipe: &str, pattern: &str) -> Kernel {
    let project = project();
    let prepared = project.recipe(recipe).and_then(|recipe| {
        let lock = project.lock(&recipe)?;
        kernel::prepare(|| project.archive(), &project.cache(), &recipe, &lock, pattern)
    });
    prepared.unwrap_or_else(|error| panic!("the kernel can't be prepared: {error}"))
}

/// The checkout.
pub fn project() -> Project {
    Project::find(Options::from_environment()).unwrap_or_else(|error| panic!("{error}"))
}

impl Images {
    /// Where a medium is.
    pub fn medium(&self, medium: Medium) -> &Path {
        self.built.medium(medium).unwrap_or_else(|error| panic!("{error}"))
    }

    /// A file that all media carry, such as [`content::KERNEL`].
    pub fn file(&self, name: &str) -> PathBuf {
        self.medium(Medium::Pxe).join(name)
    }

    /// The hypervisor with modules, as QEMU itself loads them: without GRUB.
    pub fn hypervisor(&self, append: &str, modules: Vec<(PathBuf, String)>) -> Boot {
        let kernel = self.file(content::HYPERVISOR);
        Boot::Kernel { kernel, append: append.to_owned(), modules }
    }

    /// The hypervisor with the appliance's kernel and initramfs, as QEMU itself loads them.
    pub fn direct(&self, append: &str, kernel_line: &str) -> Boot {
        let kernel = (self.file(content::KERNEL), kernel_line.to_owned());
        let initramfs = (self.file(content::INITRAMFS), String::new());
        self.hypervisor(append, vec![kernel, initramfs])
    }
}

/// The folder of the test guests, built when it is first asked for.
pub fn guests() -> &'static Path {
    static GUESTS: OnceLock<PathBuf> = OnceLock::new();
    GUESTS.get_or_init(|| {
        say("building the test guests");
        artifacts::build_all(&project(), "xenolith-test-guests", "guest", "tests/guests/build.toml")
            .unwrap_or_else(|error| panic!("the test guests can't be built: {error}"))
    })
}
