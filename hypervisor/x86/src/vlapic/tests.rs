//! What a guest can observe of the local APIC.

use proptest::prelude::*;

use super::timer::Deadline;
use super::*;
use crate::interrupt::{Delivery, Destination, Message, Trigger, route};
use hv_core::types::VcpuId;

const NOW: Nanos = Nanos(1_000_000);

fn x2apic() -> Vlapic {
    let mut lapic = Vlapic::new(6, false, true);
    assert_eq!(lapic.msr_write(0x80f, 0x1ff, || NOW), Ok(Effect::None));
    lapic
}

fn xapic() -> Vlapic {
    let mut lapic = Vlapic::new(6, true, false);
    assert_eq!(lapic.mmio_write(0xf0, 4, 0x1ff, || NOW), Effect::None);
    lapic
}

#[test]
fn reset_values() {
    let mut lapic = Vlapic::new(6, true, false);
    assert_eq!(lapic.apic_base(), 0xfee0_0900);
    assert_eq!(lapic.mmio_base(), Some(Gpa(0xfee0_0000)));
    let mut read = |offset| lapic.mmio_read(offset, 4, || NOW);
    assert_eq!(read(0x20), 6 << 24);
    assert_eq!(read(0x30), 0x50014);
    assert_eq!(read(0xf0), 0xff);
    assert_eq!(read(0xe0), 0xffff_ffff);
    for lvt in [0x320, 0x330, 0x340, 0x350, 0x360, 0x370] {
        assert_eq!(read(lvt), 0x10000);
    }
    assert_eq!(Vlapic::new(0, true, true).apic_base(), 0xfee0_0d00);
    assert_eq!(Vlapic::new(0, true, true).mmio_base(), None);
}

#[test]
fn priorities_nest() {
    let mut lapic = x2apic();
    lapic.set_irr(0x35, false);
    lapic.set_irr(0x41, false);
    assert_eq!(lapic.highest_deliverable(), Some(0x41));
    lapic.ack(0x41);
    assert_eq!(lapic.ppr(), 0x40);
    assert_eq!(lapic.highest_deliverable(), None);
    lapic.set_irr(0x4f, false);
    assert_eq!(lapic.highest_deliverable(), None, "same class waits");
    assert!(!lapic.would_deliver(0x4f) && lapic.would_deliver(0x50));
    assert!(!Vlapic::new(0, true, true).would_deliver(0x50), "it is off");
    lapic.set_irr(0x50, false);
    assert_eq!(lapic.highest_deliverable(), Some(0x50));
    lapic.ack(0x50);
    assert_eq!(lapic.eoi(), None);
    assert_eq!(lapic.eoi(), None);
    assert_eq!(lapic.highest_deliverable(), Some(0x4f));
    lapic.set_cr8(4);
    assert_eq!(lapic.highest_deliverable(), None);
    assert_eq!(lapic.highest_pending(), Some(0x4f));
    assert_eq!(lapic.msr_read(0x808, || NOW), Ok(0x40));
}

#[test]
fn level_interrupts_are_reported_at_eoi() {
    let mut lapic = x2apic();
    lapic.set_irr(0x61, true);
    assert_eq!(lapic.msr_read(0x81b, || NOW), Ok(2));
    lapic.ack(0x61);
    assert_eq!(lapic.msr_write(0x80b, 0, || NOW), Ok(Effect::Eoi(0x61)));
    lapic.set_irr(0x61, false);
    lapic.ack(0x61);
    assert_eq!(lapic.msr_write(0x80b, 0, || NOW), Ok(Effect::None));
    assert_eq!(lapic.msr_write(0x80b, 0, || NOW), Ok(Effect::None), "nothing in service");
}

