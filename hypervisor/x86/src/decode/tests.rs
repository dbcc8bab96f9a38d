//! Instructions by their bytes, on a machine of 64 KiB with one device page.

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use iced_x86::{Decoder, DecoderOptions};
use proptest::prelude::*;

use super::length::control_move;
use super::mmio::{Faulted, emulate};
use super::string::{ELEMENTS_PER_EXIT, PortString, outs_segment, port_io};
use super::*;
use crate::fault::PageFault;

/// Identity-mapped memory. Linear addresses count modulo its size.
struct Machine {
    memory: Vec<u8>,
    missing: BTreeSet<u64>,
    read_only: BTreeSet<u64>,
    translations: usize,
    ports: Vec<(u16, u8, u32)>,
    next_input: u32,
}

impl Machine {
    fn new() -> Self {
        Self {
            memory: (0..0x10000u32).map(|n| (n ^ n >> 8) as u8).collect(),
            missing: BTreeSet::new(),
            read_only: BTreeSet::new(),
            translations: 0,
            ports: Vec::new(),
            next_input: 0,
        }
    }

    fn value(&self, at: usize, bytes: usize) -> u64 {
        let mut value = [0; 8];
        value[..bytes].copy_from_slice(&self.memory[at..at + bytes]);
        u64::from_le_bytes(value)
    }

    fn set(&mut self, at: usize, bytes: usize, value: u64) {
        self.memory[at..at + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
    }
}

impl Bus for Machine {
    fn translate(&mut self, linear: u64, kind: Kind) -> Result<Gpa, Exception> {
        self.translations += 1;
        let page = (linear & 0xffff) >> 12;
        if self.missing.contains(&page) || kind == Kind::Write && self.read_only.contains(&page) {
            return Err(
                PageFault { address: linear, code: u32::from(kind == Kind::Write) * 2 }.into()
            );
        }
        Ok(Gpa(linear & 0xffff))
    }
    fn read(&mut self, gpa: Gpa, into: &mut [u8]) {
        assert!(gpa.offset() + into.len() <= 4096);
        into.copy_from_slice(&self.memory[gpa.0 as usize..][..into.len()]);
    }
    fn write(&mut self, gpa: Gpa, from: &[u8]) {
        assert!(gpa.offset() + from.len() <= 4096);
        self.memory[gpa.0 as usize..][..from.len()].copy_from_slice(from);
    }
    fn input(&mut self, port: u16, bytes: u8) -> u32 {
        self.next_input += 1;
        self.ports.push((port, bytes, self.next_input));
        self.next_input
    }
    fn output(&mut self, port: u16, bytes: u8, value: u32) {
        self.ports.push((port, bytes, value));
    }
}

fn cpu(registers: &mut Registers, code: CodeSize) -> Cpu<'_> {
    Cpu { registers, segments: SegmentBases::default(), code }
}

/// Registers that differ from each other: register n holds n * 0x1111..., RIP is 0x1000.
fn registers() -> Registers {
    let mut gpr = [0; 16];
    for (n, register) in (0u64..).zip(&mut gpr) {
        *register = n * 0x1111_1111_1111_1111;
    }
    Registers { gpr, rip: 0x1000, rflags: 2 }
}

fn run64(
    bytes: &[u8],
    r: &mut Registers,
    m: &mut Machine,
    gpa: u64,
) -> Result<Outcome, EmulateError> {
    let faulted = Faulted { gpa: Gpa(gpa), write: true };
    emulate(faulted, &Code::from_bytes(bytes), &mut cpu(r, CodeSize::Bits64), m)
}

/// Runs one instruction on `[rbx]` = 0x8010, which holds 0x8877665544332211.
fn on_rbx(bytes: &[u8]) -> (Registers, Machine) {
    let (mut r, mut m) = (registers(), Machine::new());
    r.set(Gpr::RBX, 0x8010);
    m.set(0x8010, 8, 0x8877_6655_4433_2211);
    assert_eq!(run64(bytes, &mut r, &mut m, 0x8010), Ok(Outcome::Done), "{bytes:02x?}");
    assert_eq!(r.rip, 0x1000 + bytes.len() as u64);
    assert_eq!(m.translations, 0, "the exit has told the address");
    (r, m)
}

