//! Events of findings that are no alarms, as they are told and as they are on record: whole, so that they read the same
//! when nothing is configured any more of what they are about.

use serde::{Deserialize, Serialize};

use crate::{ConditionKey, Instant, Severity, SignalId};

/// An event of a finding that is no alarm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlainEvent {
    /// What would be its condition, if it were an alarm.
    pub key: ConditionKey,
    /// Made from that name and the place in the log, as those of alarms are.
    pub event_id: [u8; 16],
    /// The area.
    pub area: String,
    /// The signal that it is about, or else its detector.
    pub source_name: String,
    /// The number of that signal.
    pub signal: Option<SignalId>,
    /// How severe.
    pub severity: Severity,
    /// What is the matter, one sentence.
    pub message: String,
    /// The time at the process.
    pub at: Instant,
    /// When the gateway knew.
    pub receive_time: Instant,
}

impl PlainEvent {
    /// About how many bytes it holds.
    pub(crate) fn weight(&self) -> usize {
        let texts = [self.key.as_str(), &self.area, &self.source_name, &self.message];
        size_of::<Self>() + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}
