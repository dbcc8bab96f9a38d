//! `hvm/save.h` and `arch-x86/hvm/save.h`: records of a saved HVM container. Each follows a
//! [`Descriptor`]; the last is `END`, of length 0.

use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Type of a record: [`Descriptor::typecode`].
    pub struct RecordType(u16) {
        /// The end.
        END = 0, "HVM_SAVE_CODE(END)";
        /// [`Header`].
        HEADER = 1, "HVM_SAVE_CODE(HEADER)";
        /// [`Cpu`].
        CPU = 2, "HVM_SAVE_CODE(CPU)";
        /// An 8259.
        PIC = 3, "HVM_SAVE_CODE(PIC)";
        /// The I/O APIC.
        IOAPIC = 4, "HVM_SAVE_CODE(IOAPIC)";
        /// [`Lapic`].
        LAPIC = 5, "HVM_SAVE_CODE(LAPIC)";
        /// [`LapicRegs`].
        LAPIC_REGS = 6, "HVM_SAVE_CODE(LAPIC_REGS)";
        /// PCI interrupt lines.
        PCI_IRQ = 7, "HVM_SAVE_CODE(PCI_IRQ)";
        /// ISA interrupt lines.
        ISA_IRQ = 8, "HVM_SAVE_CODE(ISA_IRQ)";
        /// PCI interrupt routing.
        PCI_LINK = 9, "HVM_SAVE_CODE(PCI_LINK)";
        /// The 8254.
        PIT = 10, "HVM_SAVE_CODE(PIT)";
        /// The real-time clock.
        RTC = 11, "HVM_SAVE_CODE(RTC)";
        /// The HPET.
        HPET = 12, "HVM_SAVE_CODE(HPET)";
        /// The ACPI timer.
        PMTIMER = 13, "HVM_SAVE_CODE(PMTIMER)";
        /// [`Mtrr`].
        MTRR = 14, "HVM_SAVE_CODE(MTRR)";
        /// Hyper-V, domain.
        VIRIDIAN_DOMAIN = 15, "HVM_SAVE_CODE(VIRIDIAN_DOMAIN)";
        /// [`Xsave`].
        XSAVE = 16, "CPU_XSAVE_CODE";
        /// Hyper-V, vCPU.
        VIRIDIAN_VCPU = 17, "HVM_SAVE_CODE(VIRIDIAN_VCPU)";
        /// [`Vmce`].
        VMCE_VCPU = 18, "HVM_SAVE_CODE(VMCE_VCPU)";
        /// [`TscAdjust`].
        TSC_ADJUST = 19, "HVM_SAVE_CODE(TSC_ADJUST)";
        /// [`MsrHeader`].
        CPU_MSR = 20, "CPU_MSR_CODE";
    }
}

/// Head of a record.
///
/// `hvm_save_descriptor` in `hvm/save.h`.
#[doc(alias = "hvm_save_descriptor")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Descriptor {
    /// Its type.
    pub typecode: RecordType,
    /// Its vCPU or number.
    pub instance: u16,
    /// Bytes that follow.
    pub length: u32,
}

layout!(Descriptor, size 8, { typecode: 0, instance: 2, length: 4 });

constants! {
    // Values of [`Header`].
    u32 {
        /// `magic`.
        FILE_MAGIC = 0x5438_1286, "HVM_FILE_MAGIC";
        /// `version`.
        FILE_VERSION = 1, "HVM_FILE_VERSION";
    }
}

/// First record.
///
/// `hvm_save_header` in `hvm/save.h`.
#[doc(alias = "hvm_save_header")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Header {
    /// `FILE_MAGIC`.
    pub magic: u32,
    /// `FILE_VERSION`.
    pub version: u32,
    /// Of the hypervisor; all ones if unknown.
    pub changeset: u64,
    /// CPUID leaf 1 EAX of the host.
    pub cpuid: u32,
    /// The guest's TSC frequency.
    pub gtsc_khz: u32,
}

layout!(Header, size 24, { magic: 0, version: 4, changeset: 8, cpuid: 16, gtsc_khz: 20 });

