//! How many alarms an area has, kept as they come and go. Counts what is enabled and of which an occurrence is neither
//! suppressed nor shelved nor out of service.

use std::collections::BTreeMap;

use watchfire_alarms::ConditionState;

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
    /// Of what waits to be acknowledged: of each alarm the highest of its occurrences that do.
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
        if !state.enabled.value {
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
        if state.active.value && !state.is_aside() {
            self.active = by(self.active);
            of(&mut self.severities, state.severity.value.get());
        }
        // One that was left behind is put aside by itself: what its group suppresses is the latest alone.
        let seen = || std::iter::once(state).chain(&state.branches).filter(|occurrence| !occurrence.is_aside());
        let unacknowledged = seen().filter(|occurrence| !occurrence.acked.value);
        if let Some(severity) = unacknowledged.map(|occurrence| occurrence.severity.value.get()).max() {
            self.unacknowledged = by(self.unacknowledged);
            of(&mut self.waiting, severity);
        }
        if seen().any(|occurrence| !occurrence.confirmed.value) {
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

    /// Alarms of which an occurrence, be it an earlier one, was acknowledged and is not confirmed, where that is asked for.
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

#[cfg(test)]
mod tests {
    use watchfire_alarms::Suppression;
    use watchfire_model::{Instant, Severity};

    use super::*;

    fn occurrence(severity: u16) -> ConditionState {
        let mut state = ConditionState::normal(Severity::clamped(severity), Instant::MIN);
        state.active.value = true;
        state.acked.value = false;
        state
    }

    fn counted(state: &ConditionState) -> (u32, u32, u16, u16) {
        let mut tally = Tally::default();
        tally.enter(state);
        let told = (tally.active(), tally.unacknowledged(), tally.highest_severity(), tally.highest_unacknowledged());
        tally.leave(state);
        assert_eq!(tally, Tally::default());
        told
    }

    #[test]
    fn an_occurrence_left_behind_counts_by_its_own_severity_and_by_whether_it_is_put_aside_itself() {
        let mut left = occurrence(900);
        left.active.value = false;
        let mut state = occurrence(300);
        state.branches = vec![left.clone()];
        assert_eq!(counted(&state), (1, 1, 300, 900));
        // The first of its group is another: that is of the occurrence alone.
        state.suppressed.value = state.suppressed.value.with(Suppression::GROUP, true);
        assert_eq!(counted(&state), (0, 1, 0, 900));
        left.suppressed.value = left.suppressed.value.with(Suppression::OPERATOR, true);
        state.branches = vec![left, occurrence(500)];
        assert_eq!(counted(&state), (0, 1, 0, 500));
        state.branches.clear();
        assert_eq!(counted(&state), (0, 0, 0, 0));
        state.enabled.value = false;
        state.suppressed.value = state.suppressed.value.with(Suppression::GROUP, false);
        assert_eq!(counted(&state), (0, 0, 0, 0));
    }
}
