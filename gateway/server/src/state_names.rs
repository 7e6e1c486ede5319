//! What states are called for people, for whoever translates them.

/// Names of states that a condition can be in, as its variables and events have them; without those of transitions.
pub const STATE_NAMES: &[&str] = &[
    "Active",
    "Inactive",
    "Acknowledged",
    "Unacknowledged",
    "Confirmed",
    "Unconfirmed",
    "Enabled",
    "Disabled",
    "Unshelved",
    "TimedShelved",
    "OneShotShelved",
    "Suppressed",
    "Unsuppressed",
    "Out of Service",
    "In Service",
    "Silenced",
    "Not Silenced",
    "Latched",
    "Unlatched",
    "HighHigh",
    "High",
    "Low",
    "LowLow",
    "Active: HighHigh",
    "Active: High",
    "Active: Low",
    "Active: LowLow",
    "HighHigh active",
    "HighHigh inactive",
    "High active",
    "High inactive",
    "Low active",
    "Low inactive",
    "LowLow active",
    "LowLow inactive",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use opcua::types::Variant;
    use watchfire_alarms::{ConditionState, Shelving, Suppression};
    use watchfire_model::{Instant, Level, Severity};

    use super::*;
    use crate::condition_values;
    use crate::fields::FIELDS;
    use crate::space::Condition;
    use crate::tests::house::oil_high;

    fn states() -> Vec<ConditionState> {
        let levels = [Level::Normal, Level::Active, Level::HighHigh, Level::High, Level::Low, Level::LowLow];
        let until = Instant::MAX;
        let mut all = Vec::new();
        for level in levels {
            for (on, shelving) in [
                (true, Shelving::Unshelved),
                (false, Shelving::Timed { until }),
                (false, Shelving::OneShot { until: None }),
            ] {
                let mut state = ConditionState::normal(Severity::clamped(500), Instant::MIN);
                state.level = level;
                state.active.value = level.is_active();
                (state.enabled.value, state.acked.value, state.confirmed.value) = (on, on, on);
                (state.out_of_service.value, state.silenced.value, state.latched.value) = (on, on, on);
                state.suppressed.value = Suppression::default().with(Suppression::OPERATOR, on);
                state.shelving.value = shelving;
                all.push(state);
            }
        }
        all
    }

    #[test]
    fn the_names_are_those_that_conditions_have() {
        let condition = Condition::alone(oil_high(), "Hall".into(), None);
        let has_names = |path: &str| {
            let others = ["Message", "Comment", "ConditionClassName", "ConditionSubClassName"];
            !others.contains(&path) && !path.contains("LastTransition")
        };
        let mut seen = BTreeSet::new();
        for state in states() {
            let condition = condition.branch(Arc::new(state));
            for field in FIELDS.iter().filter(|field| has_names(field.path)) {
                if let Variant::LocalizedText(name) = condition_values::value(&condition, field.path, Instant::MIN) {
                    seen.insert(name.text.to_string());
                }
            }
        }
        assert_eq!(seen, STATE_NAMES.iter().map(|name| (*name).to_owned()).collect());
    }
}
