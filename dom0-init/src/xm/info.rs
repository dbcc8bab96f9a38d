//! `xm info`: the machine and its hypervisor, in the fields that Xen's users know.

use std::fmt::Write;

use serde::Serialize;
use xenctl::Xen;
use xenctl::host::Node;
use xenctl::version::Compilation;
use xenctl::xen_abi::domctl::Scheduler;
use xenctl::xen_abi::sysctl::{self, CpuTopo, PhysInfo};

use super::domains;
use super::output::{self, Format};
use crate::command_line::CommandLine;

/// Arguments of `xm info`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The CPUs' cores, sockets and nodes, and the nodes' memory too
    #[arg(short, long)]
    numa: bool,
}

/// What is asked for, as it comes.
#[derive(Debug, Clone)]
struct Facts {
    host: String,
    release: String,
    version: String,
    machine: String,
    physical: PhysInfo,
    free_cpus: u32,
    shared_pages: (u64, u64),
    xen_version: (u16, u16),
    xen_extra: String,
    capabilities: String,
    scheduler: Scheduler,
    page_size: u32,
    virt_start: u64,
    changeset: String,
    xen_command_line: String,
    compilation: Compilation,
    build_id: Option<String>,
    own_command_line: CommandLine,
}

/// The fields, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Info {
    host: String,
    release: String,
    version: String,
    machine: String,
    nr_cpus: u32,
    max_cpu_id: u32,
    nr_nodes: u32,
    cores_per_socket: u32,
    threads_per_core: u32,
    cpu_mhz: String,
    hw_caps: String,
    virt_caps: String,
    total_memory: u64,
    free_memory: u64,
    sharing_freed_memory: u64,
    sharing_used_memory: u64,
    outstanding_claims: u64,
    free_cpus: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    numa: Option<Numa>,
    xen_major: u16,
    xen_minor: u16,
    xen_extra: String,
    xen_version: String,
    xen_caps: String,
    xen_scheduler: String,
    xen_pagesize: u32,
    platform_params: String,
    xen_changeset: String,
    xen_commandline: String,
    cc_compiler: String,
    cc_compile_by: String,
    cc_compile_domain: String,
    cc_compile_date: String,
    build_id: String,
    xend_config_format: u32,
    dma_protection: String,
}