#[test]
fn disabled_by_software_holds_vectors() {
    let mut lapic = x2apic();
    lapic.set_irr(0x61, false);
    assert_eq!(lapic.msr_write(0x832, 0x30, || NOW), Ok(Effect::None));
    assert_eq!(lapic.msr_write(0x80f, 0xff, || NOW), Ok(Effect::None));
    assert_eq!(lapic.highest_deliverable(), None);
    assert_eq!(lapic.msr_read(0x832, || NOW), Ok(0x10030), "entries are masked");
    assert_eq!(lapic.msr_write(0x832, 0x30, || NOW), Ok(Effect::None));
    assert_eq!(lapic.msr_read(0x832, || NOW), Ok(0x10030), "and stay so");
    assert_eq!(lapic.msr_write(0x80f, 0x1ff, || NOW), Ok(Effect::None));
    assert_eq!(lapic.highest_deliverable(), Some(0x61));
}

#[test]
fn mode_changes() {
    let mut lapic = Vlapic::new(0x23, true, false);
    let base = 0xfee0_0000;
    assert_eq!(lapic.set_apic_base(base | 1), Err(GpFault), "reserved");
    assert_eq!(lapic.set_apic_base(1 << 52 | 0x900), Err(GpFault), "no address");
    assert_eq!(lapic.set_apic_base(base | 0x500), Err(GpFault), "x2APIC but disabled");
    assert_eq!(lapic.set_apic_base(base | 0xd00), Ok(Effect::None));
    assert_eq!(lapic.msr_read(0x80d, || NOW), Ok(2 << 16 | 8), "derived logical id");
    assert_eq!(lapic.set_apic_base(base | 0x900), Err(GpFault), "x2APIC to xAPIC");
    assert_eq!(lapic.set_apic_base(base | 0x100), Ok(Effect::Timer(None)));
    assert_eq!(lapic.set_apic_base(base | 0xd00), Err(GpFault), "disabled to x2APIC");
    assert_eq!(lapic.set_apic_base(base | 0x900), Ok(Effect::None));
    assert_eq!(lapic.mmio_base(), Some(Gpa(base)));
}

#[test]
fn x2apic_faults() {
    let lapic = xapic();
    assert_eq!(lapic.msr_read(0x802, || NOW), Err(GpFault), "not in x2APIC mode");
    let mut lapic = x2apic();
    for msr in [0x800, 0x80b, 0x80e, 0x831, 0x83f, 0x840, 0x8ff, 0x900, 0] {
        assert_eq!(lapic.msr_read(msr, || NOW), Err(GpFault), "read {msr:#x}");
    }
    for (msr, value) in [
        (0x802, 0),
        (0x803, 0),
        (0x80a, 0),
        (0x80b, 1),
        (0x80d, 1),
        (0x80f, 1 << 12),
        (0x808, 1 << 8),
        (0x828, 1),
        (0x830, 1 << 13),
        (0x832, 1 << 32),
        (0x839, 1),
        (0x83e, 4),
    ] {
        assert_eq!(lapic.msr_write(msr, value, || NOW), Err(GpFault), "write {msr:#x}");
    }
}

