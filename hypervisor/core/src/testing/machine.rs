//! What hypercalls ask of the test machine: the simplest answers that show who asked what.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::arch_x86::context::VcpuGuestContext;
use xen_abi::arch_x86::xen::{CpuidLeaf, MsrEntry};
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;
use xen_abi::physdev::{PciDevice, PciDeviceAdd, PciMmcfgReserved, SetupGsi};
use xen_abi::platform::{EfiRuntimeCall, FirmwareInfo, PcpuVersion};
use xen_abi::sysctl::{CpuTopo, FeaturesetIndex, PolicyIndex};
use xen_abi::xen::{Dom0VgaConsoleInfo, Hypercall};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

use crate::domain::{Domain, DomainConfig};
use crate::errno::Errno;
use crate::hypercall::{GuestCopy, Outcome, Width, dispatch};
use crate::hypervisor::Hypervisor;
use crate::machine::*;
use crate::testing::platform::{TestPlatform, call_from};
use crate::types::{CpuId, Gpa, VcpuId};
use crate::vcpu::Vcpu;

/// A leaf that no domain gets.
pub(crate) const REFUSED_LEAF: u32 = 0x4000_0042;

impl DomainHost for TestPlatform {
    const MAX_VCPUS: u32 = 128;
    fn create_domain_arch(&self, config: &DomainConfig) -> Result<(), Errno> {
        if config.emulation_flags == 1 { Ok(()) } else { Err(Errno::EOPNOTSUPP) }
    }
    fn create_vcpu_arch(&self, _domain: &Arc<Domain<Self>>, _id: VcpuId) -> Result<(), Errno> {
        Ok(())
    }
    fn release_domain(&self, _domain: &Domain<Self>) {}
    fn guest_address_bits(&self) -> u8 {
        39
    }
}

impl VcpuControl for TestPlatform {
    fn initialise_vcpu(
        &self,
        _vcpu: &Arc<Vcpu<Self>>,
        _context: &VcpuHvmContext,
    ) -> Result<(), Errno> {
        Ok(())
    }
    fn vcpu_context(&self, vcpu: &Vcpu<Self>) -> Box<VcpuGuestContext> {
        let mut context = Box::new(VcpuGuestContext::new_zeroed());
        context.user_regs.rip = 0x1000 + u64::from(vcpu.id.0);
        context
    }
    fn inject_nmi(&self, hv: &Hypervisor<Self>, vcpu: &Arc<Vcpu<Self>>) {
        self.interrupts.lock().insert((vcpu.domid, vcpu.id, 2));
        hv.notify(vcpu);
    }
}

impl SavedState for TestPlatform {
    fn save_context(&self, domain: &Domain<Self>) -> Result<Vec<u8>, Errno> {
        assert!(domain.vcpus().all(|vcpu| vcpu.sched.running_on().is_none()));
        Ok(alloc::vec![7; 100])
    }
    fn save_record(&self, _: &Domain<Self>, kind: u32, _instance: u32) -> Result<Vec<u8>, Errno> {
        if kind == 2 { Ok(alloc::vec![9; 10]) } else { Err(Errno::ENOENT) }
    }
    fn load_context(
        &self,
        _hv: &Hypervisor<Self>,
        domain: &Arc<Domain<Self>>,
        records: &[u8],
    ) -> Result<(), Errno> {
        if records != [7; 100] {
            return Err(Errno::EINVAL);
        }
        domain.vcpu(VcpuId(0)).ok_or(Errno::EINVAL)?.set_initialised();
        Ok(())
    }
}

impl CpuPolicies for TestPlatform {
    fn host_policy(&self, index: PolicyIndex) -> Result<CpuPolicy, Errno> {
        if index != PolicyIndex::HVM_DEFAULT {
            return Err(Errno::EOPNOTSUPP);
        }
        let leaf = |leaf| CpuidLeaf { leaf, a: 1, ..CpuidLeaf::default() };
        Ok(CpuPolicy { leaves: (0..3).map(leaf).collect(), msrs: Vec::new() })
    }
    fn featureset(&self, _index: FeaturesetIndex) -> Result<Vec<u32>, Errno> {
        Ok(alloc::vec![1, 2, 3])
    }
    fn domain_policy(&self, _domain: &Domain<Self>) -> CpuPolicy {
        self.host_policy(PolicyIndex::HVM_DEFAULT).unwrap()
    }
    fn set_domain_policy(
        &self,
        _domain: &Domain<Self>,
        leaves: &[CpuidLeaf],
        _msrs: &[MsrEntry],
    ) -> Result<(), PolicyError> {
        match leaves.iter().find(|leaf| leaf.leaf == REFUSED_LEAF) {
            Some(leaf) => Err(PolicyError::Leaf(leaf.leaf, None)),
            None => Ok(()),
        }
    }
}

