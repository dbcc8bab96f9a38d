//! A machine for tests: its clock stands still until it is moved, and what the policy asks of it
//! is written down.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;
use xen_abi::sched::ShutdownReason;

use crate::domain::{Domain, DomainConfig};
use crate::frame::FrameRange;
use crate::hypercall::version::BuildInfo;
use crate::hypercall::{Call, Fault, GuestCopy, Width};
use crate::hypervisor::{Hypervisor, Setup};
use crate::memory::{Placement, PopulateRequest};
use crate::p2m::{FlushBatch, HostFormat, Leaf, Npt, Stage2Listener};
use crate::platform::{FrameMemory, Platform};
use crate::sched::entity::BlockReason;
use crate::testing::{TestMemory, frame_table};
use crate::time::clock::TscClock;
use crate::types::{CpuId, DomId, Gfn, Gpa, Gva, Mfn, Nanos, VcpuId};
use crate::vcpu::Vcpu;

/// The machine.
#[derive(Default)]
pub(crate) struct TestPlatform {
    pub memory: TestMemory,
    pub now: AtomicU64,
    pub this_cpu: AtomicU32,
    pub cpus: u32,
    /// The pCPUs that were kicked, in order.
    pub kicks: Mutex<Vec<CpuId>>,
    /// Interrupts that wait in local APICs.
    pub interrupts: Mutex<BTreeSet<(DomId, VcpuId, u8)>>,
    pub preempt: AtomicBool,
    pub stopped_by: Mutex<Option<ShutdownReason>>,
    pub crashes: Mutex<Vec<(DomId, String)>>,
    pub flushes: AtomicU32,
    pub arch_timers: Mutex<Vec<(DomId, VcpuId, u8)>>,
    pub output: Mutex<BTreeMap<DomId, Vec<u8>>>,
    pub input: Mutex<Vec<u8>>,
}

macro_rules! delegate {
    ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {
        impl FrameMemory for TestPlatform {
            $(fn $name(&self, $($arg: $ty),*) $(-> $ret)? { self.memory.$name($($arg),*) })*
        }
    };
}

delegate! {
    read(mfn: Mfn, offset: usize, into: &mut [u8]);
    write(mfn: Mfn, offset: usize, from: &[u8]);
    zero(mfn: Mfn);
    copy(from: (Mfn, usize), to: (Mfn, usize), len: usize);
    load_u8(mfn: Mfn, offset: usize) -> u8;
    load_u32(mfn: Mfn, offset: usize) -> u32;
    load_u64(mfn: Mfn, offset: usize) -> u64;
    store_u8(mfn: Mfn, offset: usize, value: u8);
    store_u32(mfn: Mfn, offset: usize, value: u32);
    store_u64(mfn: Mfn, offset: usize, value: u64);
    swap_u8(mfn: Mfn, offset: usize, value: u8) -> u8;
    fetch_or_u64(mfn: Mfn, offset: usize, bits: u64) -> u64;
    fetch_and_u64(mfn: Mfn, offset: usize, bits: u64) -> u64;
    fetch_or_u32(mfn: Mfn, offset: usize, bits: u32) -> u32;
    fetch_and_u32(mfn: Mfn, offset: usize, bits: u32) -> u32;
    cas_u16(mfn: Mfn, offset: usize, old: u16, new: u16) -> Result<u16, u16>;
    cas_u32(mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32>;
    cas_u64(mfn: Mfn, offset: usize, old: u64, new: u64) -> Result<u64, u64>;
}

impl Platform for TestPlatform {
    type DomainArch = ();
    type VcpuArch = ();
    const EXIT_REASONS: &'static [&'static str] = &["npf", "hlt", "vmmcall"];

    fn now(&self) -> Nanos {
        Nanos(self.now.load(Ordering::Relaxed))
    }
    fn clock(&self) -> TscClock {
        TscClock::new(1_000_000_000, 0, Nanos(0), true)
    }
    fn this_cpu(&self) -> CpuId {
        CpuId(self.this_cpu.load(Ordering::Relaxed))
    }
    fn cpu_count(&self) -> u32 {
        self.cpus
    }
    fn kick(&self, cpu: CpuId) {
        assert_ne!(cpu, self.this_cpu(), "a pCPU that kicks itself");
        self.kicks.lock().push(cpu);
    }
    fn set_deadline(&self, _deadline: Option<Nanos>) {}
    fn inject(&self, domain: DomId, vcpu: VcpuId, _arch: &(), vector: u8) {
        self.interrupts.lock().insert((domain, vcpu, vector));
    }
    fn has_interrupt(&self, vcpu: &Vcpu<Self>) -> bool {
        self.interrupts.lock().iter().any(|(dom, id, _)| (*dom, *id) == (vcpu.domid, vcpu.id))
    }
    fn timer_expired(&self, hv: &Hypervisor<Self>, vcpu: &Arc<Vcpu<Self>>, timer: u8) {
        self.arch_timers.lock().push((vcpu.domid, vcpu.id, timer));
        hv.notify(vcpu);
    }
    fn flush_second_stage(&self, _domain: DomId) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }
    fn preemption_pending(&self) -> bool {
        self.preempt.load(Ordering::Relaxed)
    }
    fn console_write(&self, from: DomId, bytes: &[u8]) {
        self.output.lock().entry(from).or_default().extend_from_slice(bytes);
    }
    fn console_read(&self, into: &mut [u8]) -> usize {
        let mut input = self.input.lock();
        let len = input.len().min(into.len());
        into[..len].copy_from_slice(&input[..len]);
        input.drain(..len);
        len
    }
    fn log_domain_crash(&self, domain: DomId, why: &str) {
        self.crashes.lock().push((domain, why.into()));
    }
    fn machine_shutdown(&self, reason: ShutdownReason) {
        *self.stopped_by.lock() = Some(reason);
    }
}

