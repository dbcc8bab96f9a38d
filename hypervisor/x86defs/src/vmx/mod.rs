//! Intel VMX: the fields of a VMCS, why a guest left, and the controls (SDM volume 3, chapters
//! 25 to 29 and appendices A to C).

mod controls;
mod ept;
mod exit;
mod field;

pub use controls::{
    EntryControls, ExitControls, PinControls, PrimaryControls, SecondaryControls, adjust,
};
pub use ept::{EptEntry, EptViolation, eptp};
pub use exit::{Activity, ExitReason, Interruptibility, InterruptionInfo, InterruptionKind};
pub use field::{Field, Width};
