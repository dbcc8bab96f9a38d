//! The virtual machine control block of AMD SVM.
//!
//! Source: AMD64 Architecture Programmer's Manual, volume 2, appendix B (layout) and C (exit
//! codes).

use core::mem::{offset_of, size_of};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The control block: one 4 KiB frame, aligned to it.
#[repr(C, align(4096))]
#[derive(Clone, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Vmcb {
    /// What to intercept, how to run, and why it stopped.
    pub control: Control,
    /// The guest's registers.
    pub save: Save,
    /// Reserved.
    pub _pad: [u8; 0x1000 - 0x400 - size_of::<Save>()],
}

/// The control area, offsets 0 to 0x3FF.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Control {
    /// Reads of CR0-15 (low half) and writes (high half).
    pub intercept_cr: u32,
    /// Reads of DR0-15 (low half) and writes (high half).
    pub intercept_dr: u32,
    /// Exceptions, a bit for each vector.
    pub intercept_exceptions: u32,
    /// [`Intercept1`].
    pub intercept1: u32,
    /// [`Intercept2`].
    pub intercept2: u32,
    /// More intercepts (INVLPGB, ...).
    pub intercept3: u32,
    /// Reserved.
    pub _pad0: [u8; 0x3c - 0x18],
    /// PAUSE filter threshold.
    pub pause_filter_threshold: u16,
    /// PAUSE filter count.
    pub pause_filter_count: u16,
    /// Machine address of the I/O permission map (three frames).
    pub iopm_base: u64,
    /// Machine address of the MSR permission map (two frames).
    pub msrpm_base: u64,
    /// Added to the TSC that the guest reads.
    pub tsc_offset: u64,
    /// Address space id; 0 is the host's.
    pub asid: u32,
    /// [`tlb`]: what VMRUN flushes.
    pub tlb_control: u32,
    /// [`int_ctl`]: virtual interrupt state.
    pub int_ctl: u32,
    /// The vector of the virtual interrupt, for V_IRQ.
    pub int_vector: u32,
    /// Bit 0: the guest is in an interrupt shadow.
    pub int_state: u64,
    /// Why the guest stopped.
    pub exit_code: ExitCode,
    /// Detail, by exit code.
    pub exit_info1: u64,
    /// Detail, by exit code.
    pub exit_info2: u64,
    /// The event whose delivery the exit interrupted.
    pub exit_int_info: Event,
    /// Bit 0: nested paging on.
    pub nested_ctl: u64,
    /// AVIC APIC BAR.
    pub avic_bar: u64,
    /// GHCB address.
    pub ghcb: u64,
    /// The event that VMRUN delivers.
    pub event_injection: Event,
    /// Root of the second stage.
    pub nested_cr3: u64,
    /// Bit 0: LBR virtualization; bit 1: virtual VMLOAD and VMSAVE.
    pub virt_ext: u64,
    /// Which parts of the block the CPU may take from its cache.
    pub clean: u32,
    /// Reserved.
    pub _pad1: u32,
    /// RIP after the exiting instruction, where the CPU has NRIP save.
    pub next_rip: u64,
    /// How many instruction bytes follow, where the CPU has decode assists.
    pub fetched_len: u8,
    /// The exiting instruction's bytes.
    pub fetched_bytes: [u8; 15],
    /// AVIC and reserved.
    pub _pad2: [u8; 0x400 - 0xe0],
}

/// A segment register in the save area.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Segment {
    /// Selector.
    pub selector: u16,
    /// Attributes: descriptor bits 47:40 and 55:52, packed into 12 bits.
    pub attributes: u16,
    /// Limit in bytes.
    pub limit: u32,
    /// Base address.
    pub base: u64,
}

