//! What the toolstack reads of the machine.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::GuestHandle;
use xen_abi::domctl::{GetDomainInfo, Scheduler};
use xen_abi::sysctl::*;
use xen_abi::xen::{CtlBitmap, Hypercall};
use zerocopy::{Immutable, IntoBytes};

use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypervisor::Hypervisor;
use crate::testing::machine::{ARG, BUFFER, Caller, LOG};
use crate::testing::platform::{TestPlatform, hypervisor};
use crate::types::{CpuId, VcpuId};

impl Caller<'_> {
    fn sysctl<T: IntoBytes + Immutable>(&self, cmd: SysctlCmd, u: &T) -> Result<Sysctl, Errno> {
        let u = xen_abi::Payload::new(u);
        self.write(ARG, &Sysctl { cmd, interface_version: 0x15, u });
        match self.call(Hypercall::SYSCTL, [ARG, 0, 0, 0, 0, 0]) {
            0 => Ok(self.read(ARG)),
            errno => Err(Errno(-errno as i32)),
        }
    }
}

fn machine() -> (Hypervisor<TestPlatform>, Arc<Domain<TestPlatform>>) {
    let hv = hypervisor(4);
    let dom0 = hv.test_domain(0, 2);
    (hv, dom0)
}

#[test]
fn only_the_privileged_and_only_this_version() {
    let (hv, _dom0) = machine();
    let guest = hv.test_domain(1, 1);
    let guest = Caller { hv: &hv, domain: &guest };
    assert_eq!(guest.sysctl(SysctlCmd::PHYSINFO, &()), Err(Errno::EPERM));
    guest.write(ARG, &Sysctl { interface_version: 0x16, ..Sysctl::default() });
    assert_eq!(guest.call(Hypercall::SYSCTL, [ARG, 0, 0, 0, 0, 0]), -13);
}

#[test]
fn the_machine_is_described() {
    let (hv, dom0) = machine();
    let tool = Caller { hv: &hv, domain: &dom0 };
    let info: PhysInfo = tool.sysctl(SysctlCmd::PHYSINFO, &()).unwrap().u.read();
    assert_eq!((info.nr_cpus, info.max_cpu_id, info.nr_nodes, info.cpu_khz), (4, 3, 1, 1_000_000));
    assert_eq!(info.capabilities, 0x109);
    assert_eq!((info.total_pages, info.free_pages), (8192, hv.frames.free_frames()));

    let ask = CpuTopoInfo { cputopo: GuestHandle(0), ..CpuTopoInfo::default() };
    let got: CpuTopoInfo = tool.sysctl(SysctlCmd::CPUTOPOINFO, &ask).unwrap().u.read();
    assert_eq!(got.num_cpus, 4);
    let ask = CpuTopoInfo { num_cpus: 99, cputopo: GuestHandle(BUFFER), ..CpuTopoInfo::default() };
    tool.sysctl(SysctlCmd::CPUTOPOINFO, &ask).unwrap();
    assert_eq!(tool.read::<[CpuTopo; 4]>(BUFFER)[3].core, 3);

    let got: NumaInfo = tool.sysctl(SysctlCmd::NUMAINFO, &NumaInfo::default()).unwrap().u.read();
    assert_eq!(got.num_nodes, 1);
    let ask = NumaInfo {
        num_nodes: 1,
        meminfo: GuestHandle(BUFFER),
        distance: GuestHandle(BUFFER + 64),
        ..NumaInfo::default()
    };
    tool.sysctl(SysctlCmd::NUMAINFO, &ask).unwrap();
    assert_eq!(tool.read::<MemInfo>(BUFFER).memsize, 8192 * 4096);
    assert_eq!(tool.read::<u32>(BUFFER + 64), 10);
    assert_eq!(tool.sysctl(SysctlCmd::GET_PMSTAT, &()), Err(Errno::ENODEV));
    assert_eq!(tool.sysctl(SysctlCmd::LOCKPROF_OP, &()), Err(Errno::EOPNOTSUPP));
    assert_eq!(tool.sysctl(SysctlCmd(77), &()), Err(Errno::ENOSYS));
}

