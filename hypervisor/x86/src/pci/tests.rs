//! A machine of a few functions in memory, and what a domain does to them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use hv_core::types::Hpa;
use proptest::prelude::*;

use super::*;

const ECAM: u64 = 0xB000_0000;
const NIC: Sbdf = Sbdf::new(0, 0, 3, 0);
const BRIDGE: Sbdf = Sbdf::new(0, 0, 4, 0);
const DISK: Sbdf = Sbdf::new(0, 1, 0, 0);
const BAR: u64 = 0xFEB0_0000;
const TABLE: u64 = BAR + 0x2000;
const MSI: u16 = 0x50;
const MSIX: u16 = 0x70;

/// A function: its registers, and which bits of them can be written.
#[derive(Clone)]
struct Simulated {
    registers: Vec<u8>,
    writable: Vec<u8>,
}

impl Simulated {
    fn new(id: u32, header: u8) -> Self {
        let mut function = Self { registers: vec![0; 4096], writable: vec![0; 4096] };
        function.set(0, id, 0);
        function.set(4, 0, 0x0000_0407);
        function.set(8, 0x0200_0001, 0);
        function.set(0xC, u32::from(header) << 16, 0);
        function
    }

    fn set(&mut self, at: usize, value: u32, writable: u32) {
        self.registers[at..at + 4].copy_from_slice(&value.to_le_bytes());
        self.writable[at..at + 4].copy_from_slice(&writable.to_le_bytes());
    }

    /// A network card: a 64-bit BAR of 16 KiB, MSI-X with 5 entries at 0x2000, SR-IOV.
    fn nic() -> Self {
        let mut nic = Self::new(0x10D3_8086, 0);
        nic.set(4, 0x0010_0002, 0x407);
        nic.set(0x10, BAR as u32 | 0b1100, 0xFFFF_C000);
        nic.set(0x14, 0, u32::MAX);
        nic.set(0x18, 0xC001, 0xFFFF_FFE0);
        nic.set(0x34, u32::from(MSIX), 0);
        nic.set(MSIX.into(), 0x0004_0011, 0xC000_0000);
        nic.set(usize::from(MSIX) + 4, 0x2000, 0);
        nic.set(usize::from(MSIX) + 8, 0x3000, 0);
        nic.set(0x100, 0x1401_0010, 0);
        nic.set(0x140, 0x1801_0015, 0);
        nic.set(0x180, 0x0001_0003, 0);
        nic
    }

    /// A disk controller: a 32-bit BAR of 4 KiB, MSI good for 8 messages.
    fn disk() -> Self {
        let mut disk = Self::new(0x2922_8086, 0);
        disk.set(4, 0x0010_0006, 0x407);
        disk.set(0x24, 0xFEA0_0000, 0xFFFF_F000);
        disk.set(0x34, u32::from(MSI), 0);
        disk.set(MSI.into(), 0x0186_0005, 0x0071_0000);
        disk.set(usize::from(MSI) + 4, 0, 0xFFFF_FFFC);
        disk.set(usize::from(MSI) + 8, 0, u32::MAX);
        disk.set(usize::from(MSI) + 12, 0, 0xFFFF);
        disk.set(usize::from(MSI) + 16, 0, u32::MAX);
        disk
    }
}

/// What the machine was asked to do with interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Connect(MsiSource, MsiMessage),
    Disconnect(MsiSource),
}

struct Machine {
    functions: RefCell<BTreeMap<Sbdf, Simulated>>,
    memory: RefCell<BTreeMap<u64, u32>>,
    asked: RefCell<Vec<Asked>>,
    vectors: RefCell<u32>,
}

impl Machine {
    fn new() -> Self {
        let mut bridge = Simulated::new(0x1111_8086, 0x81);
        bridge.set(0x18, 0x0001_0100, 0);
        let functions = [(NIC, Simulated::nic()), (BRIDGE, bridge), (DISK, Simulated::disk())];
        Self {
            functions: RefCell::new(functions.into()),
            memory: RefCell::default(),
            asked: RefCell::default(),
            vectors: RefCell::new(u32::MAX),
        }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.take()
    }

    fn dword(&self, function: Sbdf, offset: u16) -> u32 {
        ConfigSpace::read(self, function, Register::dword(offset))
    }

    /// The four dwords of an entry of the network card's own table.
    fn entry(&self, index: u64) -> [u32; 4] {
        let memory = self.memory.borrow();
        let dword = |n: u64| memory.get(&(TABLE + index * 16 + n * 4)).copied().unwrap_or(0);
        [dword(0), dword(1), dword(2), dword(3)]
    }
}