/// Nobody who must hear of changes to a second stage.
pub(crate) struct NoListener;

impl Stage2Listener for NoListener {
    fn changed(&self, _gfn: Gfn, _order: u32, _leaf: Option<Leaf>) {}
    fn flush(&self) {}
}

/// A hypervisor on a machine of `cpus` pCPUs and 32 MiB.
pub(crate) fn hypervisor(cpus: u32) -> Hypervisor<TestPlatform> {
    let platform = TestPlatform { cpus, ..TestPlatform::default() };
    let hv = Hypervisor::new(
        platform,
        Setup {
            frames: frame_table(&[FrameRange { start: Mfn(0), frames: 8192 }]),
            stage2_format: HostFormat::Npt(Npt { has_1g: false }),
            cmdline: "dom0_mem=512M".into(),
            build: BuildInfo { compiler: "rustc", changeset: "0", date: "now", build_id: b"id" },
            max_cpus: cpus,
        },
    );
    for cpu in 0..cpus {
        hv.scheduler.set_online(CpuId(cpu));
    }
    hv
}

/// What a domain in these tests is made with. Number 0 is the privileged hardware domain.
pub(crate) fn config(id: u16, vcpus: u32) -> DomainConfig {
    DomainConfig {
        id: DomId(id),
        handle: [id as u8; 16],
        max_vcpus: vcpus,
        max_event_port: u32::MAX,
        max_grant_frames: 64,
        max_maptrack_frames: 64,
        privileged: id == 0,
        hardware: id == 0,
        placement: Placement::Anywhere,
        flags: 3,
        emulation_flags: 1,
    }
}

impl Hypervisor<TestPlatform> {
    /// A domain with 16 frames of memory from gfn 0 on, all vCPUs up, ready to run.
    pub(crate) fn test_domain(&self, id: u16, vcpus: u32) -> Arc<Domain<TestPlatform>> {
        let domain = self.create_domain(config(id, vcpus), ()).unwrap();
        let mut batch = FlushBatch::new(&self.frames, &NoListener);
        for gfn in 0..16 {
            let request = PopulateRequest { gfn: Gfn(gfn), order: 0, below: None };
            domain.memory.populate(self.frames(), request, &mut batch).unwrap();
        }
        for vcpu in 0..vcpus {
            let vcpu = self.add_vcpu(&domain, VcpuId(vcpu), ()).unwrap();
            self.resume(&vcpu, BlockReason::Down);
        }
        self.unpause_domain(&domain).unwrap();
        domain
    }

    /// Moves to another pCPU.
    pub(crate) fn on_cpu(&self, cpu: u32) -> CpuId {
        self.platform.this_cpu.store(cpu, Ordering::Relaxed);
        CpuId(cpu)
    }

    pub(crate) fn set_now(&self, now: u64) -> Nanos {
        self.platform.now.store(now, Ordering::Relaxed);
        Nanos(now)
    }
}

/// A domain's memory as a caller's address space in which virtual addresses are physical ones.
pub(crate) struct FlatGuest<'a> {
    pub hv: &'a Hypervisor<TestPlatform>,
    pub domain: &'a Domain<TestPlatform>,
}

impl GuestCopy for FlatGuest<'_> {
    fn copy_from(&self, from: Gva, into: &mut [u8]) -> Result<(), Fault> {
        self.domain.memory.read(&self.hv.platform, Gpa(from.0), into).map_err(|_| Fault)
    }
    fn copy_to(&self, to: Gva, from: &[u8]) -> Result<(), Fault> {
        self.domain.memory.write(&self.hv.platform, Gpa(to.0), from).map_err(|_| Fault)
    }
    fn translate(&self, gva: Gva) -> Result<Gpa, Fault> {
        let found = self.domain.memory.translate(&self.hv.platform, Gpa(gva.0).gfn());
        found.map(|_| Gpa(gva.0)).map_err(|_| Fault)
    }
}

/// Lets a domain's vCPU 0 make a hypercall, with what `run` makes of the call.
pub(crate) fn call_as<R>(
    hv: &Hypervisor<TestPlatform>,
    domain: &Arc<Domain<TestPlatform>>,
    args: [u64; 6],
    run: impl FnOnce(&Call<'_, TestPlatform>) -> R,
) -> R {
    call_from(Width::Wide, hv, domain, args, run)
}

/// As [`call_as`], from code of this width.
pub(crate) fn call_from<R>(
    width: Width,
    hv: &Hypervisor<TestPlatform>,
    domain: &Arc<Domain<TestPlatform>>,
    args: [u64; 6],
    run: impl FnOnce(&Call<'_, TestPlatform>) -> R,
) -> R {
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    run(&Call { hv, domain, vcpu, args, width, guest: &FlatGuest { hv, domain } })
}
