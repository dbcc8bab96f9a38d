//! Loads modules, compressed as the distribution has them: the kernel unpacks them itself.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use rustix::io::Errno;
use rustix::system::finit_module;

use super::Index;
use super::index::Step;
use crate::command_line::CommandLine;

/// `MODULE_INIT_COMPRESSED_FILE` of `linux/module.h`.
const COMPRESSED: i32 = 4;

/// Loads modules by name or alias, each at most once.
#[derive(Debug)]
pub struct Loader {
    folder: PathBuf,
    index: Index,
    command_line: CommandLine,
    settled: HashSet<String>,
}

impl Loader {
    /// Reads the running kernel's module index.
    ///
    /// # Errors
    /// When the image holds no modules for this kernel.
    pub fn for_running_kernel(command_line: CommandLine) -> anyhow::Result<Self> {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let folder = ["/lib/modules", "/usr/lib/modules"]
            .iter()
            .map(|root| Path::new(root).join(&release))
            .find(|folder| folder.join("modules.dep").is_file())
            .ok_or_else(|| {
                anyhow!(
                    "there is no /lib/modules/{release}/modules.dep: the initramfs was built for \
                     another kernel, or without its module index"
                )
            })?;
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let index =
            Index::parse(&text("modules.dep"), &text("modules.alias"), &text("modules.softdep"));
        Ok(Self { folder, index, command_line, settled: HashSet::new() })
    }

    /// How many modules the image holds.
    pub fn available(&self) -> usize {
        self.index.len()
    }

    /// Loads what answers to a name or alias, with what it needs; returns how many modules this
    /// newly loaded. Nothing answering is no error for an alias: most devices need no module.
    ///
    /// # Errors
    /// When a module that answers, or that it needs, doesn't load; the others are loaded.
    pub fn load(&mut self, name_or_alias: &str) -> anyhow::Result<usize> {
        let mut loaded = 0;
        let mut problem = Ok(());
        for module in self.index.find(name_or_alias) {
            for step in self.index.plan(&module) {
                match self.load_one(&step) {
                    Ok(new) => loaded += usize::from(new),
                    Err(_) if step.optional => {}
                    Err(error) => {
                        problem = Err(error);
                        break;
                    }
                }
            }
        }
        problem.map(|()| loaded)
    }

    fn load_one(&mut self, step: &Step) -> anyhow::Result<bool> {
        if !self.settled.insert(step.name.clone()) || is_loaded(&step.name) {
            return Ok(false);
        }
        let path = self.folder.join(&step.path);
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        let parameters = CString::new(self.command_line.module_parameters(&step.name))?;
        let compressed = path.extension().is_some_and(|e| e == "xz" || e == "zst" || e == "gz");
        match finit_module(&file, &parameters, if compressed { COMPRESSED } else { 0 }) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            // The module looked at the machine and isn't needed, for example a CPU feature.
            Err(Errno::NODEV) => Ok(false),
            Err(error) => Err(error).with_context(|| format!("module {} doesn't load", step.name)),
        }
    }
}

/// Whether a module is there and ready. One that another process is just loading isn't yet:
/// loading it again waits for that.
fn is_loaded(module: &str) -> bool {
    let state = Path::new("/sys/module").join(module).join("initstate");
    std::fs::read_to_string(state).is_ok_and(|state| state.trim() == "live")
}