#[test]
fn commands_become_messages() {
    let mut lapic = x2apic();
    let fixed = |vector, destination| {
        Effect::Ipi(Message {
            vector,
            delivery: Delivery::Fixed,
            trigger: Trigger::Edge,
            destination,
        })
    };
    let mut send = |icr| lapic.msr_write(0x830, icr, || NOW);
    assert_eq!(send(4 << 32 | 0xfd), Ok(fixed(0xfd, Destination::Physical(4))));
    assert_eq!(send(0x1_0001 << 32 | 0x8fd), Ok(fixed(0xfd, Destination::Logical(0x1_0001))));
    assert_eq!(send(0xffff_ffff << 32 | 0xfd), Ok(fixed(0xfd, Destination::All)));
    assert_eq!(send(0xc_00fd), Ok(fixed(0xfd, Destination::Others)));
    assert_eq!(send(0x4_00fd), Ok(Effect::None), "to itself");
    assert_eq!(lapic.highest_deliverable(), Some(0xfd));
    let Ok(Effect::Ipi(init)) = lapic.msr_write(0x830, 2 << 32 | 0xc500, || NOW) else { panic!() };
    assert_eq!(init.delivery, Delivery::Init);
    assert_eq!(lapic.msr_write(0x830, 2 << 32 | 0x8500, || NOW), Ok(Effect::None), "de-assert");
    let Ok(Effect::Ipi(sipi)) = lapic.msr_write(0x830, 2 << 32 | 0x698, || NOW) else { panic!() };
    assert_eq!((sipi.delivery, sipi.vector), (Delivery::StartUp, 0x98));

    let mut lapic = xapic();
    assert_eq!(lapic.mmio_write(0x310, 4, 4 << 24, || NOW), Effect::None);
    assert_eq!(lapic.mmio_write(0x300, 4, 0xfd, || NOW), fixed(0xfd, Destination::Physical(4)));
    assert_eq!(lapic.mmio_read(0x310, 4, || NOW), 4 << 24);
    assert_eq!(lapic.mmio_write(0x310, 4, 0xff << 24, || NOW), Effect::None);
    assert_eq!(lapic.mmio_write(0x300, 4, 0xfd, || NOW), fixed(0xfd, Destination::All));
}

#[test]
fn illegal_vectors_are_errors() {
    let mut lapic = x2apic();
    assert_eq!(lapic.msr_write(0x837, 0xfe, || NOW), Ok(Effect::None));
    assert_eq!(lapic.msr_write(0x830, 2 << 32 | 0x0f, || NOW), Ok(Effect::None));
    assert_eq!(lapic.highest_deliverable(), Some(0xfe));
    assert_eq!(lapic.msr_read(0x828, || NOW), Ok(0), "not latched yet");
    lapic.set_irr(3, false);
    assert_eq!(lapic.msr_write(0x828, 0, || NOW), Ok(Effect::None));
    assert_eq!(lapic.msr_read(0x828, || NOW), Ok(0x60));
    assert_eq!(lapic.msr_write(0x828, 0, || NOW), Ok(Effect::None));
    assert_eq!(lapic.msr_read(0x828, || NOW), Ok(0));
    // An error entry that is itself illegal ends here.
    assert_eq!(lapic.msr_write(0x837, 1, || NOW), Ok(Effect::None));
    lapic.set_irr(3, false);
}

#[test]
fn timer_one_shot_and_periodic() {
    let mut lapic = x2apic();
    let at = |ns| Deadline::At(Nanos(ns));
    assert_eq!(lapic.msr_write(0x832, 0x40, || NOW), Ok(Effect::None));
    assert_eq!(lapic.msr_write(0x83e, 0xb, || NOW), Ok(Effect::Timer(None)));
    let armed = lapic.msr_write(0x838, 100_000, || NOW);
    assert_eq!(armed, Ok(Effect::Timer(Some(at(2_000_000)))));
    assert_eq!(lapic.msr_read(0x839, || Nanos(1_400_000)), Ok(60_000));
    assert_eq!(lapic.expire_timer(Nanos(1_999_999), 0), Some(at(2_000_000)));
    assert!(!lapic.has_pending());
    assert_eq!(lapic.expire_timer(Nanos(2_000_000), 0), None);
    assert_eq!(lapic.highest_deliverable(), Some(0x40));
    assert_eq!(lapic.msr_read(0x839, || Nanos(2_100_000)), Ok(0));

    assert_eq!(lapic.msr_write(0x832, 0x20040, || NOW), Ok(Effect::Timer(None)));
    let armed = lapic.msr_write(0x838, 100_000, || NOW);
    assert_eq!(armed, Ok(Effect::Timer(Some(at(2_000_000)))));
    assert_eq!(lapic.expire_timer(Nanos(2_000_100), 0), Some(at(3_000_000)));
    assert_eq!(lapic.expire_timer(Nanos(7_500_000), 0), Some(at(8_000_000)), "missed ticks join");
    assert_eq!(lapic.msr_read(0x839, || Nanos(7_500_000)), Ok(50_000));
    // Divide by 2 (register value 0) halves the tick of 1's twice: the rest takes twice as long.
    let changed = lapic.msr_write(0x83e, 0, || Nanos(7_500_000));
    assert_eq!(changed, Ok(Effect::Timer(Some(at(8_500_000)))));
    assert_eq!(lapic.msr_write(0x838, 0, || NOW), Ok(Effect::Timer(None)));
}

