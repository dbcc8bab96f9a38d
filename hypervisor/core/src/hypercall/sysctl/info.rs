//! The log, the machine's properties, the list of domains.

use xen_abi::sysctl::{
    AvailHeap, CpuInfo, CpuTopoInfo, DebugKeys, GetCpuInfo, GetDomainInfoList, MemInfo, NumaInfo,
    PHYSCAP_DIRECTIO, PHYSCAP_GNTTAB_V1, PHYSCAP_HAP, PHYSCAP_HVM, PciTopoInfo, PhysInfo,
    ReadConsole, Sysctl,
};
use xen_abi::{Argument, GuestHandle};

use crate::errno::Errno;
use crate::hypercall::Call;
use crate::machine::Machine;
use crate::types::{CpuId, FRAME_BYTES, Gva};

/// How much of the log is copied at a time.
const LOG_CHUNK_BYTES: usize = 512;
/// The distance of a node from itself, as ACPI counts them.
const LOCAL_DISTANCE: u32 = 10;
/// The most keys that are taken at once.
const MAX_KEYS: u32 = 128;

pub(super) fn read_console<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut get: ReadConsole = op.u.read();
    let log = &call.hv.platform;
    let start = log.log_start();
    let mut index = if get.incremental != 0 { later(get.index, start) } else { start };
    let mut done: u32 = 0;
    while done < get.count {
        let mut chunk = [0; LOG_CHUNK_BYTES];
        let room = get.count.saturating_sub(done).min(LOG_CHUNK_BYTES as u32);
        let part = chunk.get_mut(..room as usize).ok_or(Errno::EINVAL)?;
        let (len, next) = log.log_read(index, part);
        let text = part.get(..len).ok_or(Errno::EIO)?;
        if text.is_empty() {
            break;
        }
        call.guest.copy_to(call.element::<u8>(Gva(get.buffer.0), u64::from(done))?, text)?;
        done = done.saturating_add(len as u32);
        index = next;
    }
    if get.clear != 0 {
        log.log_clear();
    }
    get.count = done;
    get.index = index;
    op.u.write(&get);
    Ok(())
}

/// The later of two indices into the log, which wrap around.
const fn later(a: u32, b: u32) -> u32 {
    if (a.wrapping_sub(b) as i32) < 0 { b } else { a }
}

pub(super) fn debug_keys<P: Machine>(call: &Call<'_, P>, op: &Sysctl) -> Result<(), Errno> {
    let get: DebugKeys = op.u.read();
    for index in 0..get.nr_keys.min(MAX_KEYS) {
        let key: u8 = call.read(call.element::<u8>(Gva(get.keys.0), u64::from(index))?)?;
        call.hv.platform.debug_key(key);
    }
    Ok(())
}

pub(super) fn phys_info<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) {
    let host = call.hv.platform.host_info();
    let frames = &call.hv.frames;
    let cpus = call.hv.platform.cpu_count();
    let passthrough = if host.has_iommu { PHYSCAP_DIRECTIO } else { 0 };
    op.u.write(&PhysInfo {
        threads_per_core: host.threads_per_core,
        cores_per_socket: host.cores_per_socket,
        nr_cpus: cpus,
        max_cpu_id: cpus.saturating_sub(1),
        nr_nodes: 1,
        max_node_id: 0,
        cpu_khz: call.hv.platform.clock().khz(),
        capabilities: PHYSCAP_HVM | PHYSCAP_HAP | PHYSCAP_GNTTAB_V1 | passthrough,
        total_pages: frames.total_frames(),
        free_pages: frames.free_frames(),
        scrub_pages: frames.dirty_frames(),
        outstanding_pages: frames.claimed_frames(),
        max_mfn: frames.max_mfn().0,
        hw_cap: host.hw_cap,
        ..PhysInfo::default()
    });
}

pub(super) fn domain_list<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut get: GetDomainInfoList = op.u.read();
    let domains = call.hv.domains();
    let wanted = domains.iter().filter(|domain| domain.id.0 >= get.first_domain);
    let mut count: u32 = 0;
    for domain in wanted.take(get.max_domains as usize) {
        let info = call.hv.domain_info(domain);
        call.write(element(call, get.buffer, count, &info)?, &info)?;
        count = count.saturating_add(1);
    }
    get.num_domains = count;
    op.u.write(&get);
    Ok(())
}

/// Where element `index` of a caller's array of things like `_like` is.
fn element<P: Machine, T: Argument>(
    call: &Call<'_, P>,
    array: GuestHandle,
    index: u32,
    _like: &T,
) -> Result<Gva, Errno> {
    call.element::<T>(Gva(array.0), u64::from(index))
}

pub(super) fn cpu_info<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut get: GetCpuInfo = op.u.read();
    let count = call.hv.platform.cpu_count().min(get.max_cpus);
    let now = call.hv.platform.now();
    for cpu in 0..count {
        let info = CpuInfo { idletime: call.hv.scheduler.idle_ns(CpuId(cpu), now) };
        call.write(element(call, get.info, cpu, &info)?, &info)?;
    }
    get.nr_cpus = count;
    op.u.write(&get);
    Ok(())
}

pub(super) fn available<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) {
    let mut get: AvailHeap = op.u.read();
    // -1 stands for all nodes, of which there is one.
    let here = matches!(get.node, -1 | 0);
    let frames = if here { call.hv.frames.free_frames() } else { 0 };
    get.avail_bytes = frames.saturating_mul(FRAME_BYTES as u64);
    op.u.write(&get);
}

pub(super) fn cpu_topology<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut get: CpuTopoInfo = op.u.read();
    let count = call.hv.platform.cpu_count();
    if get.cputopo.is_null() {
        get.num_cpus = count;
    } else {
        get.num_cpus = get.num_cpus.min(count);
        for cpu in 0..get.num_cpus {
            let topology = call.hv.platform.cpu_topology(CpuId(cpu));
            call.write(element(call, get.cputopo, cpu, &topology)?, &topology)?;
        }
    }
    op.u.write(&get);
    Ok(())
}

/// All memory is one node.
pub(super) fn numa<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut get: NumaInfo = op.u.read();
    let asks_for_number = get.meminfo.is_null() && get.distance.is_null();
    if !asks_for_number && get.num_nodes > 0 {
        let bytes = |frames: u64| frames.saturating_mul(FRAME_BYTES as u64);
        let frames = &call.hv.frames;
        if !get.meminfo.is_null() {
            let memory = MemInfo {
                memsize: bytes(frames.total_frames()),
                memfree: bytes(frames.free_frames()),
            };
            call.write(Gva(get.meminfo.0), &memory)?;
        }
        if !get.distance.is_null() {
            call.write(Gva(get.distance.0), &LOCAL_DISTANCE)?;
        }
    }
    get.num_nodes = 1;
    op.u.write(&get);
    Ok(())
}

/// Every device is at the one node.
pub(super) fn pci_topology<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let get: PciTopoInfo = op.u.read();
    if get.devs.is_null() || get.nodes.is_null() {
        return Err(Errno::EINVAL);
    }
    for index in 0..get.num_devs.min(u32::from(u16::MAX)) {
        call.write(element(call, get.nodes, index, &0_u32)?, &0_u32)?;
    }
    Ok(())
}