impl ConfigSpace for Machine {
    fn read(&self, function: Sbdf, register: Register) -> u32 {
        let functions = self.functions.borrow();
        let Some(function) = functions.get(&function) else { return register.width().ones() };
        let at = usize::from(register.offset());
        let bytes = &function.registers[at..at + usize::from(register.width().bytes())];
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
    }

    fn write(&self, function: Sbdf, register: Register, value: u32) {
        let mut functions = self.functions.borrow_mut();
        let Some(function) = functions.get_mut(&function) else { return };
        for (index, byte) in value.to_le_bytes().iter().enumerate() {
            if index < usize::from(register.width().bytes()) {
                let at = usize::from(register.offset()) + index;
                let mask = function.writable[at];
                function.registers[at] = function.registers[at] & !mask | byte & mask;
            }
        }
    }
}

impl PciHost for Machine {
    fn connect(&self, source: MsiSource, guest: MsiMessage) -> Option<MsiMessage> {
        self.asked.borrow_mut().push(Asked::Connect(source, guest));
        let left = *self.vectors.borrow();
        *self.vectors.borrow_mut() = left.checked_sub(1)?;
        Some(host_message(source))
    }

    fn disconnect(&self, source: MsiSource) {
        self.asked.borrow_mut().push(Asked::Disconnect(source));
    }

    fn mmio_read(&self, at: Hpa, bytes: u8) -> u64 {
        let dword = |at| u64::from(self.memory.borrow().get(&at).copied().unwrap_or(0));
        if bytes == 8 { dword(at.0) | dword(at.0 + 4) << 32 } else { dword(at.0) }
    }

    fn mmio_write(&self, at: Hpa, bytes: u8, value: u64) {
        self.memory.borrow_mut().insert(at.0, value as u32);
        if bytes == 8 {
            self.memory.borrow_mut().insert(at.0 + 4, (value >> 32) as u32);
        }
    }
}

/// What the machine programs for a source.
fn host_message(source: MsiSource) -> MsiMessage {
    MsiMessage { address: 0xFEE0_1000, data: 0x40 + u32::from(source.index) }
}

fn vpci() -> Vpci {
    Vpci::new(vec![EcamWindow { base: ECAM, segment: 0, first_bus: 0, last_bus: 15 }])
}

fn ecam(function: Sbdf, offset: u16) -> Gpa {
    Gpa(ECAM + (u64::from(function.requester()) << 12) + u64::from(offset))
}

/// Writes a dword and expects no effect.
fn set(pci: &mut Vpci, machine: &Machine, function: Sbdf, offset: u16, value: u32) {
    let effect = pci.write(machine, function, Register::dword(offset), value);
    assert_eq!(effect, Effect::None);
}

fn get(pci: &mut Vpci, machine: &Machine, function: Sbdf, offset: u16) -> u32 {
    pci.read(machine, function, Register::dword(offset))
}

fn set_table(pci: &mut Vpci, machine: &Machine, index: u64, dword: u64, value: u32) {
    let at = Gpa(TABLE + index * 16 + dword * 4);
    assert_eq!(pci.mmio_write(machine, at, 4, value.into()), Effect::None);
}

#[test]
fn a_scan_finds_every_bus() {
    let found: Vec<_> =
        scan(&Machine::new(), 0, 0..=255).iter().map(|found| (found.sbdf, found.header)).collect();
    assert_eq!(found, [(NIC, 0), (BRIDGE, 1), (DISK, 0)]);
}

#[test]
fn bars_are_measured_and_left_as_they_were() {
    let machine = Machine::new();
    let before = [0x04, 0x10, 0x14, 0x18].map(|at| machine.dword(NIC, at));
    let bars = probe_bars(&machine, NIC);
    let memory =
        MemoryBar { index: 0, wide: true, prefetchable: true, address: BAR, bytes: 0x4000 };
    assert_eq!(bars, [memory]);
    assert_eq!(before, [0x04, 0x10, 0x14, 0x18].map(|at| machine.dword(NIC, at)));
    assert_eq!(probe_bars(&machine, DISK)[0].bytes, 0x1000);
    assert_eq!(probe_bars(&machine, BRIDGE), []);
}

/// A machine whose functions must not be told to stop answering.
struct AlwaysOn(Machine);

impl ConfigSpace for AlwaysOn {
    fn read(&self, function: Sbdf, register: Register) -> u32 {
        ConfigSpace::read(&self.0, function, register)
    }

    fn write(&self, function: Sbdf, register: Register, value: u32) {
        assert_ne!(register.offset(), 4, "{function} was told to stop");
        ConfigSpace::write(&self.0, function, register, value);
    }
}