#[test]
fn the_log_is_read_from_anywhere() {
    let (hv, dom0) = machine();
    let tool = Caller { hv: &hv, domain: &dom0 };
    let read = |incremental, index, count| {
        let ask = ReadConsole {
            incremental,
            index,
            buffer: GuestHandle(BUFFER),
            count,
            ..Default::default()
        };
        let got: ReadConsole = tool.sysctl(SysctlCmd::READCONSOLE, &ask).unwrap().u.read();
        (got.count, got.index)
    };
    let end = 10 + LOG.len() as u32;
    assert_eq!(read(0, 0, 4096), (LOG.len() as u32, end));
    assert_eq!(tool.read::<[u8; LOG.len()]>(BUFFER), LOG);
    assert_eq!(read(1, end - 2, 4096), (2, end));
    assert_eq!(read(1, 3, 5), (5, 15), "older than the oldest");
    assert_eq!(read(1, end, 9), (0, end));

    tool.write(BUFFER, b"qd");
    let keys = DebugKeys { keys: GuestHandle(BUFFER), nr_keys: 2, ..DebugKeys::default() };
    tool.sysctl(SysctlCmd::DEBUG_KEYS, &keys).unwrap();
    assert_eq!(*hv.platform.input.lock(), b"qd");
}

#[test]
fn domains_are_listed_from_a_number_on() {
    let (hv, dom0) = machine();
    let tool = Caller { hv: &hv, domain: &dom0 };
    hv.test_domain(3, 1);
    hv.test_domain(9, 1);
    let list = |first_domain, max_domains| {
        let ask = GetDomainInfoList {
            first_domain,
            max_domains,
            buffer: GuestHandle(BUFFER),
            ..GetDomainInfoList::default()
        };
        let op = tool.sysctl(SysctlCmd::GETDOMAININFOLIST, &ask).unwrap();
        let count = op.u.read::<GetDomainInfoList>().num_domains;
        let infos = tool.read::<[GetDomainInfo; 8]>(BUFFER);
        infos[..count as usize].iter().map(|info| info.domain).collect::<Vec<_>>()
    };
    assert_eq!(list(0, 1024), [0, 3, 9]);
    assert_eq!(list(1, 1), [3]);
    assert_eq!(list(10, 5), []);
}

#[test]
fn counters_have_names_and_a_value_per_vcpu() {
    let (hv, dom0) = machine();
    let tool = Caller { hv: &hv, domain: &dom0 };
    for (id, count) in [(0, 3), (1, 5)] {
        (0..count).for_each(|_| dom0.vcpu(VcpuId(id)).unwrap().counters.count_exit(1));
    }
    let ask = PerfcOp { cmd: PERFCOP_QUERY, ..PerfcOp::default() };
    let sizes: PerfcOp = tool.sysctl(SysctlCmd::PERFC_OP, &ask).unwrap().u.read();
    assert_eq!(sizes.nr_vals, sizes.nr_counters * 2);
    let (desc, val) = (BUFFER, BUFFER + u64::from(sizes.nr_counters) * 84);
    let ask = PerfcOp { desc: GuestHandle(desc), val: GuestHandle(val.next_multiple_of(4)), ..ask };
    tool.sysctl(SysctlCmd::PERFC_OP, &ask).unwrap();
    let mut found = Vec::new();
    for index in 0..u64::from(sizes.nr_counters) {
        let desc: PerfcDesc = tool.read(desc + index * 84);
        let name = desc.name.iter().take_while(|byte| **byte != 0).map(|byte| *byte as char);
        let values: [u32; 2] = tool.read(ask.val.0 + index * 8);
        if values != [0, 0] {
            found.push((name.collect::<String>(), values));
        }
    }
    // The query that asked for the sizes, and this one.
    let expected = [("d0.exit.hlt".into(), [3, 5]), ("d0.hypercall.sysctl".into(), [2, 0])];
    assert_eq!(found, expected);

    tool.sysctl(SysctlCmd::PERFC_OP, &PerfcOp { cmd: PERFCOP_RESET, ..ask }).unwrap();
    assert_eq!(dom0.vcpu(VcpuId(1)).unwrap().counters.exits(1), 0);
    let bad = PerfcOp { cmd: 3, ..ask };
    assert_eq!(tool.sysctl(SysctlCmd::PERFC_OP, &bad), Err(Errno::EINVAL));
}

