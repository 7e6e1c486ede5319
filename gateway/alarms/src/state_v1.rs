//! States as they were written before shelving, suppression and branches: read, never written.

use serde::Deserialize;
use watchfire_model::{Instant, Level, Lsn, Severity, StatusCode};

use crate::EventId;
use crate::state::{Comment, ConditionState, Evidence, Stamped};

/// Version 1.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct StateV1 {
    pub enabled: Stamped<bool>,
    pub active: Stamped<bool>,
    pub acked: Stamped<bool>,
    pub confirmed: Stamped<bool>,
    pub level: Level,
    pub severity: Stamped<Severity>,
    pub last_severity: Stamped<Severity>,
    pub quality: Stamped<StatusCode>,
    pub comment: Stamped<Comment>,
    pub user: String,
    pub message: String,
    pub score: Option<f64>,
    pub evidence: Vec<Evidence>,
    pub retain: bool,
    pub event_id: EventId,
    pub event_ids: Vec<EventId>,
    pub time: Instant,
    pub receive_time: Instant,
    pub transitions: u64,
    pub activations: u64,
    pub decided: Lsn,
}

impl From<StateV1> for ConditionState {
    fn from(old: StateV1) -> Self {
        let (severity, at) = (old.severity.value, old.time);
        Self {
            severity: old.severity,
            enabled: old.enabled,
            active: old.active,
            acked: old.acked,
            confirmed: old.confirmed,
            level: old.level,
            last_severity: old.last_severity,
            quality: old.quality,
            comment: old.comment,
            user: old.user,
            message: old.message,
            score: old.score,
            evidence: old.evidence,
            retain: old.retain,
            event_id: old.event_id,
            event_ids: old.event_ids,
            receive_time: old.receive_time,
            transitions: old.transitions,
            activations: old.activations,
            decided: old.decided,
            ..Self::normal(severity, at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_the_version_before_is_read() {
        let at = Instant::from_s(7);
        let now = ConditionState {
            user: "anna".to_owned(),
            event_ids: vec![EventId::derive(&watchfire_model::ConditionKey::new("a", "b", ""), 1, 2)],
            ..ConditionState::normal(Severity::clamped(700), at)
        };
        let old = StateV1 {
            enabled: now.enabled.clone(),
            active: now.active.clone(),
            acked: now.acked.clone(),
            confirmed: now.confirmed.clone(),
            level: now.level,
            severity: now.severity.clone(),
            last_severity: now.last_severity.clone(),
            quality: now.quality.clone(),
            comment: now.comment.clone(),
            user: now.user.clone(),
            message: now.message.clone(),
            score: now.score,
            evidence: now.evidence.clone(),
            retain: now.retain,
            event_id: now.event_id,
            event_ids: now.event_ids.clone(),
            time: now.time,
            receive_time: now.receive_time,
            transitions: now.transitions,
            activations: now.activations,
            decided: now.decided,
        };
        let bytes = postcard::to_extend(&old, vec![1]).unwrap();
        assert_eq!(ConditionState::decode("a/b", &bytes), Ok(now));
        assert!(ConditionState::decode("a/b", &[9, 0]).unwrap_err().to_string().contains("version 9"));
    }
}
