//! From a kernel file and an initramfs to a domain that can be entered.

use alloc::vec::Vec;

use hv_boot::info::BootInfo;
use hv_boot::memory_map;
use hv_boot::options::{Dom0Memory, MemoryAmount, Options};
use hv_boot::ranges::Range;
use hv_core::frame::FrameRange;
use hv_core::types::{FRAME_BYTES, Gpa, Hpa};
use hv_loader::acpi::dom0::Dom0Tables;
use hv_loader::cmdline::CommandLine;
use hv_loader::image::{Image, Kernel};
use hv_loader::layout::{self, Layout};
use hv_loader::map::{self, dom0_map};
use hv_loader::memory::{LoadMemory, Span};
use hv_loader::start_info::{Module, StartInfo};
use xen_abi::arch_x86::hvm::start_info::{MemmapEntry, MemmapType};
use xen_abi::memory::E820Entry;

use super::load::Memory;
use super::ram;
use crate::drivers::{acpi, iommu};
use crate::mm::phys::{self, Firmware};
use crate::mm::{BootModule, FrameBuffer};
use crate::platform::{Domain, Hypervisor};

/// `SIF_PRIVILEGED` and `SIF_INITDOMAIN`.
const START_FLAGS: u32 = 3;
/// What is kept back from dom0 unless `dom0_mem` says otherwise: 1/16, at most this.
const MOST_KEPT_BACK: u64 = 128 << 20;
/// Room for `start_info`, the longest memory map, and the longest command line.
const START_BYTES: u64 = (map::MAX_ENTRIES * size_of::<MemmapEntry>()
    + hv_loader::cmdline::LINUX_MAX_BYTES
    + 1024) as u64;

/// Where dom0 starts.
pub struct Entry {
    /// The kernel's PVH entry point.
    pub code: Gpa,
    /// `start_info`.
    pub start_info: Gpa,
}

/// Gives dom0 its memory, and puts kernel, initramfs, tables and `start_info` into it.
pub fn build(
    hv: &Hypervisor,
    domain: &Domain,
    info: &BootInfo,
    options: &Options,
    kernel_file: &BootModule,
    initrd: Option<&BootModule>,
) -> Entry {
    let unpacked = unpack(kernel_file);
    give_back(hv, kernel_file);
    let kernel = Kernel::parse(&unpacked).unwrap_or_else(|error| fatal!("dom0's kernel: {error}"));

    let machine = frame_ranges(info);
    let pages = page_count(hv, options.dom0_memory);
    let initrd_span = initrd.map(|module| Span::new(module.start.0, module.len));
    if let Some(module) = initrd {
        give_back(hv, module);
    }
    let initrd_frames = initrd.map(|module| frame_range(module.frames()));
    let first = ram::take(hv, domain, initrd_frames, &machine, pages);

    let tables = tables(domain);
    let first_spans = spans(&first);
    let layout = layout::plan(&layout::Request {
        ram: &first_spans,
        busy: &[],
        kernel: {
            let range = kernel.range();
            Span { start: range.start, end: range.end }
        },
        relocation: kernel.relocation(),
        initrd: initrd_span,
        start_bytes: START_BYTES,
        acpi_bytes: tables.bytes() as u64,
        low_rsdp: !kernel.features().is_none_or(|features| features.rsdp_unrestricted()),
    });
    let layout = layout.unwrap_or_else(|error| fatal!("dom0: {error}"));

    let mut memory = Memory { hv, domain };
    if let (Some(from), Some(to)) = (initrd_span, layout.initrd)
        && from != to
    {
        phys::copy(Hpa(from.start), Hpa(to.start), from.bytes() as usize);
    }
    let code = kernel.load(Gpa(layout.kernel.start), &mut memory);
    let rsdp = Gpa(layout.acpi.start);
    memory.write(rsdp, &tables.place(rsdp));
    drop(kernel);
    drop(unpacked);
    // The frames of the unpacked kernel are free now, and may be dom0's too.
    let rest = ram::take(hv, domain, None, &ram::without(&machine, &first), pages);
    let all = spans(&ram::join(first, rest));
    let start_info = write_start_info(&mut memory, info, kernel_file, &layout, &all);
    Entry { code, start_info }
}

