//! How many alarms an area has, kept as they come and go. Counts what is enabled and neither
//! suppressed nor shelved.

use std::collections::BTreeMap;

use watchfire_alarms::ConditionState;

use crate::condition_values::waiting;

/// How many alarms there are of each severity.
type Severities = BTreeMap<u16, u32>;

/// The counters of an area.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    active: u32,
    unacknowledged: u32,
    unconfirmed: u32,
    /// Of the active ones.
    severities: Severities,
    /// Of the occurrences that wait to be acknowledged.
    waiting: Severities,
}

impl Tally {
    pub(crate) fn enter(&mut self, state: &ConditionState) {
        self.change(state, |count| count.saturating_add(1));
    }

    /// Takes back what [`Tally::enter`] did with the same state.
    pub(crate) fn leave(&mut self, state: &ConditionState) {
        self.change(state, |count| count.saturating_sub(1));
    }

    fn change(&mut self, state: &ConditionState, by: impl Fn(u32) -> u32) {
        if !state.enabled.value || state.is_aside() {
            return;
        }
        let of = |severities: &mut Severities, severity: u16| {
            let count = by(severities.get(&severity).copied().unwrap_or_default());
            if count == 0 {
                severities.remove(&severity);
            } else {
                severities.insert(severity, count);
            }
        };
        if state.active.value {
            self.active = by(self.active);
            of(&mut self.severities, state.severity.value.get());
        }
        let meant = waiting(state);
        if !meant.acked.value {
            self.unacknowledged = by(self.unacknowledged);
            of(&mut self.waiting, meant.severity.value.get());
        }
        if !state.confirmed.value || state.branches.iter().any(|branch| !branch.confirmed.value) {
            self.unconfirmed = by(self.unconfirmed);
        }
    }

    /// Alarms that are active.
    pub(crate) const fn active(&self) -> u32 {
        self.active
    }

    /// Alarms of which an occurrence, be it an earlier one, is not acknowledged.
    pub(crate) const fn unacknowledged(&self) -> u32 {
        self.unacknowledged
    }

    /// Alarms of which an occurrence was acknowledged and is not confirmed, where that is asked for.
    pub(crate) const fn unconfirmed(&self) -> u32 {
        self.unconfirmed
    }

    /// The highest severity of an active alarm, 0 when there is none.
    pub(crate) fn highest_severity(&self) -> u16 {
        highest(&self.severities)
    }

    /// The highest severity of what is not acknowledged, 0 when there is nothing.
    pub(crate) fn highest_unacknowledged(&self) -> u16 {
        highest(&self.waiting)
    }
}

fn highest(severities: &Severities) -> u16 {
    severities.last_key_value().map_or(0, |(severity, _)| *severity)
}
