//! What goes wrong around guests: daemons that are killed in the middle of their work, disks that
//! are full or vanish, guests that don't come up. Nothing is left behind, and every message says
//! what happened.

mod disks;
mod kills;
