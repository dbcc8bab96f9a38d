//! Finding the host's tables: RSDP, then XSDT or RSDT, then each table.

use alloc::vec;
use alloc::vec::Vec;

use super::header::{HEADER_BYTES, name_and_len, sum};
use super::{AcpiError, PhysRead, Signature};
use crate::bytes::{u32_at, u64_at};

/// No table is larger than this; the DSDTs of large servers come near 1 MiB.
const MAX_TABLE_BYTES: u32 = 16 << 20;

/// The pointer that firmware leaves to the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rsdp {
    /// 0 for ACPI 1.0, which has no XSDT.
    pub revision: u8,
    /// Physical address of the RSDT; zero if there is none.
    pub rsdt: u64,
    /// Physical address of the XSDT; zero if there is none.
    pub xsdt: u64,
    /// Who made the tables, for the copies that a domain sees.
    pub oem: [u8; 6],
}

impl Rsdp {
    const MAGIC: &[u8; 8] = b"RSD PTR ";
    /// What its first checksum covers.
    const V1_BYTES: usize = 20;
    /// What its second checksum covers.
    const V2_BYTES: usize = 36;

    /// Reads an RSDP, such as the copy that a multiboot2 loader hands over.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let v1 = bytes.get(..Self::V1_BYTES)?;
        if !v1.starts_with(Self::MAGIC) || sum(v1) != 0 {
            return None;
        }
        let revision = *bytes.get(15)?;
        let oem = crate::bytes::array(bytes, 9)?;
        let rsdt = u64::from(u32_at(bytes, 16)?);
        let v2 = bytes.get(..Self::V2_BYTES).filter(|v2| revision >= 2 && sum(v2) == 0);
        let xsdt = v2.and_then(|v2| u64_at(v2, 24)).unwrap_or(0);
        Some(Self { revision, rsdt, xsdt, oem })
    }

    /// Reads the RSDP at a known address, as UEFI and PVH give it.
    ///
    /// # Errors
    /// There is none at this address.
    pub fn at(memory: &impl PhysRead, address: u64) -> Result<Self, AcpiError> {
        let mut bytes = [0; Self::V2_BYTES];
        // An ACPI 1.0 RSDP at the end of readable memory has only the first 20 bytes.
        let read = memory.read(address, &mut bytes)
            || bytes
                .first_chunk_mut::<{ Self::V1_BYTES }>()
                .is_some_and(|v1| memory.read(address, v1));
        read.then(|| Self::parse(&bytes)).flatten().ok_or(AcpiError::NoRsdp)
    }

    /// Looks where a BIOS leaves it: the first KiB of the EBDA, then 0xE0000 to 0xFFFFF.
    ///
    /// # Errors
    /// There is none.
    pub fn scan_bios(memory: &impl PhysRead) -> Result<Self, AcpiError> {
        const EBDA_SEGMENT: u64 = 0x40E;
        const STEP: usize = 16;
        let mut segment = [0; 2];
        let ebda = if memory.read(EBDA_SEGMENT, &mut segment) {
            u64::from(u16::from_le_bytes(segment)) << 4
        } else {
            0
        };
        let areas = [(ebda, 1024), (0xE_0000, 0x2_0000)];
        for (start, len) in areas.into_iter().filter(|(start, _)| *start != 0) {
            for address in (start..start.saturating_add(len)).step_by(STEP) {
                let mut magic = [0; 8];
                if memory.read(address, &mut magic)
                    && magic == *Self::MAGIC
                    && let Ok(rsdp) = Self::at(memory, address)
                {
                    return Ok(rsdp);
                }
            }
        }
        Err(AcpiError::NoRsdp)
    }
}

/// Where one table lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub signature: Signature,
    /// The physical address of its header.
    pub address: u64,
    /// Its length in bytes, header included.
    pub len: u32,
}