#[test]
fn loads() {
    let rax = |bytes: &[u8]| on_rbx(bytes).0.get(Gpr::RAX);
    let rcx = |bytes: &[u8]| on_rbx(bytes).0.get(Gpr::RCX);
    assert_eq!(rax(&[0x48, 0x8b, 0x03]), 0x8877_6655_4433_2211);
    assert_eq!(rax(&[0x8b, 0x03]), 0x4433_2211);
    assert_eq!(rcx(&[0x66, 0x8b, 0x0b]), 0x1111_1111_1111_2211);
    assert_eq!(rcx(&[0x8a, 0x0b]), 0x1111_1111_1111_1111);
    assert_eq!(rcx(&[0x8a, 0x2b]), 0x1111_1111_1111_1111, "CH");
    assert_eq!(rcx(&[0x0f, 0xb6, 0x4b, 0x07]), 0x88);
    assert_eq!(rcx(&[0x0f, 0xb7, 0x4b, 0x06]), 0x8877);
    assert_eq!(rcx(&[0x0f, 0xbe, 0x4b, 0x07]), 0xffff_ff88);
    assert_eq!(rcx(&[0x48, 0x0f, 0xbf, 0x4b, 0x06]), 0xffff_ffff_ffff_8877);
    assert_eq!(rcx(&[0x48, 0x63, 0x4b, 0x04]), 0xffff_ffff_8877_6655);
    assert_eq!(rcx(&[0x0f, 0x38, 0xf0, 0x0b]), 0x1122_3344, "MOVBE");
    let (r, _) = on_rbx(&[0x44, 0x8a, 0x3b]);
    assert_eq!(r.gpr[15], 0xffff_ffff_ffff_ff11, "R15B");
    let (r, _) = on_rbx(&[0x40, 0x8a, 0x3b]);
    assert_eq!(r.get(Gpr::RDI), 0x7777_7777_7777_7711, "DIL");
    let (r, _) = on_rbx(&[0x8a, 0x3b]);
    assert_eq!(r.get(Gpr::RBX), 0x1110, "BH, the base itself");
}

#[test]
fn stores() {
    let stored = |bytes: &[u8]| on_rbx(bytes).1.value(0x8010, 8);
    assert_eq!(stored(&[0x48, 0x89, 0x0b]), 0x1111_1111_1111_1111);
    assert_eq!(stored(&[0x89, 0x13]), 0x8877_6655_2222_2222);
    assert_eq!(stored(&[0x66, 0x89, 0x13]), 0x8877_6655_4433_2222);
    assert_eq!(stored(&[0x88, 0x33]), 0x8877_6655_4433_2222, "DH is 0x22 too");
    assert_eq!(stored(&[0xc6, 0x03, 0x5a]), 0x8877_6655_4433_225a);
    assert_eq!(stored(&[0xc7, 0x03, 1, 2, 3, 4]), 0x8877_6655_0403_0201);
    assert_eq!(stored(&[0x48, 0xc7, 0x03, 0xff, 0xff, 0xff, 0xff]), u64::MAX);
    assert_eq!(stored(&[0x66, 0xc7, 0x03, 1, 2]), 0x8877_6655_4433_0201);
    assert_eq!(stored(&[0x0f, 0xc3, 0x13]), 0x8877_6655_2222_2222, "MOVNTI");
}