#[test]
fn tiny_periods_are_held_back() {
    let mut lapic = x2apic();
    assert_eq!(lapic.msr_write(0x832, 0x20040, || NOW), Ok(Effect::Timer(None)));
    assert!(lapic.msr_write(0x838, 1, || NOW).is_ok());
    let Some(Deadline::At(next)) = lapic.expire_timer(Nanos(NOW.0 + 20), 0) else { panic!() };
    assert!(next.0 >= NOW.0 + 100_000 && next.0 < NOW.0 + 101_000);
    assert_eq!(lapic.msr_read(0x839, || Nanos(NOW.0 + 30)), Ok(1));
}

#[test]
fn tsc_deadline() {
    let mut lapic = x2apic();
    assert_eq!(lapic.set_tsc_deadline(5000), Effect::None, "wrong mode");
    assert_eq!(lapic.msr_write(0x832, 0x40040, || NOW), Ok(Effect::Timer(None)));
    assert_eq!(lapic.msr_write(0x838, 7, || NOW), Ok(Effect::None), "the count is ignored");
    assert_eq!(lapic.set_tsc_deadline(5000), Effect::Timer(Some(Deadline::Tsc(5000))));
    assert_eq!(lapic.expire_timer(NOW, 4999), Some(Deadline::Tsc(5000)));
    assert_eq!(lapic.expire_timer(NOW, 5000), None);
    assert_eq!(lapic.tsc_deadline(), 0);
    assert_eq!(lapic.highest_deliverable(), Some(0x40));
    assert_eq!(lapic.set_tsc_deadline(9000), Effect::Timer(Some(Deadline::Tsc(9000))));
    assert_eq!(lapic.msr_write(0x832, 0x40, || NOW), Ok(Effect::Timer(None)), "disarmed");
}

fn targets(message: Message, sender: u32, lapics: &[Vlapic]) -> std::vec::Vec<u32> {
    let mut found = std::vec::Vec::new();
    let identity = |vcpu: VcpuId| lapics.get(vcpu.0 as usize).map(Vlapic::identity);
    route(&message, Some(VcpuId(sender)), lapics.len() as u32, identity, |vcpu| found.push(vcpu.0));
    found
}

