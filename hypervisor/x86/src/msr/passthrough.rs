//! The MSRs that a guest reaches without an exit, and SVM's permission map that says so.

use alloc::boxed::Box;
use alloc::vec;

use x86defs::msr::Msr;

use super::MsrPolicy;

/// Bytes of SVM's MSR permission map.
pub const SVM_MAP_BYTES: usize = 8192;

/// A way to access an MSR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// RDMSR.
    Read,
    /// WRMSR.
    Write,
}

/// What every guest may read and write: the processor switches these with the control block.
const SWITCHED: [Msr; 10] = [
    Msr::SYSENTER_CS,
    Msr::SYSENTER_ESP,
    Msr::SYSENTER_EIP,
    Msr::STAR,
    Msr::LSTAR,
    Msr::CSTAR,
    Msr::SFMASK,
    Msr::FS_BASE,
    Msr::GS_BASE,
    Msr::KERNEL_GS_BASE,
];

/// All that pass, for this kind of guest.
pub fn passed(policy: &MsrPolicy) -> impl Iterator<Item = (Msr, Access)> {
    let both = |msr| [(msr, Access::Read), (msr, Access::Write)];
    let spec_ctrl = policy.spec_ctrl.then_some(Msr::SPEC_CTRL).into_iter().flat_map(both);
    let barrier = policy.ibpb.then_some((Msr::PRED_CMD, Access::Write));
    SWITCHED.into_iter().flat_map(both).chain(spec_ctrl).chain(barrier)
}

/// SVM's permission map: two bits an MSR, read and write, 1 for an exit (APM volume 2, 15.11).
pub fn svm_map(policy: &MsrPolicy) -> Box<[u8]> {
    let mut map = vec![0xff; SVM_MAP_BYTES].into_boxed_slice();
    for (msr, access) in passed(policy) {
        let (first, base) = match msr.0 {
            0xc001_0000.. => (0xc001_0000, 0x1000),
            0xc000_0000.. => (0xc000_0000, 0x800),
            _ => (0u32, 0usize),
        };
        let index = msr.0.wrapping_sub(first);
        let bit = (index & 3) << 1 | u32::from(access == Access::Write);
        if let Some(byte) = map.get_mut(base.wrapping_add(index as usize >> 2)) {
            *byte &= !(1 << (bit & 7));
        }
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map() {
        let policy = MsrPolicy { ibpb: true, ..MsrPolicy::default() };
        let map = svm_map(&policy);
        assert_eq!(map.len(), SVM_MAP_BYTES);
        let exits = |msr: u32, write: usize| {
            let bit = match msr >> 16 {
                0 => msr as usize * 2,
                0xc000 => 0x800 * 8 + (msr as usize & 0x1fff) * 2,
                _ => 0x1000 * 8 + (msr as usize & 0x1fff) * 2,
            } + write;
            map[bit / 8] >> (bit % 8) & 1 != 0
        };
        for msr in [0x174, 0x175, 0x176, 0xc000_0081, 0xc000_0084, 0xc000_0100, 0xc000_0102] {
            assert!(!exits(msr, 0) && !exits(msr, 1), "{msr:#x}");
        }
        assert!(exits(0x49, 0) && !exits(0x49, 1), "PRED_CMD is write-only");
        for msr in [0x10, 0x1b, 0x48, 0x173, 0x177, 0x277, 0x830, 0xc000_0080, 0xc001_0010] {
            assert!(exits(msr, 0) && exits(msr, 1), "{msr:#x}");
        }
        let clear: u32 = map.iter().map(|byte| byte.count_zeros()).sum();
        assert_eq!(clear, 21);
        let all = MsrPolicy { ibpb: true, spec_ctrl: true, ..policy };
        assert_eq!(svm_map(&all).iter().map(|byte| byte.count_zeros()).sum::<u32>(), 23);
    }
}
