//! What dom0 can ask about the host and its domains: `sysctl` and `domctl`.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::memory::Page;
use guest::toolstack::{domain_info, domctl, domctl_plain, physinfo, sysctl};
use guest::{Errno, ensure, ensure_eq, note};
use xen_abi::domctl::{
    DOMINF_DYING, DOMINF_HVM_GUEST, DomctlCmd, GetDomainInfo, GetVcpuInfo, PagingMempool,
    SchedCredit2, SchedOp, Scheduler, SchedulerOp, VCPUAFFINITY_HARD, VcpuAffinity,
};
use xen_abi::sysctl::{
    CPUPOOL_PAR_ANY, CpuInfo, CpuTopoInfo, CpupoolCmd, CpupoolOp, GetCpuInfo, GetDomainInfoList,
    NumaInfo, PERFCOP_QUERY, PHYSCAP_HAP, PHYSCAP_HVM, PHYSCAP_PV, PerfcDesc, PerfcOp, ReadConsole,
    SchedId, SysctlCmd,
};
use xen_abi::xen::{CtlBitmap, DOMID_FIRST_RESERVED};

guest::guest!("toolstack", test);

fn test() {
    host();
    topology();
    domains();
    vcpus();
    scheduler();
    console();
    counters();
    wrong();
}

fn host() {
    let info = physinfo();
    note!("{info:x?}");
    ensure!(info.nr_cpus >= 1 && info.max_cpu_id + 1 >= info.nr_cpus, "CPUs");
    ensure!(info.cores_per_socket >= 1 && info.threads_per_core >= 1, "cores and threads");
    ensure!(info.cpu_khz > 100_000, "the CPU has {} kHz", info.cpu_khz);
    let wanted = PHYSCAP_HVM | PHYSCAP_HAP;
    ensure!(info.capabilities & wanted == wanted, "capabilities {:#x}", info.capabilities);
    ensure!(info.total_pages > 0x1000, "{} pages", info.total_pages);
    ensure!(info.free_pages < info.total_pages, "{} free pages", info.free_pages);
    ensure!(info.max_mfn >= info.total_pages, "highest mfn {:#x}", info.max_mfn);
    if info.capabilities & PHYSCAP_PV != 0 {
        note!("this host runs PV guests, too");
    }
    let page = Page::new();
    let mut arg = GetCpuInfo { max_cpus: 16, info: page.handle(0), ..GetCpuInfo::default() };
    ensure_eq!(sysctl(SysctlCmd::GETCPUINFO, &mut arg), 0, "getcpuinfo");
    ensure!(arg.nr_cpus >= 1, "getcpuinfo has {} CPUs", arg.nr_cpus);
    let idle: CpuInfo = page.read(0);
    note!("CPU 0 was idle for {} ns", idle.idletime);
}

fn topology() {
    let mut topology = CpuTopoInfo::default();
    ensure_eq!(sysctl(SysctlCmd::CPUTOPOINFO, &mut topology), 0, "cputopoinfo");
    ensure!(topology.num_cpus >= 1, "cputopoinfo has {} CPUs", topology.num_cpus);
    let mut numa = NumaInfo::default();
    ensure_eq!(sysctl(SysctlCmd::NUMAINFO, &mut numa), 0, "numainfo");
    ensure!(numa.num_nodes >= 1, "numainfo has {} nodes", numa.num_nodes);
}

