//! Building a domain as the toolstack does, with as little as it needs.

use crate::code;
use core::cell::Cell;
use guest::hypercall::memory;
use guest::memory::Page;
use guest::toolstack::{domctl, domctl_plain};
use guest::{Errno, ensure, ensure_eq, report};
use xen_abi::arch_x86::xen::{DomainConfig, EMU_LAPIC};
use xen_abi::domctl::{
    CDF_HAP, CDF_HVM, CreateDomain, DomctlCmd, HvmContext, MaxMem, MaxVcpus, PagingMempool, TscInfo,
};
use xen_abi::grant_table::{EntryV1, GTF_PERMIT_ACCESS};
use xen_abi::hvm::save::{Cpu, Descriptor, FILE_MAGIC, Header, RecordType};
use xen_abi::memory::{
    AddToPhysmapBatch, MapSpace, MemAcquireResource, MemoryCmd, MemoryReservation,
    RemoveFromPhysmap, Resource,
};
use xen_abi::xen::DOMID_SELF;
use zerocopy::FromZeros;

/// Pages that the domain gets, from its gfn 0x100 on.
pub const PAGES: u64 = 256;
const FIRST_GFN: u64 = 0x100;
const CODE_GFN: u64 = 0x100;
/// A page for data.
pub const DATA_GFN: u64 = 0x101;

/// A domain that is being built, and what of it is mapped here.
pub struct Domain {
    /// Its id.
    pub id: u16,
    mapped: [Cell<Option<Page>>; 8],
}

impl Domain {
    /// Creates it, with one vCPU and room for memory.
    pub fn create() -> Self {
        let mut arg = CreateDomain {
            handle: *b"xenolith domain\0",
            flags: CDF_HVM | CDF_HAP,
            max_vcpus: 1,
            max_evtchn_port: 1023,
            max_grant_frames: 4,
            max_maptrack_frames: 16,
            grant_opts: 1,
            arch: DomainConfig { emulation_flags: EMU_LAPIC, misc_flags: 0 },
            ..CreateDomain::default()
        };
        let mut id = 0;
        ensure_eq!(domctl(DomctlCmd::CREATEDOMAIN, &mut id, &mut arg), 0, "createdomain");
        ensure!(id != 0 && id < DOMID_SELF, "createdomain gave the id {id}");
        let domain = Self { id, mapped: [const { Cell::new(None) }; 8] };
        domain.set(DomctlCmd::MAX_VCPUS, &mut MaxVcpus { max: 1 });
        domain.set(DomctlCmd::MAX_MEM, &mut MaxMem { max_memkb: PAGES * 4 });
        domain.set(DomctlCmd::SET_PAGING_MEMPOOL_SIZE, &mut PagingMempool { size: 4 << 20 });
        let mut tsc = TscInfo::default();
        domain.set(DomctlCmd::GETTSCINFO, &mut tsc);
        ensure!(tsc.gtsc_khz > 100_000, "the domain's TSC has {} kHz", tsc.gtsc_khz);
        domain
    }

    fn set<T: zerocopy::FromBytes + zerocopy::IntoBytes + zerocopy::Immutable>(
        &self,
        cmd: DomctlCmd,
        arg: &mut T,
    ) {
        ensure_eq!(domctl(cmd, &mut { self.id }, arg), 0, "{:?}", cmd.name());
    }

    /// Gives it its memory, and no page more than it may have.
    pub fn populate(&self) {
        let list = Page::new();
        for index in 0..PAGES {
            list.write(index as usize * 8, FIRST_GFN + index);
        }
        let mut arg = MemoryReservation {
            extent_start: list.handle(0),
            nr_extents: PAGES,
            domid: self.id,
            ..MemoryReservation::default()
        };
        let result = memory(MemoryCmd::POPULATE_PHYSMAP, &mut arg);
        ensure_eq!(result, PAGES as i64, "populate_physmap");
        list.write(0, FIRST_GFN + PAGES);
        let mut more = MemoryReservation { nr_extents: 1, ..arg };
        let result = memory(MemoryCmd::POPULATE_PHYSMAP, &mut more);
        ensure_eq!(result, 0, "populate_physmap beyond max_mem");
    }

    fn remember(&self, page: Page) -> Page {
        let free = self.mapped.iter().find(|slot| slot.get().is_none());
        ensure!(free.is_some(), "the test maps too many pages");
        if let Some(slot) = free {
            slot.set(Some(page));
        }
        page
    }