impl Table {
    /// Reads the header at `address`.
    ///
    /// # Errors
    /// It can't be read, or states an impossible length. `expected` is for the message.
    pub fn at(
        memory: &impl PhysRead,
        address: u64,
        expected: Signature,
    ) -> Result<Self, AcpiError> {
        let mut header = [0; HEADER_BYTES];
        if !memory.read(address, &mut header) {
            return Err(AcpiError::Unreadable { table: expected, address });
        }
        let (signature, len) =
            name_and_len(&header).ok_or(AcpiError::BadLength { table: expected })?;
        if len > MAX_TABLE_BYTES || (len as usize) < HEADER_BYTES {
            return Err(AcpiError::BadLength { table: signature });
        }
        Ok(Self { signature, address, len })
    }

    /// Copies the whole table, and checks its checksum.
    ///
    /// # Errors
    /// It can't be read, or its checksum is wrong.
    pub fn load(&self, memory: &impl PhysRead) -> Result<Vec<u8>, AcpiError> {
        let mut bytes = vec![0; self.len as usize];
        if !memory.read(self.address, &mut bytes) {
            return Err(AcpiError::Unreadable { table: self.signature, address: self.address });
        }
        if sum(&bytes) != 0 {
            return Err(AcpiError::BadChecksum { table: self.signature });
        }
        Ok(bytes)
    }
}

/// The list of the host's tables.
#[derive(Clone, Debug)]
pub struct Tables {
    rsdp: Rsdp,
    root: Table,
    list: Vec<Table>,
}

impl Tables {
    /// Follows the RSDP to the XSDT, or else the RSDT, and lists what it names. Entries that
    /// can't be read are left out.
    ///
    /// # Errors
    /// Neither root table can be read.
    pub fn new(memory: &impl PhysRead, rsdp: Rsdp) -> Result<Self, AcpiError> {
        let xsdt = Self::root(memory, rsdp.xsdt, Signature::XSDT);
        let (root, bytes) = match xsdt {
            Ok(root) => root,
            Err(error) => match Self::root(memory, rsdp.rsdt, Signature::RSDT) {
                Ok(root) => root,
                Err(_) if rsdp.xsdt != 0 => return Err(error),
                Err(error) => return Err(error),
            },
        };
        let entries = bytes.get(HEADER_BYTES..).unwrap_or(&[]);
        let addresses: Vec<u64> = if root.signature == Signature::XSDT {
            entries.chunks_exact(8).filter_map(|entry| u64_at(entry, 0)).collect()
        } else {
            entries.chunks_exact(4).filter_map(|entry| u32_at(entry, 0)).map(u64::from).collect()
        };
        let list = addresses
            .into_iter()
            .filter(|address| *address != 0)
            .filter_map(|address| Table::at(memory, address, root.signature).ok())
            .collect();
        Ok(Self { rsdp, root, list })
    }

    fn root(
        memory: &impl PhysRead,
        address: u64,
        expected: Signature,
    ) -> Result<(Table, Vec<u8>), AcpiError> {
        if address == 0 {
            return Err(AcpiError::Missing { table: expected });
        }
        let table = Table::at(memory, address, expected)?;
        if table.signature != expected {
            return Err(AcpiError::WrongSignature { expected, address });
        }
        let bytes = table.load(memory)?;
        Ok((table, bytes))
    }

    /// The RSDP that led here.
    pub const fn rsdp(&self) -> &Rsdp {
        &self.rsdp
    }

    /// The XSDT or RSDT.
    pub const fn root_table(&self) -> &Table {
        &self.root
    }

    /// All tables that the root table names, in its order. DSDT and FACS hang off the FADT.
    pub fn iter(&self) -> impl Iterator<Item = &Table> {
        self.list.iter()
    }

    /// The first table of this name.
    pub fn find(&self, signature: Signature) -> Option<&Table> {
        self.list.iter().find(|table| table.signature == signature)
    }

    /// Copies the first table of this name.
    ///
    /// # Errors
    /// There is none, or it can't be read, or its checksum is wrong.
    pub fn load(&self, memory: &impl PhysRead, signature: Signature) -> Result<Vec<u8>, AcpiError> {
        self.find(signature).ok_or(AcpiError::Missing { table: signature })?.load(memory)
    }
}
