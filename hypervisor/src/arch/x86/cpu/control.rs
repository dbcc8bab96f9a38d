//! The control registers, as every CPU has them.
#![expect(unsafe_code, reason = "writes control registers")]

use x86_64::registers::control::{Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;
use x86defs::cpuid::{Leaf1Ecx, Leaf1Edx, Leaf7Ebx, Leaf7Ecx};
use x86defs::msr::Msr as Index;

use super::features::features;
use super::msr;

/// The page attribute table: the reset value, but for entry 1 (PWT alone), which is
/// write-combining instead of write-through. `mm::tables` counts on it.
const PAT: u64 = 0x0007_0406_0007_0106;
/// DE_CFG: LFENCE serializes.
const DE_CFG_LFENCE: u64 = 1 << 1;

/// What the command line may switch off.
#[derive(Clone, Copy, Debug)]
pub struct Protections {
    /// `smep=`
    pub smep: bool,
    /// `smap=`
    pub smap: bool,
}

/// Switches on what the CPU has to protect the hypervisor from itself. NX and CR0.WP are on
/// since the entry.
pub fn enable(wanted: Protections) {
    let features = features();
    let mut cr4 = Cr4Flags::PAGE_GLOBAL;
    cr4.set(
        Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION,
        wanted.smep && features.leaf7_ebx.contains(Leaf7Ebx::SMEP),
    );
    cr4.set(
        Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION,
        wanted.smap && features.leaf7_ebx.contains(Leaf7Ebx::SMAP),
    );
    cr4.set(
        Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION,
        features.leaf7_ecx.contains(Leaf7Ecx::UMIP),
    );
    cr4.set(Cr4Flags::OSXSAVE, features.leaf1_ecx.contains(Leaf1Ecx::XSAVE));
    cr4.set(Cr4Flags::MACHINE_CHECK_EXCEPTION, features.leaf1_edx.contains(Leaf1Edx::MCE));
    // SAFETY: no page of the hypervisor is a user page, so SMEP and SMAP forbid nothing that it
    // does; nothing runs in ring 3; machine checks have a vector.
    unsafe { Cr4::update(|flags| flags.insert(cr4)) };
    if features.leaf1_edx.contains(Leaf1Edx::PAT) {
        // SAFETY: no mapping in use has PWT without PCD before this, so none changes its type.
        unsafe { Msr::new(Index::PAT.0).write(PAT) };
    }
    serialize_lfence();
}

/// Makes LFENCE wait for all earlier instructions, where that can be chosen: on AMD's CPUs.
/// Guests are told so, and count on it against speculation (AMD, "Software techniques for
/// managing speculation", mitigation G-2).
fn serialize_lfence() {
    let Some(config) = msr::read(Index::DE_CFG) else { return };
    if config & DE_CFG_LFENCE == 0 {
        // SAFETY: makes instructions wait, no more.
        let set = unsafe { msr::write(Index::DE_CFG, config | DE_CFG_LFENCE) };
        if !set {
            debug!("LFENCE can't be made serializing");
        }
    }
}