/// Unpacks a kernel file.
fn unpack(file: &BootModule) -> FrameBuffer {
    let image = Image::parse(file.bytes()).unwrap_or_else(|error| fatal!("dom0's kernel: {error}"));
    let bytes = image.unpacked_len();
    let Some(mut unpacked) = FrameBuffer::new(bytes) else {
        fatal!("not enough memory to unpack dom0's kernel: {} MiB in one piece", bytes >> 20);
    };
    if let Err(error) = image.unpack(&mut unpacked) {
        fatal!("dom0's kernel: {error}");
    }
    unpacked
}

/// Frees a module's frames; their content stays until somebody takes them.
fn give_back(hv: &Hypervisor, module: &BootModule) {
    hv.frames.put_range(frame_range(module.frames()));
}

fn frame_range(range: Range) -> FrameRange {
    FrameRange::between(Hpa(range.start).mfn(), Hpa(range.end).mfn())
}

/// All memory of the machine, in order.
pub fn frame_ranges(info: &BootInfo) -> Vec<FrameRange> {
    memory_map::ram(&info.regions).iter().map(frame_range).collect()
}

fn spans(ranges: &[FrameRange]) -> Vec<Span> {
    let bytes = |frames: u64| frames * FRAME_BYTES as u64;
    ranges.iter().map(|range| Span::new(range.start.hpa().0, bytes(range.frames))).collect()
}

/// How many frames dom0 gets.
fn page_count(hv: &Hypervisor, wanted: Dom0Memory) -> u64 {
    let free = hv.frames.free_frames() * FRAME_BYTES as u64;
    let bytes = |amount: MemoryAmount| amount.of(free);
    let default = MemoryAmount::AllBut(MOST_KEPT_BACK.min(free / 16));
    let amount = bytes(wanted.amount.unwrap_or(default));
    let least = wanted.min.map_or(0, bytes);
    let most = wanted.max.map_or(u64::MAX, bytes);
    amount.min(most).max(least) / FRAME_BYTES as u64
}

/// The ACPI tables that dom0 sees.
fn tables(domain: &Domain) -> Dom0Tables {
    let vcpus = domain.config.max_vcpus;
    let tables = Dom0Tables::new(&Firmware, &acpi::machine().tables, vcpus, |_| true);
    tables.unwrap_or_else(|error| fatal!("the firmware's ACPI tables can't be used: {error}"))
}

fn write_start_info(
    memory: &mut Memory<'_>,
    info: &BootInfo,
    kernel_file: &BootModule,
    layout: &Layout,
    ram: &[Span],
) -> Gpa {
    let host: Vec<MemmapEntry> = info
        .regions
        .iter()
        .map(|region| MemmapEntry {
            addr: region.start,
            size: region.bytes,
            ty: MemmapType(region.kind.0),
            reserved: 0,
        })
        .collect();
    let map = dom0_map(&host, ram, layout.acpi);
    let entry = |entry: &MemmapEntry| E820Entry {
        addr: entry.addr.into(),
        size: entry.size.into(),
        ty: entry.ty.0.into(),
    };
    memory.domain.memory.set_memory_map(map.iter().map(entry).collect());
    let mut command_line = CommandLine::new(&kernel_file.command_line);
    if !iommu::enable() {
        command_line.force_swiotlb();
    }
    if command_line.is_too_long() {
        warning!("dom0's command line is longer than Linux takes: it will cut it");
    }
    let module = layout.initrd.map(|span| Module { span, command_line: b"" });
    let start_info = StartInfo {
        flags: START_FLAGS,
        command_line: command_line.as_bytes(),
        modules: module.as_slice(),
        rsdp: Gpa(layout.acpi.start),
        memory: &map,
    };
    let at = Gpa(layout.start.start);
    memory.write(at, &start_info.place(at));
    let megabytes = ram.iter().map(Span::bytes).sum::<u64>() >> 20;
    info!("dom0: {megabytes} MiB, kernel at {:#x}", layout.kernel.start);
    at
}
