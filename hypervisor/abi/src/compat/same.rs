//! What is the same for all callers.
//!
//! The tools' structures are made so, with 64-bit handles; `domctl.h` and `sysctl.h` have them
//! alone. In the others each 64-bit field lies at a multiple of 8 anyhow, and none is a pointer
//! or a long. `struct xen_platform_op` isn't so, and has no other layout here: 32-bit callers
//! can't make that call.

use super::Argument;
use crate::arch_x86::context::VcpuGuestContext;
use crate::domctl::{Domctl, GetDomainInfo};
use crate::hvm::hvm_op::{EvtchnUpcallVector, GetMemType, GetTime, HvmParamOp};
use crate::hvm::hvm_vcpu::VcpuHvmContext;
use crate::memory::{MemoryDomain, VnumaTopologyInfo};
use crate::platform::PlatformOp;
use crate::sysctl::{CpuInfo, CpuTopo, MemInfo, PerfcDesc, Sysctl};
use crate::version::{CompileInfo, FeatureInfo, VarBuf};
use crate::{event_channel, grant_table, physdev, sched, vcpu};

macro_rules! same {
    ($($ty:ty),* $(,)?) => {
        $(impl Argument for $ty {
            type Narrow = Self;

            fn widen(narrow: Self) -> Self {
                narrow
            }

            fn narrow(&self) -> Self {
                *self
            }
        })*
    };
}

same! { u8, i32, u32, u64 }
same! { Domctl, GetDomainInfo, VcpuGuestContext }
same! { Sysctl, CpuInfo, CpuTopo, MemInfo, PerfcDesc }
same! { EvtchnUpcallVector, GetMemType, GetTime, HvmParamOp, VcpuHvmContext }
same! { MemoryDomain, VnumaTopologyInfo }
same! { CompileInfo, FeatureInfo, VarBuf, PlatformOp }
same! {
    event_channel::AllocUnbound, event_channel::BindInterdomain, event_channel::BindIpi,
    event_channel::BindVcpu, event_channel::BindVirq, event_channel::Close,
    event_channel::ExpandArray, event_channel::InitControl, event_channel::Reset,
    event_channel::Send, event_channel::SetPriority, event_channel::Status,
    event_channel::Unmask,
}
same! {
    grant_table::GetVersion, grant_table::MapGrantRef, grant_table::QuerySize,
    grant_table::SetVersion, grant_table::SwapGrantRef, grant_table::UnmapGrantRef,
}
same! {
    physdev::ManagePci, physdev::ManagePciExt, physdev::PciDevice, physdev::PciDeviceAdd,
    physdev::PciDeviceReset, physdev::PciMmcfgReserved, physdev::SetupGsi,
}
same! {
    sched::PinOverride, sched::RemoteShutdown, sched::Shutdown, sched::Watchdog,
    vcpu::RegisterArea, vcpu::RegisterVcpuInfo, vcpu::SetPeriodicTimer,
}

/// Texts and the like.
impl<const N: usize> Argument for [u8; N] {
    type Narrow = Self;

    fn widen(narrow: Self) -> Self {
        narrow
    }

    fn narrow(&self) -> Self {
        *self
    }
}
