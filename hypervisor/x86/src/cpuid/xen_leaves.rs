//! Xen's own leaves, from 0x40000000 up (public header `arch-x86/cpuid.h`).

use hv_core::types::{DomId, VcpuId};
use xen_abi::arch_x86::cpuid as abi;

use super::Leaf;

/// What Xen's leaves say of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TscInfo {
    /// One of `CPUID_TSC_MODE_*`.
    pub mode: u32,
    /// The guest's TSC frequency.
    pub khz: u32,
    /// The machine's.
    pub host_khz: u32,
    /// How often the domain has migrated.
    pub incarnation: u32,
    /// What is added to the machine's TSC.
    pub offset: u64,
    /// TSC to nanoseconds: multiplier, as in `vcpu_time_info`.
    pub multiplier: u32,
    /// TSC to nanoseconds: shift, as in `vcpu_time_info`.
    pub shift: i8,
    /// The machine's TSC is reliable: it counts evenly, and alike on all pCPUs.
    pub reliable: bool,
    /// RDTSCP can be used.
    pub rdtscp: bool,
}

/// What Xen's leaves say of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XenInfo {
    /// The domain.
    pub domain: DomId,
    /// Version of the ABI: major and minor.
    pub version: (u16, u16),
    /// Its time.
    pub tsc: TscInfo,
    /// Memory of other domains that it maps is mapped for its devices too.
    pub iommu_mappings: bool,
}

impl XenInfo {
    /// Answers a leaf of the range.
    pub(super) fn query(&self, leaf: u32, subleaf: u32, vcpu: VcpuId) -> Leaf {
        match (leaf.wrapping_sub(abi::FIRST_LEAF), subleaf) {
            (0, _) => Leaf {
                eax: abi::FIRST_LEAF | abi::MAX_NUM_LEAVES,
                ebx: abi::SIGNATURE_EBX,
                ecx: abi::SIGNATURE_ECX,
                edx: abi::SIGNATURE_EDX,
            },
            (abi::LEAF_VERSION, _) => {
                let (major, minor) = self.version;
                Leaf { eax: u32::from(major) << 16 | u32::from(minor), ..Leaf::ZERO }
            }
            (abi::LEAF_HYPERCALL, _) => Leaf { eax: 1, ebx: abi::HYPERCALL_PAGE_MSR, ..Leaf::ZERO },
            (abi::LEAF_TIME, _) => self.tsc.query(subleaf),
            (abi::LEAF_HVM, 0) => {
                let iommu = if self.iommu_mappings { abi::HVM_IOMMU_MAPPINGS } else { 0 };
                let ids = abi::HVM_VCPU_ID_PRESENT | abi::HVM_DOMID_PRESENT;
                Leaf {
                    eax: ids | abi::HVM_UPCALL_VECTOR | iommu,
                    ebx: vcpu.0,
                    ecx: u32::from(self.domain.0),
                    edx: 0,
                }
            }
            _ => Leaf::ZERO,
        }
    }
}

impl TscInfo {
    fn query(&self, subleaf: u32) -> Leaf {
        match subleaf {
            0 => {
                let reliable = if self.reliable { abi::CPUID_HOST_TSC_RELIABLE } else { 0 };
                let rdtscp = if self.rdtscp { abi::CPUID_RDTSCP_INSTR_AVAIL } else { 0 };
                Leaf {
                    eax: reliable | rdtscp,
                    ebx: self.mode,
                    ecx: self.khz,
                    edx: self.incarnation,
                }
            }
            1 => Leaf {
                eax: self.offset as u32,
                ebx: (self.offset >> 32) as u32,
                ecx: self.multiplier,
                edx: i32::from(self.shift).cast_unsigned(),
            },
            2 => Leaf { eax: self.host_khz, ..Leaf::ZERO },
            _ => Leaf::ZERO,
        }
    }
}