fn domains() {
    let page = Page::new();
    let mut list = GetDomainInfoList {
        first_domain: 0,
        max_domains: 16,
        buffer: page.handle(0),
        ..GetDomainInfoList::default()
    };
    ensure_eq!(sysctl(SysctlCmd::GETDOMAININFOLIST, &mut list), 0, "getdomaininfolist");
    ensure_eq!(list.num_domains, 1, "domains");
    let listed: GetDomainInfo = page.read(0);
    let Some(info) = domain_info(0) else {
        guest::report::failure(format_args!("there is no domain 0"));
    };
    note!("{info:x?}");
    ensure_eq!((listed.domain, info.domain), (0, 0), "domain ids");
    ensure!(info.flags & DOMINF_HVM_GUEST != 0, "dom0's flags are {:#x}", info.flags);
    ensure!(info.flags & DOMINF_DYING == 0, "dom0 is dying");
    ensure_eq!(listed.tot_pages, info.tot_pages, "pages in the list");
    ensure!(info.tot_pages > 0 && info.tot_pages <= info.max_pages, "{} pages", info.tot_pages);
    ensure!(info.nr_online_vcpus >= 1, "{} vCPUs", info.nr_online_vcpus);
    ensure!(info.cpu_time > 0, "dom0 never ran");
    ensure!((32..=52).contains(&info.gpaddr_bits), "{} address bits", info.gpaddr_bits);

    list.first_domain = 1;
    ensure_eq!(sysctl(SysctlCmd::GETDOMAININFOLIST, &mut list), 0, "getdomaininfolist from 1");
    ensure_eq!(list.num_domains, 0, "domains from 1 on");
    ensure_eq!(domain_info(1).is_some(), false, "there is a domain 1");
}

fn vcpus() {
    let mut info = GetVcpuInfo { vcpu: 0, ..GetVcpuInfo::default() };
    ensure_eq!(domctl(DomctlCmd::GETVCPUINFO, &mut 0, &mut info), 0, "getvcpuinfo");
    ensure!(info.online == 1 && info.running == 1 && info.blocked == 0, "{info:?}");
    ensure!(info.cpu_time > 0, "vCPU 0 never ran");
    let mut none = GetVcpuInfo { vcpu: 9999, ..GetVcpuInfo::default() };
    ensure!(domctl(DomctlCmd::GETVCPUINFO, &mut 0, &mut none) < 0, "vCPU 9999 exists");

    let page = Page::new();
    let mut affinity = VcpuAffinity {
        flags: VCPUAFFINITY_HARD,
        cpumap_hard: CtlBitmap { bitmap: page.handle(0), nr_bits: 64, ..CtlBitmap::default() },
        ..VcpuAffinity::default()
    };
    let result = domctl(DomctlCmd::GETVCPUAFFINITY, &mut 0, &mut affinity);
    ensure_eq!(result, 0, "getvcpuaffinity");
    ensure!(page.read::<u64>(0) & 1 != 0, "vCPU 0 can't run on CPU 0");

    let mut pool = PagingMempool::default();
    let result = domctl(DomctlCmd::GET_PAGING_MEMPOOL_SIZE, &mut 0, &mut pool);
    ensure_eq!(result, 0, "get_paging_mempool_size");
}

fn scheduler() {
    let mut id = SchedId::default();
    ensure_eq!(sysctl(SysctlCmd::SCHED_ID, &mut id), 0, "sched_id");
    ensure_eq!(id.sched_id, Scheduler::CREDIT2, "scheduler");
    let mut op =
        SchedulerOp { sched_id: id.sched_id, cmd: SchedOp::GETINFO, ..SchedulerOp::default() };
    ensure_eq!(domctl(DomctlCmd::SCHEDULER_OP, &mut 0, &mut op), 0, "scheduler_op");
    let parameters: SchedCredit2 = op.u.read();
    ensure_eq!(parameters, SchedCredit2 { weight: 256, cap: 0 }, "dom0's parameters");

    let page = Page::new();
    let mut pool = CpupoolOp {
        op: CpupoolCmd::INFO,
        cpupool_id: CPUPOOL_PAR_ANY,
        cpumap: CtlBitmap { bitmap: page.handle(0), nr_bits: 64, ..CtlBitmap::default() },
        ..CpupoolOp::default()
    };
    pool.cpupool_id = 0;
    ensure_eq!(sysctl(SysctlCmd::CPUPOOL_OP, &mut pool), 0, "cpupool_op");
    ensure_eq!((pool.cpupool_id, pool.sched_id), (0, Scheduler::CREDIT2), "the pool");
    ensure!(pool.n_dom >= 1, "{} domains in the pool", pool.n_dom);
    let used: u64 = page.read(0);
    ensure!(used != 0, "no CPU is in the pool");
    pool.op = CpupoolCmd::FREEINFO;
    ensure_eq!(sysctl(SysctlCmd::CPUPOOL_OP, &mut pool), 0, "free CPUs");
    let free: u64 = page.read(0);
    ensure_eq!(used & free, 0, "CPUs in the pool and free");
    ensure_eq!(used | free, (1 << physinfo().nr_cpus) - 1, "CPUs in the pool or free");
}

