//! What figures need to know of how a condition stands: little enough to keep it for each that was ever an alarm.

use serde::{Deserialize, Serialize};
use watchfire_model::{Instant, Severity};

use crate::ConditionState;

/// How a condition stood at one time, as far as figures go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Glance {
    /// When the gateway knew.
    pub now: Instant,
    pub(crate) severity: Severity,
    pub(crate) activations: u64,
    pub(crate) re_alarms: u16,
    pub(crate) aside: bool,
    pub(crate) chattering: bool,
    /// Since when it is active and enabled.
    pub(crate) active: Option<Instant>,
    /// Its occurrence and those left behind that are not acknowledged, while it is enabled: number and since when.
    pub(crate) waits: Vec<(u64, Instant)>,
    /// What people said of its occurrence, and of those before that are left: its number, what, and when.
    pub(crate) marks: Vec<(u64, bool, Instant)>,
}

impl Glance {
    /// At a state of which nothing is known from before: times of the process may be far from ours, and are taken at
    /// their word.
    #[must_use]
    pub fn of(state: &ConditionState) -> Self {
        let mark =
            |state: &ConditionState| state.mark.value.map(|genuine| (state.activations, genuine, state.mark.since));
        Self {
            now: state.receive_time,
            severity: state.severity.value,
            activations: state.activations,
            re_alarms: state.re_alarms,
            aside: state.is_aside(),
            chattering: state.chattering,
            active: (state.enabled.value && state.active.value).then_some(state.active.since),
            waits: waits(state),
            marks: std::iter::once(state).chain(&state.branches).filter_map(mark).collect(),
        }
    }

    /// At the state that followed.
    #[must_use]
    pub fn then(&self, state: &ConditionState) -> Self {
        let next = Self::of(state);
        self.followed_by(next)
    }

    /// The same where something was told at a later time than the condition itself says: of an occurrence left behind,
    /// which may be gone by now.
    #[must_use]
    pub fn then_told(&self, state: &ConditionState, at: Instant) -> Self {
        self.followed_by(Self::of(state).not_before(at))
    }

    /// At a time that is no earlier.
    #[must_use]
    pub fn not_before(self, at: Instant) -> Self {
        Self { now: self.now.max(at), ..self }
    }

    /// The next one, with the times at which the gateway saw what it tells. An occurrence that comes while it is put aside
    /// bothers nobody: it is one from when it is not, if it still stands then.
    #[must_use]
    pub fn followed_by(&self, next: Self) -> Self {
        let now = next.now;
        Self {
            activations: if next.aside { self.activations } else { next.activations },
            active: next.active.map(|_| self.active.unwrap_or(now)),
            waits: next
                .waits
                .iter()
                .map(|(occurrence, _)| (*occurrence, self.waited(*occurrence).unwrap_or(now)))
                .collect(),
            ..next
        }
    }

    /// How a condition stood before the first change of it that anybody has seen.
    #[must_use]
    pub fn before(state: &ConditionState) -> Self {
        let begins = state.active.value && state.event_ids.len() == 1;
        let activations = state.activations.saturating_sub(u64::from(begins));
        Self { activations, active: None, waits: Vec::new(), marks: Vec::new(), ..Self::of(state) }
    }

    /// Since when an occurrence is not acknowledged.
    fn waited(&self, occurrence: u64) -> Option<Instant> {
        self.waits.iter().find(|(other, _)| *other == occurrence).map(|(_, since)| *since)
    }

    /// Whether it was ever an alarm, or is one that is put aside.
    #[must_use]
    pub fn was_alarm(&self) -> bool {
        self.activations > 0 || self.active.is_some()
    }

    /// Whether it is an alarm now that was none before, or one anew; what is put aside is none.
    pub(crate) fn is_alarm_after(&self, before: Option<&Self>) -> bool {
        let came = |before: &Self| self.activations > before.activations || self.re_alarms > before.re_alarms;
        before.is_some_and(came) && self.active.is_some() && !self.aside
    }
}

/// The occurrences of a condition that nobody has acknowledged, by their numbers.
fn waits(state: &ConditionState) -> Vec<(u64, Instant)> {
    let all = std::iter::once(state).chain(&state.branches).filter(|one| state.enabled.value && !one.acked.value);
    all.map(|one| (one.activations, one.acked.since)).collect()
}
