//! Builds a domain: from a description to vCPUs that could start.
//!
//! [`build`] is the list of steps. [`memory`] says what is where, [`kernel`] unpacks, [`acpi`]
//! and [`vcpu`] are what the guest finds, [`guest_memory`] writes it.

mod acpi;
mod error;
mod guest_memory;
pub mod kernel;
mod memory;
pub(crate) mod records;
mod vcpu;

use std::fs::File;
use std::path::{Path, PathBuf};

use hv_core::types::Gpa;
use hv_loader::image::Kernel;
use hv_loader::layout::{self, Layout, Request};
use hv_loader::memory::Span;
use hv_loader::start_info::{Module, StartInfo};
use xen_abi::arch_x86::hvm::start_info::MemmapEntry;
use xen_abi::arch_x86::xen::{DomainConfig, EMU_LAPIC};
use xen_abi::domctl::{CDF_HAP, CDF_HVM, CDF_OOS_OFF, CreateDomain};
use xen_abi::grant_table::{TAB_RESERVED_CONSOLE, TAB_RESERVED_XENSTORE};
use xen_abi::hvm::params::HvmParam;
use xenctl::Xen;

pub use error::BuildError;
use error::Step;
use guest_memory::GuestMemory;
use kernel::KernelCache;
pub use memory::{CONSOLE_FRAME, STORE_FRAME, frames};

const MIB: u64 = 1 << 20;
/// What a domain may have beyond its memory: shared pages, tables, what backends need.
const SLACK_KIB: u64 = 1024;
/// Event channels and grant frames that a guest may have.
const MOST_PORTS: u32 = 1023;
const GRANT_FRAMES: i32 = 64;
const MAPTRACK_FRAMES: i32 = 1024;
const GRANT_VERSION: u32 = 1;

/// What to build.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The guest's UUID.
    pub uuid: [u8; 16],
    /// vCPUs that it may have.
    pub max_vcpus: u32,
    /// Memory that it starts with, in MiB.
    pub memory_mib: u64,
    /// Memory that it may have, in MiB.
    pub max_memory_mib: u64,
    /// The kernel's file.
    pub kernel: PathBuf,
    /// The initial RAM disk's file.
    pub ramdisk: Option<PathBuf>,
    /// The kernel's command line.
    pub command_line: String,
}

/// A domain that is built, and paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Its number.
    pub domain: u16,
    /// Its port to the store.
    pub store_port: u32,
    /// Its port to the console.
    pub console_port: u32,
}

/// Builds a domain and leaves it paused.
///
/// # Errors
/// The step that failed, or the file that is wrong; no domain is left then.
pub fn build(xen: &Xen, plan: &Plan, kernels: &mut KernelCache) -> Result<Built, BuildError> {
    // Everything that can be wrong with the files is found out before there is a domain.
    let elf = kernels.elf(&plan.kernel)?;
    let kernel = Kernel::parse(&elf)
        .map_err(|reason| BuildError::Kernel { path: plan.kernel.clone(), reason })?;
    let ramdisk = plan.ramdisk.as_deref().map(open).transpose()?;
    let ram = memory::ram(plan.memory_mib * MIB);
    let tables = acpi::tables(memory::ACPI, plan.max_vcpus);
    let map = memory::map(&ram, tables.len() as u64);
    let layout = place(plan, &kernel, ramdisk.as_ref().map(|(_, bytes)| *bytes), &ram, &map)?;

    let domain = xen.create_domain(&description(plan)).step("create a domain")?;
    let steps = || {
        limit(xen, domain, plan)?;
        populate(xen, domain, plan, &ram, tables.len() as u64)?;
        let ports = connect(xen, domain)?;
        let entry = load(xen, domain, &kernel, &layout)?;
        if let (Some((file, _)), Some(span)) = (&ramdisk, layout.initrd) {
            let guest = GuestMemory::map(xen, domain, span).step("map the guest's memory")?;
            guest.fill(span, file).map_err(|reason| {
                let path = plan.ramdisk.clone().unwrap_or_default();
                BuildError::File { what: "ramdisk", path, reason }
            })?;
        }
        tell(xen, domain, plan, &layout, &map, &tables)?;
        start(xen, domain, plan, entry, layout.start.start)?;
        Ok(ports)
    };
    match steps() {
        Ok((store_port, console_port)) => Ok(Built { domain, store_port, console_port }),
        Err(error) => {
            if let Err(left) = xen.destroy_domain(domain) {
                log::error!("domain {domain}, built in part, can't be taken away: {left}");
            }
            Err(error)
        }
    }
}