/// What `--numa` adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Numa {
    cpus: Vec<Cpu>,
    nodes: Vec<NodeMemory>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Cpu {
    cpu: usize,
    core: u32,
    socket: u32,
    node: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct NodeMemory {
    node: usize,
    size_mib: u64,
    free_mib: u64,
    distances: Vec<u32>,
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let xen = domains::open()?;
    let mut info = compose(&gather(&xen)?);
    if arguments.numa {
        info.numa = Some(numa(&xen.cpu_topology()?, &xen.nodes()?));
    }
    output::print(format, &info, || text(&info))
}

fn gather(xen: &Xen) -> xenctl::Result<Facts> {
    let own = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    Ok(Facts {
        host: text(own.nodename()),
        release: text(own.release()),
        version: text(own.version()),
        machine: text(own.machine()),
        physical: xen.physical_info()?,
        free_cpus: xen.free_cpus()?,
        shared_pages: xen.shared_pages()?,
        xen_version: xen.version()?,
        xen_extra: xen.extra_version()?,
        capabilities: xen.capabilities()?,
        scheduler: xen.scheduler()?,
        page_size: xen.page_size()?,
        virt_start: xen.platform_parameters()?,
        changeset: xen.changeset()?,
        xen_command_line: xen.command_line()?,
        compilation: xen.compilation()?,
        build_id: xen.build_id()?,
        own_command_line: CommandLine::of_running_kernel(),
    })
}

fn compose(facts: &Facts) -> Info {
    let physical = &facts.physical;
    let pages_in_mib = u64::from((1 << 20) / facts.page_size.max(1)).max(1);
    let mib = |pages: u64| pages / pages_in_mib;
    let (major, minor) = facts.xen_version;
    Info {
        host: facts.host.clone(),
        release: facts.release.clone(),
        version: facts.version.clone(),
        machine: facts.machine.clone(),
        nr_cpus: physical.nr_cpus,
        max_cpu_id: physical.max_cpu_id,
        nr_nodes: physical.nr_nodes,
        cores_per_socket: physical.cores_per_socket,
        threads_per_core: physical.threads_per_core,
        cpu_mhz: format!("{}.{:03}", physical.cpu_khz / 1000, physical.cpu_khz % 1000),
        hw_caps: physical.hw_cap.map(|word| format!("{word:08x}")).join(":"),
        virt_caps: virtualisation(physical.capabilities),
        total_memory: mib(physical.total_pages),
        free_memory: mib(physical.free_pages.saturating_sub(physical.outstanding_pages)),
        sharing_freed_memory: mib(facts.shared_pages.0),
        sharing_used_memory: mib(facts.shared_pages.1),
        outstanding_claims: mib(physical.outstanding_pages),
        free_cpus: facts.free_cpus,
        numa: None,
        xen_major: major,
        xen_minor: minor,
        xen_extra: facts.xen_extra.clone(),
        xen_version: format!("{major}.{minor}{}", facts.xen_extra),
        xen_caps: facts.capabilities.clone(),
        xen_scheduler: scheduler(facts.scheduler),
        xen_pagesize: facts.page_size,
        platform_params: format!("virt_start=0x{:x}", facts.virt_start),
        xen_changeset: facts.changeset.clone(),
        xen_commandline: facts.xen_command_line.clone(),
        cc_compiler: facts.compilation.compiler.clone(),
        cc_compile_by: facts.compilation.by.clone(),
        cc_compile_domain: facts.compilation.domain.clone(),
        cc_compile_date: facts.compilation.date.clone(),
        build_id: facts.build_id.clone().unwrap_or_default(),
        xend_config_format: 4,
        dma_protection: dma_protection(physical.capabilities, &facts.own_command_line),
    }
}

/// What the hypervisor can virtualise, in the words of `xl info`.
fn virtualisation(capabilities: u32) -> String {
    let has = |flag| capabilities & flag != 0;
    let (pv, hvm) = (has(sysctl::PHYSCAP_PV), has(sysctl::PHYSCAP_HVM));
    let direct = has(sysctl::PHYSCAP_DIRECTIO);
    let words = [
        (pv, "pv"),
        (hvm, "hvm"),
        (hvm && direct, "hvm_directio"),
        (pv && direct, "pv_directio"),
        (has(sysctl::PHYSCAP_HAP), "hap"),
        (has(sysctl::PHYSCAP_SHADOW), "shadow"),
        (has(sysctl::PHYSCAP_IOMMU_HAP_PT_SHARE), "iommu_hap_pt_share"),
        (has(sysctl::PHYSCAP_VMTRACE), "vmtrace"),
        (has(sysctl::PHYSCAP_VPMU), "vpmu"),
        (has(sysctl::PHYSCAP_GNTTAB_V1), "gnttab-v1"),
        (has(sysctl::PHYSCAP_GNTTAB_V2), "gnttab-v2"),
    ];
    words.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

fn scheduler(scheduler: Scheduler) -> String {
    match scheduler {
        Scheduler::CREDIT => "credit".to_owned(),
        Scheduler::CREDIT2 => "credit2".to_owned(),
        Scheduler::ARINC653 => "arinc653".to_owned(),
        Scheduler::RTDS => "rtds".to_owned(),
        Scheduler::NULL => "null".to_owned(),
        other => format!("unknown ({})", other.0),
    }
}

/// Whether devices are kept from memory that isn't the control domain's.
fn dma_protection(capabilities: u32, command_line: &CommandLine) -> String {
    let bounces = command_line
        .value("swiotlb")
        .is_some_and(|value| value.split(',').any(|word| word == "force"));
    match (capabilities & sysctl::PHYSCAP_DIRECTIO != 0, bounces) {
        (true, _) => "iommu".to_owned(),
        (false, true) => "none (swiotlb=force)".to_owned(),
        (false, false) => "none".to_owned(),
    }
}

fn numa(cpus: &[CpuTopo], nodes: &[Node]) -> Numa {
    let cpus = cpus.iter().enumerate().filter(|(_, cpu)| cpu.core != sysctl::INVALID_CORE_ID);
    let nodes = nodes.iter().enumerate();
    Numa {
        cpus: cpus
            .map(|(index, cpu)| Cpu {
                cpu: index,
                core: cpu.core,
                socket: cpu.socket,
                node: cpu.node,
            })
            .collect(),
        nodes: nodes
            .map(|(index, node)| NodeMemory {
                node: index,
                size_mib: node.size >> 20,
                free_mib: node.free >> 20,
                distances: node.distances.clone(),
            })
            .collect(),
    }
}

/// `name : value` lines, straight from the structure, so that none is forgotten.
fn text(info: &Info) -> String {
    let mut text = String::new();
    let fields = serde_json::to_value(info).unwrap_or_default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        // Writing to a string can't fail.
        let _infallible = match value {
            serde_json::Value::String(value) => writeln!(text, "{name:<22} : {value}"),
            serde_json::Value::Object(_) => {
                write!(text, "{}", info.numa.as_ref().map(numa_text).unwrap_or_default())
            }
            other => writeln!(text, "{name:<22} : {other}"),
        };
    }
    text
}

fn numa_text(numa: &Numa) -> String {
    // Writing to a string can't fail.
    let mut text = "cpu_topology           :\ncpu:    core    socket     node\n".to_owned();
    for cpu in &numa.cpus {
        let Cpu { cpu, core, socket, node } = cpu;
        let _infallible = writeln!(text, "{cpu:3}:    {core:4}     {socket:4}     {node:4}");
    }
    text.push_str("numa_info              :\nnode:    memsize    memfree    distances\n");
    for node in &numa.nodes {
        let distances: Vec<String> = node.distances.iter().map(u32::to_string).collect();
        let (size, free) = (node.size_mib, node.free_mib);
        let _infallible = writeln!(
            text,
            "{:4}:    {size:6}     {free:6}      {}",
            node.node,
            distances.join(",")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let physical = PhysInfo {
            threads_per_core: 1,
            cores_per_socket: 2,
            nr_cpus: 2,
            max_cpu_id: 1,
            nr_nodes: 1,
            cpu_khz: 2_394_007,
            capabilities: 0x109,
            total_pages: 524_000,
            free_pages: 260_000,
            outstanding_pages: 256,
            hw_cap: [0x078b_fbfd, 0x8020_2001, 0x2c10_0800, 1, 0, 0, 0, 0],
            ..PhysInfo::default()
        };
        Facts {
            host: "xenolith".into(),
            release: "6.12.1-amd64".into(),
            version: "#1 SMP Debian".into(),
            machine: "x86_64".into(),
            physical,
            free_cpus: 0,
            shared_pages: (0, 0),
            xen_version: (4, 20),
            xen_extra: ".0".into(),
            capabilities: "hvm-3.0-x86_32 hvm-3.0-x86_64".into(),
            scheduler: Scheduler::CREDIT2,
            page_size: 4096,
            virt_start: 0,
            changeset: "abc".into(),
            xen_command_line: "console=com1 dom0_mem=512M".into(),
            compilation: Compilation {
                compiler: "rustc 1.95".into(),
                by: "xenolith".into(),
                domain: "example.org".into(),
                date: "2026-11-22".into(),
            },
            build_id: Some("00ff".into()),
            own_command_line: CommandLine::parse("console=hvc0 swiotlb=force"),
        }
    }

    #[test]
    fn the_fields_are_those_of_xen() {
        assert_eq!(text(&compose(&facts())), include_str!("../../tests/golden/info.txt"));
    }

    #[test]
    fn devices_are_kept_by_an_iommu_or_not_at_all() {
        let line = |text| CommandLine::parse(text);
        assert_eq!(dma_protection(sysctl::PHYSCAP_DIRECTIO, &line("")), "iommu");
        assert_eq!(dma_protection(0, &line("swiotlb=65536,force")), "none (swiotlb=force)");
        assert_eq!(dma_protection(0, &line("swiotlb=65536")), "none");
    }

    #[test]
    fn capabilities_in_words() {
        assert_eq!(
            virtualisation(0x30f),
            "pv hvm hvm_directio pv_directio hap gnttab-v1 gnttab-v2"
        );
        assert_eq!(virtualisation(0), "");
    }

    #[test]
    fn nodes_and_cpus() {
        let cpu = |core| CpuTopo { core, socket: 0, node: 0 };
        let node = Node { size: 2 << 30, free: 1 << 30, distances: vec![10] };
        let numa = numa(&[cpu(0), cpu(1), cpu(sysctl::INVALID_CORE_ID)], &[node]);
        assert_eq!(
            numa_text(&numa),
            "cpu_topology           :\ncpu:    core    socket     node\n\
             \x20 0:       0        0        0\n  1:       1        0        0\n\
             numa_info              :\nnode:    memsize    memfree    distances\n\
             \x20  0:      2048       1024      10\n"
        );
    }
}
