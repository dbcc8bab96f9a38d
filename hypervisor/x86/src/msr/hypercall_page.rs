//! The page of hypercall stubs that a guest asks for by MSR: 128 entries of 32 bytes, one per
//! hypercall number (public header `xen.h`).

use super::HypercallInstruction;

const ENTRY: usize = 32;
/// The number of `__HYPERVISOR_iret`, which such guests have no use for.
const IRET: usize = 23;

/// Fills `page` with the stubs.
pub fn fill(page: &mut [u8; 4096], instruction: HypercallInstruction) {
    let call = match instruction {
        HypercallInstruction::Vmmcall => 0xd9,
        HypercallInstruction::Vmcall => 0xc1,
    };
    page.fill(0xcc);
    for (number, entry) in page.chunks_exact_mut(ENTRY).enumerate() {
        // mov eax, number; vmmcall; ret
        let stub = [0xb8, number as u8, 0, 0, 0, 0x0f, 0x01, call, 0xc3];
        entry.iter_mut().zip(stub).for_each(|(to, from)| *to = from);
        if number == IRET {
            // ud2
            entry.iter_mut().zip([0x0f, 0x0b]).for_each(|(to, from)| *to = from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs() {
        let mut page = [0; 4096];
        fill(&mut page, HypercallInstruction::Vmmcall);
        assert_eq!(page[..10], [0xb8, 0, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3, 0xcc]);
        assert_eq!(page[17 * 32..][..9], [0xb8, 17, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3]);
        assert_eq!(page[23 * 32..][..2], [0x0f, 0x0b]);
        assert_eq!(page[127 * 32 + 1], 127);
        fill(&mut page, HypercallInstruction::Vmcall);
        assert_eq!(page[5..8], [0x0f, 0x01, 0xc1]);
    }
}
