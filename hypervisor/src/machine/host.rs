//! The machine's processors and log, as tools ask for them.

use core::arch::x86_64::__cpuid;

use hv_boot::log_ring::ReadRequest;
use hv_core::machine::{Host, HostInfo};
use hv_core::types::CpuId;
use xen_abi::platform::PcpuVersion;
use xen_abi::sysctl::CpuTopo;

use crate::arch::{cpu, hvm};
use crate::console;
use crate::drivers::iommu;
use crate::platform::Machine;

impl Host for Machine {
    fn host_info(&self) -> HostInfo {
        let features = hvm::host_cpu_policy().features();
        let mut hw_cap = [0; 8];
        for (index, word) in hw_cap.iter_mut().enumerate() {
            *word = features.word(index);
        }
        HostInfo {
            threads_per_core: 1,
            cores_per_socket: cpu::all().len() as u32,
            has_iommu: iommu::is_enabled(),
            hw_cap,
        }
    }

    fn cpu_topology(&self, cpu: CpuId) -> CpuTopo {
        CpuTopo { core: cpu.0, socket: 0, node: 0 }
    }

    fn cpu_ids(&self, cpu: CpuId) -> (u32, u32) {
        let apic_id = cpu::all().get(cpu.0 as usize).map_or(0, |cpu| cpu.apic_id());
        (apic_id, cpu.0)
    }

    fn cpu_version(&self, cpu: CpuId) -> PcpuVersion {
        let signature = __cpuid(1).eax;
        let (family, model) = (signature >> 8 & 0xf, signature >> 4 & 0xf);
        let extended = family == 0xf;
        PcpuVersion {
            xen_cpuid: cpu.0,
            max_present: (cpu::all().len() as u32).saturating_sub(1),
            vendor_id: cpu::features().vendor,
            family: if extended { family + (signature >> 20 & 0xff) } else { family },
            model: if extended || family == 6 { model | signature >> 12 & 0xf0 } else { model },
            stepping: signature & 0xf,
        }
    }

    fn log_start(&self) -> u32 {
        console::log_start()
    }

    fn log_read(&self, index: u32, into: &mut [u8]) -> (usize, u32) {
        console::read_log(ReadRequest { index, incremental: true, clear: false }, into)
    }

    fn log_clear(&self) {
        console::clear_log();
    }

    fn debug_key(&self, key: u8) {
        console::debug_keys::handle(key);
    }
}