#[test]
fn host_bridges_go_on_answering_while_they_are_measured() {
    let machine = Machine::new();
    let mut bridge = Simulated::nic();
    bridge.set(8, 0x0600_0000, 0);
    machine.functions.borrow_mut().insert(NIC, bridge);
    assert_eq!(probe_bars(&AlwaysOn(machine), NIC)[0].bytes, 0x4000);
}

#[test]
fn ports_and_memory_reach_the_same_registers() {
    let (machine, mut pci) = (Machine::new(), vpci());
    let select = |offset: u32| 0x8000_1800 | offset;
    assert_eq!(pci.port_read(&machine, 0xCFC, Width::Dword), u32::MAX);
    assert_eq!(pci.port_write(&machine, 0xCF8, Width::Dword, select(8)), Effect::None);
    assert_eq!(pci.port_read(&machine, 0xCF8, Width::Dword), select(8));
    assert_eq!(pci.port_read(&machine, 0xCFC, Width::Dword), 0x0200_0001);
    assert_eq!(pci.port_read(&machine, 0xCFE, Width::Word), 0x0200);
    assert_eq!(pci.port_read(&machine, 0xCFF, Width::Byte), 0x02);
    assert_eq!(pci.port_read(&machine, 0xCFD, Width::Dword), u32::MAX);
    assert_eq!(pci.mmio_read(&machine, ecam(NIC, 0), 4), 0x10D3_8086);
    assert_eq!(pci.mmio_read(&machine, ecam(NIC, 0), 8), 0x0010_0002_10D3_8086);
    assert_eq!(pci.mmio_read(&machine, ecam(NIC, 1), 4), 0x0210_D380);
    assert_eq!(pci.mmio_read(&machine, ecam(NIC, 0xFFE), 8), 0);
    assert_eq!(pci.mmio_read(&machine, ecam(Sbdf::new(0, 9, 0, 0), 0), 4), 0xFFFF_FFFF);
    assert!(pci.is_mmio(ecam(NIC, 0)) && !pci.is_mmio(Gpa(ECAM + (16 << 20))));
}

#[test]
fn the_address_may_come_from_elsewhere() {
    let (machine, mut pci) = (Machine::new(), vpci());
    pci.set_address(1 << 31 | 3 << 11);
    assert_eq!(pci.port_read(&machine, DATA_PORT, Width::Dword), 0x10D3_8086);
}

#[test]
fn hidden_functions_look_absent_and_protected_ones_cant_be_changed() {
    let (machine, mut pci) = (Machine::new(), vpci());
    pci.hide(NIC);
    pci.protect(DISK);
    assert_eq!(get(&mut pci, &machine, NIC, 0), u32::MAX);
    set(&mut pci, &machine, NIC, 4, 0);
    assert_eq!(machine.dword(NIC, 4), 0x0010_0002);
    assert_eq!(get(&mut pci, &machine, DISK, 4), 0x0010_0006);
    set(&mut pci, &machine, DISK, 4, 0);
    assert_eq!(machine.dword(DISK, 4), 0x0010_0006);
    assert!(pci.reads_are_plain(DISK) && !pci.reads_are_plain(NIC));
}

#[test]
fn capabilities_that_move_memory_become_null() {
    let (machine, mut pci) = (Machine::new(), vpci());
    assert_eq!(get(&mut pci, &machine, NIC, 0x100), 0x1400_0000);
    assert_eq!(get(&mut pci, &machine, NIC, 0x140), 0x1800_0000);
    assert_eq!(get(&mut pci, &machine, NIC, 0x180), 0x0001_0003);
    assert_eq!(pci.mmio_read(&machine, ecam(NIC, 0x102), 2), 0x1400);
}

