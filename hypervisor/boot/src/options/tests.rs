use std::string::String;
use std::vec::Vec;

use super::*;

fn parse(line: &str) -> (Options, Vec<String>) {
    let mut rejected = Vec::new();
    let options = Options::parse(line.as_bytes(), &mut |word| {
        rejected.push(std::format!("{word}"));
    });
    (options, rejected)
}

#[test]
fn an_empty_line_gives_the_defaults() {
    assert_eq!(parse("  "), (Options::default(), Vec::new()));
}

#[test]
fn amounts_of_memory() {
    let amount = |text: &str| {
        let (options, rejected) = parse(&std::format!("dom0_mem={text}"));
        rejected.is_empty().then_some(options.dom0_memory.amount).flatten()
    };
    let of = |text: &str| amount(text).map(|amount| amount.of(4 << 30));
    assert_eq!(of("25%"), Some((4 << 30) / 100 * 25));
    assert_eq!(of("512M+10%"), Some((512 << 20) + (4 << 30) / 100 * 10));
    assert_eq!(of("-1G"), Some(3 << 30));
    assert_eq!(of("2G"), Some(2 << 30));
    assert_eq!(of("100%"), Some((4 << 30) / 100 * 100));
    for wrong in ["101%", "%", "-10%", "10%+1G", "1G+", "x%"] {
        assert_eq!(amount(wrong), None, "{wrong}");
    }
}

#[test]
fn the_usual_line_is_understood() {
    let (options, rejected) = parse(
        "console=com1,vga com1=115200,8n1 dom0_mem=512M,max:1G dom0_max_vcpus=2 \
         loglvl=all guest_loglvl=error/all noreboot sync_console vga=keep x2apic=0",
    );
    assert_eq!(rejected, Vec::<String>::new());
    assert_eq!(options.consoles, Consoles { com: [true, false], vga: true });
    assert_eq!(options.dom0_memory.amount, Some(MemoryAmount::Bytes(512 << 20)));
    assert_eq!(options.dom0_memory.max, Some(MemoryAmount::Bytes(1 << 30)));
    assert_eq!(options.dom0_vcpus, Some(Dom0Vcpus { min: 1, max: 2 }));
    assert_eq!(options.log, Threshold { always: Level::Debug, limited: Level::Debug });
    assert_eq!(options.guest_log, Threshold { always: Level::Error, limited: Level::Debug });
    assert!(options.no_reboot && options.sync_console && options.vga_keep);
    assert_eq!(options.x2apic, Some(false));
}

#[test]
fn what_is_not_understood_is_named_and_changes_nothing() {
    let (options, rejected) = parse("frobnicate=1 console=lpt1 noreboot=maybe nofoo -- noreboot");
    assert_eq!(options, Options::default());
    assert_eq!(rejected.len(), 4);
    assert_eq!(rejected[0], "unknown option \"frobnicate=1\" ignored");
    assert_eq!(rejected[1], "option \"console=lpt1\" ignored: its value is not understood");
}

#[test]
fn booleans_can_be_negated() {
    assert!(!parse("no-smap").0.smap);
    assert!(!parse("nosmep").0.smep);
    assert!(!parse("smep=off").0.smep);
    assert!(parse("no-smap=0").0.smap);
    assert_eq!(parse("no-x2apic").0.x2apic, Some(false));
    assert!(!parse("iommu=off").0.iommu);
    assert!(!parse("iommu=on,no-intremap").0.interrupt_remapping);
}

#[test]
fn serial_lines_take_every_part() {
    let com = parse("com2=9600/1843200,7e2,0x3e8,5").0.com[1];
    assert_eq!(com.baud, Some(9600));
    assert_eq!(com.clock, 115_200);
    assert_eq!((com.data_bits, com.parity, com.stop_bits), (7, Parity::Even, 2));
    assert_eq!((com.io_base, com.irq), (0x3E8, 5));
    assert_eq!(parse("com1=auto,,0x2f8").0.com[0].baud, None);
    for wrong in ["com1=0", "com1=9600,9n1", "com1=9600,8n1,0x3f8,16", "com1=1,8n1,1,1,1"] {
        assert_eq!(parse(wrong).1.len(), 1, "{wrong}");
    }
}

#[test]
fn sizes_count_kib_without_a_unit() {
    assert_eq!(parse_size(b"1024"), Some(1 << 20));
    assert_eq!(parse_size(b"7b"), Some(7));
    assert_eq!(parse_size(b"0x1M"), Some(1 << 20));
    assert_eq!(parse_size(b"2T"), Some(2 << 40));
    for wrong in [&b""[..], b"M", b"1x", b"-1M", b"99999999999999999999", b"99999999999999T"] {
        assert_eq!(parse_size(wrong), None);
    }
}

#[test]
fn vcpu_counts_are_ranges() {
    assert_eq!(parse("dom0_max_vcpus=2-4").0.dom0_vcpus, Some(Dom0Vcpus { min: 2, max: 4 }));
    assert_eq!(parse("dom0_max_vcpus=-4").0.dom0_vcpus, Some(Dom0Vcpus { min: 1, max: 4 }));
    assert_eq!(parse("dom0_max_vcpus=2-").0.dom0_vcpus, Some(Dom0Vcpus { min: 2, max: u32::MAX }));
    for wrong in ["dom0_max_vcpus=0", "dom0_max_vcpus=4-2", "dom0_max_vcpus=x"] {
        assert_eq!(parse(wrong).1.len(), 1, "{wrong}");
    }
}

proptest::proptest! {
    #[test]
    fn no_line_panics(line in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Options::parse(&line, &mut |_| {});
    }
}
