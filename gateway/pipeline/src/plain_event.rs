//! Findings that are no alarms, since nobody has settled what to do about them (ISA-18.2 §9: no response, no alarm). They
//! have no condition, stand in no list and count in no figure: they are on record, and told as plain events.

use watchfire_alarms::{ConditionDef, EventId, Finding};
use watchfire_model::{Instant, Lsn, PlainEvent};

/// The event of the `number`th verdict on the frame at `frame`; `None` where nothing was found.
pub(crate) fn plain_event(
    def: &ConditionDef,
    finding: Finding,
    (frame, number, now): (Lsn, u64, Instant),
) -> Option<PlainEvent> {
    finding.level.is_active().then(|| PlainEvent {
        key: def.key.clone(),
        // Numbers of transitions begin at the other end: the condition may have been an alarm, or become one.
        event_id: *EventId::derive(&def.key, u64::MAX - number, frame.0).bytes(),
        area: def.area.as_ref().to_owned(),
        source_name: def.source_name.as_ref().to_owned(),
        signal: def.signal,
        severity: def.severity,
        message: finding.message,
        at: finding.at,
        receive_time: now,
    })
}
