//! From scores to events: pure, and part of what replay repeats, so its whole state can be saved.
//!
//! Knows no plugin: a score comes in, "it began" or "it ended" goes out. What people said of the alarms that came of it
//! says which threshold would have been better; nobody but a person sets it.

mod gate;
mod marked;

pub use gate::{Gate, GateEvent, GateSettings};
pub use marked::{MarkedAlarm, Proposal, RISE_MAX, propose};
