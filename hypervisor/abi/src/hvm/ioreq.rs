//! `hvm/ioreq.h`: I/O requests to device models.

use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Kind of request.
    pub struct IoreqType(u8) {
        /// A port.
        PIO = 0, "IOREQ_TYPE_PIO";
        /// Memory.
        COPY = 1, "IOREQ_TYPE_COPY";
        /// PCI configuration: segment, bus, device, function in the high half of `addr`.
        PCI_CONFIG = 2, "IOREQ_TYPE_PCI_CONFIG";
        /// The clock was set.
        TIMEOFFSET = 7, "IOREQ_TYPE_TIMEOFFSET";
        /// Mappings are stale.
        INVALIDATE = 8, "IOREQ_TYPE_INVALIDATE";
    }
}

open_enum! {
    /// Low four bits of [`Ioreq::state_flags`].
    pub struct IoreqState(u8) {
        /// No request.
        NONE = 0, "STATE_IOREQ_NONE";
        /// For the device model.
        READY = 1, "STATE_IOREQ_READY";
        /// The device model works on it.
        INPROCESS = 2, "STATE_IOREQ_INPROCESS";
        /// For the vCPU.
        RESP_READY = 3, "STATE_IORESP_READY";
    }
}

/// One vCPU's request.
///
/// `ioreq` in `hvm/ioreq.h`.
#[doc(alias = "ioreq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Ioreq {
    /// Port or guest physical address.
    pub addr: u64,
    /// Value, or where it is.
    pub data: u64,
    /// Repetitions.
    pub count: u32,
    /// Bytes.
    pub size: u32,
    /// Port for notifications.
    pub vp_eport: u32,
    /// Padding; zero.
    pub _pad0: u16,
    /// Bits 3..0 an [`IoreqState`]; then `FLAG_*`.
    pub state_flags: u8,
    /// Kind.
    pub ty: IoreqType,
}

layout!(Ioreq, size 32, {
    addr: 0, data: 8, count: 16, size: 20, vp_eport: 24, _pad0: 28, state_flags: 30, ty: 31,
});

constants! {
    // Flags of [`Ioreq::state_flags`].
    u8 {
        /// `data` is a guest physical address.
        FLAG_DATA_IS_PTR = 1 << 4;
        /// A read.
        FLAG_READ = 1 << 5;
        /// Addresses go down.
        FLAG_DF = 1 << 6;
    }
}

/// One buffered request.
///
/// `buf_ioreq` in `hvm/ioreq.h`.
#[doc(alias = "buf_ioreq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BufIoreq {
    /// Kind.
    pub ty: u8,
    /// Bit 1 a read, 3..2 log2 of the size; bits 19..16 of the address in 7..4.
    pub flags: u8,
    /// Bits 15..0 of the address.
    pub addr_low: u16,
    /// Value.
    pub data: u32,
}

layout!(BufIoreq, size 8, { ty: 0, flags: 1, addr_low: 2, data: 4 });

/// Ring of buffered requests.
///
/// `buffered_iopage` in `hvm/ioreq.h`.
#[doc(alias = "buffered_iopage")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct BufferedIopage {
    /// Consumed.
    pub read_pointer: u32,
    /// Produced.
    pub write_pointer: u32,
    /// Slots.
    pub buf_ioreq: [BufIoreq; 511],
}

layout!(BufferedIopage, size 4096, { read_pointer: 0, write_pointer: 4, buf_ioreq: 8 });

constants! {
    // Slots of the ring.
    usize {
        /// In one page.
        BUFFER_SLOT_NUM = 511, "IOREQ_BUFFER_SLOT_NUM";
    }
}