    /// Maps a page of it here.
    pub fn map(&self, gfn: u64) -> Page {
        let (page, list) = (Page::new(), Page::new());
        list.write(0, gfn);
        list.write(8, page.gfn());
        list.write(16, -1_i32);
        let mut arg = AddToPhysmapBatch {
            domid: DOMID_SELF,
            space: MapSpace::GMFN_FOREIGN.0 as u16,
            size: 1,
            foreign_domid: self.id,
            idxs: list.handle(0),
            gpfns: list.handle(8),
            errs: list.handle(16),
        };
        let result = memory(MemoryCmd::ADD_TO_PHYSMAP_BATCH, &mut arg);
        ensure_eq!((result, list.read::<i32>(16)), (0, 0), "foreign mapping of gfn {gfn:#x}");
        self.remember(page)
    }

    /// Removes all mappings of it from here.
    pub fn unmap_all(&self) {
        for page in self.mapped.iter().filter_map(Cell::take) {
            let mut arg = RemoveFromPhysmap {
                domid: DOMID_SELF,
                gpfn: page.gfn(),
                ..RemoveFromPhysmap::default()
            };
            let result = memory(MemoryCmd::REMOVE_FROM_PHYSMAP, &mut arg);
            ensure_eq!(result, 0, "remove_from_physmap");
        }
    }

    /// Writes an entry of its grant table: dom0 may use a page.
    pub fn grant(&self, gref: usize, gfn: u64) {
        let (page, list) = (Page::new(), Page::new());
        list.write(0, page.gfn());
        let mut arg = MemAcquireResource {
            domid: self.id,
            ty: Resource::GRANT_TABLE,
            nr_frames: 1,
            frame_list: list.handle(0),
            ..MemAcquireResource::default()
        };
        let result = memory(MemoryCmd::ACQUIRE_RESOURCE, &mut arg);
        ensure_eq!(result, 0, "acquire_resource");
        let entry = EntryV1 { flags: GTF_PERMIT_ACCESS, domid: 0, frame: gfn as u32 };
        self.remember(page).write(gref * size_of::<EntryV1>(), entry);
    }

    /// Puts its code in its memory.
    pub fn load_code(&self) {
        let code = code::assemble((CODE_GFN << 12) as u32, (DATA_GFN << 12) as u32);
        self.map(CODE_GFN).copy_in(0, &code);
    }

    /// Sets its vCPU's registers as at a PVH entry.
    pub fn set_registers(&self) {
        let mut size = HvmContext::default();
        let result = domctl(DomctlCmd::GETHVMCONTEXT, &mut { self.id }, &mut size);
        if result == Errno::EOPNOTSUPP.negated() || result == Errno::ENOSYS.negated() {
            report::skip(format_args!("built it, but this hypervisor can't set its registers"));
        }
        ensure_eq!(result, 0, "gethvmcontext");
        ensure!(size.size as usize >= size_of::<Cpu>(), "the saved state has {} bytes", size.size);
        let pages = Page::run(8);
        let mut context = HvmContext { size: 8 * 4096, buffer: pages.handle(0), ..size };
        self.set(DomctlCmd::GETHVMCONTEXT, &mut context);
        let first: Descriptor = pages.read(0);
        ensure_eq!(first.typecode, RecordType::HEADER, "the first record");
        let header: Header = pages.read(size_of::<Descriptor>());
        ensure_eq!(header.magic, FILE_MAGIC, "the header's magic");

        let mut at = size_of::<Descriptor>() + size_of::<Header>();
        let length = size_of::<Cpu>() as u32;
        let (head, body) = (size_of::<Descriptor>(), size_of::<Cpu>());
        pages.write(at, Descriptor { typecode: RecordType::CPU, instance: 0, length });
        pages.write(at + head, registers());
        at += head + body;
        pages.write(at, Descriptor::default());
        let size = (at + head) as u32;
        let mut context = HvmContext { size, ..context };
        self.set(DomctlCmd::SETHVMCONTEXT, &mut context);
        let again = domctl_plain(DomctlCmd::HYPERCALL_INIT, 0x7000);
        ensure!(again < 0, "hypercall_init of no domain returned {again}");
    }
}

fn registers() -> Cpu {
    let mut cpu = Cpu::new_zeroed();
    cpu.rip = CODE_GFN << 12;
    cpu.rflags = 2;
    cpu.cr0 = 0x11;
    cpu.dr6 = 0xffff_0ff0;
    cpu.dr7 = 0x400;
    for (limit, attributes, value) in [
        (&mut cpu.cs_limit, &mut cpu.cs_arbytes, 0xc9b),
        (&mut cpu.ds_limit, &mut cpu.ds_arbytes, 0xc93),
        (&mut cpu.es_limit, &mut cpu.es_arbytes, 0xc93),
        (&mut cpu.ss_limit, &mut cpu.ss_arbytes, 0xc93),
    ] {
        *limit = u32::MAX;
        *attributes = value;
    }
    cpu.tr_limit = 0x67;
    cpu.tr_arbytes = 0x08b;
    cpu
}