#[test]
fn there_is_one_pool() {
    let (hv, dom0) = machine();
    let tool = Caller { hv: &hv, domain: &dom0 };
    let got: SchedId = tool.sysctl(SysctlCmd::SCHED_ID, &()).unwrap().u.read();
    assert_eq!(got.sched_id, Scheduler::CREDIT2);
    let pool = |op, cpupool_id| {
        let cpumap = CtlBitmap { bitmap: GuestHandle(BUFFER), nr_bits: 64, ..Default::default() };
        let ask = CpupoolOp { op, cpupool_id, cpumap, ..CpupoolOp::default() };
        tool.sysctl(SysctlCmd::CPUPOOL_OP, &ask).map(|op| op.u.read::<CpupoolOp>())
    };
    assert_eq!(pool(CpupoolCmd::INFO, 0).unwrap().n_dom, 1);
    assert_eq!(tool.read::<u64>(BUFFER), 0b1111);
    assert_eq!(pool(CpupoolCmd::INFO, 1), Err(Errno::ENOENT));
    pool(CpupoolCmd::FREEINFO, 0).unwrap();
    assert_eq!(tool.read::<u64>(BUFFER), 0);
    assert_eq!(pool(CpupoolCmd::CREATE, 1), Err(Errno::EOPNOTSUPP));

    let set = |cmd, ratelimit_us| {
        let u = xen_abi::Payload::new(&Credit2Schedule { ratelimit_us });
        let ask = SchedulerOp { sched_id: Scheduler::CREDIT2, cmd, u, ..SchedulerOp::default() };
        let op = tool.sysctl(SysctlCmd::SCHEDULER_OP, &ask)?;
        Ok::<_, Errno>(op.u.read::<SchedulerOp>().u.read::<Credit2Schedule>().ratelimit_us)
    };
    assert_eq!(set(SchedulerCmd::GETINFO, 0), Ok(1000));
    assert_eq!(set(SchedulerCmd::PUTINFO, 50), Err(Errno::EINVAL));
    assert_eq!(set(SchedulerCmd::PUTINFO, 200), Ok(200));
    assert_eq!(hv.scheduler.ratelimit_ns(), 200_000);
}

#[test]
fn idle_time_is_what_nobody_used() {
    let (hv, dom0) = machine();
    let tool = Caller { hv: &hv, domain: &dom0 };
    for cpu in 0..4 {
        let cpu = hv.on_cpu(cpu);
        hv.schedule(cpu, hv.set_now(1000));
    }
    hv.on_cpu(0);
    hv.set_now(5000);
    let ask = GetCpuInfo { max_cpus: 3, info: GuestHandle(BUFFER), ..GetCpuInfo::default() };
    let got: GetCpuInfo = tool.sysctl(SysctlCmd::GETCPUINFO, &ask).unwrap().u.read();
    assert_eq!(got.nr_cpus, 3);
    let mut idle = tool.read::<[u64; 3]>(BUFFER);
    idle.sort();
    assert_eq!(idle, [1000, 1000, 5000], "two of them run a vCPU of dom0");
    assert!(hv.scheduler.idle_ns(CpuId(3), hv.set_now(5000)) > 0);
}
