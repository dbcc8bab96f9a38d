//! The tables that the control domain sees: a new RSDP, XSDT and MADT, and those of the host's
//! tables that speak of devices which are its own, left where they are.
//!
//! Hidden is what belongs to the hypervisor: IOMMUs, timers, error sources, NUMA, debug ports.
//! The new MADT has the domain's vCPUs in place of the host's processors, no 8259s, and the
//! host's IO-APICs and interrupt overrides, as global system interrupts are the host's.

use alloc::vec;
use alloc::vec::Vec;

use hv_core::types::Gpa;

use super::header::{HEADER_BYTES, REVISION, seal, seal_sum};
use super::madt::{KIND_IO_APIC, KIND_LOCAL_X2APIC, KIND_OVERRIDE, entries};
use super::{AcpiError, PhysRead, Signature, Table, Tables};

/// What Xen 4.20 shows to its control domain. The DSDT and the FACS hang off the FADT.
const VISIBLE: [Signature; 13] = [
    Signature::FADT,
    Signature(*b"PSDT"),
    Signature(*b"SSDT"),
    Signature(*b"SBST"),
    Signature::MCFG,
    Signature(*b"SLIC"),
    Signature(*b"MSDM"),
    Signature(*b"WDAT"),
    Signature(*b"FPDT"),
    Signature(*b"S3PT"),
    Signature(*b"TCPA"),
    Signature(*b"TPM2"),
    Signature(*b"VFCT"),
];

const LOCAL_APIC_ADDRESS: u32 = 0xFEE0_0000;
/// The newest MADT revision whose entries are written here.
const MADT_REVISION: u8 = 4;
const RSDP_BYTES: usize = 36;
/// Each table starts at a multiple of this.
const ALIGN: usize = 16;

/// The control domain's tables, but for their place.
#[derive(Clone, Debug)]
pub struct Dom0Tables {
    oem: [u8; 6],
    root_header: [u8; HEADER_BYTES],
    madt: Vec<u8>,
    /// The host's tables that stay visible, by physical address.
    native: Vec<u64>,
}

impl Dom0Tables {
    /// Chooses and composes tables for a domain of `vcpus`. `keep` says whether a table lies in
    /// memory that the domain will be able to read.
    ///
    /// # Errors
    /// The host has no readable MADT, or its root table can't be read.
    pub fn new(
        memory: &impl PhysRead,
        tables: &Tables,
        vcpus: u32,
        keep: impl Fn(&Table) -> bool,
    ) -> Result<Self, AcpiError> {
        let root = tables.root_table();
        let mut root_header = [0; HEADER_BYTES];
        if !memory.read(root.address, &mut root_header) {
            return Err(AcpiError::Unreadable { table: root.signature, address: root.address });
        }
        let madt = madt(&tables.load(memory, Signature::MADT)?, vcpus)?;
        let visible = |table: &&Table| {
            let Signature(name) = table.signature;
            (VISIBLE.contains(&table.signature) || name.starts_with(b"OEM")) && keep(table)
        };
        let native = tables.iter().filter(visible).map(|table| table.address).collect();
        Ok(Self { oem: tables.rsdp().oem, root_header, madt, native })
    }

    /// How many bytes [`Self::place`] gives.
    pub fn bytes(&self) -> usize {
        let pointers = self.native.len().saturating_add(1).saturating_mul(8);
        let xsdt = HEADER_BYTES.saturating_add(pointers);
        RSDP_BYTES
            .next_multiple_of(ALIGN)
            .saturating_add(xsdt.next_multiple_of(ALIGN))
            .saturating_add(self.madt.len())
    }

    /// The tables as they have to lie at `at`, a multiple of 16. The RSDP comes first.
    pub fn place(&self, at: Gpa) -> Vec<u8> {
        let mut bytes = vec![0; RSDP_BYTES.next_multiple_of(ALIGN)];
        let address = |offset: usize| at.0.saturating_add(offset as u64);
        let xsdt_at = bytes.len();
        let pointers = self.native.len().saturating_add(1).saturating_mul(8);
        let madt_at = xsdt_at.saturating_add(HEADER_BYTES.saturating_add(pointers));
        let madt_at = madt_at.next_multiple_of(ALIGN);

        let mut xsdt = self.root_header.to_vec();
        put(&mut xsdt, 0, &Signature::XSDT.0);
        put(&mut xsdt, REVISION, &[1]);
        xsdt.extend(address(madt_at).to_le_bytes());
        xsdt.extend(self.native.iter().flat_map(|address| address.to_le_bytes()));
        seal(&mut xsdt);

        put(&mut bytes, 0, b"RSD PTR ");
        put(&mut bytes, 9, &self.oem);
        put(&mut bytes, 15, &[2]);
        put(&mut bytes, 20, &(RSDP_BYTES as u32).to_le_bytes());
        put(&mut bytes, 24, &address(xsdt_at).to_le_bytes());
        // Two checksums: of the first 20 bytes, and of all.
        seal_sum(bytes.get_mut(..20).unwrap_or_default(), 8);
        seal_sum(bytes.get_mut(..RSDP_BYTES).unwrap_or_default(), 32);

        bytes.extend(xsdt);
        bytes.resize(madt_at, 0);
        bytes.extend(&self.madt);
        bytes
    }
}

/// The domain's MADT from the host's.
fn madt(host: &[u8], vcpus: u32) -> Result<Vec<u8>, AcpiError> {
    let header = host.get(..HEADER_BYTES).ok_or(AcpiError::BadLength { table: Signature::MADT })?;
    let mut madt = header.to_vec();
    let revision = host.get(REVISION).copied().unwrap_or(0).min(MADT_REVISION);
    put(&mut madt, REVISION, &[revision]);
    madt.extend(LOCAL_APIC_ADDRESS.to_le_bytes());
    // No flags: in particular no 8259s, which would be probed for.
    madt.extend(0u32.to_le_bytes());
    for (kind, entry) in entries(host) {
        if matches!(kind, KIND_IO_APIC | KIND_OVERRIDE) {
            madt.extend(entry);
        }
    }
    for vcpu in 0..vcpus {
        const ENABLED: u32 = 1;
        madt.extend([KIND_LOCAL_X2APIC, 16, 0, 0]);
        // The ABI's mapping: the APIC id is twice the vCPU's number, the processor's UID is it.
        madt.extend(vcpu.saturating_mul(2).to_le_bytes());
        madt.extend(ENABLED.to_le_bytes());
        madt.extend(vcpu.to_le_bytes());
    }
    seal(&mut madt);
    Ok(madt)
}

/// Writes `bytes` at `offset`, as far as there is room.
fn put(into: &mut [u8], offset: usize, bytes: &[u8]) {
    for (to, from) in into.iter_mut().skip(offset).zip(bytes) {
        *to = *from;
    }
}
