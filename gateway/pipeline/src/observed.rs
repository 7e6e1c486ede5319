//! Events of servers out of the texts in which they are kept, one JSON object each: what a detector hears that has
//! `events-in`. Knows nothing of servers.

use std::collections::BTreeMap;

use serde_json::Value;
use watchfire_model::{Batch, Event, Frame, Lsn, Quality};

use crate::binding::Indexes;

/// What a frame has for a detector that hears events: a batch without them, and those that are of its time. What a
/// refresh has told again is in neither, and what came late is for learning.
pub(crate) fn parted(lsn: Lsn, frame: &Frame, indexes: &Indexes, streams: &[bool]) -> (Batch, Vec<Event>) {
    let rows = &frame.rows;
    let is_stream = |index: u32| streams.get(index as usize).copied().unwrap_or(false);
    // A row of a stream without a text says how the stream stands, and is a row as any other.
    let is_event = |row: usize, index: u32| is_stream(index) && rows.text_at(row).is_some();
    let batch = Batch::cut_rows(
        lsn,
        frame,
        |id| indexes.of(id),
        |row, index, quality| !quality.has(Quality::LATE) && !is_event(row, index),
    );
    let mut events = Vec::new();
    for (row, ((id, time), quality)) in rows.signal.iter().zip(&rows.time).zip(&rows.quality).enumerate() {
        let Some(source) = indexes.of(*id).filter(|index| is_stream(*index)) else { continue };
        let is_new = !quality.has(Quality::LATE) && !quality.has(Quality::INITIAL);
        if let Some(text) = rows.text_at(row).filter(|_| is_new) {
            events.push(event(time.ns(), source, text));
        }
    }
    (batch.with_gaps(frame, |id| indexes.of(id)), events)
}

/// An event out of its text. One that is no JSON object is an event of which only the message is known.
fn event(time: i64, source: u32, text: &str) -> Event {
    let Ok(mut said) = serde_json::from_str::<BTreeMap<String, Value>>(text) else {
        return Event { time, source, message: text.to_owned(), ..Event::default() };
    };
    let mut take = |name: &str| said.remove(name).map(shown);
    let (event_type, user) = (take("EventType").unwrap_or_default(), take("ClientUserId"));
    let (message, severity) = (take("Message").unwrap_or_default(), take("Severity"));
    let severity = severity.and_then(|severity| severity.parse().ok()).unwrap_or(0);
    let fields = said.into_iter().map(|(name, value)| (name, shown(value))).collect();
    Event { time, source, event_type, severity, user, message, fields }
}

/// A value as a text: texts as they are, all else as JSON.
fn shown(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_from_whatever_text_it_is_kept_in() {
        let whole = r#"{"EventType":"i=2080","Severity":700,"ClientUserId":"anna","Message":"wrote","NewValue":[1,2.5],"SourceName":"pump"}"#;
        let fields = [("NewValue", "[1,2.5]"), ("SourceName", "pump")];
        let read = event(5, 1, whole);
        assert_eq!((read.time, read.source, read.severity, read.user.as_deref()), (5, 1, 700, Some("anna")));
        assert_eq!((read.event_type.as_str(), read.message.as_str()), ("i=2080", "wrote"));
        assert_eq!(read.fields, fields.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for (text, message, severity) in [
            ("{}", "", 0),
            ("[1]", "[1]", 0),
            ("", "", 0),
            (r#"{"Severity":-5,"Message":7}"#, "7", 0),
            ("\u{1}", "\u{1}", 0),
        ] {
            let read = event(5, 1, text);
            assert_eq!((read.message.as_str(), read.severity, read.fields.len()), (message, severity, 0), "{text}");
        }
    }
}
