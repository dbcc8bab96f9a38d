//! Which ports a guest reaches without an exit, in the form of SVM's I/O permission map.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::RangeInclusive;

/// Bytes of SVM's I/O permission map: a bit a port, and room for accesses that wrap.
pub const SVM_MAP_BYTES: usize = 12 * 1024;

/// Legacy devices that are the hypervisor's own, or that must not be there.
const DENIED_TO_DOM0: [RangeInclusive<u16>; 16] = [
    // ISA DMA, its page registers (but 0x80, where writes are delays), and the second one.
    0x00..=0x1f,
    0x81..=0x8f,
    0xc0..=0xdf,
    // The 8254 and where it is mirrored; the port with its channel 2.
    0x40..=0x43,
    0x50..=0x53,
    0x61..=0x61,
    0x63..=0x63,
    0x65..=0x65,
    0x67..=0x67,
    // Fast A20 and reset; the FPU's error latch.
    0x92..=0x92,
    0xf0..=0xf0,
    // The debug console.
    0xe9..=0xe9,
    // The PICs' edge/level control.
    0x4d0..=0x4d1,
    // PCI configuration, with the reset control register inside.
    0xcf8..=0xcff,
    // The PICs.
    0x20..=0x21,
    0xa0..=0xa1,
];

/// On many boards both PICs answer at these offsets from their own addresses, too. (0x2e and
/// 0x2f, in between, are the configuration ports of Super I/O chips.)
const PIC_MIRRORS: [u16; 7] = [0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c];

/// A guest's port permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortPermissions {
    map: Box<[u8]>,
}

impl PortPermissions {
    /// Every port exits: what domains start with.
    pub fn none() -> Self {
        Self { map: vec![0xff; SVM_MAP_BYTES].into_boxed_slice() }
    }

    /// All ports but the legacy devices that dom0 must not have. The caller denies what depends
    /// on the machine: the hypervisor's console, power management.
    pub fn dom0() -> Self {
        let mut permissions = Self::none();
        permissions.allow(0..=u16::MAX);
        DENIED_TO_DOM0.into_iter().for_each(|range| permissions.deny(range));
        for mirror in PIC_MIRRORS {
            for pic in [0x20, 0xa0] {
                let first = mirror | pic;
                permissions.deny(first..=first | 1);
            }
        }
        permissions
    }

    /// Lets the guest use these ports directly.
    pub fn allow(&mut self, ports: RangeInclusive<u16>) {
        ports.for_each(|port| {
            let (byte, bit) = self.place(port);
            *byte &= !bit;
        });
    }

    /// Makes these ports exit.
    pub fn deny(&mut self, ports: RangeInclusive<u16>) {
        ports.for_each(|port| {
            let (byte, bit) = self.place(port);
            *byte |= bit;
        });
    }

    fn place(&mut self, port: u16) -> (&mut u8, u8) {
        let bit = 1 << (port & 7);
        #[expect(clippy::indexing_slicing, reason = "the map has a bit for every port")]
        (&mut self.map[usize::from(port >> 3)], bit)
    }

    /// Whether an access of `bytes` bytes does not exit.
    pub fn allows(&self, port: u16, bytes: u8) -> bool {
        (0..bytes).all(|offset| {
            let port = port.wrapping_add(u16::from(offset));
            self.map.get(usize::from(port >> 3)).is_some_and(|byte| byte >> (port & 7) & 1 == 0)
        })
    }

    /// The map for the control block; [`SVM_MAP_BYTES`] long.
    pub fn svm_map(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_by_default() {
        let none = PortPermissions::none();
        assert_eq!(none.svm_map().len(), SVM_MAP_BYTES);
        assert!((0..=u16::MAX).all(|port| !none.allows(port, 1)));
    }

    #[test]
    fn dom0s_ports() {
        let mut dom0 = PortPermissions::dom0();
        for port in [
            0x00, 0x1f, 0x20, 0x21, 0x24, 0x3d, 0x40, 0x43, 0x61, 0x8f, 0x92, 0xa0, 0xa1, 0xbc,
            0xbd, 0xc0, 0xdf, 0xe9, 0xf0, 0x4d0, 0x4d1, 0xcf8, 0xcf9, 0xcfc, 0xcff,
        ] {
            assert!(!dom0.allows(port, 1), "{port:#x}");
        }
        for port in [
            0x22, 0x2e, 0x2f, 0x60, 0x64, 0x70, 0x71, 0x80, 0xb2, 0x1f0, 0x2f8, 0x3c4, 0x3f8,
            0x4d2, 0x600, 0xcf7, 0xd00, 0xc000, 0xffff,
        ] {
            assert!(dom0.allows(port, 1), "{port:#x}");
        }
        assert!(dom0.allows(0xcf4, 4) && !dom0.allows(0xcf6, 4), "all bytes count");
        dom0.deny(0x3f8..=0x3ff);
        assert!(!dom0.allows(0x3f8, 1) && dom0.allows(0x3f7, 1) && dom0.allows(0x400, 4));
        // The bits behind the last port, for accesses that wrap, stay set.
        assert_eq!(dom0.svm_map()[0x2000], 0xff);
    }
}