/// The state save area, from offset 0x400.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[expect(missing_docs, reason = "register names")]
pub struct Save {
    pub es: Segment,
    pub cs: Segment,
    pub ss: Segment,
    pub ds: Segment,
    pub fs: Segment,
    pub gs: Segment,
    pub gdtr: Segment,
    pub ldtr: Segment,
    pub idtr: Segment,
    pub tr: Segment,
    pub _pad0: [u8; 0xcb - 0xa0],
    pub cpl: u8,
    pub _pad1: u32,
    pub efer: u64,
    pub _pad2: [u8; 0x148 - 0xd8],
    pub cr4: u64,
    pub cr3: u64,
    pub cr0: u64,
    pub dr7: u64,
    pub dr6: u64,
    pub rflags: u64,
    pub rip: u64,
    pub _pad3: [u8; 0x1d8 - 0x180],
    pub rsp: u64,
    pub s_cet: u64,
    pub ssp: u64,
    pub isst: u64,
    pub rax: u64,
    pub star: u64,
    pub lstar: u64,
    pub cstar: u64,
    pub sfmask: u64,
    pub kernel_gs_base: u64,
    pub sysenter_cs: u64,
    pub sysenter_esp: u64,
    pub sysenter_eip: u64,
    pub cr2: u64,
    pub _pad4: [u8; 0x268 - 0x248],
    pub g_pat: u64,
    pub dbgctl: u64,
    pub br_from: u64,
    pub br_to: u64,
    pub last_excp_from: u64,
    pub last_excp_to: u64,
    pub _pad5: [u8; 0x2e0 - 0x298],
    pub spec_ctrl: u64,
}

const _: () = {
    assert!(size_of::<Vmcb>() == 4096);
    assert!(size_of::<Control>() == 0x400);
    assert!(offset_of!(Control, iopm_base) == 0x40);
    assert!(offset_of!(Control, asid) == 0x58);
    assert!(offset_of!(Control, int_ctl) == 0x60);
    assert!(offset_of!(Control, exit_code) == 0x70);
    assert!(offset_of!(Control, exit_int_info) == 0x88);
    assert!(offset_of!(Control, event_injection) == 0xa8);
    assert!(offset_of!(Control, nested_cr3) == 0xb0);
    assert!(offset_of!(Control, clean) == 0xc0);
    assert!(offset_of!(Control, next_rip) == 0xc8);
    assert!(offset_of!(Control, fetched_bytes) == 0xd1);
    assert!(offset_of!(Save, tr) == 0x90);
    assert!(offset_of!(Save, cpl) == 0xcb);
    assert!(offset_of!(Save, efer) == 0xd0);
    assert!(offset_of!(Save, cr4) == 0x148);
    assert!(offset_of!(Save, rip) == 0x178);
    assert!(offset_of!(Save, rsp) == 0x1d8);
    assert!(offset_of!(Save, rax) == 0x1f8);
    assert!(offset_of!(Save, cr2) == 0x240);
    assert!(offset_of!(Save, g_pat) == 0x268);
    assert!(offset_of!(Save, spec_ctrl) == 0x2e0);
};

bitflags::bitflags! {
    /// Intercepts at offset 0x0C.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Intercept1: u32 {
        /// INTR.
        const INTR = 1 << 0;
        /// NMI.
        const NMI = 1 << 1;
        /// SMI.
        const SMI = 1 << 2;
        /// INIT.
        const INIT = 1 << 3;
        /// VINTR.
        const VINTR = 1 << 4;
        /// RDPMC.
        const RDPMC = 1 << 15;
        /// CPUID.
        const CPUID = 1 << 18;
        /// INVD.
        const INVD = 1 << 22;
        /// PAUSE.
        const PAUSE = 1 << 23;
        /// HLT.
        const HLT = 1 << 24;
        /// INVLPGA.
        const INVLPGA = 1 << 26;
        /// IOIO.
        const IOIO = 1 << 27;
        /// MSR.
        const MSR = 1 << 28;
        /// TASK_SWITCH.
        const TASK_SWITCH = 1 << 29;
        /// FERR_FREEZE.
        const FERR_FREEZE = 1 << 30;
        /// SHUTDOWN.
        const SHUTDOWN = 1 << 31;
    }
}

