//! The machine, the scheduler and the console ring (`sysctl`), and shared memory (`memory_op`).
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::domctl::Scheduler;
use xen_abi::memory::MemoryCmd;
use xen_abi::sysctl::{
    self, CpuTopo, CpuTopoInfo, CpupoolCmd, CpupoolOp, DebugKeys, MemInfo, NumaInfo, PhysInfo,
    ReadConsole, SchedId, SysctlCmd,
};
use xen_abi::xen::{CtlBitmap, Hypercall};

use crate::Xen;
use crate::error::Result;

/// The most CPUs and NUMA nodes that are asked about.
const MOST_CPUS: usize = 4096;
const MOST_NODES: usize = 64;

/// Memory of the machine's NUMA nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// All of it, in bytes.
    pub size: u64,
    /// What is free, in bytes.
    pub free: u64,
    /// The distance to each node.
    pub distances: Vec<u32>,
}

impl Xen {
    /// The machine: CPUs, memory, what the hypervisor can do with it.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn physical_info(&self) -> Result<PhysInfo> {
        // SAFETY: the structure holds no address.
        unsafe { self.sysctl(SysctlCmd::PHYSINFO, &PhysInfo::default(), &mut []) }
    }

    /// The scheduler of the first CPU pool.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn scheduler(&self) -> Result<Scheduler> {
        // SAFETY: the structure holds no address.
        let answer = unsafe { self.sysctl(SysctlCmd::SCHED_ID, &SchedId::default(), &mut []) }?;
        Ok(answer.sched_id)
    }

    /// Pages freed by sharing, and pages shared. Hypervisors without sharing have neither.
    ///
    /// # Errors
    /// When the hypercall fails for another reason.
    pub fn shared_pages(&self) -> Result<(u64, u64)> {
        let ask = |cmd: MemoryCmd| {
            let name = cmd.name().unwrap_or("memory_op");
            let number = u64::from(Hypercall::MEMORY_OP.0);
            // SAFETY: these two take no structure and only return a number.
            let answer = unsafe {
                self.privcmd.hypercall(name, number, [u64::from(cmd.0), 0, 0, 0, 0], &mut [])
            };
            match answer {
                Ok(pages) => Ok(u64::from(pages)),
                Err(error) if error.is_unsupported() => Ok(0),
                Err(error) => Err(error),
            }
        };
        Ok((ask(MemoryCmd::GET_SHARING_FREED_PAGES)?, ask(MemoryCmd::GET_SHARING_SHARED_PAGES)?))
    }

    /// How many CPUs belong to no CPU pool.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn free_cpus(&self) -> Result<u32> {
        let mut bits = self.privcmd.buffer(MOST_CPUS / 8)?;
        let nr_bits = u32::try_from(MOST_CPUS).unwrap_or(u32::MAX);
        let cpumap = CtlBitmap { bitmap: bits.handle(), nr_bits, ..CtlBitmap::default() };
        let question = CpupoolOp { op: CpupoolCmd::FREEINFO, cpumap, ..CpupoolOp::default() };
        // SAFETY: the bitmap's handle is the buffer's, which has that many bits.
        unsafe { self.sysctl(SysctlCmd::CPUPOOL_OP, &question, &mut [&mut bits]) }?;
        let used = bits.bytes().get(..MOST_CPUS / 8).unwrap_or_default();
        Ok(used.iter().map(|byte| byte.count_ones()).sum())
    }

    /// Which core, socket and node each CPU belongs to.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn cpu_topology(&self) -> Result<Vec<CpuTopo>> {
        let mut list = self.privcmd.buffer(MOST_CPUS * size_of::<CpuTopo>())?;
        let num_cpus = u32::try_from(MOST_CPUS).unwrap_or(u32::MAX);
        let question = CpuTopoInfo { num_cpus, cputopo: list.handle(), ..CpuTopoInfo::default() };
        // SAFETY: the list's handle is the buffer's, which has room for that many.
        let answer = unsafe { self.sysctl(SysctlCmd::CPUTOPOINFO, &question, &mut [&mut list]) }?;
        Ok(list.list(usize::try_from(answer.num_cpus).unwrap_or(MOST_CPUS).min(MOST_CPUS)))
    }

    /// The NUMA nodes.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn nodes(&self) -> Result<Vec<Node>> {
        let mut memory = self.privcmd.buffer(MOST_NODES * size_of::<MemInfo>())?;
        let mut distances = self.privcmd.buffer(MOST_NODES * MOST_NODES * 4)?;
        let question = NumaInfo {
            num_nodes: u32::try_from(MOST_NODES).unwrap_or(u32::MAX),
            meminfo: memory.handle(),
            distance: distances.handle(),
            ..NumaInfo::default()
        };
        let buffers = &mut [&mut memory, &mut distances];
        // SAFETY: the handles are the buffers', which have room for that many nodes and for the
        // distance of each to each.
        let answer = unsafe { self.sysctl(SysctlCmd::NUMAINFO, &question, buffers) }?;
        let count = usize::try_from(answer.num_nodes).unwrap_or(MOST_NODES).min(MOST_NODES);
        let table: Vec<u32> = distances.list(count * count);
        let nodes = memory.list::<MemInfo>(count).into_iter().enumerate();
        Ok(nodes
            .map(|(index, node)| Node {
                size: node.memsize,
                free: node.memfree,
                distances: table.iter().skip(index * count).take(count).copied().collect(),
            })
            .collect())
    }

    /// The hypervisor's log; with `clear` it is empty afterwards.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn console_ring(&self, clear: bool) -> Result<Vec<u8>> {
        const LARGEST_RING: usize = 4 << 20;
        let mut text = self.privcmd.buffer(LARGEST_RING)?;
        let question = ReadConsole {
            clear: u8::from(clear),
            buffer: text.handle(),
            count: u32::try_from(LARGEST_RING).unwrap_or(0),
            ..ReadConsole::default()
        };
        // SAFETY: the handle is the buffer's, which has that many bytes.
        let answer = unsafe { self.sysctl(SysctlCmd::READCONSOLE, &question, &mut [&mut text]) }?;
        let length = usize::try_from(answer.count).unwrap_or(0);
        Ok(text.bytes().get(..length).unwrap_or_default().to_vec())
    }

    /// Presses debug keys, as on the serial console.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn debug_keys(&self, keys: &str) -> Result<()> {
        let mut buffer = self.privcmd.buffer(keys.len())?;
        for (to, from) in buffer.bytes_mut().iter_mut().zip(keys.bytes()) {
            *to = from;
        }
        let nr_keys = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let question = DebugKeys { keys: buffer.handle(), nr_keys, ..DebugKeys::default() };
        // SAFETY: the handle is the buffer's, which has that many bytes.
        unsafe { self.sysctl(SysctlCmd::DEBUG_KEYS, &question, &mut [&mut buffer]) }?;
        Ok(())
    }

    /// How long each CPU has been idle since the hypervisor started, in nanoseconds.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn idle_times(&self) -> Result<Vec<u64>> {
        let mut list = self.privcmd.buffer(MOST_CPUS * size_of::<sysctl::CpuInfo>())?;
        let question = sysctl::GetCpuInfo {
            max_cpus: u32::try_from(MOST_CPUS).unwrap_or(u32::MAX),
            info: list.handle(),
            ..sysctl::GetCpuInfo::default()
        };
        // SAFETY: the handle is the buffer's, which has room for that many.
        let answer = unsafe { self.sysctl(SysctlCmd::GETCPUINFO, &question, &mut [&mut list]) }?;
        let count = usize::try_from(answer.nr_cpus).unwrap_or(0).min(MOST_CPUS);
        Ok(list.list::<sysctl::CpuInfo>(count).into_iter().map(|cpu| cpu.idletime).collect())
    }
}
