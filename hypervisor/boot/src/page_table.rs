//! The hypervisor's own page tables: building them, and looking addresses up.
//!
//! Four levels of 512 entries (APM volume 2, 5.3). Entries are only ever added: nothing here
//! changes or removes a mapping, so no TLB needs to be told.

use hv_core::types::Hpa;
use x86defs::paging::{PAGE_SIZE_4K, Pte, page_size, table_index};

/// The memory that tables lie in.
pub trait TableMemory {
    /// Reads an entry.
    fn load(&self, table: Hpa, index: usize) -> Pte;
    /// Writes an entry.
    fn store(&mut self, table: Hpa, index: usize, entry: Pte);
    /// A new table, all zero.
    fn allocate(&mut self) -> Option<Hpa>;
}

/// A stretch of virtual addresses and what it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First virtual address, a multiple of 4096.
    pub virt: u64,
    /// First physical address, a multiple of 4096.
    pub phys: u64,
    /// Length, a multiple of 4096.
    pub bytes: u64,
    /// The leaf entries' flags, with `PRESENT` and without `LARGE`.
    pub flags: Pte,
    /// The largest pages to use: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
    pub largest: u32,
}

/// Why something can't be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// There is no memory for a table.
    NoMemory,
    /// Something is mapped there.
    Occupied,
}

/// Adds a mapping to the tables under `root`, with pages as large as fit.
///
/// # Errors
/// On an error, a part of the mapping may exist.
pub fn map(memory: &mut impl TableMemory, root: Hpa, mapping: Mapping) -> Result<(), MapError> {
    let mut done = 0;
    while done < mapping.bytes {
        let (virt, phys) = (mapping.virt + done, mapping.phys + done);
        let left = mapping.bytes - done;
        let level = (2..=mapping.largest)
            .rev()
            .find(|&level| (virt | phys) % page_size(level) == 0 && left >= page_size(level))
            .unwrap_or(1);
        let table = table_of(memory, root, virt, level)?;
        let index = table_index(virt, level);
        if memory.load(table, index).contains(Pte::PRESENT) {
            return Err(MapError::Occupied);
        }
        let large = if level > 1 { Pte::LARGE } else { Pte(0) };
        memory.store(table, index, Pte::new(phys, mapping.flags | large));
        done += page_size(level);
    }
    Ok(())
}

/// The table of `level` that covers `virt`, made if need be.
pub fn table_of(
    memory: &mut impl TableMemory,
    root: Hpa,
    virt: u64,
    level: u32,
) -> Result<Hpa, MapError> {
    let mut table = root;
    for above in (level + 1..=4).rev() {
        let index = table_index(virt, above);
        let entry = memory.load(table, index);
        table = if !entry.contains(Pte::PRESENT) {
            let new = memory.allocate().ok_or(MapError::NoMemory)?;
            memory.store(table, index, Pte::new(new.0, Pte::PRESENT | Pte::WRITE));
            new
        } else if entry.is_leaf(above) {
            return Err(MapError::Occupied);
        } else {
            Hpa(entry.address())
        };
    }
    Ok(table)
}

/// What `virt` shows: the physical address and the leaf entry.
pub fn look_up(memory: &impl TableMemory, root: Hpa, virt: u64) -> Option<(Hpa, Pte)> {
    let mut table = root;
    for level in (1..=4).rev() {
        let entry = memory.load(table, table_index(virt, level));
        if !entry.contains(Pte::PRESENT) {
            return None;
        }
        if entry.is_leaf(level) {
            let offset = virt % page_size(level);
            return Some((Hpa(entry.leaf_address(level) + offset), entry));
        }
        table = Hpa(entry.address());
    }
    None
}

const _: () = assert!(PAGE_SIZE_4K == page_size(1));

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct Tables(Vec<Vec<Pte>>);

    impl TableMemory for Tables {
        fn load(&self, table: Hpa, index: usize) -> Pte {
            self.0[(table.0 >> 12) as usize - 1][index]
        }

        fn store(&mut self, table: Hpa, index: usize, entry: Pte) {
            self.0[(table.0 >> 12) as usize - 1][index] = entry;
        }

        fn allocate(&mut self) -> Option<Hpa> {
            self.0.push(vec![Pte(0); 512]);
            (self.0.len() < 200).then_some(Hpa((self.0.len() as u64) << 12))
        }
    }

    const PAGES: u64 = 3 * 512 * 512;

    proptest! {
        #[test]
        fn every_page_shows_what_was_mapped_first(
            requests in prop::collection::vec(
                (0..PAGES, 0..PAGES, 1..2000u64, 1..=3u32, any::<bool>()), 1..8))
        {
            let mut tables = Tables::default();
            let root = tables.allocate().unwrap();
            let mut model = BTreeMap::new();
            for (virt, phys, pages, largest, aligned) in requests {
                let align = if aligned { 512 } else { 1 };
                let (virt, phys) = (virt / align * align, phys / align * align);
                let mapping = Mapping {
                    virt: virt << 12,
                    phys: phys << 12,
                    bytes: pages << 12,
                    flags: Pte::PRESENT | Pte::NX,
                    largest,
                };
                let free = (virt..virt + pages).all(|page| !model.contains_key(&page));
                let result = map(&mut tables, root, mapping);
                if !free {
                    prop_assert_eq!(result, Err(MapError::Occupied));
                    break;
                }
                prop_assert_eq!(result, Ok(()));
                model.extend((0..pages).map(|page| (virt + page, phys + page)));
            }
            for (&page, &frame) in &model {
                let (phys, entry) = look_up(&tables, root, page << 12 | 0x123).unwrap();
                prop_assert_eq!(phys, Hpa(frame << 12 | 0x123));
                prop_assert!(entry.contains(Pte::NX));
            }
            prop_assert!(look_up(&tables, root, PAGES << 14).is_none());
        }
    }

    #[test]
    fn large_pages_are_used_where_they_fit() {
        let mut tables = Tables::default();
        let root = tables.allocate().unwrap();
        let mapping = Mapping {
            virt: 0x3FFF_F000,
            phys: 0x3FFF_F000,
            bytes: 0x8020_2000,
            flags: Pte::PRESENT,
            largest: 3,
        };
        map(&mut tables, root, mapping).unwrap();
        // The root, one table of level 3, and for each end a table of levels 2 and 1.
        assert_eq!(tables.0.len(), 6);
    }
}