bitflags::bitflags! {
    /// Intercepts at offset 0x10.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Intercept2: u32 {
        /// VMRUN.
        const VMRUN = 1 << 0;
        /// VMMCALL.
        const VMMCALL = 1 << 1;
        /// VMLOAD.
        const VMLOAD = 1 << 2;
        /// VMSAVE.
        const VMSAVE = 1 << 3;
        /// STGI.
        const STGI = 1 << 4;
        /// CLGI.
        const CLGI = 1 << 5;
        /// SKINIT.
        const SKINIT = 1 << 6;
        /// RDTSCP.
        const RDTSCP = 1 << 7;
        /// ICEBP.
        const ICEBP = 1 << 8;
        /// WBINVD.
        const WBINVD = 1 << 9;
        /// MONITOR.
        const MONITOR = 1 << 10;
        /// MWAIT.
        const MWAIT = 1 << 11;
        /// MWAIT_ARMED.
        const MWAIT_ARMED = 1 << 12;
        /// XSETBV.
        const XSETBV = 1 << 13;
        /// RDPRU.
        const RDPRU = 1 << 14;
    }
}

/// Bits of [`Control::int_ctl`].
pub mod int_ctl {
    /// The guest's CR8.
    pub const V_TPR_MASK: u32 = 0xff;
    /// A virtual interrupt waits.
    pub const V_IRQ: u32 = 1 << 8;
    /// The guest's GIF, where VGIF is on.
    pub const V_GIF: u32 = 1 << 9;
    /// Priority of the virtual interrupt: a 4-bit field.
    pub const V_INTR_PRIO_SHIFT: u32 = 16;
    /// The virtual interrupt ignores the guest's TPR.
    pub const V_IGN_TPR: u32 = 1 << 20;
    /// EFLAGS.IF and CR8 of the guest don't mask physical interrupts.
    pub const V_INTR_MASKING: u32 = 1 << 24;
}

/// Values of [`Control::tlb_control`].
pub mod tlb {
    /// Flush nothing.
    pub const NONE: u32 = 0;
    /// Flush the whole TLB.
    pub const FLUSH_ALL: u32 = 1;
    /// Flush this ASID's entries (needs FlushByAsid).
    pub const FLUSH_ASID: u32 = 3;
}

/// [`Control::int_state`]: the guest is in an interrupt shadow.
pub const INTERRUPT_SHADOW: u64 = 1;
/// [`Control::nested_ctl`]: nested paging on.
pub const NESTED_PAGING: u64 = 1;

/// An event to deliver, or one whose delivery was interrupted (EVENTINJ, EXITINTINFO).
#[repr(transparent)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
pub struct Event(pub u64);

impl Event {
    /// No event.
    pub const NONE: Self = Self(0);
    /// A non-maskable interrupt.
    pub const NMI: Self = Self(2 | 2 << 8 | 1 << 31);

    /// An external interrupt.
    pub const fn interrupt(vector: u8) -> Self {
        Self(vector as u64 | 1 << 31)
    }

    /// An exception; `error_code` for those vectors that push one.
    pub const fn exception(vector: u8, error_code: Option<u32>) -> Self {
        let event = vector as u64 | 3 << 8 | 1 << 31;
        match error_code {
            Some(code) => Self(event | 1 << 11 | (code as u64) << 32),
            None => Self(event),
        }
    }

    /// Whether there is an event.
    pub const fn is_valid(self) -> bool {
        self.0 & 1 << 31 != 0
    }

    /// The vector.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// 0 external interrupt, 2 NMI, 3 exception, 4 software interrupt.
    pub const fn kind(self) -> u8 {
        (self.0 >> 8) as u8 & 7
    }
}

/// An exit code: why a guest stopped.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct ExitCode(pub u64);

