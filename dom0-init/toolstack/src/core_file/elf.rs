//! What stands in front of a core's pages: ELF header, table of sections, their names, notes.

/// Bytes of the ELF header and of an entry of the table.
const HEADER: u64 = 64;
const ENTRY: u64 = 64;
/// The sections, in the order of the table; the first is none.
const NAMES: [&str; 6] = ["", ".shstrtab", ".note.Xen", ".xen_prstatus", ".xen_pages", ".xen_pfn"];
/// Types of sections: data, names, notes.
const PROGBITS: u32 = 1;
const STRTAB: u32 = 3;
const NOTE: u32 = 7;
/// `XEN_ELFNOTE_DUMPCORE_*`: nothing, header, versions, the format's version.
const NOTE_NONE: u32 = 0x200_0000;
const NOTE_HEADER: u32 = 0x200_0001;
const NOTE_XEN_VERSION: u32 = 0x200_0002;
const NOTE_FORMAT_VERSION: u32 = 0x200_0003;
/// `XC_CORE_MAGIC_HVM`: the hypervisor translates the guest's memory.
const MAGIC_HVM: u64 = 0xF00F_EBEE;
const FORMAT: u64 = 1;
const PAGE: u64 = 4096;
/// What follows major and minor version in their note: texts of fixed lengths, two numbers.
const VERSION_TEXTS: usize = 16 + 144 + 1024 + 64;

/// What the front depends on.
pub struct Front {
    /// How many vCPUs there are.
    pub vcpus: u32,
    /// How many pages.
    pub pages: u64,
    /// The hypervisor's version.
    pub version: (u16, u16),
    /// Bytes of the vCPUs' registers, which follow the front.
    pub status_bytes: u64,
    /// Where the pages begin; their numbers follow them.
    pub pages_at: u64,
}

/// Bytes of the front: the same whatever it holds.
pub fn front_bytes() -> u64 {
    let nothing = Front { vcpus: 0, pages: 0, version: (0, 0), status_bytes: 0, pages_at: 0 };
    front(&nothing).len() as u64
}

/// The front as bytes.
pub fn front(facts: &Front) -> Vec<u8> {
    let names: Vec<u8> = NAMES.iter().flat_map(|name| [name.as_bytes(), b"\0"].concat()).collect();
    let notes = notes(facts);
    let notes_at = HEADER + ENTRY * NAMES.len() as u64;
    let names_at = notes_at + notes.len() as u64;
    let status_at = (names_at + names.len() as u64).next_multiple_of(8);
    let frames_at = facts.pages_at + facts.pages * PAGE;
    let sections = [
        (0, 0, 0, 0, 0),
        (STRTAB, names_at, names.len() as u64, 1, 0),
        (NOTE, notes_at, notes.len() as u64, 4, 0),
        (PROGBITS, status_at, facts.status_bytes, 8, super::registers::BYTES as u64),
        (PROGBITS, facts.pages_at, facts.pages * PAGE, PAGE, PAGE),
        (PROGBITS, frames_at, facts.pages * 8, 8, 8),
    ];
    let mut bytes = header();
    let mut name_at = 0_u32;
    for (name, (kind, offset, size, align, entry)) in NAMES.iter().zip(sections) {
        bytes.extend([name_at, kind].iter().flat_map(|field| field.to_le_bytes()));
        let wide = [0, 0, offset, size];
        bytes.extend(wide.iter().flat_map(|field: &u64| field.to_le_bytes()));
        bytes.extend([0_u32; 2].iter().flat_map(|field| field.to_le_bytes()));
        bytes.extend([align, entry].iter().flat_map(|field: &u64| field.to_le_bytes()));
        name_at += name.len() as u32 + 1;
    }
    bytes.extend(notes);
    bytes.extend(names);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// A core file for x86-64 with nothing but sections.
fn header() -> Vec<u8> {
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend([4_u16, 62].iter().flat_map(|field| field.to_le_bytes()));
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend([0, 0, HEADER].iter().flat_map(|field: &u64| field.to_le_bytes()));
    bytes.extend(0_u32.to_le_bytes());
    let sizes = [HEADER as u16, 0, 0, ENTRY as u16, NAMES.len() as u16, 1];
    bytes.extend(sizes.iter().flat_map(|field| field.to_le_bytes()));
    bytes
}

fn notes(facts: &Front) -> Vec<u8> {
    let words =
        |words: &[u64]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    let mut version = words(&[u64::from(facts.version.0), u64::from(facts.version.1)]);
    version.resize(version.len() + VERSION_TEXTS, 0);
    version.extend(words(&[0, PAGE]));
    let header = words(&[MAGIC_HVM, u64::from(facts.vcpus), facts.pages, PAGE]);
    let all = [
        (NOTE_NONE, Vec::new()),
        (NOTE_HEADER, header),
        (NOTE_XEN_VERSION, version),
        (NOTE_FORMAT_VERSION, words(&[FORMAT])),
    ];
    let mut bytes = Vec::new();
    for (kind, content) in all {
        let head = [4, content.len() as u32, kind];
        bytes.extend(head.iter().flat_map(|field| field.to_le_bytes()));
        bytes.extend(b"Xen\0");
        bytes.extend(content);
    }
    bytes
}
