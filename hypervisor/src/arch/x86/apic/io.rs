//! The IO-APICs: where the machine's interrupt pins lead.
#![expect(unsafe_code, reason = "the IO-APIC's registers are device memory")]

use alloc::vec::Vec;

use spin::{Mutex, Once};
use x86defs::apic::DeliveryMode;
use x86defs::ioapic::{IOREGSEL, IOWIN, REG_TABLE, REG_VERSION, RedirectionEntry};

/// One IO-APIC, all of whose pins have consecutive global numbers (GSIs).
#[derive(Debug)]
pub struct IoApic {
    window: *mut u32,
    first_gsi: u32,
    pins: u32,
    /// The low halves as last written, so that masking needs no read.
    low_halves: Vec<u32>,
}

// SAFETY: the window is device memory that every CPU reaches alike; a lock orders its users.
unsafe impl Send for IoApic {}

/// How a pin signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Level rather than edge.
    pub level: bool,
    /// Active low rather than high.
    pub active_low: bool,
}

static IO_APICS: Once<Vec<Mutex<IoApic>>> = Once::new();

impl IoApic {
    /// The IO-APIC behind `window`, every pin masked.
    ///
    /// # Safety
    /// `window` must be the mapping of an IO-APIC's registers, uncached, for good.
    pub unsafe fn new(window: *mut u32, first_gsi: u32) -> Self {
        let mut this = Self { window, first_gsi, pins: 0, low_halves: Vec::new() };
        this.pins = (this.read(REG_VERSION) >> 16 & 0xff) + 1;
        this.low_halves = alloc::vec![0; this.pins as usize];
        for pin in 0..this.pins {
            this.set_entry(pin, RedirectionEntry::MASKED);
        }
        this
    }

    fn register(&mut self, offset: u64) -> *mut u32 {
        self.window.wrapping_byte_add(offset as usize)
    }

    fn read(&mut self, index: u8) -> u32 {
        let (select, data) = (self.register(IOREGSEL), self.register(IOWIN));
        // SAFETY: `new`'s caller vouched for the window.
        unsafe { select.write_volatile(u32::from(index)) };
        // SAFETY: as above.
        unsafe { data.read_volatile() }
    }

    fn write(&mut self, index: u8, value: u32) {
        let (select, data) = (self.register(IOREGSEL), self.register(IOWIN));
        // SAFETY: `new`'s caller vouched for the window.
        unsafe { select.write_volatile(u32::from(index)) };
        // SAFETY: as above.
        unsafe { data.write_volatile(value) };
    }

    /// Writes an entry. While its halves don't match it is masked.
    fn set_entry(&mut self, pin: u32, entry: RedirectionEntry) {
        let low = REG_TABLE + 2 * pin as u8;
        self.write(low, RedirectionEntry::MASKED.0 as u32);
        self.write(low + 1, (entry.0 >> 32) as u32);
        self.write(low, entry.0 as u32);
        self.low_halves[pin as usize] = entry.0 as u32;
    }

    fn set_masked(&mut self, pin: u32, masked: bool) {
        let mask = RedirectionEntry::MASKED.0 as u32;
        let entry = self.low_halves[pin as usize];
        let entry = if masked { entry | mask } else { entry & !mask };
        self.low_halves[pin as usize] = entry;
        self.write(REG_TABLE + 2 * pin as u8, entry);
    }
}

/// Makes the machine's IO-APICs known. Called once.
pub fn init(io_apics: Vec<IoApic>) {
    IO_APICS.call_once(|| io_apics.into_iter().map(Mutex::new).collect());
}

/// How many pins an IO-APIC has, by its place in the list given to [`init`].
pub fn pins(index: usize) -> Option<u32> {
    Some(IO_APICS.get()?.get(index)?.lock().pins)
}

fn with_pin(gsi: u32, work: impl FnOnce(&mut IoApic, u32)) {
    for io_apic in IO_APICS.get().into_iter().flatten() {
        let mut io_apic = io_apic.lock();
        let pin = gsi.wrapping_sub(io_apic.first_gsi);
        if pin < io_apic.pins {
            return work(&mut io_apic, pin);
        }
    }
}

/// Leads a pin to `vector` on the CPU with this APIC id (at most 254), unmasked.
pub fn route(gsi: u32, vector: u8, destination: u8, line: Line) {
    let mut entry = RedirectionEntry(0)
        .with_vector(vector)
        .with_delivery_mode(DeliveryMode::FIXED)
        .with_destination(destination);
    if line.level {
        entry.0 |= RedirectionEntry::LEVEL.0;
    }
    if line.active_low {
        entry.0 |= RedirectionEntry::ACTIVE_LOW.0;
    }
    with_pin(gsi, |io_apic, pin| io_apic.set_entry(pin, entry));
}

/// Masks or unmasks a pin, and leaves its route.
pub fn set_masked(gsi: u32, masked: bool) {
    with_pin(gsi, |io_apic, pin| io_apic.set_masked(pin, masked));
}
