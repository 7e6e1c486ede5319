//! Findings that are told as plain events. Those that are no alarms, since nobody has settled what to do about them
//! (ISA-18.2 §9: no response, no alarm), have no condition, stand in no list and count in no figure; those in values that
//! came late are of the past, and an alarm only if they still hold. Both are on record as they are told.

use watchfire_alarms::{ConditionDef, EventId, Finding};
use watchfire_model::{Instant, Lsn, PlainEvent};

/// Where the numbers of events begin that are found late.
const LATE: u64 = 1 << 63;

/// The event of the `number`th verdict on the frame at `frame`; `None` where nothing was found.
pub(crate) fn plain_event(def: &ConditionDef, finding: Finding, told: (Lsn, u64, Instant)) -> Option<PlainEvent> {
    let (frame, number, now) = told;
    // Numbers of transitions begin at the other end: the condition may have been an alarm, or become one.
    finding.level.is_active().then(|| event(def, finding, (frame, u64::MAX - number, now)))
}

/// The `number`th event of what was found in values that came late, of which the frame at `frame` told that they were
/// missing.
pub(crate) fn late_event(
    def: &ConditionDef,
    finding: Finding,
    (frame, number, now): (Lsn, u64, Instant),
) -> PlainEvent {
    let message = format!("found later, in values that were fetched for this time: {}", finding.message);
    event(def, Finding { message, ..finding }, (frame, LATE - number, now))
}

fn event(def: &ConditionDef, finding: Finding, (frame, number, now): (Lsn, u64, Instant)) -> PlainEvent {
    PlainEvent {
        key: def.key.clone(),
        event_id: *EventId::derive(&def.key, number, frame.0).bytes(),
        area: def.area.as_ref().to_owned(),
        source_name: def.source_name.as_ref().to_owned(),
        signal: def.signal,
        severity: def.severity,
        message: finding.message,
        at: finding.at,
        receive_time: now,
    }
}
