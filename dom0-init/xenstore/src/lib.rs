//! The store that domains share: a tree of small values with permissions, watches and
//! transactions, spoken to by messages.
//!
//! Everything here is a pure state machine: [`Store`] takes packets of its connections and fills
//! their outboxes; sockets, rings and event channels are the server's business. A request goes
//! from [`wire`] through [`request`] to [`store`], which does it on a [`view`] of the [`tree`],
//! inside or outside of a [`transaction`], and tells [`watch`]es.
//!
//! What a later process needs to go on where this one was is written down in a [`journal`].
//!
//! [`client`] is the other end, for programs of the control domain.
//!
//! The protocol is that of Xen's `io/xs_wire.h` and `docs/misc/xenstore.txt`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod client;
pub mod error;
pub mod journal;
pub mod outbox;
pub mod path;
pub mod permission;
pub mod quota;
pub mod request;
pub mod store;
pub mod transaction;
pub mod tree;
pub mod view;
pub mod watch;
pub mod wire;

pub use error::Error;
pub use permission::DomId;
pub use store::{Host, Left, RingState, Store};
pub use watch::ConnectionId;
