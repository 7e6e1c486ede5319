//! What becomes of alarms of which nobody tells any more how they stand: they end, and say why. None is left active in
//! silence.

use std::collections::BTreeSet;

use watchfire_alarms::{Belief, ConditionState, Engine, Transition};
use watchfire_model::{ConditionKey, Instant, Lsn, StatusCode};

use crate::notices::{Gone, own_finding};
use crate::{OwnConditions, budget, maintenance};

/// What operators read of an alarm whose detector was taken away.
const DETECTOR_GONE: &str =
    "ended, since its detector was taken out of the configuration; nobody watches this any more";
/// The same of a source.
const SOURCE_GONE: &str = "ended, since the source was taken out of the configuration";

/// Those of a binding that are active, or will be after a delay.
fn active(engine: &Engine, binding: &str) -> Vec<ConditionKey> {
    let found = |state: &ConditionState| state.active.value || state.found().is_active();
    let ours = engine.conditions_of(binding).filter(|(_, state)| found(state));
    ours.map(|(def, _)| def.key.clone()).collect()
}

/// Ends the alarms of a binding, but for some of its conditions.
pub(crate) fn end(
    engine: &mut Engine,
    own: &OwnConditions,
    cause: Lsn,
    now: Instant,
    (binding, except, why): (&str, &BTreeSet<ConditionKey>, &'static str),
) -> Vec<Transition> {
    let over = own_finding(false, why.to_owned(), now, StatusCode::GOOD);
    let mut transitions = Vec::new();
    for key in active(engine, binding).into_iter().filter(|key| !except.contains(key)) {
        let mut over = over.clone();
        own.believe(&key, &mut over);
        transitions.extend(engine.apply(&key, cause, over, now));
    }
    transitions
}

/// Ends the alarms of what is gone, says of all its conditions that nobody watches them, and ends its own.
pub(crate) fn gone(engine: &mut Engine, own: &OwnConditions, cause: Lsn, now: Instant, what: &Gone) -> Vec<Transition> {
    let (health, why) = match what {
        Gone::Detector(binding) => (OwnConditions::detector_key(binding), DETECTOR_GONE),
        Gone::Source(source) => (OwnConditions::source_key(source), SOURCE_GONE),
    };
    let mut transitions = Vec::new();
    match what {
        Gone::Detector(binding) => {
            own.forget_detector(binding);
            let over = own_finding(false, why.to_owned(), now, StatusCode::UNCERTAIN);
            for key in active(engine, binding) {
                transitions.extend(engine.apply(&key, cause, over.clone(), now));
            }
            let all: Vec<_> = engine.conditions_of(binding).map(|(def, _)| def.key.clone()).collect();
            let belief = Belief { quality: StatusCode::UNCERTAIN, supported: true };
            for key in all {
                transitions.extend(engine.believe(&key, cause, belief, now));
            }
            transitions.extend(budget::lift(engine, &OwnConditions::budget_key(binding), cause, now));
            let reminder = OwnConditions::maintenance_key(binding);
            if engine.state(&reminder).is_some_and(|state| state.active.value) {
                transitions.extend(maintenance::end(engine, &reminder, cause, now));
            }
        }
        Gone::Source(source) => own.forget_source(source),
    }
    let over = own_finding(false, why.to_owned(), now, StatusCode::GOOD);
    if engine.state(&health).is_some_and(|state| state.active.value) {
        transitions.extend(engine.apply(&health, cause, over, now));
    }
    transitions
}
