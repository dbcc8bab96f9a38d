//! What a guest and its interrupt sources can observe of an IO-APIC.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::interrupt::{Delivery, Destination};

const GEOMETRY: Geometry = Geometry { id: 3, base: Gpa(0xfec0_0000), gsi_base: 0, pins: 24 };

fn write(chip: &mut Vioapic, index: u8, value: u32) -> Effect {
    assert_eq!(chip.write(IOREGSEL, 4, u64::from(index)), Effect::None);
    chip.write(IOWIN, 4, u64::from(value))
}

fn read(chip: &mut Vioapic, index: u8) -> u32 {
    chip.write(IOREGSEL, 4, u64::from(index));
    chip.read(IOWIN, 4) as u32
}

fn program(chip: &mut Vioapic, pin: u8, low: u32, destination: u8) -> Effect {
    assert!(matches!(
        write(chip, 0x11 + 2 * pin, u32::from(destination) << 24),
        Effect::Pin { config: None, message: None, .. }
    ));
    write(chip, 0x10 + 2 * pin, low)
}

#[test]
fn registers() {
    let mut chip = Vioapic::new(GEOMETRY);
    assert_eq!(read(&mut chip, 0), 3 << 24);
    assert_eq!(read(&mut chip, 1), 0x0017_0020);
    assert_eq!(read(&mut chip, 0x10 + 46), 0x10000);
    assert_eq!(read(&mut chip, 0x10 + 48), 0, "no such pin");
    assert_eq!(write(&mut chip, 0x10 + 48, 0), Effect::None);
    assert_eq!(write(&mut chip, 0xff, 0), Effect::None);
    assert_eq!(write(&mut chip, 0, 5 << 24), Effect::None);
    assert_eq!(read(&mut chip, 0), 5 << 24);
    write(&mut chip, 0x13, 0xffff_ffff);
    assert_eq!(read(&mut chip, 0x13), 0xff00_0000);
    write(&mut chip, 0x12, 0xffff_ffff);
    assert_eq!(read(&mut chip, 0x12), 0x1_afff, "read-only bits stay clear");
}

#[test]
fn edge_pin() {
    let mut chip = Vioapic::new(GEOMETRY);
    let config = PinConfig { masked: false, trigger: Trigger::Edge, polarity: Polarity::High };
    assert_eq!(
        program(&mut chip, 4, 0x31, 2),
        Effect::Pin { pin: 4, config: Some(config), message: None }
    );
    let message = Message {
        vector: 0x31,
        delivery: Delivery::Fixed,
        trigger: Trigger::Edge,
        destination: Destination::Physical(2),
    };
    assert_eq!(chip.raise(4), Some(message));
    assert_eq!(chip.raise(4), Some(message), "no EOI needed");
    assert!(matches!(program(&mut chip, 4, 0x1_0031, 2), Effect::Pin { config: Some(_), .. }));
    assert_eq!(chip.raise(4), None);
    let Effect::Pin { message: late, .. } = program(&mut chip, 4, 0x31, 2) else { panic!() };
    assert_eq!(late, Some(message), "kept while masked");
    assert_eq!(chip.set_line(4, true), Some(message));
    assert_eq!(chip.set_line(4, true), None);
    assert_eq!(chip.set_line(4, false), None);
    assert_eq!(chip.raise(24), None, "no such pin");
}

#[test]
fn level_pin_from_hardware() {
    let mut chip = Vioapic::new(GEOMETRY);
    let config = PinConfig { masked: false, trigger: Trigger::Level, polarity: Polarity::Low };
    let effect = program(&mut chip, 16, 0xa041, 0);
    assert_eq!(effect, Effect::Pin { pin: 16, config: Some(config), message: None });
    assert!(chip.raise(16).is_some());
    assert_eq!(read(&mut chip, 0x30), 0xe041, "remote IRR");
    assert_eq!(chip.raise(16), None);
    let mut ended = Vec::new();
    chip.eoi(0x42, |pin| ended.push(pin));
    assert!(ended.is_empty(), "another vector");
    chip.eoi(0x41, |pin| ended.push(pin));
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].gsi, ended[0].config), (16, config));
    assert!(ended[0].message.is_some(), "it fired again meanwhile");
    chip.eoi(0x41, |pin| ended.push(pin));
    assert_eq!(ended[1].message, None);
    assert_eq!(read(&mut chip, 0x30), 0xa041);
    // Switching to edge and back clears remote IRR.
    assert!(chip.raise(16).is_some());
    program(&mut chip, 16, 0x41, 0);
    assert_eq!(read(&mut chip, 0x30), 0x41);
}

#[test]
fn level_line_is_sampled_at_eoi_and_unmask() {
    let mut chip = Vioapic::new(GEOMETRY);
    assert_eq!(chip.set_line(16, true), None);
    let Effect::Pin { message, .. } = program(&mut chip, 16, 0x8041, 0) else { panic!() };
    assert!(message.is_some());
    assert_eq!(chip.write(IOEOI, 4, 0x41), Effect::Eoi(0x41));
    let mut again = 0;
    chip.eoi(0x41, |ended| again += u32::from(ended.message.is_some()));
    assert_eq!(again, 1);
    assert_eq!(chip.set_line(16, false), None);
    chip.eoi(0x41, |ended| again += u32::from(ended.message.is_some()));
    assert_eq!(again, 1);
}

#[test]
fn sets_find_chips() {
    let second = Geometry { id: 4, base: Gpa(0xfec0_1000), gsi_base: 24, pins: 32 };
    let mut set = Vioapics::new([GEOMETRY, second]);
    assert!(set.at(Gpa(0xfec0_0100)).is_none());
    assert!(set.at(Gpa(0xfebf_fff0)).is_none());
    let (chip, offset) = set.at(Gpa(0xfec0_1010)).unwrap();
    assert_eq!((chip.geometry().id, offset), (4, 0x10));
    let (chip, pin) = set.pin(55).unwrap();
    assert_eq!((chip.geometry().id, pin), (4, 31));
    assert!(set.pin(56).is_none());
    assert_eq!(set.pin(23).map(|(_, pin)| pin), Some(23));
}

proptest! {
    /// A level pin never has two messages on the way, and never loses an asserted line.
    #[test]
    fn level_invariant(steps in proptest::collection::vec((0u8..5, any::<bool>()), 0..100)) {
        let mut chip = Vioapic::new(GEOMETRY);
        program(&mut chip, 7, 0x8055, 0);
        let (mut in_flight, mut line, mut masked) = (0, false, false);
        for (kind, flag) in steps {
            let message = match kind {
                0 | 1 => { line = flag; chip.set_line(7, flag) }
                2 => {
                    let mut message = None;
                    chip.eoi(0x55, |ended| message = ended.message);
                    in_flight = 0;
                    message
                }
                _ => {
                    masked = flag;
                    let low = if flag { 0x1_8055 } else { 0x8055 };
                    let Effect::Pin { message, .. } = program(&mut chip, 7, low, 0) else { panic!() };
                    message
                }
            };
            in_flight += u32::from(message.is_some());
            prop_assert!(in_flight <= 1);
            prop_assert_eq!(chip.entry(7).unwrap().remote_irr(), in_flight == 1);
            if line && !masked { prop_assert_eq!(in_flight, 1); }
        }
    }
}
