//! The alarm budget of each detector: one that tells more than it may is suppressed, visibly, until a person lifts it.
//! A flood of alarms hides the one that counts, and whoever can cause a flood could hide behind it: what is highly
//! managed is never suppressed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::{AlarmType, ConditionDef, Engine, Rules, Suppression, Transition};
use watchfire_model::{ConditionKey, Instant, Lsn, Severity, StatusCode};

use crate::notices::own_finding;
use crate::{OWN_BINDING, OwnConditions};

/// The time in which alarms are counted (ISA-18.2 §16.5: alarm floods are judged by ten minutes).
const WINDOW: Duration = Duration::from_secs(600);
/// Alarms of what was learned that a detector may tell in that time, where nothing is configured: six times what
/// begins a flood for one operator.
pub(crate) const LEARNED_MAX: u32 = 60;
/// Severity of a detector that is suppressed: what it finds is not told.
const SEVERITY: u16 = 600;

/// When each detector's alarms of the last ten minutes came; at most one more than it may tell.
#[derive(Debug, Default)]
pub(crate) struct Budgets(BTreeMap<String, VecDeque<Instant>>);

impl Budgets {
    /// Counts what was told. Suppresses the detectors that told too much, and answers what follows from it.
    pub(crate) fn spend(
        &mut self,
        engine: &mut Engine,
        own: &OwnConditions,
        told: &[Transition],
        cause: Lsn,
        now: Instant,
    ) -> Vec<Transition> {
        let mut all = Vec::new();
        for transition in told.iter().filter(|transition| is_alarm(transition)) {
            let Some(most) = budget(&transition.def) else { continue };
            let binding = transition.def.key.binding();
            if !self.0.contains_key(binding) {
                self.0.insert(binding.to_owned(), VecDeque::new());
            }
            let Some(times) = self.0.get_mut(binding) else { continue };
            let begin = now.minus(WINDOW);
            while times.front().is_some_and(|time| *time < begin) {
                times.pop_front();
            }
            times.push_back(now);
            if times.len() > usize::try_from(most).unwrap_or(usize::MAX) {
                times.clear();
                all.extend(overspent(engine, own, binding, most, cause, now));
            }
        }
        all
    }
}

/// Whether it is an alarm that has just begun.
fn is_alarm(transition: &Transition) -> bool {
    let state = &transition.state;
    let begins = state.active.value && state.event_ids.len() == 1;
    transition.notify && transition.branch.is_none() && begins && !state.suppressed.value.has(Suppression::BUDGET)
}

/// How many alarms a condition's detector may tell; `None` for a condition that nobody counts.
fn budget(def: &ConditionDef) -> Option<u32> {
    def.rules.budget.filter(|_| def.key.binding() != OWN_BINDING && !def.is_highly_managed())
}

fn overspent(
    engine: &mut Engine,
    own: &OwnConditions,
    binding: &str,
    most: u32,
    cause: Lsn,
    now: Instant,
) -> Vec<Transition> {
    tracing::warn!(detector = binding, most, "more alarms in ten minutes than it may tell: its alarms are suppressed");
    let mut all = set(engine, binding, true, cause, now);
    let key = OwnConditions::budget_key(binding);
    engine.define(own.budget_def(binding), now);
    let reason = format!(
        "detector `{binding}` raised more than {most} alarms in ten minutes: they are suppressed until somebody lifts \
         it (Unsuppress on this condition)"
    );
    all.extend(engine.apply(&key, cause, own_finding(true, reason, now, StatusCode::GOOD), now));
    all
}

/// A person lifts the suppression of a detector by Unsuppress on the condition that tells of it.
pub(crate) fn lift(engine: &mut Engine, key: &ConditionKey, now: Instant) -> Vec<Transition> {
    if key.binding() != OWN_BINDING || key.condition() != BUDGET {
        return Vec::new();
    }
    let mut all = set(engine, key.instance(), false, Lsn(0), now);
    let over = own_finding(false, "somebody lifted it".to_owned(), now, StatusCode::GOOD);
    all.extend(engine.apply(key, Lsn(0), over, now));
    all
}

/// Suppresses the conditions of a detector that are counted, or no longer does.
fn set(engine: &mut Engine, binding: &str, holds: bool, cause: Lsn, now: Instant) -> Vec<Transition> {
    let counted = |(def, _): &(&Arc<ConditionDef>, _)| def.key.binding() == binding && budget(def).is_some();
    let keys: Vec<ConditionKey> = engine.conditions().filter(counted).map(|(def, _)| def.key.clone()).collect();
    keys.iter().flat_map(|key| engine.suppress(key, Suppression::BUDGET, holds, cause, now)).collect()
}