#[test]
fn arithmetic() {
    let carry = |r: &Registers| r.rflags & 1 != 0;
    let zero = |r: &Registers| r.rflags & 0x40 != 0;
    let (r, m) = on_rbx(&[0x09, 0x13]);
    assert_eq!(m.value(0x8010, 4), 0x6633_2233, "OR m, r: 0x44332211 | 0x22222222");
    assert!(!zero(&r));
    let (_, m) = on_rbx(&[0x83, 0x23, 0xf0]);
    assert_eq!(m.value(0x8010, 8), 0x8877_6655_4433_2210, "AND m32, sign-extended imm8");
    let (r, m) = on_rbx(&[0x80, 0x33, 0x11]);
    assert_eq!((m.value(0x8010, 1), zero(&r)), (0, true), "XOR m8, imm8");
    let (r, m) = on_rbx(&[0xf6, 0x03, 0x10]);
    assert_eq!((m.value(0x8010, 1), zero(&r)), (0x11, false), "TEST m8, imm8");
    let (r, _) = on_rbx(&[0x85, 0x0b]);
    assert!(!zero(&r) && r.get(Gpr::RCX) == 0x1111_1111_1111_1111, "TEST m, r");
    let (r, m) = on_rbx(&[0x81, 0x3b, 0x11, 0x22, 0x33, 0x44]);
    assert!(zero(&r) && m.value(0x8010, 4) == 0x4433_2211, "CMP m, imm32");
    let (r, _) = on_rbx(&[0x3b, 0x13]);
    assert!(carry(&r) && r.get(Gpr::RDX) == 0x2222_2222_2222_2222, "CMP r, m");
    let (r, _) = on_rbx(&[0x0b, 0x13]);
    assert_eq!(r.get(Gpr::RDX), 0x6633_2233, "OR r, m");
    let (r, m) = on_rbx(&[0x87, 0x13]);
    assert_eq!((m.value(0x8010, 4), r.get(Gpr::RDX)), (0x2222_2222, 0x4433_2211), "XCHG");
    let (_, m) = on_rbx(&[0xfe, 0x03]);
    assert_eq!(m.value(0x8010, 2), 0x2212, "INC m8");
    let (_, m) = on_rbx(&[0xf0, 0xff, 0x0b]);
    assert_eq!(m.value(0x8010, 2), 0x2210, "LOCK DEC m32");
    let (_, m) = on_rbx(&[0xf6, 0x13]);
    assert_eq!(m.value(0x8010, 1), 0xee, "NOT");
    let (r, m) = on_rbx(&[0xf6, 0x1b]);
    assert_eq!((m.value(0x8010, 1), carry(&r)), (0xef, true), "NEG");
    let (r, m) = on_rbx(&[0x0f, 0xc1, 0x13]);
    assert_eq!((m.value(0x8010, 4), r.get(Gpr::RDX)), (0x6655_4433, 0x4433_2211), "XADD");
    let (r, m) = on_rbx(&[0x0f, 0xb1, 0x13]);
    assert_eq!((m.value(0x8010, 4), r.get(Gpr::RAX)), (0x4433_2211, 0x4433_2211), "CMPXCHG");
    let (r, m) = on_rbx(&[0x0f, 0xba, 0x2b, 0x21]);
    assert_eq!((m.value(0x8010, 1), carry(&r)), (0x13, false), "BTS m32, 33 is bit 1");
    let (r, _) = on_rbx(&[0x0f, 0xba, 0x23, 0x04]);
    assert!(carry(&r), "BT");
}

#[test]
fn addresses() {
    let check =
        |bytes: &[u8], size, at: u64, setup: &dyn Fn(&mut Registers), bases: SegmentBases| {
            let (mut r, mut m) = (registers(), Machine::new());
            setup(&mut r);
            // A wrong address shows as one that differs below the page from what the exit says.
            let mut cpu = Cpu { registers: &mut r, segments: bases, code: size };
            let faulted = Faulted { gpa: Gpa(at & !0xfff), write: true };
            m.set(at as usize, 2, 0xbeef);
            let code = Code::from_bytes(bytes);
            assert_eq!(emulate(faulted, &code, &mut cpu, &mut m), Ok(Outcome::Done));
            assert_eq!(r.get(Gpr::RAX) & 0xffff, 0xbeef, "{bytes:02x?}");
        };
    let flat = SegmentBases { fs: 0x100, gs: 0x200, ds: 0x300, ss: 0x400, ..Default::default() };
    use CodeSize::{Bits16, Bits32, Bits64};
    // mov ax, [rcx + rdx*4 + 0x10]
    check(
        &[0x66, 0x8b, 0x44, 0x91, 0x10],
        Bits64,
        0x8030,
        &|r| {
            r.set(Gpr::RCX, 0x8000);
            r.set(Gpr::RDX, 8);
        },
        flat,
    );
    // mov ax, [rip + 0x20]: relative to the next instruction.
    check(&[0x66, 0x8b, 0x05, 0x20, 0, 0, 0], Bits64, 0x1027, &|_| (), flat);
    // The same in an address size of 32 bits, below zero.
    check(&[0x67, 0x66, 0x8b, 0x05, 0xf0, 0xff, 0xff, 0xff], Bits64, 0x0ff8, &|_| (), flat);
    // mov ax, gs:[0x7f00]
    check(&[0x65, 0x66, 0x8b, 0x04, 0x25, 0, 0x7f, 0, 0], Bits64, 0x8100, &|_| (), flat);
    // mov ax, moffs64
    check(&[0x66, 0xa1, 0x12, 0x80, 0, 0, 0, 0, 0, 0], Bits64, 0x8012, &|_| (), flat);
    // mov ax, [ecx + 0x10] in 64-bit mode: wraps at 32 bits.
    check(
        &[0x67, 0x66, 0x8b, 0x41, 0x10],
        Bits64,
        0x8010,
        &|r| {
            r.set(Gpr::RCX, 0xdead_0000_0000_8000);
        },
        flat,
    );
    // mov ax, [ebp + 8] in 32-bit code: the stack segment.
    check(&[0x66, 0x8b, 0x45, 0x08], Bits32, 0x8408, &|r| r.set(Gpr::RBP, 0x8000), flat);
    // mov ax, [bx + si + 2] in 16-bit code: wraps at 64 KiB.
    check(
        &[0x8b, 0x40, 0x02],
        Bits16,
        0x8302,
        &|r| {
            r.set(Gpr::RBX, 0xf000);
            r.set(Gpr::RSI, 0x9000);
        },
        flat,
    );
    // mov ax, fs:[0x8000] in 16-bit code.
    check(&[0x64, 0xa1, 0x00, 0x80], Bits16, 0x8100, &|_| (), flat);
    // 32-bit segments wrap at 4 GiB.
    let high = SegmentBases { ds: 0xffff_f000, ..flat };
    check(&[0x66, 0x8b, 0x01], Bits32, 0x8000, &|r| r.set(Gpr::RCX, 0x9000), high);
}