#[test]
fn routing() {
    let mut lapics: std::vec::Vec<_> = (0..4).map(|n| Vlapic::new(2 * n, n == 0, false)).collect();
    let fixed = |destination| Message {
        vector: 0x31,
        delivery: Delivery::Fixed,
        trigger: Trigger::Edge,
        destination,
    };
    assert!(targets(fixed(Destination::All), 0, &lapics).is_empty(), "disabled by software");
    let init = Message { delivery: Delivery::Init, ..fixed(Destination::Others) };
    assert_eq!(targets(init, 1, &lapics), [0, 2, 3], "INIT does not ask for that");
    for (n, lapic) in lapics.iter_mut().enumerate() {
        lapic.mmio_write(0xf0, 4, 0x1ff, || NOW);
        lapic.mmio_write(0xd0, 4, 1 << (24 + n), || NOW);
    }
    assert_eq!(targets(fixed(Destination::Physical(4)), 0, &lapics), [2]);
    assert!(targets(fixed(Destination::Physical(3)), 0, &lapics).is_empty());
    assert!(targets(fixed(Destination::Physical(8)), 0, &lapics).is_empty());
    assert_eq!(targets(fixed(Destination::All), 2, &lapics), [0, 1, 2, 3]);
    assert_eq!(targets(fixed(Destination::Myself), 2, &lapics), [2]);
    assert_eq!(targets(fixed(Destination::Logical(0xa)), 0, &lapics), [1, 3], "flat");
    let any = Message { delivery: Delivery::LowestPriority, ..fixed(Destination::Logical(0xa)) };
    assert_eq!(targets(any, 0, &lapics), [3]);
    assert_eq!(targets(Message { vector: 0x32, ..any }, 0, &lapics), [1]);
    for (n, lapic) in lapics.iter_mut().enumerate() {
        lapic.mmio_write(0xe0, 4, 0x0fff_ffff, || NOW);
        lapic.mmio_write(0xd0, 4, 0x1000_0000 * (n as u64 / 2) + (1 << (24 + n % 2)), || NOW);
    }
    assert_eq!(targets(fixed(Destination::Logical(0x13)), 0, &lapics), [2, 3], "cluster");
    assert_eq!(targets(fixed(Destination::Logical(0xff)), 0, &lapics), [0, 1, 2, 3]);
    let x2apic: std::vec::Vec<_> = (0..20)
        .map(|n| {
            let mut lapic = Vlapic::new(2 * n, n == 0, true);
            assert!(lapic.msr_write(0x80f, 0x1ff, || NOW).is_ok());
            lapic
        })
        .collect();
    assert_eq!(targets(fixed(Destination::Logical(0x1_0005)), 0, &x2apic), [8, 9]);
}

#[test]
fn msi_addresses() {
    assert_eq!(Message::from_msi(0xfed0_0000, 0x31), None);
    let message = Message::from_msi(0xfee0_6000, 0x31).unwrap();
    assert_eq!(message.destination, Destination::Physical(6));
    assert_eq!(message.delivery, Delivery::Fixed);
    let message = Message::from_msi(0xfee0_300c, 0x8131).unwrap();
    assert_eq!(message.destination, Destination::Logical(3));
    assert_eq!(message.delivery, Delivery::LowestPriority);
    assert_eq!(message.trigger, Trigger::Level);
    assert_eq!(Message::from_msi(0xfeef_f000, 0).unwrap().destination, Destination::All);
}

#[test]
fn posting_reaches_the_state_once() {
    let shared = SharedVlapic::new(x2apic());
    assert!(!shared.may_have_pending());
    assert!(shared.post(0x51, Trigger::Level));
    assert!(!shared.post(0x51, Trigger::Level), "already on its way");
    assert!(shared.may_have_pending());
    assert_eq!(shared.with(|lapic| lapic.highest_deliverable()), Some(0x51));
    assert!(shared.may_have_pending(), "not taken yet");
    shared.with(|lapic| lapic.ack(0x51));
    assert!(!shared.may_have_pending());
    assert_eq!(shared.with(Vlapic::eoi), Some(0x51));
    assert!(shared.post(2, Trigger::Edge));
    assert_eq!(shared.with(|lapic| lapic.highest_pending()), None);
    assert_eq!(shared.with(|lapic| (lapic.esr_pending.bits(), lapic.has_pending())), (0x40, false));
    assert!(shared.post(0x51, Trigger::Edge));
    shared.reset();
    assert!(!shared.may_have_pending());
}

#[test]
fn partial_and_stray_accesses() {
    let mut lapic = xapic();
    assert_eq!(lapic.mmio_read(0x32, 1, || NOW), 0x05);
    assert_eq!(lapic.mmio_read(0x30, 8, || NOW), 0x50014);
    assert_eq!(lapic.mmio_read(0x34, 4, || NOW), 0);
    lapic.mmio_write(0x84, 4, 0xff, || NOW);
    lapic.mmio_write(0x80, 1, 0xff, || NOW);
    assert_eq!(lapic.mmio_read(0x80, 4, || NOW), 0);
    assert_eq!(lapic.mmio_read(0x3f00, 4, || NOW), 0, "far outside");
    lapic.mmio_write(0x280, 4, 0, || NOW);
    assert_eq!(lapic.mmio_read(0x280, 4, || NOW), 0x80);
}

