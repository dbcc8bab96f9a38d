//! CPUID as guests see it.
//!
//! A [`CpuPolicy`] says what processor a domain has. [`GuestCpuid`] is made of it once per
//! domain, with the domain's topology and Xen's own leaves; after that a CPUID exit is one
//! [`GuestCpuid::query`]: a look into a table, and the few bits that follow the vCPU's state.

mod control;
mod features;
mod policy;
#[cfg(test)]
mod tests;
mod topology;
mod xen_leaves;
mod xstate;

use hv_core::types::VcpuId;
use x86defs::cpuid::{Ext1Edx, Ext8Ebx, Ext21Eax, Leaf1Ecx, Leaf7Ebx, Leaf7Ecx};
use x86defs::cr::Cr4;
use x86defs::msr::Efer;

use crate::interrupt::apic_id;
use crate::msr::MsrPolicy;
use crate::state::ControlLimits;
use features::word;
pub use features::{FeatureSet, WORDS};
pub use policy::{BadLeaf, CpuPolicy, Limits};
pub use xen_leaves::{TscInfo, XenInfo};

/// What CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the registers' own names")]
pub struct Leaf {
    pub eax: u32,
    pub ebx: u32,
    pub ecx: u32,
    pub edx: u32,
}

impl Leaf {
    /// What a leaf that is not there returns.
    pub const ZERO: Self = Self { eax: 0, ebx: 0, ecx: 0, edx: 0 };

    /// EDX:EAX, as leaf 0xD holds a mask of state components.
    const fn xcr0(self) -> u64 {
        (self.edx as u64) << 32 | self.eax as u64
    }
}

/// The state of a vCPU that its CPUID depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VcpuState {
    /// Which one it is.
    pub vcpu: VcpuId,
    /// CR4.
    pub cr4: Cr4,
    /// XCR0.
    pub xcr0: u64,
    /// It runs 64-bit code.
    pub bits64: bool,
}

/// A domain's CPUID, ready for exits.
#[derive(Clone, Debug)]
pub struct GuestCpuid {
    policy: CpuPolicy,
    intel: bool,
    xen: XenInfo,
}

impl GuestCpuid {
    /// A domain of `vcpus` vCPUs with this processor.
    pub fn new(mut policy: CpuPolicy, vcpus: u32, xen: XenInfo) -> Self {
        topology::fill(&mut policy, vcpus);
        let intel = policy.is_intel();
        Self { policy, intel, xen }
    }

    /// What the domain's processor can do.
    pub const fn policy(&self) -> &CpuPolicy {
        &self.policy
    }

    /// Xen's own leaves.
    pub const fn xen(&self) -> &XenInfo {
        &self.xen
    }

    /// Changes what Xen's own leaves say of time.
    pub const fn set_tsc(&mut self, tsc: TscInfo) {
        self.xen.tsc = tsc;
    }

    /// Answers a CPUID with this EAX and ECX.
    pub fn query(&self, leaf: u32, subleaf: u32, state: &VcpuState) -> Leaf {
        match leaf {
            0x4000_0000..=0x4000_00ff => self.xen.query(leaf, subleaf, state.vcpu),
            0x8000_0000.. => self.extended(leaf, state),
            _ => self.basic(leaf, subleaf, state),
        }
    }

    fn basic(&self, leaf: u32, subleaf: u32, state: &VcpuState) -> Leaf {
        if leaf > self.policy.leaf(0, 0).eax {
            return Leaf::ZERO;
        }
        let mut found = self.policy.leaf(leaf, subleaf);
        match leaf {
            0x1 => {
                found.ebx = found.ebx & 0x00ff_ffff | apic_id(state.vcpu) << 24;
                if state.cr4.contains(Cr4::OSXSAVE) {
                    found.ecx |= Leaf1Ecx::OSXSAVE.bits();
                }
            }
            0x7 if subleaf == 0 && state.cr4.contains(Cr4::PKE) => {
                found.ecx |= Leaf7Ecx::OSPKE.bits();
            }
            0xb => {
                found.ecx = found.ecx & 0xff00 | subleaf & 0xff;
                found.edx = apic_id(state.vcpu);
            }
            0xd => self.xsave(subleaf, state.xcr0, &mut found),
            _ => {}
        }
        found
    }

    /// The sizes for what is enabled now.
    fn xsave(&self, subleaf: u32, xcr0: u64, found: &mut Leaf) {
        /// XSAVEC or XSAVES.
        const COMPACTED: u32 = 1 << 1 | 1 << 3;
        match subleaf {
            0 if found.ebx != 0 => {
                found.ebx = xstate::standard_bytes(self.policy.components(), xcr0);
            }
            1 if found.eax & COMPACTED != 0 => {
                found.ebx = xstate::compacted_bytes(self.policy.components(), xcr0);
            }
            _ => {}
        }
    }

    fn extended(&self, leaf: u32, state: &VcpuState) -> Leaf {
        if leaf > self.policy.leaf(0x8000_0000, 0).eax {
            return Leaf::ZERO;
        }
        let mut found = self.policy.leaf(leaf, 0);
        // Intel's SYSCALL is there in 64-bit mode only.
        if leaf == 0x8000_0001 && self.intel && !state.bits64 {
            found.edx &= !Ext1Edx::SYSCALL.bits();
        }
        found
    }

    /// What control registers can be.
    pub fn control_limits(&self) -> ControlLimits {
        ControlLimits {
            cr4: control::cr4(&self.policy.features()),
            efer: self.msr_policy(0).efer,
            physical_bits: self.policy.physical_bits(),
        }
    }

    /// The MSRs that go with the features. `patch_level` is the microcode revision to show.
    pub fn msr_policy(&self, patch_level: u64) -> MsrPolicy {
        let features = self.policy.features();
        let has = |index, bits| features.has(index, bits);
        let mut efer = Efer(0);
        efer.set(Efer::SCE, has(word::E1D, Ext1Edx::SYSCALL.bits()));
        let long_mode = has(word::E1D, Ext1Edx::LONG_MODE.bits());
        efer.set(Efer::LME | Efer::LMA, long_mode);
        efer.set(Efer::NXE, has(word::E1D, Ext1Edx::NX.bits()));
        efer.set(Efer::FFXSR, has(word::E1D, Ext1Edx::FFXSR.bits()));
        efer.set(Efer::AIBRSE, has(word::E21A, Ext21Eax::AUTO_IBRS.bits()));
        MsrPolicy {
            intel: self.intel,
            physical_bits: self.policy.physical_bits(),
            efer,
            tsc_adjust: has(word::L7B, Leaf7Ebx::TSC_ADJUST.bits()),
            tsc_aux: has(word::E1D, Ext1Edx::RDTSCP.bits())
                || has(word::L7C, Leaf7Ecx::RDPID.bits()),
            xss: has(word::XSAVE, 1 << 3),
            spec_ctrl: features::SPEC_CTRL
                .iter()
                .any(|(index, bits)| features.word(*index) & bits != 0),
            ibpb: has(word::E8B, Ext8Ebx::IBPB.bits())
                || has(word::L7D, x86defs::cpuid::Leaf7Edx::IBRSB.bits()),
            patch_level,
        }
    }
}