#[test]
fn operands_across_pages_are_translated() {
    let (mut r, mut m) = (registers(), Machine::new());
    r.set(Gpr::RBX, 0x8ffe);
    m.set(0x8ffe, 4, 0x1234_5678);
    assert_eq!(run64(&[0x8b, 0x03], &mut r, &mut m, 0x9000), Ok(Outcome::Done));
    assert_eq!(r.get(Gpr::RAX), 0x1234_5678);
    assert_eq!(m.translations, 2);
    m.missing.insert(9);
    let before = m.memory.clone();
    let fault = PageFault { address: 0x9000, code: 2 };
    assert_eq!(run64(&[0x89, 0x03], &mut r, &mut m, 0x8ffe), Err(fault.into()));
    assert!(m.memory == before, "nothing was written");
}

#[test]
fn changing_a_page_that_was_only_read_needs_the_right_to_write() {
    let (mut r, mut m) = (registers(), Machine::new());
    r.set(Gpr::RBX, 0x8000);
    m.read_only.insert(8);
    let faulted = Faulted { gpa: Gpa(0x8000), write: false };
    let code = Code::from_bytes(&[0x09, 0x13]);
    let before = r;
    let result = emulate(faulted, &code, &mut cpu(&mut r, CodeSize::Bits64), &mut m);
    assert_eq!(result, Err(PageFault { address: 0x8000, code: 2 }.into()));
    assert_eq!(r, before);
}

#[test]
fn strings() {
    let (mut r, mut m) = (registers(), Machine::new());
    r.set(Gpr::RCX, 3);
    r.set(Gpr::RSI, 0x7ffc);
    r.set(Gpr::RDI, 0x9000);
    let want = m.memory[0x7ffc..0x8008].to_vec();
    assert_eq!(run64(&[0xf3, 0xa5], &mut r, &mut m, 0x8000), Ok(Outcome::Done));
    assert_eq!(m.memory[0x9000..0x900c], want);
    assert_eq!((r.get(Gpr::RCX), r.get(Gpr::RSI), r.get(Gpr::RDI)), (0, 0x8008, 0x900c));
    assert_eq!(r.rip, 0x1002);
    // Backwards, without repetition.
    r.rflags |= Rflags::DF.bits();
    assert_eq!(run64(&[0x48, 0xab], &mut r, &mut m, 0x900c), Ok(Outcome::Done));
    assert_eq!((m.value(0x900c, 8), r.get(Gpr::RDI)), (r.get(Gpr::RAX), 0x9004));
    assert_eq!(run64(&[0x66, 0xad], &mut r, &mut m, 0x8008), Ok(Outcome::Done));
    assert_eq!((r.get(Gpr::RAX), r.get(Gpr::RSI)), (m.value(0x8008, 2), 0x8006));
    // A fault keeps what was done.
    r.rflags &= !Rflags::DF.bits();
    r.set(Gpr::RCX, 0x10);
    r.set(Gpr::RDI, 0x9ffd);
    r.rip = 0x1000;
    m.missing.insert(10);
    assert!(run64(&[0xf3, 0xaa], &mut r, &mut m, 0x9ffd).is_err());
    assert_eq!((r.get(Gpr::RCX), r.get(Gpr::RDI), r.rip), (13, 0xa000, 0x1000));
    // Long ones go on later.
    r.set(Gpr::RCX, ELEMENTS_PER_EXIT + 5);
    r.set(Gpr::RDI, 0x2000);
    assert_eq!(run64(&[0xf3, 0xaa], &mut r, &mut m, 0x2000), Ok(Outcome::Again));
    assert_eq!((r.get(Gpr::RCX), r.rip), (5, 0x1000));
    assert_eq!(run64(&[0xf3, 0xaa], &mut r, &mut m, 0x2000), Ok(Outcome::Done));
    // A count of 32 bits in 64-bit mode.
    r.set(Gpr::RCX, 0xdead_0000_0000_0002);
    r.set(Gpr::RDI, 0xdead_0000_0000_2000);
    assert_eq!(run64(&[0x67, 0xf3, 0xaa], &mut r, &mut m, 0x2000), Ok(Outcome::Done));
    assert_eq!((r.get(Gpr::RCX), r.get(Gpr::RDI)), (0, 0x2002));
}