#[test]
fn save_and_restore() {
    for mut lapic in [x2apic(), xapic()] {
        if lapic.is_x2apic() {
            lapic.msr_write(0x832, 0x20045, || NOW).unwrap();
            lapic.msr_write(0x838, 50_000, || NOW).unwrap();
            lapic.msr_write(0x830, 0xffff_ffff_0000_00fd, || NOW).unwrap();
        } else {
            lapic.mmio_write(0xd0, 4, 0x4000_0000, || NOW);
            lapic.mmio_write(0x370, 4, 0xfe, || NOW);
            lapic.mmio_write(0x310, 4, 0x0300_0000, || NOW);
        }
        lapic.set_cr8(3);
        lapic.set_irr(0x51, true);
        lapic.set_irr(0xe1, false);
        lapic.ack(0xe1);
        let later = Nanos(NOW.0 + 400_000);
        let (hidden, regs) = lapic.save(later);
        let mut copy = Vlapic::new(6, !lapic.is_x2apic(), false);
        assert_eq!(copy.restore(&hidden), Ok(()));
        copy.restore_regs(&regs, later);
        assert_eq!(copy.save(later), (hidden, regs));
        assert_eq!(copy.identity(), lapic.identity());
        assert_eq!(copy.deadline(), lapic.deadline());
        assert_eq!(copy.ppr(), 0xe0);
    }
    let (mut hidden, mut regs) = x2apic().save(NOW);
    hidden.apic_base_msr = 0xfee0_0400;
    assert_eq!(x2apic().restore(&hidden), Err(GpFault));
    regs.data.fill(0xff);
    let mut lapic = x2apic();
    lapic.restore_regs(&regs, NOW);
    assert_eq!(lapic.highest_pending(), Some(255));
    (0..=255).for_each(|vector| lapic.irr.remove(vector.max(16)));
    assert!(!lapic.has_pending(), "no vector below 16");
}

proptest! {
    /// Any sequence of accesses and interrupts keeps to the rules of priority, and a vector
    /// that was delivered was asked for.
    #[test]
    fn random_accesses(x2 in any::<bool>(), steps in proptest::collection::vec(
        (0u8..6, any::<u16>(), any::<u64>(), any::<u32>()), 0..200)) {
        let mut lapic = Vlapic::new(4, true, x2);
        let mut now = 0u64;
        for (kind, what, value, advance) in steps {
            now += u64::from(advance);
            let clock = || Nanos(now);
            match kind {
                0 => { lapic.mmio_write(what & 0xfff, (what >> 12) as u8, value, clock); }
                1 => { let _ = lapic.msr_write(0x800 + u32::from(what & 0x3f), value & 0xfffff, clock); }
                2 => { let _ = lapic.msr_read(0x800 + u32::from(what), clock);
                       lapic.mmio_read(what, 8, clock); }
                3 => lapic.set_irr(what as u8, value & 1 != 0),
                4 => { let _ = lapic.set_apic_base(value & 0xd00 | 0xfee0_0000); }
                _ => { lapic.expire_timer(Nanos(now), now); }
            }
            if let Some(vector) = lapic.highest_deliverable() {
                prop_assert!(vector >= 16);
                prop_assert!(vector & 0xf0 > lapic.ppr() & 0xf0);
                if what & 1 != 0 {
                    lapic.ack(vector);
                    prop_assert_eq!(lapic.ppr(), vector & 0xf0);
                }
            }
            if what & 0x100 != 0 { lapic.eoi(); }
        }
    }
}
