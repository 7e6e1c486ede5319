//! Findings that are no alarms, since nobody has settled what to do about them (ISA-18.2 §9: no response, no alarm). They
//! have no condition, stand in no list and count in no figure: they are on record as verdicts, and told as plain events.

use std::sync::Arc;

use watchfire_alarms::{ConditionDef, EventId, Finding};
use watchfire_model::{Instant, Lsn};

/// An event of a finding that is no alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainEvent {
    /// What the condition would be, if it were one: its name, area, source and severity.
    pub def: Arc<ConditionDef>,
    /// Made from the condition's name and the place in the log, as those of alarms are.
    pub event_id: EventId,
    /// What is the matter, one sentence.
    pub message: String,
    /// The time at the process.
    pub at: Instant,
    /// When the gateway knew.
    pub receive_time: Instant,
}

impl PlainEvent {
    /// The event of the `number`th verdict on the frame at `frame`; `None` where nothing was found.
    pub(crate) fn of(
        def: &Arc<ConditionDef>,
        finding: Finding,
        (frame, number, now): (Lsn, u64, Instant),
    ) -> Option<Self> {
        finding.level.is_active().then(|| Self {
            def: def.clone(),
            // Numbers of transitions begin at the other end: the condition may have been an alarm, or become one.
            event_id: EventId::derive(&def.key, u64::MAX - number, frame.0),
            message: finding.message,
            at: finding.at,
            receive_time: now,
        })
    }
}