impl DeviceHost for TestPlatform {
    fn pci_mmcfg_reserved(&self, _range: &PciMmcfgReserved) -> Result<(), Errno> {
        Ok(())
    }
    fn pci_device_add(&self, device: &PciDeviceAdd) -> Result<(), Errno> {
        if device.bus == 0 { Ok(()) } else { Err(Errno::ENODEV) }
    }
    fn pci_device_remove(&self, _device: PciDevice) -> Result<(), Errno> {
        Ok(())
    }
    fn pci_device_reset(&self, _device: PciDevice, _flags: u32) -> Result<(), Errno> {
        Ok(())
    }
    fn setup_gsi(&self, _gsi: &SetupGsi) -> Result<(), Errno> {
        Err(Errno::EEXIST)
    }
}

impl Firmware for TestPlatform {
    fn firmware_info(&self, _: &mut FirmwareInfo, _: &dyn GuestCopy) -> Result<(), Errno> {
        Err(Errno::ENODEV)
    }
    fn efi_call(&self, _: &mut EfiRuntimeCall, _: &dyn GuestCopy) -> Result<(), Errno> {
        Err(Errno::ENOSYS)
    }
    fn dom0_console(&self) -> Option<(Dom0VgaConsoleInfo, usize)> {
        Some((Dom0VgaConsoleInfo { u: [5; 9], ..Dom0VgaConsoleInfo::default() }, 16))
    }
}

/// The log of the test machine: from index 10 on there is this.
pub(crate) const LOG: &[u8] = b"(XEN) hello\n";
const LOG_START: u32 = 10;

impl Host for TestPlatform {
    fn host_info(&self) -> HostInfo {
        HostInfo { threads_per_core: 1, cores_per_socket: self.cpus, ..HostInfo::default() }
    }
    fn cpu_topology(&self, cpu: CpuId) -> CpuTopo {
        CpuTopo { core: cpu.0, socket: 0, node: 0 }
    }
    fn cpu_ids(&self, cpu: CpuId) -> (u32, u32) {
        (cpu.0 * 2, cpu.0)
    }
    fn cpu_version(&self, _cpu: CpuId) -> PcpuVersion {
        PcpuVersion { family: 15, ..PcpuVersion::default() }
    }
    fn log_start(&self) -> u32 {
        LOG_START
    }
    fn log_read(&self, index: u32, into: &mut [u8]) -> (usize, u32) {
        let rest = &LOG[(index - LOG_START) as usize..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        (len, index + len as u32)
    }
    fn log_clear(&self) {}
    fn debug_key(&self, key: u8) {
        self.input.lock().push(key);
    }
}

/// A domain as the source of hypercalls; its arguments are in its own memory.
pub(crate) struct Caller<'a> {
    pub hv: &'a Hypervisor<TestPlatform>,
    pub domain: &'a Arc<Domain<TestPlatform>>,
}

/// Where [`Caller`] puts the structure of a call.
pub(crate) const ARG: u64 = 0x1000;
/// Where there is room for more.
pub(crate) const BUFFER: u64 = 0x2000;

impl Caller<'_> {
    /// Makes a hypercall, as often as it takes. What ends up in the result register.
    pub fn call(&self, number: Hypercall, args: [u64; 6]) -> i64 {
        self.call_from(Width::Wide, number, args)
    }

    /// As [`Self::call`], from code of this width.
    pub fn call_from(&self, width: Width, number: Hypercall, args: [u64; 6]) -> i64 {
        let mut args = args;
        for _ in 0..100_000 {
            match call_from(width, self.hv, self.domain, args, |call| dispatch(number.0, call)) {
                Outcome::Done(result) => return result as i64,
                Outcome::Continue(next) => args = next,
            }
        }
        panic!("a hypercall that never ends");
    }

    /// Makes a hypercall of the form `op(cmd, &arg)`, and reads the argument back.
    pub fn op<T>(&self, number: Hypercall, cmd: u32, arg: &T) -> (i64, T)
    where
        T: IntoBytes + Immutable + FromBytes,
    {
        self.write(ARG, arg);
        let result = self.call(number, [cmd.into(), ARG, 0, 0, 0, 0]);
        (result, self.read(ARG))
    }

    pub fn write<T: IntoBytes + Immutable + ?Sized>(&self, to: u64, value: &T) {
        self.domain.memory.write(&self.hv.platform, Gpa(to), value.as_bytes()).unwrap();
    }

    pub fn read<T: FromBytes + IntoBytes>(&self, from: u64) -> T {
        let mut value = T::new_zeroed();
        self.domain.memory.read(&self.hv.platform, Gpa(from), value.as_mut_bytes()).unwrap();
        value
    }
}