/// One vCPU's registers. Attributes of segments are in the packed 12-bit form.
///
/// `hvm_hw_cpu` in `hvm/save.h`.
#[doc(alias = "hvm_hw_cpu")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Cpu {
    /// FXSAVE image.
    pub fpu_regs: [u8; 512],
    /// RAX.
    pub rax: u64,
    /// RBX.
    pub rbx: u64,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
    /// RBP.
    pub rbp: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI.
    pub rdi: u64,
    /// RSP.
    pub rsp: u64,
    /// R8.
    pub r8: u64,
    /// R9.
    pub r9: u64,
    /// R10.
    pub r10: u64,
    /// R11.
    pub r11: u64,
    /// R12.
    pub r12: u64,
    /// R13.
    pub r13: u64,
    /// R14.
    pub r14: u64,
    /// R15.
    pub r15: u64,
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// DR0.
    pub dr0: u64,
    /// DR1.
    pub dr1: u64,
    /// DR2.
    pub dr2: u64,
    /// DR3.
    pub dr3: u64,
    /// DR6.
    pub dr6: u64,
    /// DR7.
    pub dr7: u64,
    /// CS selector.
    pub cs_sel: u32,
    /// DS selector.
    pub ds_sel: u32,
    /// ES selector.
    pub es_sel: u32,
    /// FS selector.
    pub fs_sel: u32,
    /// GS selector.
    pub gs_sel: u32,
    /// SS selector.
    pub ss_sel: u32,
    /// TR selector.
    pub tr_sel: u32,
    /// LDTR selector.
    pub ldtr_sel: u32,
    /// CS limit.
    pub cs_limit: u32,
    /// DS limit.
    pub ds_limit: u32,
    /// ES limit.
    pub es_limit: u32,
    /// FS limit.
    pub fs_limit: u32,
    /// GS limit.
    pub gs_limit: u32,
    /// SS limit.
    pub ss_limit: u32,
    /// TR limit.
    pub tr_limit: u32,
    /// LDTR limit.
    pub ldtr_limit: u32,
    /// IDTR limit.
    pub idtr_limit: u32,
    /// GDTR limit.
    pub gdtr_limit: u32,
    /// CS base.
    pub cs_base: u64,
    /// DS base.
    pub ds_base: u64,
    /// ES base.
    pub es_base: u64,
    /// FS base.
    pub fs_base: u64,
    /// GS base.
    pub gs_base: u64,
    /// SS base.
    pub ss_base: u64,
    /// TR base.
    pub tr_base: u64,
    /// LDTR base.
    pub ldtr_base: u64,
    /// IDTR base.
    pub idtr_base: u64,
    /// GDTR base.
    pub gdtr_base: u64,
    /// CS attributes.
    pub cs_arbytes: u32,
    /// DS attributes.
    pub ds_arbytes: u32,
    /// ES attributes.
    pub es_arbytes: u32,
    /// FS attributes.
    pub fs_arbytes: u32,
    /// GS attributes.
    pub gs_arbytes: u32,
    /// SS attributes.
    pub ss_arbytes: u32,
    /// TR attributes.
    pub tr_arbytes: u32,
    /// LDTR attributes.
    pub ldtr_arbytes: u32,
    /// SYSENTER_CS.
    pub sysenter_cs: u64,
    /// SYSENTER_ESP.
    pub sysenter_esp: u64,
    /// SYSENTER_EIP.
    pub sysenter_eip: u64,
    /// KERNEL_GS_BASE.
    pub shadow_gs: u64,
    /// Zero.
    pub msr_flags: u64,
    /// LSTAR.
    pub msr_lstar: u64,
    /// STAR.
    pub msr_star: u64,
    /// CSTAR.
    pub msr_cstar: u64,
    /// SFMASK.
    pub msr_syscall_mask: u64,
    /// EFER.
    pub msr_efer: u64,
    /// TSC_AUX.
    pub msr_tsc_aux: u64,
    /// The guest's TSC.
    pub tsc: u64,
    /// Vector 7..0, type 10..8, error code valid 11, valid 31.
    pub pending_event: u32,
    /// Of the pending event.
    pub error_code: u32,
    /// `X86_FPU_INITIALISED`.
    pub flags: u32,
    /// Padding; zero.
    pub _pad0: u32,
}

