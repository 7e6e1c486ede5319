//! How records that are no samples are written: what had no events before there were any reads and is written as it was,
//! and what is new comes last.

use serde::{Deserialize, Serialize, Serializer};

use crate::{AlarmCommand, AlarmState, Control, Decided, Frame, Lsn, RecordBody, Verdict};

/// A record's body in the form in which it is written.
#[derive(Serialize)]
#[serde(rename = "RecordBody")]
enum Written<'r> {
    Data(&'r Frame),
    Control(&'r Control),
    Decided { binding: &'r str, frame: Lsn, verdicts: &'r [Verdict], transitions: &'r [AlarmState] },
    Commanded { command: &'r AlarmCommand, transitions: &'r [AlarmState] },
    DecidedAndTold(&'r Decided),
}

/// The same as it is read.
#[derive(Deserialize)]
#[serde(rename = "RecordBody")]
pub(crate) enum Read {
    Data(Frame),
    Control(Control),
    Decided { binding: String, frame: Lsn, verdicts: Vec<Verdict>, transitions: Vec<AlarmState> },
    Commanded { command: AlarmCommand, transitions: Vec<AlarmState> },
    DecidedAndTold(Decided),
}

impl Serialize for RecordBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Self::Data(frame) => Written::Data(frame),
            Self::Control(control) => Written::Control(control),
            Self::Decided(decided) if !decided.events.is_empty() => Written::DecidedAndTold(decided),
            Self::Decided(Decided { binding, frame, verdicts, transitions, .. }) => {
                Written::Decided { binding, frame: *frame, verdicts, transitions }
            }
            Self::Commanded { command, transitions } => Written::Commanded { command, transitions },
        };
        written.serialize(serializer)
    }
}

impl From<Read> for RecordBody {
    fn from(read: Read) -> Self {
        match read {
            Read::Data(frame) => Self::Data(frame),
            Read::Control(control) => Self::Control(control),
            Read::Decided { binding, frame, verdicts, transitions } => {
                Self::Decided(Decided { binding, frame, verdicts, transitions, events: Vec::new() })
            }
            Read::Commanded { command, transitions } => Self::Commanded { command, transitions },
            Read::DecidedAndTold(decided) => Self::Decided(decided),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConditionKey, Instant, PlainEvent, Severity};

    #[test]
    fn what_was_written_before_there_were_events_is_read_and_written_as_it_was() {
        // Variant 2, `hot`, frame 7, no verdicts, no transitions.
        let before = [2, 3, b'h', b'o', b't', 7, 0, 0];
        let body: RecordBody = postcard::from_bytes(&before).unwrap();
        let RecordBody::Decided(decided) = &body else { panic!("{body:?}") };
        assert_eq!((decided.binding.as_str(), decided.frame, decided.events.len()), ("hot", Lsn(7), 0));
        assert_eq!(postcard::to_allocvec(&body).unwrap(), before);
    }

    #[test]
    fn events_come_back_as_they_were_told() {
        let event = PlainEvent {
            key: ConditionKey::new("hot", "high", "press/oil"),
            event_id: [7; 16],
            area: "Hall/Press".into(),
            source_name: "press/oil".into(),
            signal: None,
            severity: Severity::clamped(300),
            message: "85 is above 80".into(),
            at: Instant::from_s(1),
            receive_time: Instant::from_s(2),
        };
        let (binding, frame) = ("hot".to_owned(), Lsn(7));
        let decided = Decided { binding, frame, verdicts: Vec::new(), transitions: Vec::new(), events: vec![event] };
        let body = RecordBody::Decided(decided);
        let bytes = postcard::to_allocvec(&body).unwrap();
        assert_eq!((bytes[0], postcard::from_bytes::<RecordBody>(&bytes).unwrap()), (4, body));
    }
}
