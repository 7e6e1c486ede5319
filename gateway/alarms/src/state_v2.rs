//! States as they were written before times out of service could be stated, alarms be marked, and it was kept which way
//! a condition went last: read, never written.

use serde::Deserialize;
use watchfire_model::{Instant, Level, Lsn, Severity, StatusCode};

use crate::state::{Comment, ConditionState, Delayed, Evidence, Shelving, Stamped, Suppression};
use crate::{EventId, Maintenance};

/// Version 2.
#[derive(Deserialize)]
#[cfg_attr(test, derive(serde::Serialize))]
pub(crate) struct StateV2 {
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
    pub shelving: Stamped<Shelving>,
    pub suppressed: Stamped<Suppression>,
    pub out_of_service: Stamped<bool>,
    pub silenced: Stamped<bool>,
    pub latched: Stamped<bool>,
    pub re_alarms: u16,
    pub re_alarm_at: Option<Instant>,
    pub first_in_group: bool,
    pub chattering: bool,
    pub rises: Vec<Instant>,
    pub delayed: Option<Box<Delayed>>,
    pub branch: Option<EventId>,
    pub branches: Vec<StateV2>,
}

impl From<StateV2> for ConditionState {
    fn from(old: StateV2) -> Self {
        Self {
            enabled: old.enabled,
            active: old.active,
            acked: old.acked,
            confirmed: old.confirmed,
            level: old.level,
            severity: old.severity,
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
            time: old.time,
            receive_time: old.receive_time,
            transitions: old.transitions,
            activations: old.activations,
            decided: old.decided,
            shelving: old.shelving,
            suppressed: old.suppressed,
            out_of_service: old.out_of_service,
            silenced: old.silenced,
            latched: old.latched,
            re_alarms: old.re_alarms,
            re_alarm_at: old.re_alarm_at,
            first_in_group: old.first_in_group,
            chattering: old.chattering,
            rises: old.rises,
            delayed: old.delayed,
            maintenance: Maintenance::default(),
            mark: Stamped::new(None, old.time),
            moves: None,
            branch: old.branch,
            branches: old.branches.into_iter().map(Self::from).collect(),
            later: crate::state::Later::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(now: &ConditionState) -> StateV2 {
        StateV2 {
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
            shelving: now.shelving.clone(),
            suppressed: now.suppressed.clone(),
            out_of_service: now.out_of_service.clone(),
            silenced: now.silenced.clone(),
            latched: now.latched.clone(),
            re_alarms: now.re_alarms,
            re_alarm_at: now.re_alarm_at,
            first_in_group: now.first_in_group,
            chattering: now.chattering,
            rises: now.rises.clone(),
            delayed: now.delayed.clone(),
            branch: now.branch,
            branches: now.branches.iter().map(old).collect(),
        }
    }

    #[test]
    fn a_state_of_the_version_before_is_read_with_its_branches() {
        let at = Instant::from_s(7);
        let key = watchfire_model::ConditionKey::new("a", "b", "");
        let mut now = ConditionState::normal(Severity::clamped(700), at);
        now.shelving = Stamped::new(Shelving::Timed { until: Instant::from_s(99) }, at);
        let left = ConditionState { branch: Some(EventId::derive(&key, 1, 2)), ..now.clone() };
        now.branches.push(left);
        let bytes = postcard::to_extend(&old(&now), vec![2]).unwrap();
        assert_eq!(ConditionState::decode("a/b", &bytes), Ok(now));
    }

    #[test]
    fn a_state_of_the_third_version_is_one_without_what_is_kept_later() {
        let (at, key) = (Instant::from_s(7), watchfire_model::ConditionKey::new("a", "b", ""));
        let mut now = ConditionState::normal(Severity::clamped(700), at);
        let bytes = postcard::to_extend(&now, vec![3]).unwrap();
        assert_eq!(ConditionState::decode("a/b", &bytes), Ok(now.clone()));
        now.later.lifted = Suppression::MODE;
        now.remember(&[EventId::derive(&key, 1, 2)]);
        assert_eq!(ConditionState::decode("a/b", &now.encode()), Ok(now.clone()));
        assert!(ConditionState::decode("a/b", &now.encode()[..bytes.len()]).is_err(), "it was cut short");
        (0..99).for_each(|at| now.remember(&[EventId::derive(&key, at, 2)]));
        assert_eq!(now.later.dealt_with.len(), 32);
    }
}
