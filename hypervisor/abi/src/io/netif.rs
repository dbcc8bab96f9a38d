//! `io/netif.h`: network devices.

use crate::macros::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Part of a packet to send.
///
/// `netif_tx_request` in `io/netif.h`.
#[doc(alias = "netif_tx_request")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NetifTxRequest {
    /// The page.
    pub gref: u32,
    /// Where it starts there.
    pub offset: u16,
    /// `TXF_*`.
    pub flags: u16,
    /// Echoed in the answer.
    pub id: u16,
    /// Bytes: of the packet in its first part, else of the part.
    pub size: u16,
}

layout!(NetifTxRequest, size 12, { gref: 0, offset: 4, flags: 6, id: 8, size: 10 });

/// Answer to a [`NetifTxRequest`].
///
/// `netif_tx_response` in `io/netif.h`.
#[doc(alias = "netif_tx_response")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NetifTxResponse {
    /// Of the request.
    pub id: u16,
    /// `RSP_*`.
    pub status: i16,
}

layout!(NetifTxResponse, size 4, { id: 0, status: 2 });

/// A page to receive into.
///
/// `netif_rx_request` in `io/netif.h`.
#[doc(alias = "netif_rx_request")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NetifRxRequest {
    /// Echoed in the answer.
    pub id: u16,
    /// Padding; zero.
    pub _pad0: u16,
    /// The page.
    pub gref: u32,
}

layout!(NetifRxRequest, size 8, { id: 0, _pad0: 2, gref: 4 });

/// A received part of a packet.
///
/// `netif_rx_response` in `io/netif.h`.
#[doc(alias = "netif_rx_response")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NetifRxResponse {
    /// Of the request.
    pub id: u16,
    /// Where it starts in the page.
    pub offset: u16,
    /// `RXF_*`.
    pub flags: u16,
    /// Bytes, or `RSP_*` if negative.
    pub status: i16,
}

layout!(NetifRxResponse, size 8, { id: 0, offset: 2, flags: 4, status: 6 });

/// Takes a request's place, behind the first one of a packet.
///
/// `netif_extra_info` in `io/netif.h`.
#[doc(alias = "netif_extra_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NetifExtraInfo {
    /// `EXTRA_TYPE_*`.
    pub ty: u8,
    /// `EXTRA_FLAG_MORE`.
    pub flags: u8,
    /// By type; segmentation: size, type (low byte), features.
    pub u: [u16; 3],
}

layout!(NetifExtraInfo, size 8, { ty: 0, flags: 1, u: 2 });

constants! {
    // Flags of requests and answers.
    u16 {
        /// The checksum is to be filled in.
        TXF_CSUM_BLANK = 1 << 0, "NETTXF_csum_blank";
        /// The data is known to be right.
        TXF_DATA_VALIDATED = 1 << 1, "NETTXF_data_validated";
        /// The packet goes on in the next request.
        TXF_MORE_DATA = 1 << 2, "NETTXF_more_data";
        /// A [`NetifExtraInfo`] follows.
        TXF_EXTRA_INFO = 1 << 3, "NETTXF_extra_info";
        /// The data is known to be right.
        RXF_DATA_VALIDATED = 1 << 0, "NETRXF_data_validated";
        /// The checksum is not filled in.
        RXF_CSUM_BLANK = 1 << 1, "NETRXF_csum_blank";
        /// The packet goes on in the next answer.
        RXF_MORE_DATA = 1 << 2, "NETRXF_more_data";
        /// A [`NetifExtraInfo`] follows.
        RXF_EXTRA_INFO = 1 << 3, "NETRXF_extra_info";
        /// Obsolete.
        RXF_GSO_PREFIX = 1 << 4, "NETRXF_gso_prefix";
    }
}

constants! {
    // Status of answers.
    i16 {
        /// Dropped.
        RSP_DROPPED = -2, "NETIF_RSP_DROPPED";
        /// Failed.
        RSP_ERROR = -1, "NETIF_RSP_ERROR";
        /// Done.
        RSP_OKAY = 0, "NETIF_RSP_OKAY";
        /// No answer: for extra information.
        RSP_NULL = 1, "NETIF_RSP_NULL";
    }
}

constants! {
    // Values of [`NetifExtraInfo`].
    u8 {
        /// Invalid.
        EXTRA_TYPE_NONE = 0, "XEN_NETIF_EXTRA_TYPE_NONE";
        /// Segmentation.
        EXTRA_TYPE_GSO = 1, "XEN_NETIF_EXTRA_TYPE_GSO";
        /// Join a multicast group.
        EXTRA_TYPE_MCAST_ADD = 2, "XEN_NETIF_EXTRA_TYPE_MCAST_ADD";
        /// Leave a multicast group.
        EXTRA_TYPE_MCAST_DEL = 3, "XEN_NETIF_EXTRA_TYPE_MCAST_DEL";
        /// Hash.
        EXTRA_TYPE_HASH = 4, "XEN_NETIF_EXTRA_TYPE_HASH";
        /// Another one follows.
        EXTRA_FLAG_MORE = 1, "XEN_NETIF_EXTRA_FLAG_MORE";
        /// No segmentation.
        GSO_TYPE_NONE = 0, "XEN_NETIF_GSO_TYPE_NONE";
        /// TCP over IPv4.
        GSO_TYPE_TCPV4 = 1, "XEN_NETIF_GSO_TYPE_TCPV4";
        /// TCP over IPv6.
        GSO_TYPE_TCPV6 = 2, "XEN_NETIF_GSO_TYPE_TCPV6";
    }
}

constants! {
    // Limits.
    usize {
        /// Slots that a backend must accept for one packet.
        NR_SLOTS_MIN = 18, "XEN_NETIF_NR_SLOTS_MIN";
        /// Bytes of a packet.
        MAX_TX_SIZE = 0xffff, "XEN_NETIF_MAX_TX_SIZE";
    }
}
