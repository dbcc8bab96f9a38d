//! What goes wrong around guests: daemons that are killed in the middle of their work. Nothing is
//! left behind, and every message says what happened.

mod kills;
