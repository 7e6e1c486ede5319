//! The alarm engine: OPC 10000-9 conditions and their transitions.
//!
//! Pure: no I/O, no async, no clock of its own. It is told the time and the cause with each call, and answers with the
//! transitions that follow. The surfaces and the log are the pipeline's affair.

mod definition;
mod engine;
mod event_id;
#[cfg(test)]
mod rules;
mod state;

pub use definition::{AlarmType, ConditionClass, ConditionDef};
pub use engine::{Engine, Finding, RefusedCommand, Transition};
pub use event_id::EventId;
pub use state::{Comment, ConditionState, DecodeError, Evidence, Stamped};
