//! How a condition stands: everything that must survive a restart, and its encoding.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchfire_model::{ConditionKey, Instant, Level, Lsn, Severity, StatusCode};

use crate::state_v1::StateV1;
use crate::state_v2::StateV2;
use crate::{ConditionDef, EventId, Maintenance, Moves};

/// The version of the encoding below, its first byte.
const VERSION: u8 = 4;
/// EventIds of branches that were dealt with which are still known for that.
const DEALT_WITH_MAX: usize = 32;
/// EventIds of the current occurrence that stay valid for acknowledgement and comments.
pub(crate) const EVENT_IDS_MAX: usize = 32;
/// Occurrences that a condition leaves behind; with more, the newest of them stands for those that follow.
pub(crate) const BRANCHES_MAX: usize = 8;
/// An alarm chatters when it comes so often (ISA-18.2 §16, EEMUA 191),
pub const CHATTER_RISES: usize = 3;
/// within such a time; and no longer does once it did not come for as long.
pub const CHATTER: Duration = Duration::from_secs(60);

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

impl Evidence {
    /// What was expected, as one value: the middle of the least and the most, or the only one of them that is told.
    #[must_use]
    pub fn expected(&self) -> Option<f64> {
        let expected = match (self.low, self.high) {
            (Some(low), Some(high)) => Some(f64::midpoint(low, high)),
            (low, high) => low.or(high),
        };
        expected.filter(|value| value.is_finite())
    }
}

/// ShelvedStateMachineType (OPC 10000-9 §5.8.17).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shelving {
    /// Not put aside.
    #[default]
    Unshelved,
    /// Put aside until then.
    Timed {
        /// When it ends.
        until: Instant,
    },
    /// Put aside until it has ended, or until then.
    OneShot {
        /// When it ends at the latest, where the condition has a MaxTimeShelved.
        until: Option<Instant>,
    },
}

impl Shelving {
    /// Whether it is put aside.
    #[must_use]
    pub const fn is_shelved(self) -> bool {
        !matches!(self, Self::Unshelved)
    }

    /// When it ends by itself.
    #[must_use]
    pub const fn until(self) -> Option<Instant> {
        match self {
            Self::Unshelved => None,
            Self::Timed { until } => Some(until),
            Self::OneShot { until } => until,
        }
    }
}

/// Why a condition is suppressed; there may be several reasons at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression(u8);

impl Suppression {
    /// A person said so.
    pub const OPERATOR: Self = Self(1);
    /// The mode of operation says so.
    pub const MODE: Self = Self(2);
    /// What it rests on is lost, and an alarm of its own says so.
    pub const PARENT: Self = Self(4);
    /// Another of its group came first.
    pub const GROUP: Self = Self(8);
    /// Its detector told more than its budget allows.
    pub const BUDGET: Self = Self(16);

    /// Whether there is any reason.
    #[must_use]
    pub const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether there is this reason.
    #[must_use]
    pub const fn has(self, reason: Self) -> bool {
        self.0 & reason.0 != 0
    }

    /// With this reason, or without it.
    #[must_use]
    pub const fn with(self, reason: Self, holds: bool) -> Self {
        if holds { Self(self.0 | reason.0) } else { Self(self.0 & !reason.0) }
    }

    /// The reasons by name, for people.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all = [
            (Self::OPERATOR, "an operator"),
            (Self::MODE, "the mode of operation"),
            (Self::PARENT, "an alarm above it"),
            (Self::GROUP, "the first of its group"),
            (Self::BUDGET, "the budget of its detector"),
        ];
        all.into_iter().filter(|(reason, _)| self.has(*reason)).map(|(_, name)| name).collect()
    }
}

/// A finding that OnDelay or OffDelay holds back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delayed {
    pub due: Instant,
    pub level: Level,
    pub message: String,
    pub score: Option<f64>,
    pub evidence: Vec<Evidence>,
    /// The record it rests on.
    pub cause: Lsn,
}

/// A condition's whole state, or that of one of its branches.
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
    /// Whether it is put aside.
    pub shelving: Stamped<Shelving>,
    /// Whether and why it is suppressed.
    pub suppressed: Stamped<Suppression>,
    /// OutOfServiceState.
    pub out_of_service: Stamped<bool>,
    /// SilenceState.
    pub silenced: Stamped<bool>,
    /// LatchedState: it was active and nobody has reset it.
    pub latched: Stamped<bool>,
    /// ReAlarmRepeatCount: how often it was an alarm anew since it began.
    pub re_alarms: u16,
    /// When it is an alarm anew unless it ends before.
    pub(crate) re_alarm_at: Option<Instant>,
    /// Whether it was the first of its group.
    pub first_in_group: bool,
    /// Whether it comes and goes more than [`CHATTER_RISES`] times in [`CHATTER`].
    pub chattering: bool,
    /// When it last came, for [`ConditionState::chattering`]; the latest last.
    pub(crate) rises: Vec<Instant>,
    /// What is held back.
    pub(crate) delayed: Option<Box<Delayed>>,
    /// For how long it is out of service, and when it will be.
    pub maintenance: Maintenance,
    /// Whether a person has said that this occurrence is a true alarm, or a false one.
    pub mark: Stamped<Option<bool>>,
    /// Which way it went last; `None` for nowhere, as most.
    pub moves: Option<Box<Moves>>,
    /// Of a branch: its BranchId, the EventId with which it was left behind.
    pub branch: Option<EventId>,
    /// Earlier occurrences that nobody has dealt with, oldest first (OPC 10000-9 §5.5.2, BranchId).
    pub branches: Vec<ConditionState>,
    /// What is written behind the rest.
    #[serde(skip)]
    pub(crate) later: Later,
}