fn console() {
    let page = Page::new();
    note!("a line to be found again");
    let mut found = false;
    let mut arg = ReadConsole {
        incremental: 1,
        buffer: page.handle(0),
        count: 4096,
        ..ReadConsole::default()
    };
    let mut total = 0;
    while arg.count > 0 {
        arg.count = 4096;
        ensure_eq!(sysctl(SysctlCmd::READCONSOLE, &mut arg), 0, "readconsole");
        total += arg.count;
        found |= (0..arg.count as usize).any(|at| page.read::<u8>(at) == b'\n');
    }
    note!("the log has {total} bytes");
    ensure!(total > 0 && found, "the log is empty");
}

/// Counters are there only in some builds of Xen.
fn counters() {
    let mut query = PerfcOp { cmd: PERFCOP_QUERY, ..PerfcOp::default() };
    let result = sysctl(SysctlCmd::PERFC_OP, &mut query);
    if result == Errno::ENOSYS.negated() || result == Errno::EOPNOTSUPP.negated() {
        note!("there are no performance counters");
        return;
    }
    ensure_eq!(result, 0, "perfc_op");
    ensure!(query.nr_counters > 0 && query.nr_vals >= query.nr_counters, "{query:?}");
    let bytes = query.nr_counters as usize * size_of::<PerfcDesc>();
    let (names, values) = (Page::run(bytes.div_ceil(4096)), Page::run(16));
    ensure!(query.nr_vals <= 16 * 1024, "{} values", query.nr_vals);
    query.desc = names.handle(0);
    query.val = values.handle(0);
    ensure_eq!(sysctl(SysctlCmd::PERFC_OP, &mut query), 0, "perfc_op with buffers");
    let first: [u8; 8] = names.read(0);
    ensure!(first[0].is_ascii_graphic(), "the first counter's name starts with {first:x?}");
    note!("{} counters, {} values", query.nr_counters, query.nr_vals);
}

fn wrong() {
    let unknown = domctl_plain(DomctlCmd(500), 0);
    ensure_eq!(unknown, Errno::ENOSYS.negated(), "domctl 500");
    let unknown = sysctl(SysctlCmd(500), &mut 0_u64);
    ensure!(unknown < 0, "sysctl 500 returned {unknown}");
    for domain in [1, 77, DOMID_FIRST_RESERVED - 1, 0x7ff4, 0xffff] {
        for cmd in [
            DomctlCmd::DESTROYDOMAIN,
            DomctlCmd::PAUSEDOMAIN,
            DomctlCmd::UNPAUSEDOMAIN,
            DomctlCmd::MAX_MEM,
            DomctlCmd::MAX_VCPUS,
            DomctlCmd::GETVCPUINFO,
            DomctlCmd::GETHVMCONTEXT,
            DomctlCmd::SETHVMCONTEXT,
        ] {
            let result = domctl_plain(cmd, domain);
            ensure!(result < 0, "{:?} of domain {domain} returned {result}", cmd.name());
        }
    }
    for cmd in [DomctlCmd::PAUSEDOMAIN, DomctlCmd::DESTROYDOMAIN] {
        let result = domctl_plain(cmd, 0);
        ensure_eq!(result, Errno::EINVAL.negated(), "{:?} of itself", cmd.name());
    }
    versions();
}

/// Another interface version is refused.
fn versions() {
    for version in [0x14, 0x15, 0x16, 0x18, 0] {
        let mut call = xen_abi::domctl::Domctl {
            cmd: DomctlCmd::GETDOMAININFO,
            interface_version: version,
            ..Default::default()
        };
        let result = guest::toolstack::raw_domctl(&mut call);
        ensure_eq!(result, Errno::EACCES.negated(), "domctl version {version:#x}");
        let mut call = xen_abi::sysctl::Sysctl {
            cmd: SysctlCmd::PHYSINFO,
            interface_version: version + 2,
            ..Default::default()
        };
        let result = guest::toolstack::raw_sysctl(&mut call);
        ensure_eq!(result, Errno::EACCES.negated(), "sysctl version {:#x}", version + 2);
    }
}
