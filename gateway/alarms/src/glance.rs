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
    /// Since when it is not acknowledged, and enabled.
    pub(crate) waits: Option<Instant>,
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
            waits: (state.enabled.value && !state.acked.value).then_some(state.acked.since),
            marks: std::iter::once(state).chain(&state.branches).filter_map(mark).collect(),
        }
    }

    /// At the state that followed.
    #[must_use]
    pub fn then(&self, state: &ConditionState) -> Self {
        let next = Self::of(state);
        self.followed_by(next)
    }

    /// The next one, with the times at which the gateway saw what it tells. An occurrence that comes while it is put aside
    /// bothers nobody: it is one from when it is not, if it still stands then.
    #[must_use]
    pub fn followed_by(&self, next: Self) -> Self {
        let now = next.now;
        Self {
            activations: if next.aside { self.activations } else { next.activations },
            active: next.active.map(|_| self.active.unwrap_or(now)),
            waits: next.waits.map(|_| self.waits.unwrap_or(now)),
            ..next
        }
    }

    /// How a condition stood before the first change of it that anybody has seen.
    #[must_use]
    pub fn before(state: &ConditionState) -> Self {
        let begins = state.active.value && state.event_ids.len() == 1;
        let activations = state.activations.saturating_sub(u64::from(begins));
        Self { activations, active: None, waits: None, marks: Vec::new(), ..Self::of(state) }
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