/// What is kept of a condition, and not of its branches, since version 4 of the encoding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Later {
    /// Reasons to suppress it that a person has lifted and that have not ended since.
    pub lifted: Suppression,
    /// EventIds of branches that were dealt with, the latest last.
    pub dealt_with: Vec<EventId>,
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
            shelving: Stamped::new(Shelving::Unshelved, at),
            suppressed: Stamped::new(Suppression::default(), at),
            out_of_service: Stamped::new(false, at),
            silenced: Stamped::new(false, at),
            latched: Stamped::new(false, at),
            re_alarms: 0,
            re_alarm_at: None,
            first_in_group: false,
            chattering: false,
            rises: Vec::new(),
            delayed: None,
            maintenance: Maintenance::default(),
            mark: Stamped::new(None, at),
            moves: None,
            branch: None,
            branches: Vec::new(),
            later: Later::default(),
        }
    }

    /// The level that was found last, whether or not a delay still holds it back.
    #[must_use]
    pub fn found(&self) -> Level {
        self.delayed.as_ref().map_or(self.level, |delayed| delayed.level)
    }

    /// SuppressedOrShelved (OPC 10000-9 §5.8.2): it stands, and nobody is to be bothered with it.
    #[must_use]
    pub fn is_aside(&self) -> bool {
        self.suppressed.value.any() || self.out_of_service.value || self.shelving.value.is_shelved()
    }

    /// Whether a person has lifted a reason to suppress it that has not ended since.
    #[must_use]
    pub fn has_lifted(&self, reason: Suppression) -> bool {
        self.later.lifted.has(reason)
    }

    /// Gives it another severity.
    pub(crate) fn weigh(&mut self, severity: Severity, at: Instant) {
        if self.severity.value != severity {
            self.last_severity = self.severity.clone();
            self.severity.set(severity, at);
        }
    }

    /// Remembers the EventIds of a branch that was dealt with.
    pub(crate) fn remember(&mut self, dealt_with: &[EventId]) {
        let known = &mut self.later.dealt_with;
        known.extend_from_slice(dealt_with);
        let excess = known.len().saturating_sub(DEALT_WITH_MAX);
        known.drain(..excess);
    }

    /// Whether somebody still has to acknowledge or confirm it.
    #[must_use]
    pub(crate) fn is_open(&self, confirm: bool) -> bool {
        !self.acked.value || (confirm && !self.confirmed.value)
    }

    /// The EventId of the transition that led here; of a condition that had none yet, one that no event bears.
    #[must_use]
    pub fn event_id(&self, key: &ConditionKey) -> EventId {
        if self.event_id == EventId::NONE { EventId::derive(key, self.transitions, 0) } else { self.event_id }
    }

    /// Whether the event of this state, of a condition or of one of its branches, told of what followed from the record
    /// at `cause`. `transitions` are those of the condition itself, which has at most [`BRANCHES_MAX`] branches that may
    /// have been told at once.
    #[must_use]
    pub fn is_told_by(&self, key: &ConditionKey, transitions: u64, cause: u64) -> bool {
        let first = transitions.saturating_sub(BRANCHES_MAX as u64 + 1);
        (first..=transitions).any(|number| EventId::derive(key, number, cause) == self.event_id)
    }

    /// Retain (OPC 10000-9 §5.5.2): it belongs in the list while something is left to see or to do.
    #[must_use]
    pub(crate) fn must_retain(&self, def: &ConditionDef) -> bool {
        let left = self.active.value || self.latched.value || self.is_open(def.confirm) || !self.branches.is_empty();
        self.enabled.value && left
    }

    /// The state as bytes, for the log.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Every type in it can be written, so the only way to fail would be a full target, and a Vec grows.
        let body = postcard::to_extend(self, vec![VERSION]);
        body.and_then(|body| postcard::to_extend(&self.later, body)).unwrap_or_default()
    }

    /// Reads a state back.
    ///
    /// # Errors
    /// When the bytes are of another version or damaged.
    pub fn decode(key: &str, bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_first(key, bytes).map(|(state, _)| state)
    }

    /// The same, and what stands behind it.
    pub(crate) fn decode_first<'b>(key: &str, bytes: &'b [u8]) -> Result<(Self, &'b [u8]), DecodeError> {
        let error = |reason: String| DecodeError { key: key.to_owned(), reason };
        match bytes.split_first() {
            Some((&VERSION, body)) => postcard::take_from_bytes::<Self>(body)
                .and_then(|(state, rest)| {
                    let (later, behind) = postcard::take_from_bytes(rest)?;
                    Ok((Self { later, ..state }, behind))
                })
                .map_err(|e| error(e.to_string())),
            // Those before are still read; the third was the same without what is kept later.
            Some((3, body)) => postcard::take_from_bytes(body).map_err(|e| error(e.to_string())),
            Some((2, body)) => {
                postcard::from_bytes(body).map(|old: StateV2| (old.into(), &[][..])).map_err(|e| error(e.to_string()))
            }
            Some((1, body)) => {
                postcard::from_bytes(body).map(|old: StateV1| (old.into(), &[][..])).map_err(|e| error(e.to_string()))
            }
            Some((version, _)) => Err(error(format!("it has version {version}, this program writes {VERSION}"))),
            None => Err(error("it is empty".to_owned())),
        }
    }
}