layout!(Cpu, size 1032, {
    fpu_regs: 0, rax: 512, rbx: 520, rcx: 528, rdx: 536, rbp: 544, rsi: 552, rdi: 560, rsp: 568,
    r8: 576, r9: 584, r10: 592, r11: 600, r12: 608, r13: 616, r14: 624, r15: 632, rip: 640,
    rflags: 648, cr0: 656, cr2: 664, cr3: 672, cr4: 680, dr0: 688, dr1: 696, dr2: 704, dr3: 712,
    dr6: 720, dr7: 728, cs_sel: 736, ds_sel: 740, es_sel: 744, fs_sel: 748, gs_sel: 752,
    ss_sel: 756, tr_sel: 760, ldtr_sel: 764, cs_limit: 768, ds_limit: 772, es_limit: 776,
    fs_limit: 780, gs_limit: 784, ss_limit: 788, tr_limit: 792, ldtr_limit: 796, idtr_limit: 800,
    gdtr_limit: 804, cs_base: 808, ds_base: 816, es_base: 824, fs_base: 832, gs_base: 840,
    ss_base: 848, tr_base: 856, ldtr_base: 864, idtr_base: 872, gdtr_base: 880, cs_arbytes: 888,
    ds_arbytes: 892, es_arbytes: 896, fs_arbytes: 900, gs_arbytes: 904, ss_arbytes: 908,
    tr_arbytes: 912, ldtr_arbytes: 916, sysenter_cs: 920, sysenter_esp: 928, sysenter_eip: 936,
    shadow_gs: 944, msr_flags: 952, msr_lstar: 960, msr_star: 968, msr_cstar: 976,
    msr_syscall_mask: 984, msr_efer: 992, msr_tsc_aux: 1000, tsc: 1008, pending_event: 1016,
    error_code: 1020, flags: 1024, _pad0: 1028,
});

constants! {
    // Flags of [`Cpu`].
    u32 {
        /// `fpu_regs` is valid.
        X86_FPU_INITIALISED = 1 << 0, "XEN_X86_FPU_INITIALISED";
    }
}

/// Local APIC: what its registers don't tell.
///
/// `hvm_hw_lapic` in `hvm/save.h`.
#[doc(alias = "hvm_hw_lapic")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Lapic {
    /// APIC_BASE.
    pub apic_base_msr: u64,
    /// Bits 0: by software, 1: by hardware.
    pub disabled: u32,
    /// Timer divider.
    pub timer_divisor: u32,
    /// TSC_DEADLINE.
    pub tdt_msr: u64,
    /// Errors to be latched.
    pub pending_esr: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(Lapic, size 32, {
    apic_base_msr: 0, disabled: 8, timer_divisor: 12, tdt_msr: 16, pending_esr: 24, _pad0: 28,
});

/// Local APIC: its register page.
///
/// `hvm_hw_lapic_regs` in `hvm/save.h`.
#[doc(alias = "hvm_hw_lapic_regs")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LapicRegs {
    /// The first KiB.
    pub data: [u8; 1024],
}

layout!(LapicRegs, size 1024, { data: 0 });

/// PAT and MTRRs.
///
/// `hvm_hw_mtrr` in `hvm/save.h`.
#[doc(alias = "hvm_hw_mtrr")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Mtrr {
    /// PAT.
    pub msr_pat_cr: u64,
    /// Variable: base and mask of each.
    pub msr_mtrr_var: [u64; 16],
    /// Fixed.
    pub msr_mtrr_fixed: [u64; 11],
    /// MTRR_CAP.
    pub msr_mtrr_cap: u64,
    /// MTRR_DEF_TYPE.
    pub msr_mtrr_def_type: u64,
}

layout!(Mtrr, size 240, {
    msr_pat_cr: 0, msr_mtrr_var: 8, msr_mtrr_fixed: 136, msr_mtrr_cap: 224,
    msr_mtrr_def_type: 232,
});

/// XSAVE state; components beyond the header follow.
///
/// `hvm_hw_cpu_xsave` in `hvm/save.h`.
#[doc(alias = "hvm_hw_cpu_xsave")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Xsave {
    /// Unused.
    pub xfeature_mask: u64,
    /// XCR0.
    pub xcr0: u64,
    /// All that XCR0 ever had.
    pub xcr0_accum: u64,
    /// FXSAVE image.
    pub fpu_sse: [u8; 512],
    /// Components in use.
    pub xstate_bv: u64,
    /// Compaction.
    pub xcomp_bv: u64,
    /// Must be zero.
    pub reserved: [u64; 6],
}

layout!(Xsave, size 600, {
    xfeature_mask: 0, xcr0: 8, xcr0_accum: 16, fpu_sse: 24, xstate_bv: 536, xcomp_bv: 544,
    reserved: 552,
});

/// Machine checks.
///
/// `hvm_vmce_vcpu` in `hvm/save.h`.
#[doc(alias = "hvm_vmce_vcpu")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Vmce {
    /// MCG_CAP bits.
    pub caps: u64,
    /// Bank 0.
    pub mci_ctl2_bank0: u64,
    /// Bank 1.
    pub mci_ctl2_bank1: u64,
    /// MCG_EXT_CTL.
    pub mcg_ext_ctl: u64,
}

layout!(Vmce, size 32, { caps: 0, mci_ctl2_bank0: 8, mci_ctl2_bank1: 16, mcg_ext_ctl: 24 });