/// The condition's id.
const BUDGET: &str = "budget";

impl OwnConditions {
    /// The key of "this detector told too much".
    #[must_use]
    pub fn budget_key(binding: &str) -> ConditionKey {
        ConditionKey::new(OWN_BINDING, BUDGET, binding)
    }

    /// What "this detector told too much" is.
    #[must_use]
    pub(crate) fn budget_def(&self, binding: &str) -> Arc<ConditionDef> {
        let plain = self.detector_def(binding);
        Arc::new(ConditionDef {
            key: Self::budget_key(binding),
            alarm_type: AlarmType::SystemDiagnostic,
            severity: Severity::clamped(SEVERITY),
            text: format!("detector `{binding}` raises too many alarms").into(),
            response:
                "see whether the plant is upset or the detector is wrong; then lift the suppression by Unsuppress on \
                       this condition, or set the detector to shadow"
                    .into(),
            rules: Arc::new(Rules::default()),
            ..(*plain).clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_alarms::{ConditionClass, ConditionState, Finding};
    use watchfire_model::Level;

    struct Plant {
        engine: Engine,
        budgets: Budgets,
        own: OwnConditions,
        s: i64,
    }

    fn key(at: usize) -> ConditionKey {
        ConditionKey::new("many", "odd", &at.to_string())
    }

    impl Plant {
        /// Ten conditions that may tell three alarms in ten minutes, and one that is highly managed.
        fn new() -> Self {
            let own = OwnConditions::new("area");
            let mut engine = Engine::default();
            for at in 0..11 {
                let class = if at == 10 { ConditionClass::HighlyManaged } else { ConditionClass::Statistical };
                let rules = Arc::new(Rules { budget: Some(3), ..Rules::default() });
                let def = ConditionDef { key: key(at), class, rules, ..(*own.detector_def("many")).clone() };
                engine.define(Arc::new(def), Instant::from_s(0));
            }
            Self { engine, budgets: Budgets::default(), own, s: 0 }
        }

        fn find(&mut self, at: usize, active: bool) -> usize {
            self.s += 1;
            let now = Instant::from_s(self.s);
            let level = if active { Level::Active } else { Level::Normal };
            let finding = Finding { level, ..own_finding(active, "odd".to_owned(), now, StatusCode::GOOD) };
            let told = self.engine.apply(&key(at), Lsn(1), finding, now);
            self.budgets.spend(&mut self.engine, &self.own, &told, Lsn(1), now).len()
        }

        fn state(&self, key: &ConditionKey) -> &ConditionState {
            self.engine.state(key).unwrap()
        }
    }

    #[test]
    fn a_detector_over_its_budget_is_suppressed_until_somebody_lifts_it() {
        let mut plant = Plant::new();
        for at in 0..3 {
            assert_eq!(plant.find(at, true), 0);
        }
        assert_eq!(plant.find(3, true), 11, "ten conditions, and the alarm that says so");
        let told = OwnConditions::budget_key("many");
        assert!(plant.state(&told).active.value && plant.state(&told).message.contains("more than 3 alarms"));
        assert!((0..10).all(|at| plant.state(&key(at)).is_aside()));
        assert!(!plant.state(&key(10)).is_aside(), "what is highly managed is told");
        assert_eq!((4..10).map(|at| plant.find(at, true)).sum::<usize>(), 0, "it is said once");
        assert!(plant.state(&key(9)).active.value && plant.state(&key(9)).is_aside());
        let lifted = lift(&mut plant.engine, &told, Instant::from_s(100));
        assert_eq!(lifted.len(), 11);
        assert!(!plant.state(&told).active.value && !plant.state(&key(9)).is_aside());
    }

    #[test]
    fn few_alarms_in_a_long_time_are_within_the_budget() {
        let mut plant = Plant::new();
        for round in 0..20 {
            plant.s += 250;
            assert_eq!(plant.find(round % 10, true), 0, "round {round}");
            plant.find(round % 10, false);
        }
        assert_eq!(plant.find(10, true), 0);
        assert!(plant.engine.state(&OwnConditions::budget_key("many")).is_none());
    }

    #[test]
    fn lifting_is_of_that_condition_alone() {
        let mut plant = Plant::new();
        assert!(lift(&mut plant.engine, &OwnConditions::detector_key("many"), Instant::from_s(1)).is_empty());
        assert!(lift(&mut plant.engine, &key(1), Instant::from_s(1)).is_empty());
    }
}
