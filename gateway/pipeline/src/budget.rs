//! The alarm budget of each detector: one that tells more than it may is suppressed, visibly, until a person lifts it.
//! A flood of alarms hides the one that counts, and whoever can cause a flood could hide behind it: what is highly
//! managed is never suppressed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::{AlarmType, ConditionDef, ConditionState, Engine, Rules, Suppression, Transition};
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

/// Whether it is an alarm that has just begun; what is put aside bothers nobody and is none.
fn is_alarm(transition: &Transition) -> bool {
    let state = &transition.state;
    let begins = state.active.value && state.event_ids.len() == 1;
    transition.notify && transition.branch.is_none() && begins && !state.is_aside()
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
    let counted = |(def, _): &(&Arc<ConditionDef>, &ConditionState)| budget(def).is_some();
    let mut all = set(engine, binding, counted, true, (cause, now));
    let key = OwnConditions::budget_key(binding);
    engine.define(own.budget_def(binding), now);
    let reason = format!(
        "detector `{binding}` raised more than {most} alarms in ten minutes: they are suppressed until somebody lifts \
         it (Unsuppress on this condition)"
    );
    all.extend(engine.apply(&key, cause, own_finding(true, reason, now, StatusCode::GOOD), now));
    all
}

/// A person lifts the suppression of a detector by Unsuppress on the condition that tells of it: of whatever is suppressed
/// so, whether or not it is counted by now.
pub(crate) fn lift(engine: &mut Engine, key: &ConditionKey, cause: Lsn, now: Instant) -> Vec<Transition> {
    if key.binding() != OWN_BINDING || key.condition() != BUDGET {
        return Vec::new();
    }
    let mut all = set(engine, key.instance(), is_suppressed, false, (cause, now));
    let over = own_finding(false, "somebody lifted it".to_owned(), now, StatusCode::GOOD);
    all.extend(engine.apply(key, cause, over, now));
    all
}

/// Of what is about to be defined, what is counted from then on. What is counted already and is not suppressed with the
/// rest of its detector, a person has lifted; before a restart it may have been counted if it is known at all.
pub(crate) fn newly_counted(engine: &Engine, defs: &[Arc<ConditionDef>]) -> Vec<ConditionKey> {
    let was_counted = |key: &ConditionKey| match engine.condition(key) {
        Some((def, _)) => budget(def).is_some(),
        None => engine.recovered(key).is_some(),
    };
    let new = defs.iter().filter(|def| budget(def).is_some() && !was_counted(&def.key));
    new.map(|def| def.key.clone()).collect()
}

/// Detectors were defined, perhaps otherwise than before: nobody has to lift what suppresses nothing any more, and what is
/// `newly_counted` is suppressed with the rest.
pub(crate) fn settle(
    engine: &mut Engine,
    bindings: &BTreeSet<String>,
    newly_counted: &[ConditionKey],
    cause: Lsn,
    now: Instant,
) -> Vec<Transition> {
    let mut all = Vec::new();
    for binding in bindings {
        let key = OwnConditions::budget_key(binding);
        if !engine.state(&key).is_some_and(|state| state.active.value) {
            continue;
        }
        if engine.conditions_of(binding).any(|one| is_suppressed(&one)) {
            let new = newly_counted.iter().filter(|new| new.binding() == binding);
            all.extend(new.flat_map(|new| engine.suppress(new, Suppression::BUDGET, true, cause, now)));
        } else {
            let over = own_finding(false, "its budget was changed".to_owned(), now, StatusCode::GOOD);
            all.extend(engine.apply(&key, cause, over, now));
        }
    }
    all
}

fn is_suppressed((_, state): &(&Arc<ConditionDef>, &ConditionState)) -> bool {
    state.suppressed.value.has(Suppression::BUDGET)
}

/// Suppresses some conditions of a detector, or no longer does.
fn set(
    engine: &mut Engine,
    binding: &str,
    concerned: impl Fn(&(&Arc<ConditionDef>, &ConditionState)) -> bool,
    holds: bool,
    (cause, now): (Lsn, Instant),
) -> Vec<Transition> {
    let concerned = engine.conditions_of(binding).filter(concerned);
    let keys: Vec<ConditionKey> = concerned.map(|(def, _)| def.key.clone()).collect();
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
    use watchfire_alarms::{ConditionClass, Finding};
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
        let lifted = lift(&mut plant.engine, &told, Lsn(1), Instant::from_s(100));
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
    fn what_is_put_aside_is_no_alarm_that_counts() {
        use watchfire_model::{AlarmCommand, CommandKind};
        for kind in [CommandKind::TimedShelve(1 << 30), CommandKind::RemoveFromService] {
            let mut plant = Plant::new();
            let at = Instant::from_s(0);
            let command =
                AlarmCommand { key: key(0), kind, event_id: Vec::new(), comment: None, user: "bob".into(), at };
            plant.engine.command(&command, Lsn(1)).unwrap();
            for round in 0..20 {
                assert_eq!(plant.find(0, true), 0, "{kind:?}, round {round}");
                plant.find(0, false);
            }
        }
    }

    #[test]
    fn whatever_is_suppressed_is_lifted_also_what_is_counted_no_longer() {
        let mut plant = Plant::new();
        (0..4).for_each(|at| assert!(plant.find(at, true) <= 11));
        // Now without a budget, and highly managed.
        for (at, class) in [(0, ConditionClass::Statistical), (1, ConditionClass::HighlyManaged)] {
            let (def, _) = plant.engine.condition(&key(at)).unwrap();
            let def = ConditionDef { class, rules: Arc::default(), ..(**def).clone() };
            plant.engine.define(Arc::new(def), Instant::from_s(50));
        }
        let lifted = lift(&mut plant.engine, &OwnConditions::budget_key("many"), Lsn(1), Instant::from_s(100));
        assert_eq!(lifted.len(), 11);
        assert!((0..10).all(|at| !plant.state(&key(at)).is_aside()));
    }

    #[test]
    fn an_alarm_about_a_budget_ends_when_it_suppresses_nothing_any_more() {
        let mut plant = Plant::new();
        (0..4).for_each(|at| assert!(plant.find(at, true) <= 11));
        let (binding, now) = (BTreeSet::from(["many".to_owned()]), Instant::from_s(50));
        assert!(settle(&mut plant.engine, &binding, &[], Lsn(2), now).is_empty(), "it suppresses");
        for at in 0..11 {
            let (def, _) = plant.engine.condition(&key(at)).unwrap();
            let def = ConditionDef { rules: Arc::default(), ..(**def).clone() };
            plant.engine.define(Arc::new(def), now);
            plant.engine.settle(&key(at), Lsn(2), now);
        }
        assert_eq!(settle(&mut plant.engine, &binding, &[], Lsn(2), now).len(), 1);
        assert!((0..10).all(|at| !plant.state(&key(at)).is_aside()));
        assert!(!plant.state(&OwnConditions::budget_key("many")).active.value);
        assert!(settle(&mut plant.engine, &binding, &[], Lsn(2), now).is_empty());
    }

    #[test]
    fn lifting_is_of_that_condition_alone() {
        let mut plant = Plant::new();
        assert!(lift(&mut plant.engine, &OwnConditions::detector_key("many"), Lsn(1), Instant::from_s(1)).is_empty());
        assert!(lift(&mut plant.engine, &key(1), Lsn(1), Instant::from_s(1)).is_empty());
    }
}