#[test]
fn port_strings() {
    let (mut r, mut m) = (registers(), Machine::new());
    r.set(Gpr::RCX, 4);
    r.set(Gpr::RSI, 0x2ffe);
    let want: Vec<_> = (0x2ffe..0x3002).map(|at| (0xe9, 1, u32::from(m.memory[at]))).collect();
    let mut request = PortString {
        port: 0xe9,
        bytes: 1,
        output: true,
        repeat: true,
        address_bits: 64,
        segment: Segment::Ds,
    };
    assert_eq!(port_io(&request, &mut cpu(&mut r, CodeSize::Bits64), &mut m), Ok(Outcome::Done));
    assert_eq!(m.ports, want);
    assert_eq!(m.translations, 2, "one a page");
    assert_eq!((r.get(Gpr::RCX), r.get(Gpr::RSI)), (0, 0x3002));
    assert_eq!(port_io(&request, &mut cpu(&mut r, CodeSize::Bits64), &mut m), Ok(Outcome::Done));
    assert_eq!(m.ports, want, "a count of 0 does nothing");
    request = PortString { output: false, repeat: false, bytes: 2, address_bits: 16, ..request };
    r.set(Gpr::RDI, 0xffff_4000);
    let mut cpu16 = Cpu {
        segments: SegmentBases { es: 0x100, ..Default::default() },
        ..cpu(&mut r, CodeSize::Bits16)
    };
    assert_eq!(port_io(&request, &mut cpu16, &mut m), Ok(Outcome::Done));
    assert_eq!(m.value(0x4100, 2), 1);
    assert_eq!(r.get(Gpr::RDI), 0xffff_4002);
    m.missing.insert(4);
    assert!(port_io(&request, &mut cpu(&mut r, CodeSize::Bits16), &mut m).is_err());
    assert_eq!(m.next_input, 1, "the port was not read in vain");
    assert_eq!(outs_segment(&Code::from_bytes(&[0xf3, 0x6e])), Segment::Ds);
    assert_eq!(outs_segment(&Code::from_bytes(&[0x26, 0x64, 0xf3, 0x6f])), Segment::Fs);
}

#[test]
fn fetching() {
    let (mut r, mut m) = (registers(), Machine::new());
    r.rip = 0x1ffa;
    let code = fetch(&cpu(&mut r, CodeSize::Bits64), &mut m).unwrap();
    assert_eq!(code.bytes(), &m.memory[0x1ffa..0x2009]);
    m.missing.insert(2);
    let code = fetch(&cpu(&mut r, CodeSize::Bits64), &mut m).unwrap();
    assert_eq!(code.bytes().len(), 6);
    m.memory[0x1ffa..0x2000].copy_from_slice(&[0x48, 0xc7, 0x03, 1, 2, 3]);
    let code = fetch(&cpu(&mut r, CodeSize::Bits64), &mut m).unwrap();
    let fault = PageFault { address: 0x2000, code: 0 };
    let faulted = Faulted { gpa: Gpa(0x8000), write: true };
    let result = emulate(faulted, &code, &mut cpu(&mut r, CodeSize::Bits64), &mut m);
    assert_eq!(result, Err(fault.into()));
    m.missing.insert(1);
    assert!(fetch(&cpu(&mut r, CodeSize::Bits64), &mut m).is_err());
    let mut based = cpu(&mut r, CodeSize::Bits16);
    based.segments.cs = 0x4000;
    assert_eq!(fetch(&based, &mut m).unwrap().bytes(), &m.memory[0x5ffa..0x6009]);
}

