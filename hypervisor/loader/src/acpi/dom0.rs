//! The tables that the control domain sees.
