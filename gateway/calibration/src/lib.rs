//! From scores to events: pure, and part of what replay repeats, so its whole state can be saved.
//!
//! Knows no plugin and no alarm: a score comes in, "it began" or "it ended" goes out.

mod gate;

pub use gate::{Gate, GateEvent, GateSettings};