fn open(path: &Path) -> Result<(File, u64), BuildError> {
    let failed = |reason| BuildError::File { what: "ramdisk", path: path.to_owned(), reason };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok((file, bytes))
}

/// Where kernel, RAM disk and `start_info` go.
fn place(
    plan: &Plan,
    kernel: &Kernel<'_>,
    ramdisk: Option<u64>,
    ram: &[Span],
    map: &[MemmapEntry],
) -> Result<Layout, BuildError> {
    let start_bytes =
        start_info(plan, ramdisk.map(|bytes| Span::new(0, bytes)), map).bytes() as u64;
    // At the end of low memory, so that what is before it stays in one piece.
    let low_end = ram.first().map_or(0, |span| span.end);
    let high =
        |bytes: u64| Span::new(low_end.saturating_sub(bytes.next_multiple_of(memory::PAGE)), bytes);
    let range = kernel.range();
    let request = Request {
        ram,
        busy: &[],
        kernel: Span { start: range.start, end: range.end },
        relocation: kernel.relocation(),
        initrd: ramdisk.map(high),
        start_bytes,
        acpi_bytes: 0,
        low_rsdp: false,
    };
    layout::plan(&request)
        .map_err(|reason| BuildError::TooSmall { memory_mib: plan.memory_mib, reason })
}

/// `start_info`, and what goes with it, as bytes for `at`.
struct Start<'a> {
    plan: &'a Plan,
    ramdisk: Option<Span>,
    map: &'a [MemmapEntry],
}

fn start_info<'a>(plan: &'a Plan, ramdisk: Option<Span>, map: &'a [MemmapEntry]) -> Start<'a> {
    Start { plan, ramdisk, map }
}

impl Start<'_> {
    fn place(&self, at: u64) -> Vec<u8> {
        let modules: Vec<Module<'_>> =
            self.ramdisk.iter().map(|span| Module { span: *span, command_line: b"" }).collect();
        let info = StartInfo {
            flags: 0,
            command_line: self.plan.command_line.as_bytes(),
            modules: &modules,
            rsdp: Gpa(memory::ACPI),
            memory: self.map,
        };
        info.place(Gpa(at))
    }

    fn bytes(&self) -> usize {
        self.place(0).len()
    }
}

fn description(plan: &Plan) -> CreateDomain {
    CreateDomain {
        handle: plan.uuid,
        flags: CDF_HVM | CDF_HAP | CDF_OOS_OFF,
        max_vcpus: plan.max_vcpus,
        max_evtchn_port: MOST_PORTS,
        max_grant_frames: GRANT_FRAMES,
        max_maptrack_frames: MAPTRACK_FRAMES,
        grant_opts: GRANT_VERSION,
        arch: DomainConfig { emulation_flags: EMU_LAPIC, ..DomainConfig::default() },
        ..CreateDomain::default()
    }
}

fn limit(xen: &Xen, domain: u16, plan: &Plan) -> Result<(), BuildError> {
    xen.set_max_vcpus(domain, plan.max_vcpus).step("make its vCPUs")?;
    let max = plan.max_memory_mib.saturating_mul(1024).saturating_add(SLACK_KIB);
    xen.set_max_memory(domain, max).step("limit its memory")?;
    // 1 MiB for each vCPU, and 8 KiB for each MiB of memory, as libxl has it.
    let paging = u64::from(plan.max_vcpus) * MIB + plan.max_memory_mib * 8 * 1024;
    xen.set_paging_memory(domain, paging).step("set memory aside for its page tables")
}