#[test]
fn unsupported_instructions() {
    let (mut r, mut m) = (registers(), Machine::new());
    for bytes in [
        &[0x0f, 0x0b][..],         // UD2
        &[0x90],                   // NOP
        &[0xff, 0x13],             // CALL [rbx]
        &[0x0f, 0x6f, 0x03],       // MOVQ mm0, [rbx]
        &[0xf2, 0x0f, 0x10, 0x03], // MOVSD xmm0, [rbx]
        &[0x0f, 0xab, 0x13],       // BTS [rbx], edx
        &[0x8e, 0x1b],             // MOV ds, [rbx]
        &[0x0f, 0xc7, 0x0b],       // CMPXCHG8B
        &[0x8b],                   // cut off
        &[],
    ] {
        let before = (r, m.memory.clone());
        assert_eq!(
            run64(bytes, &mut r, &mut m, 0x8000),
            Err(EmulateError::Unsupported),
            "{bytes:02x?}"
        );
        assert!(before == (r, m.memory.clone()));
    }
}

#[test]
fn lengths() {
    use CodeSize::{Bits16, Bits32, Bits64};
    let len = |what, bytes: &[u8], size| length(what, &Code::from_bytes(bytes), size);
    assert_eq!(len(Intercepted::Cpuid, &[0x0f, 0xa2, 0x90], Bits64), Some(2));
    assert_eq!(len(Intercepted::Wrmsr, &[0x3e, 0x0f, 0x30], Bits64), Some(3), "DS prefix");
    assert_eq!(len(Intercepted::Pause, &[0xf3, 0x90], Bits64), Some(2));
    assert_eq!(len(Intercepted::Vmmcall, &[0x0f, 0x01, 0xd9], Bits32), Some(3));
    assert_eq!(len(Intercepted::Hlt, &[0xf4], Bits16), Some(1));
    assert_eq!(len(Intercepted::Hlt, &[0x48, 0xf4], Bits32), None, "DEC EAX is no prefix");
    assert_eq!(len(Intercepted::Cpuid, &[0x0f, 0x32], Bits64), None, "something else by now");
    assert_eq!(len(Intercepted::Cpuid, &[0x0f], Bits64), None);
    assert_eq!(len(Intercepted::MovCr, &[0x41, 0x0f, 0x22, 0xc0], Bits64), Some(4));
    assert_eq!(len(Intercepted::Invlpg, &[0x0f, 0x01, 0x7c, 0x24, 0x08], Bits64), Some(5));
    assert_eq!(len(Intercepted::Invlpg, &[0x0f, 0x01, 0x38], Bits32), Some(3));
    assert_eq!(len(Intercepted::Lmsw, &[0x0f, 0x01, 0xf0], Bits16), Some(3));
    assert_eq!(len(Intercepted::Int, &[0xcd, 0x80], Bits32), Some(2));
    assert_eq!(len(Intercepted::Invpcid, &[0x66, 0x0f, 0x38, 0x82, 0x01], Bits64), Some(5));
}

#[test]
fn control_moves() {
    let decode = |bytes: &[u8], size| control_move(&Code::from_bytes(bytes), size);
    let control = |control, gpr, write, length| {
        Some(length::ControlMove { control, gpr: Gpr(gpr), write, length })
    };
    assert_eq!(decode(&[0x0f, 0x22, 0xd8], CodeSize::Bits64), control(3, 0, true, 3));
    assert_eq!(decode(&[0x44, 0x0f, 0x20, 0xc1], CodeSize::Bits64), control(8, 1, false, 4));
    assert_eq!(decode(&[0x41, 0x0f, 0x23, 0xff], CodeSize::Bits64), control(7, 15, true, 4));
    assert_eq!(decode(&[0xf0, 0x0f, 0x22, 0xc0], CodeSize::Bits32), control(8, 0, true, 4));
    assert_eq!(decode(&[0x0f, 0xa2, 0xc0], CodeSize::Bits64), None);
}

