//! The identifiers that everything else is written in, one type per idea.

use core::fmt;

/// Bytes in a frame, the unit of memory ownership.
pub const FRAME_BYTES: usize = 4096;
/// log2 of [`FRAME_BYTES`].
pub const FRAME_SHIFT: u32 = 12;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);
    };
}

id!(/// A domain's number. Values from 0x7FF0 are reserved by the ABI (`DOMID_SELF` ...).
    DomId(u16));
id!(/// A vCPU's index within its domain.
    VcpuId(u32));
id!(/// A physical CPU's index, dense from 0 (the boot CPU).
    CpuId(u32));
id!(/// A guest frame number: a guest-physical address divided by [`FRAME_BYTES`].
    Gfn(u64));
id!(/// A machine frame number: a host-physical address divided by [`FRAME_BYTES`].
    Mfn(u64));
id!(/// A guest-physical address, in bytes.
    Gpa(u64));
id!(/// A guest-virtual address, in bytes: what guest handles hold.
    Gva(u64));
id!(/// A host-physical (machine) address, in bytes.
    Hpa(u64));
id!(/// An event channel's number within its domain. Port 0 is never valid.
    Port(u32));
id!(/// An index into a domain's grant table.
    GrantRef(u32));
id!(/// Nanoseconds of system time, counted from the hypervisor's start.
    Nanos(u64));

impl DomId {
    /// The control domain that the hypervisor starts.
    pub const DOM0: Self = Self(0);
    /// The first of the numbers that mean something else than a domain.
    pub const FIRST_RESERVED: Self = Self(0x7FF0);
    /// The caller itself.
    #[doc(alias = "DOMID_SELF")]
    pub const SELF: Self = Self(0x7FF0);
    /// The owner of the machine's device memory.
    #[doc(alias = "DOMID_IO")]
    pub const IO: Self = Self(0x7FF1);
    /// The hypervisor itself.
    #[doc(alias = "DOMID_XEN")]
    pub const XEN: Self = Self(0x7FF2);
    /// No domain at all.
    #[doc(alias = "DOMID_INVALID")]
    pub const INVALID: Self = Self(0x7FF4);
    /// The owner of what runs on a pCPU that has nothing to do.
    #[doc(alias = "DOMID_IDLE")]
    pub const IDLE: Self = Self(0x7FFF);
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d{}", self.0)
    }
}

impl Gfn {
    /// The guest-physical address of the frame's first byte.
    pub const fn gpa(self) -> Gpa {
        Gpa(self.0 << FRAME_SHIFT)
    }
}

impl Mfn {
    /// The machine address of the frame's first byte.
    pub const fn hpa(self) -> Hpa {
        Hpa(self.0 << FRAME_SHIFT)
    }
}

impl Gpa {
    /// The frame that holds this byte.
    pub const fn gfn(self) -> Gfn {
        Gfn(self.0 >> FRAME_SHIFT)
    }

    /// The byte's offset in its frame, below [`FRAME_BYTES`].
    pub const fn offset(self) -> usize {
        (self.0 & (FRAME_BYTES as u64 - 1)) as usize
    }
}

impl Hpa {
    /// The frame that holds this byte.
    pub const fn mfn(self) -> Mfn {
        Mfn(self.0 >> FRAME_SHIFT)
    }

    /// The byte's offset in its frame, below [`FRAME_BYTES`].
    pub const fn offset(self) -> usize {
        (self.0 & (FRAME_BYTES as u64 - 1)) as usize
    }
}
