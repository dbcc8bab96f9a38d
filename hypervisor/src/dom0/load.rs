//! Writing to dom0's memory before it runs.

use hv_core::types::{FRAME_BYTES, Gpa};
use hv_loader::memory::LoadMemory;

use crate::platform::{Domain, Hypervisor};

/// A domain's memory, for the loader.
pub struct Memory<'a> {
    pub hv: &'a Hypervisor,
    pub domain: &'a Domain,
}

impl LoadMemory for Memory<'_> {
    fn write(&mut self, at: Gpa, bytes: &[u8]) {
        let written = self.domain.memory.write(&self.hv.platform, at, bytes);
        assert!(written.is_ok(), "dom0 has no memory at {:#x}, where the layout put it", at.0);
    }

    fn zero(&mut self, at: Gpa, len: u64) {
        const ZEROES: [u8; FRAME_BYTES] = [0; FRAME_BYTES];
        let mut done = 0;
        while done < len {
            let piece = (len - done).min(FRAME_BYTES as u64);
            self.write(Gpa(at.0 + done), &ZEROES[..piece as usize]);
            done += piece;
        }
    }
}
