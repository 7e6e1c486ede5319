//! The alarm engine: OPC 10000-9 conditions and their transitions.
//!
//! Pure: no I/O, no async, no clock of its own. It is told the time and the cause with each call, and answers with the
//! transitions that follow. The surfaces and the log are the pipeline's affair.

mod branches;
mod command;
mod condition;
mod definition;
mod engine;
mod event_id;
mod glance;
mod glance_v1;
mod groups;
mod maintenance;
mod metrics;
mod moves;
mod recent;
mod settle;
mod state;
mod state_v1;
mod state_v2;
mod tells;
#[cfg(test)]
mod tests;
mod track_record;

pub use command::RefusedCommand;
pub use definition::{AlarmType, ConditionClass, ConditionDef, Group, Rules};
pub use engine::{Belief, Engine, Finding, Transition};
pub use event_id::EventId;
pub use glance::Glance;
pub use glance_v1::GlanceV1;
pub use maintenance::{Maintenance, Planned, Planner};
pub use metrics::{Figures, Metrics, Window};
pub use moves::Moves;
pub use recent::Recent;
pub use state::{
    CHATTER, CHATTER_RISES, Comment, ConditionState, DecodeError, Evidence, Shelving, Stamped, Suppression,
};
pub use tells::Tells;
pub use track_record::{TrackRecord, Trusted};