#[expect(missing_docs, reason = "the manual's names")]
impl ExitCode {
    pub const EXCEPTION_FIRST: Self = Self(0x40);
    pub const EXCEPTION_LAST: Self = Self(0x5f);
    pub const INTR: Self = Self(0x60);
    pub const NMI: Self = Self(0x61);
    pub const SMI: Self = Self(0x62);
    pub const INIT: Self = Self(0x63);
    pub const VINTR: Self = Self(0x64);
    pub const RDPMC: Self = Self(0x6f);
    pub const CPUID: Self = Self(0x72);
    pub const INVD: Self = Self(0x76);
    pub const PAUSE: Self = Self(0x77);
    pub const HLT: Self = Self(0x78);
    pub const INVLPGA: Self = Self(0x7a);
    pub const IOIO: Self = Self(0x7b);
    pub const MSR: Self = Self(0x7c);
    pub const TASK_SWITCH: Self = Self(0x7d);
    pub const FERR_FREEZE: Self = Self(0x7e);
    pub const SHUTDOWN: Self = Self(0x7f);
    pub const VMRUN: Self = Self(0x80);
    pub const VMMCALL: Self = Self(0x81);
    pub const VMLOAD: Self = Self(0x82);
    pub const VMSAVE: Self = Self(0x83);
    pub const STGI: Self = Self(0x84);
    pub const CLGI: Self = Self(0x85);
    pub const SKINIT: Self = Self(0x86);
    pub const RDTSCP: Self = Self(0x87);
    pub const ICEBP: Self = Self(0x88);
    pub const WBINVD: Self = Self(0x89);
    pub const MONITOR: Self = Self(0x8a);
    pub const MWAIT: Self = Self(0x8b);
    pub const MWAIT_ARMED: Self = Self(0x8c);
    pub const XSETBV: Self = Self(0x8d);
    pub const RDPRU: Self = Self(0x8e);
    pub const NPF: Self = Self(0x400);
    pub const INVALID: Self = Self(u64::MAX);
}

/// Bits of [`Control::exit_info1`] of a nested page fault.
pub mod npf {
    /// A translation was present.
    pub const PRESENT: u64 = 1 << 0;
    /// A write.
    pub const WRITE: u64 = 1 << 1;
    /// Reserved bits were set in an entry.
    pub const RESERVED: u64 = 1 << 3;
    /// An instruction fetch.
    pub const FETCH: u64 = 1 << 4;
    /// The final translation of the guest's access faulted.
    pub const FINAL: u64 = 1 << 32;
    /// The walk of the guest's page tables faulted.
    pub const WALK: u64 = 1 << 33;
}

/// Bits of [`Control::exit_info1`] of a port exit.
pub mod ioio {
    /// IN rather than OUT.
    pub const INPUT: u64 = 1 << 0;
    /// INS or OUTS.
    pub const STRING: u64 = 1 << 2;
    /// With a REP prefix.
    pub const REP: u64 = 1 << 3;
    /// Operand sizes of 8, 16 and 32 bits: bits 4 to 6; as a number of bytes after this shift.
    pub const SIZE_SHIFT: u32 = 4;
    /// Address sizes of 16, 32 and 64 bits: bits 7 to 9; times 16 a number of bits.
    pub const ADDRESS_SHIFT: u32 = 7;
    /// Where the port number starts.
    pub const PORT_SHIFT: u32 = 16;
}

impl Vmcb {
    /// All zero: nothing intercepted, nothing valid.
    pub fn zeroed() -> Self {
        <Self as FromBytes>::read_from_bytes(&[0; 4096]).unwrap_or_else(|_| unreachable!())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_carry_their_error_code() {
        let gp = Event::exception(13, Some(0x18));
        assert!(gp.is_valid());
        assert_eq!((gp.vector(), gp.kind()), (13, 3));
        assert_eq!(gp.0, 0x18_8000_0b0d);
        assert_eq!(Event::interrupt(0x30).0, 0x8000_0030);
    }
}