fn populate(
    xen: &Xen,
    domain: u16,
    plan: &Plan,
    ram: &[Span],
    acpi_bytes: u64,
) -> Result<(), BuildError> {
    let (large, single) = memory::extents(ram);
    let free = |error| {
        let pages = xen.physical_info().map_or(0, |info| info.free_pages);
        let (wanted_mib, free_mib) = (plan.memory_mib, pages * memory::PAGE / MIB);
        match error {
            xenctl::Error::Hypercall { errno: 12, .. } => {
                BuildError::NoMemory { wanted_mib, free_mib }
            }
            reason => BuildError::Step { step: "give it memory", reason },
        }
    };
    // Memory in pieces is as good, only slower.
    let done = xen.populate(domain, memory::LARGE_ORDER, &large);
    done.and_then(|()| xen.populate(domain, 0, &single)).map_err(free)?;
    let special = memory::SPECIAL_FIRST..memory::SPECIAL_FIRST + memory::SPECIAL_COUNT;
    let acpi = memory::ACPI / memory::PAGE;
    let acpi = acpi..acpi + acpi_bytes.div_ceil(memory::PAGE);
    let pages: Vec<u64> = special.chain(acpi).collect();
    xen.populate(domain, 0, &pages).map_err(free)
}

/// Makes the rings and ports to store and console, and grants the rings to this domain.
fn connect(xen: &Xen, domain: u16) -> Result<(u32, u32), BuildError> {
    const STEP: &str = "connect it to store and console";
    let store_port = xen.alloc_unbound(domain, 0).step(STEP)?;
    let console_port = xen.alloc_unbound(domain, 0).step(STEP)?;
    for (parameter, value) in [
        (HvmParam::STORE_PFN, STORE_FRAME),
        (HvmParam::STORE_EVTCHN, u64::from(store_port)),
        (HvmParam::CONSOLE_PFN, CONSOLE_FRAME),
        (HvmParam::CONSOLE_EVTCHN, u64::from(console_port)),
    ] {
        xen.set_parameter(domain, parameter, value).step(STEP)?;
    }
    let rings =
        Span::new(memory::SPECIAL_FIRST * memory::PAGE, memory::SPECIAL_COUNT * memory::PAGE);
    GuestMemory::map(xen, domain, rings).step(STEP)?.clear(rings);
    for (reference, frame) in
        [(TAB_RESERVED_CONSOLE, CONSOLE_FRAME), (TAB_RESERVED_XENSTORE, STORE_FRAME)]
    {
        guest_memory::grant(xen, domain, reference, frame).step(STEP)?;
    }
    Ok((store_port, console_port))
}

/// Loads the kernel; gives its entry point.
fn load(xen: &Xen, domain: u16, kernel: &Kernel<'_>, layout: &Layout) -> Result<u64, BuildError> {
    let mut guest = GuestMemory::map(xen, domain, layout.kernel).step("map the guest's memory")?;
    Ok(kernel.load(Gpa(layout.kernel.start), &mut guest).0)
}

/// Writes what the guest is told about itself.
fn tell(
    xen: &Xen,
    domain: u16,
    plan: &Plan,
    layout: &Layout,
    map: &[MemmapEntry],
    tables: &[u8],
) -> Result<(), BuildError> {
    const STEP: &str = "write what the guest is told";
    let acpi = Span::new(memory::ACPI, tables.len() as u64);
    GuestMemory::map(xen, domain, acpi).step(STEP)?.put(memory::ACPI, tables);
    let start = start_info(plan, layout.initrd, map).place(layout.start.start);
    GuestMemory::map(xen, domain, layout.start).step(STEP)?.put(layout.start.start, &start);
    xen.set_memory_map(domain, &memory::e820(map)).step(STEP)
}

/// Puts the first vCPU at the kernel's entry.
fn start(
    xen: &Xen,
    domain: u16,
    plan: &Plan,
    entry: u64,
    start_info: u64,
) -> Result<(), BuildError> {
    const STEP: &str = "set its vCPUs up";
    let saved = xen.hvm_context(domain).step(STEP)?;
    for records in vcpu::memory_types(&saved, plan.max_vcpus) {
        xen.set_hvm_context(domain, &records).step(STEP)?;
    }
    xen.set_hvm_context(domain, &vcpu::first_vcpu(&saved, entry, start_info)).step(STEP)
}
