//! The kernel's packet filter, nftables, through netlink.
//!
//! [`rule`] is what rules can say, [`batch`] how they get to the kernel, all of a change at once.
//! [`guard`] keeps guests to their own addresses, [`nat`] hides those behind the host's.

mod batch;
pub mod guard;
pub mod nat;
mod rule;