#[test]
fn msi_keeps_the_guests_message_and_programs_the_machines() {
    let (machine, mut pci) = (Machine::new(), vpci());
    let source = MsiSource { function: DISK, index: 0 };
    // One message, 64 bits, maskable, though the function could send 8.
    assert_eq!(get(&mut pci, &machine, DISK, MSI), 0x0180_0005);
    set(&mut pci, &machine, DISK, MSI + 4, 0xFEE0_2003);
    set(&mut pci, &machine, DISK, MSI + 8, 1);
    set(&mut pci, &machine, DISK, MSI + 12, 0xABCD_0031);
    assert_eq!(machine.dword(DISK, MSI + 4), 0);
    assert_eq!(machine.asked(), []);

    let control = Register::word(MSI + 2);
    assert_eq!(pci.write(&machine, DISK, control, 0x01F1), Effect::None);
    let guest = MsiMessage { address: 0x1_FEE0_2000, data: 0x31 };
    assert_eq!(machine.asked(), [Asked::Connect(source, guest)]);
    assert_eq!(machine.dword(DISK, MSI) >> 16, 0x0187);
    assert_eq!([4, 8, 12].map(|at| machine.dword(DISK, MSI + at)), [0xFEE0_1000, 0, 0x40]);
    assert_eq!(
        [0, 4, 8, 12].map(|at| get(&mut pci, &machine, DISK, MSI + at)),
        [0x0181_0005, 0xFEE0_2000, 1, 0x31]
    );

    set(&mut pci, &machine, DISK, MSI + 12, 0x32);
    assert_eq!(machine.asked(), [Asked::Connect(source, MsiMessage { data: 0x32, ..guest })]);
    set(&mut pci, &machine, DISK, MSI + 16, 1);
    assert_eq!(machine.dword(DISK, MSI + 16), 1);
    assert_eq!(pci.write(&machine, DISK, control, 0), Effect::None);
    assert_eq!(machine.asked(), [Asked::Disconnect(source)]);
    assert_eq!(machine.dword(DISK, MSI) >> 16, 0x0186);
}

#[test]
fn msi_without_a_vector_stays_disabled() {
    let (machine, mut pci) = (Machine::new(), vpci());
    *machine.vectors.borrow_mut() = 0;
    set(&mut pci, &machine, DISK, MSI, 1 << 16);
    assert_eq!(machine.dword(DISK, MSI) >> 16, 0x0186);
}

#[test]
fn msix_entries_are_connected_when_they_are_used() {
    let (machine, mut pci) = (Machine::new(), vpci());
    assert!(pci.add(&machine, NIC));
    let trapped: Vec<_> = pci.trapped().collect();
    assert_eq!(trapped, [Pages { start: Gfn(TABLE >> 12), count: 1 }]);
    assert!(pci.is_mmio(Gpa(TABLE + 0xFFF)) && !pci.is_mmio(Gpa(TABLE + 0x1000)));

    // Linux: enable with all masked, mask each entry, write a message, unmask the function.
    set(&mut pci, &machine, NIC, MSIX, 0xC000_0000);
    for index in 0..5 {
        set_table(&mut pci, &machine, index, 3, 1);
    }
    let guest = MsiMessage { address: 0xFEE0_3000, data: 0x51 };
    set_table(&mut pci, &machine, 2, 0, guest.address as u32);
    set_table(&mut pci, &machine, 2, 1, 0);
    set_table(&mut pci, &machine, 2, 2, guest.data);
    assert_eq!(machine.asked(), []);
    assert_eq!(machine.entry(2), [0, 0, 0, 1]);
    set_table(&mut pci, &machine, 2, 3, 0);
    let source = MsiSource { function: NIC, index: 2 };
    assert_eq!(machine.asked(), [Asked::Connect(source, guest)]);
    assert_eq!(machine.entry(2), [0xFEE0_1000, 0, 0x42, 0]);
    set(&mut pci, &machine, NIC, MSIX, 0x8000_0000);
    assert_eq!(machine.dword(NIC, MSIX), 0x8004_0011);
    assert_eq!(machine.asked(), [Asked::Connect(source, guest)]);

    // What the guest reads is its own.
    assert_eq!(pci.mmio_read(&machine, Gpa(TABLE + 32), 8), guest.address);
    assert_eq!(pci.mmio_read(&machine, Gpa(TABLE + 40), 8), u64::from(guest.data));
    assert_eq!(pci.mmio_read(&machine, Gpa(TABLE + 40), 2), u64::MAX);
    assert_eq!(pci.mmio_read(&machine, Gpa(TABLE + 41), 4), u64::MAX);

    // Masking and unmasking the same message needs no new connection.
    set_table(&mut pci, &machine, 2, 3, 1);
    assert_eq!(machine.entry(2)[3], 1);
    set_table(&mut pci, &machine, 2, 3, 0);
    assert_eq!(machine.entry(2)[3], 0);
    assert_eq!(machine.asked(), []);

    // Only what is in use is made anew when the way to the domain changes.
    pci.reconnect(&machine, MsiSource { function: NIC, index: 1 });
    assert_eq!(machine.asked(), []);
    pci.reconnect(&machine, source);
    assert_eq!(machine.asked(), [Asked::Connect(source, guest)]);
    assert_eq!(machine.entry(2), [0xFEE0_1000, 0, 0x42, 0]);

    set(&mut pci, &machine, NIC, MSIX, 0);
    assert_eq!(machine.asked(), [Asked::Disconnect(source)]);
}