/// TSC_ADJUST.
///
/// `hvm_tsc_adjust` in `hvm/save.h`.
#[doc(alias = "hvm_tsc_adjust")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TscAdjust {
    /// Its value.
    pub tsc_adjust: u64,
}

layout!(TscAdjust, size 8, { tsc_adjust: 0 });

/// MSRs: `count` [`OneMsr`] entries follow.
///
/// `hvm_msr` in `hvm/save.h`.
#[doc(alias = "hvm_msr")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MsrHeader {
    /// How many.
    pub count: u32,
    /// Padding; zero.
    pub _pad0: u32,
}

layout!(MsrHeader, size 8, { count: 0, _pad0: 4 });

/// One MSR.
///
/// `hvm_one_msr` in `hvm/save.h`.
#[doc(alias = "hvm_one_msr")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct OneMsr {
    /// Which.
    pub index: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// Its value.
    pub val: u64,
}

layout!(OneMsr, size 16, { index: 0, _pad0: 4, val: 8 });

/// The I/O APIC.
///
/// `hvm_hw_vioapic` in `hvm/save.h`.
#[doc(alias = "hvm_hw_vioapic")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Ioapic {
    /// Address of its window.
    pub base_address: u64,
    /// Selected register.
    pub ioregsel: u32,
    /// Its id.
    pub id: u32,
    /// Redirection entries.
    pub redirtbl: [u64; 48],
}

layout!(Ioapic, size 400, { base_address: 0, ioregsel: 8, id: 12, redirtbl: 16 });

/// PCI interrupt routing.
///
/// `hvm_hw_pci_link` in `hvm/save.h`.
#[doc(alias = "hvm_hw_pci_link")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PciLink {
    /// ISA interrupt of each link.
    pub route: [u8; 4],
    /// Padding; zero.
    pub _pad0: [u8; 4],
}

layout!(PciLink, size 8, { route: 0, _pad0: 4 });

/// One channel of the 8254.
///
/// `hvm_hw_pit_channel` in `hvm/save.h`.
#[doc(alias = "hvm_hw_pit_channel")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PitChannel {
    /// Counter.
    pub count: u32,
    /// Latched counter.
    pub latched_count: u16,
    /// Whether it is latched.
    pub count_latched: u8,
    /// Whether the status is latched.
    pub status_latched: u8,
    /// Latched status.
    pub status: u8,
    /// Next byte to read.
    pub read_state: u8,
    /// Next byte to write.
    pub write_state: u8,
    /// First byte written.
    pub write_latch: u8,
    /// Access mode.
    pub rw_mode: u8,
    /// Mode.
    pub mode: u8,
    /// Counts in BCD; unused.
    pub bcd: u8,
    /// Gate input.
    pub gate: u8,
}

layout!(PitChannel, size 16, {
    count: 0, latched_count: 4, count_latched: 6, status_latched: 7, status: 8, read_state: 9,
    write_state: 10, write_latch: 11, rw_mode: 12, mode: 13, bcd: 14, gate: 15,
});

/// The 8254.
///
/// `hvm_hw_pit` in `hvm/save.h`.
#[doc(alias = "hvm_hw_pit")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Pit {
    /// Its channels.
    pub channels: [PitChannel; 3],
    /// Port 0x61 bit 1.
    pub speaker_data_on: u32,
    /// Padding; zero.
    pub _pad0: u32,
}

layout!(Pit, size 56, { channels: 0, speaker_data_on: 48, _pad0: 52 });

/// The real-time clock.
///
/// `hvm_hw_rtc` in `hvm/save.h`.
#[doc(alias = "hvm_hw_rtc")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Rtc {
    /// Its registers.
    pub cmos_data: [u8; 14],
    /// Selected register.
    pub cmos_index: u8,
    /// Padding; zero.
    pub _pad0: u8,
    /// Seconds from the host's clock.
    pub rtc_offset: i64,
}

layout!(Rtc, size 24, { cmos_data: 0, cmos_index: 14, _pad0: 15, rtc_offset: 16 });

/// ACPI timer and PM1a.
///
/// `hvm_hw_pmtimer` in `hvm/save.h`.
#[doc(alias = "hvm_hw_pmtimer")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PmTimer {
    /// Counter.
    pub tmr_val: u32,
    /// PM1a status.
    pub pm1a_sts: u16,
    /// PM1a enable.
    pub pm1a_en: u16,
}

layout!(PmTimer, size 8, { tmr_val: 0, pm1a_sts: 4, pm1a_en: 6 });
