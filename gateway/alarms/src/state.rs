//! How a condition stands: everything that must survive a restart, and its encoding.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use watchfire_model::{ConditionKey, Instant, Level, Lsn, Severity, StatusCode};

use crate::{ConditionDef, EventId};

/// The version of the encoding below, its first byte.
const VERSION: u8 = 1;
/// EventIds of the current occurrence that stay valid for acknowledgement and comments.
pub(crate) const EVENT_IDS_MAX: usize = 32;

/// A value and since when it holds (a TwoStateVariable or ConditionVariable, OPC 10000-9 §5.2, §5.3).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamped<T> {
    /// The value.
    pub value: T,
    /// TransitionTime or SourceTimestamp.
    pub since: Instant,
}

impl<T> Stamped<T> {
    pub(crate) fn new(value: T, since: Instant) -> Self {
        Self { value, since }
    }

    pub(crate) fn set(&mut self, value: T, at: Instant)
    where
        T: PartialEq,
    {
        if self.value != value {
            *self = Self::new(value, at);
        }
    }
}

/// A person's comment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// Locale id, may be empty.
    pub locale: String,
    /// The text.
    pub text: String,
}

/// One piece of evidence, with the signal's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The signal's name.
    pub signal: Arc<str>,
    /// What was seen.
    pub observed: f64,
    /// The least that was expected.
    pub low: Option<f64>,
    /// The most that was expected.
    pub high: Option<f64>,
    /// How much of the finding it explains, 0 to 1.
    pub share: f64,
}

/// A condition's whole state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConditionState {
    /// Enabled or disabled.
    pub enabled: Stamped<bool>,
    /// Active or inactive.
    pub active: Stamped<bool>,
    /// Acknowledged or not.
    pub acked: Stamped<bool>,
    /// Confirmed or not.
    pub confirmed: Stamped<bool>,
    /// The level behind `active`.
    pub level: Level,
    /// Severity now.
    pub severity: Stamped<Severity>,
    /// Severity before.
    pub last_severity: Stamped<Severity>,
    /// Whether the detector can be believed.
    pub quality: Stamped<StatusCode>,
    /// The last comment.
    pub comment: Stamped<Comment>,
    /// Who commented, acknowledged or confirmed last.
    pub user: String,
    /// What is the matter, one sentence.
    pub message: String,
    /// The score, where there is one.
    pub score: Option<f64>,
    /// What drove it.
    pub evidence: Vec<Evidence>,
    /// Whether it belongs in the alarm list.
    pub retain: bool,
    /// The EventId of the transition that led here; see [`ConditionState::event_id`].
    pub(crate) event_id: EventId,
    /// EventIds of the current occurrence that may still be acknowledged or commented, oldest first.
    pub event_ids: Vec<EventId>,
    /// Time of that transition, at the process.
    pub time: Instant,
    /// When the gateway knew.
    pub receive_time: Instant,
    /// How many transitions there were.
    pub transitions: u64,
    /// How often it went active.
    pub activations: u64,
    /// The last record of the log that changed it by a finding.
    pub decided: Lsn,
}

/// Bytes that are no condition state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored state of condition `{key}` cannot be read: {reason}")]
pub struct DecodeError {
    /// The condition.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl ConditionState {
    /// A condition as it is before anything happened: enabled, inactive, acknowledged, confirmed. Nothing in it is of one
    /// condition alone, so that all that are new can share it.
    #[must_use]
    pub fn normal(severity: Severity, at: Instant) -> Self {
        Self {
            enabled: Stamped::new(true, at),
            active: Stamped::new(false, at),
            acked: Stamped::new(true, at),
            confirmed: Stamped::new(true, at),
            level: Level::Normal,
            severity: Stamped::new(severity, at),
            last_severity: Stamped::new(severity, at),
            quality: Stamped::new(StatusCode::GOOD, at),
            comment: Stamped::new(Comment::default(), at),
            user: String::new(),
            message: String::new(),
            score: None,
            evidence: Vec::new(),
            retain: false,
            event_id: EventId::NONE,
            event_ids: Vec::new(),
            time: at,
            receive_time: at,
            transitions: 0,
            activations: 0,
            decided: Lsn(0),
        }
    }

    /// The EventId of the transition that led here; of a condition that had none yet, one that no event bears.
    #[must_use]
    pub fn event_id(&self, key: &ConditionKey) -> EventId {
        if self.event_id == EventId::NONE { EventId::derive(key, self.transitions, 0) } else { self.event_id }
    }

    /// Retain (OPC 10000-9 §5.5.2): it belongs in the list while something is left to see or to do.
    #[must_use]
    pub(crate) fn must_retain(&self, def: &ConditionDef) -> bool {
        let unconfirmed = def.confirm && !self.confirmed.value;
        self.enabled.value && (self.active.value || !self.acked.value || unconfirmed)
    }

    /// The state as bytes, for the log.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Every type in it can be written, so the only way to fail would be a full target, and a Vec grows.
        postcard::to_extend(self, vec![VERSION]).unwrap_or_default()
    }

    /// Reads a state back.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged.
    pub fn decode(key: &str, bytes: &[u8]) -> Result<Self, DecodeError> {
        let error = |reason: String| DecodeError { key: key.to_owned(), reason };
        match bytes.split_first() {
            Some((&VERSION, body)) => postcard::from_bytes(body).map_err(|e| error(e.to_string())),
            Some((version, _)) => Err(error(format!("it has version {version}, this program writes {VERSION}"))),
            None => Err(error("it is empty".to_owned())),
        }
    }
}