#[test]
fn the_rest_of_a_tables_page_is_the_devices() {
    let (machine, mut pci) = (Machine::new(), vpci());
    assert!(pci.add(&machine, NIC));
    let at = Gpa(TABLE + 5 * 16);
    assert_eq!(pci.mmio_write(&machine, at, 8, 0x1122_3344_5566_7788), Effect::None);
    assert_eq!(machine.memory.borrow().get(&at.0), Some(&0x5566_7788));
    assert_eq!(pci.mmio_read(&machine, at, 8), 0x1122_3344_5566_7788);
}

#[test]
fn a_table_that_moves_is_trapped_at_its_new_place() {
    let (machine, mut pci) = (Machine::new(), vpci());
    assert!(pci.add(&machine, NIC));
    set(&mut pci, &machine, NIC, 4, 0);
    set(&mut pci, &machine, NIC, 0x10, u32::MAX);
    assert_eq!(get(&mut pci, &machine, NIC, 0x10), 0xFFFF_C00C);
    set(&mut pci, &machine, NIC, 0x10, 0x8000_0000);
    set(&mut pci, &machine, NIC, 0x14, 4);
    let moved = Pages { start: Gfn(0x48_0002), count: 1 };
    assert_eq!(pci.write(&machine, NIC, Register::word(4), 2), Effect::Trap(moved));
    assert_eq!(pci.write(&machine, NIC, Register::word(4), 6), Effect::None);
    assert_eq!(pci.bar_at(Gpa(0x4_8000_3FFF)).map(|bar| bar.address), Some(0x4_8000_0000));
    assert_eq!(pci.bar_at(Gpa(BAR)), None);
}

#[test]
fn an_enabled_table_is_programmed_again_after_a_reset() {
    let (machine, mut pci) = (Machine::new(), vpci());
    set(&mut pci, &machine, NIC, MSIX, 0x8000_0000);
    set_table(&mut pci, &machine, 0, 2, 0x31);
    set_table(&mut pci, &machine, 0, 3, 0);
    // The function is reset: it forgets. The guest restores what it had.
    machine.memory.borrow_mut().clear();
    machine.asked();
    set(&mut pci, &machine, NIC, MSIX, 0xC000_0000);
    set_table(&mut pci, &machine, 0, 2, 0x31);
    assert_eq!(machine.entry(0), [0xFEE0_1000, 0, 0x40, 0]);

    pci.reset(&machine, NIC);
    let source = MsiSource { function: NIC, index: 0 };
    assert_eq!(machine.asked().last(), Some(&Asked::Disconnect(source)));
    assert_eq!(pci.mmio_read(&machine, Gpa(TABLE + 8), 8), 1 << 32);
    pci.remove(&machine, NIC);
    assert_eq!(pci.functions().count(), 0);
}

proptest! {
    /// Whatever is written: the device's own message is never the guest's, and each source
    /// that was connected is disconnected once the function is gone.
    #[test]
    fn the_guest_never_chooses_where_a_device_writes(
        writes in prop::collection::vec((any::<bool>(), any::<u32>(), any::<u64>(), 0..4u8), 0..200)
    ) {
        let (machine, mut pci) = (Machine::new(), vpci());
        prop_assert!(pci.add(&machine, NIC) && pci.add(&machine, DISK));
        for (table, at, value, width) in writes {
            let bytes = 1 << width;
            let gpa = if table {
                Gpa(TABLE + u64::from(at % 0x60))
            } else {
                let function = if at & 1 == 0 { NIC } else { DISK };
                ecam(function, 0x40 + (at >> 1) as u16 % 0x40)
            };
            let _ = pci.mmio_write(&machine, gpa, bytes, value);
            let _ = pci.mmio_read(&machine, gpa, bytes);
        }
        for index in 0..5 {
            let [low, high, data, control] = machine.entry(index);
            prop_assert!([0, 0xFEE0_1000].contains(&low) && high == 0);
            prop_assert!(data == 0 || data == 0x40 + index as u32);
            prop_assert!(control <= 1);
        }
        prop_assert!([0, 0xFEE0_1000].contains(&machine.dword(DISK, MSI + 4)));
        prop_assert!([0, 0x40].contains(&machine.dword(DISK, MSI + 12)));
        pci.remove(&machine, NIC);
        pci.remove(&machine, DISK);
        let mut connected = BTreeSet::new();
        for asked in machine.asked() {
            match asked {
                Asked::Connect(source, _) => connected.insert(source),
                Asked::Disconnect(source) => connected.remove(&source),
            };
        }
        prop_assert_eq!(connected, BTreeSet::new());
    }
}
