//! How many alarms an area has, kept as they come and go. Counts what is enabled and neither
//! suppressed nor shelved.

use std::collections::BTreeMap;

use watchfire_alarms::ConditionState;

use crate::condition_values::waiting;

/// The counters of an area.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    active: u32,
    unacknowledged: u32,
    /// How many active alarms there are of each severity.
    severities: BTreeMap<u16, u32>,
}

impl Tally {
    pub(crate) fn enter(&mut self, state: &ConditionState) {
        if !state.enabled.value || state.is_aside() {
            return;
        }
        if state.active.value {
            self.active += 1;
            *self.severities.entry(state.severity.value.get()).or_default() += 1;
        }
        self.unacknowledged += u32::from(!waiting(state).acked.value);
    }

    /// Takes back what [`Tally::enter`] did with the same state.
    pub(crate) fn leave(&mut self, state: &ConditionState) {
        if !state.enabled.value || state.is_aside() {
            return;
        }
        if state.active.value {
            self.active = self.active.saturating_sub(1);
            let severity = state.severity.value.get();
            if let Some(count) = self.severities.get_mut(&severity) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.severities.remove(&severity);
                }
            }
        }
        self.unacknowledged = self.unacknowledged.saturating_sub(u32::from(!waiting(state).acked.value));
    }

    /// Alarms that are active.
    pub(crate) const fn active(&self) -> u32 {
        self.active
    }

    /// Alarms of which an occurrence, be it an earlier one, is not acknowledged.
    pub(crate) const fn unacknowledged(&self) -> u32 {
        self.unacknowledged
    }

    /// The highest severity of an active alarm, 0 when there is none.
    pub(crate) fn highest_severity(&self) -> u16 {
        self.severities.last_key_value().map_or(0, |(severity, _)| *severity)
    }
}