const ALL: [(Intercepted, &[u8]); 12] = [
    (Intercepted::Cpuid, &[0x0f, 0xa2]),
    (Intercepted::Rdmsr, &[0x0f, 0x32]),
    (Intercepted::Wrmsr, &[0x0f, 0x30]),
    (Intercepted::Hlt, &[0xf4]),
    (Intercepted::Pause, &[0x90]),
    (Intercepted::Vmmcall, &[0x0f, 0x01, 0xd9]),
    (Intercepted::Xsetbv, &[0x0f, 0x01, 0xd1]),
    (Intercepted::Rdtscp, &[0x0f, 0x01, 0xf9]),
    (Intercepted::MovCr, &[0x0f, 0x22, 0xdd]),
    (Intercepted::MovDr, &[0x0f, 0x21, 0xf1]),
    (Intercepted::Invlpg, &[0x0f, 0x01, 0xbc, 0x88, 0x78, 0x56, 0x34, 0x12]),
    (Intercepted::Lmsw, &[0x0f, 0x01, 0x70, 0x04]),
];

proptest! {
    /// Own lengths agree with the decoder's, whatever prefixes stand before.
    #[test]
    fn lengths_match_the_decoder(
        which in 0..ALL.len(), size in 0usize..3,
        prefixes in proptest::collection::vec(
            proptest::sample::select(vec![0x26u8, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3, 0x40, 0x48, 0x4f]), 0..7),
    ) {
        let size = [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64][size];
        let (what, opcode) = ALL[which];
        let bytes: Vec<u8> = prefixes.iter().chain(opcode).copied().take(15).collect();
        let mut decoder = Decoder::new(size.bits(), &bytes, DecoderOptions::AMD);
        let decoded = decoder.decode();
        let ours = length(what, &Code::from_bytes(&bytes), size);
        let has_rex = prefixes.iter().any(|b| b & 0xf0 == 0x40);
        // Outside of 64-bit mode a REX byte is an instruction of its own; some prefixes make
        // other instructions out of the opcode (F3 CPUID is none, 66 INVLPG is INVLPG).
        let is_rex = size == CodeSize::Bits64 || !has_rex;
        if !decoded.is_invalid() && is_rex && ours.is_some() {
            prop_assert_eq!(ours.map(usize::from), Some(decoded.len()), "{:02x?}", bytes);
        }
        if prefixes.is_empty() && size == CodeSize::Bits64 {
            prop_assert_eq!(ours.map(usize::from), Some(opcode.len()));
        }
    }

    /// Random bytes never panic, and either change nothing or end where the decoder says.
    #[test]
    fn random_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..16), size in 0usize..3,
                    gpr: [u64; 16], rflags: u64, bases: [u64; 6], gpa in 0u64..0xf000) {
        let size = [CodeSize::Bits16, CodeSize::Bits32, CodeSize::Bits64][size];
        let [es, cs, ss, ds, fs, gs] = bases;
        let mut r = Registers { gpr, rip: 0x1000, rflags };
        let mut m = Machine::new();
        let segments = SegmentBases { es, cs, ss, ds, fs, gs };
        let mut cpu = Cpu { registers: &mut r, segments, code: size };
        let code = Code::from_bytes(&bytes);
        let result = emulate(Faulted { gpa: Gpa(gpa), write: true }, &code, &mut cpu, &mut m);
        let len = Decoder::new(size.bits(), &bytes, DecoderOptions::NONE).decode().len() as u64;
        match result {
            Ok(Outcome::Done) => prop_assert_eq!(r.rip, 0x1000 + len),
            Ok(Outcome::Again) => prop_assert_eq!(r.rip, 0x1000),
            Err(_) => prop_assert_eq!(r, Registers { gpr, rip: 0x1000, rflags }),
        }
        for what in [Intercepted::Cpuid, Intercepted::MovCr, Intercepted::Invlpg, Intercepted::Int,
                     Intercepted::DescriptorTable, Intercepted::Invpcid] {
            if let Some(len) = length(what, &code, size) {
                prop_assert!(len >= 1 && usize::from(len) <= bytes.len());
            }
        }
        let _ = control_move(&code, size);
        let _ = outs_segment(&code);
    }
}
