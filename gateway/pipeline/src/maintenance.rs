//! Reminders of alarms that are out of service for longer than was stated (ISA-18.2, maintenance). Such an alarm does not
//! come back by itself, since no clock knows whether the work is done: an alarm of the gateway's own says which are
//! overdue, one for all of a detector, so that the end of a shutdown is no flood. It is told anew with each that follows,
//! and every shift until somebody puts them back or states another time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use watchfire_alarms::{AlarmType, ConditionClass, ConditionDef, ConditionState, Engine, Rules, Transition};
use watchfire_model::{ConditionKey, Instant, Lsn, Severity, StatusCode};

use crate::notices::own_finding;
use crate::{OWN_BINDING, OwnConditions};

/// The condition's id.
const MAINTENANCE: &str = "maintenance";
/// Severity: somebody should look, and nothing is lost that was not given up on purpose.
const SEVERITY: u16 = 400;
/// A shift: after so long it is told anew.
const AGAIN: Duration = Duration::from_secs(8 * 3600);
/// Alarms that are named; of the others there is the number.
const NAMED_MAX: usize = 10;

/// The conditions that are overdue, by detector.
#[derive(Debug, Default)]
pub(crate) struct Reminders(BTreeMap<String, BTreeSet<ConditionKey>>);

impl Reminders {
    /// Takes over how conditions stand, and answers what follows for the alarms that remind of them.
    pub(crate) fn settle(
        &mut self,
        engine: &mut Engine,
        own: &OwnConditions,
        told: &[Transition],
        cause: Lsn,
        now: Instant,
    ) -> Vec<Transition> {
        let mut concerned: BTreeMap<String, bool> = BTreeMap::new();
        for transition in told.iter().filter(|transition| transition.branch.is_none()) {
            let key = &transition.def.key;
            if let Some(binding) = reminds_of(key) {
                // Of one whose conditions are no longer there nobody else would see that it stands.
                if transition.state.active.value && !self.0.contains_key(binding) {
                    concerned.entry(binding.to_owned()).or_default();
                }
            }
            let overdue = transition.state.maintenance.overdue;
            if !overdue && !self.0.contains_key(key.binding()) {
                continue;
            }
            let all = self.0.entry(key.binding().to_owned()).or_default();
            let changed = if overdue { all.insert(key.clone()) } else { all.remove(key) };
            if changed {
                *concerned.entry(key.binding().to_owned()).or_default() |= overdue;
            }
        }
        let remind = |(binding, grown): (String, bool)| self.remind(engine, own, &binding, grown, cause, now);
        concerned.into_iter().flat_map(remind).collect()
    }

    /// A detector is no more.
    pub(crate) fn forget(&mut self, binding: &str) {
        self.0.remove(binding);
    }

    fn remind(
        &self,
        engine: &mut Engine,
        own: &OwnConditions,
        binding: &str,
        grown: bool,
        cause: Lsn,
        now: Instant,
    ) -> Vec<Transition> {
        let key = OwnConditions::maintenance_key(binding);
        let overdue = self.0.get(binding).filter(|overdue| !overdue.is_empty());
        let Some(overdue) = overdue else {
            return end(engine, &key, cause, now);
        };
        let message = message(engine, overdue);
        if engine.state(&key).is_none() {
            let def = own.maintenance_def(binding, engine);
            engine.define(def, now);
        }
        let same = |state: &ConditionState| state.active.value && state.message == message;
        if engine.state(&key).is_some_and(same) {
            return Vec::new();
        }
        let finding = own_finding(true, message, now, StatusCode::GOOD);
        if grown { engine.renew(&key, cause, finding, now) } else { engine.apply(&key, cause, finding, now) }
    }
}

/// Ends a reminder.
pub(crate) fn end(engine: &mut Engine, key: &ConditionKey, cause: Lsn, now: Instant) -> Vec<Transition> {
    let over =
        own_finding(false, "none is out of service for longer than was stated".to_owned(), now, StatusCode::GOOD);
    engine.apply(key, cause, over, now)
}

/// The detector that a condition reminds of, if it is such a one.
fn reminds_of(key: &ConditionKey) -> Option<&str> {
    (key.binding() == OWN_BINDING && key.condition() == MAINTENANCE).then(|| key.instance())
}

fn message(engine: &Engine, overdue: &BTreeSet<ConditionKey>) -> String {
    let one = |key: &ConditionKey| {
        let state = engine.state(key)?;
        let until = state.maintenance.until?;
        let by = if state.user.is_empty() { String::new() } else { format!(" by {}", state.user) };
        Some(format!("{key} (until {until}{by})"))
    };
    let named: Vec<String> = overdue.iter().take(NAMED_MAX).filter_map(one).collect();
    let more = overdue.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("out of service for longer than was stated: {}{more}", named.join(", "))
}

/// The deepest area that holds all conditions of a detector, so that whoever watches that area is reminded; empty when
/// they have none in common.
fn area_of(binding: &str, engine: &Engine) -> String {
    let mut areas = engine.conditions_of(binding).map(|(def, _)| def.area.clone());
    let Some(first) = areas.next() else { return String::new() };
    let mut shared: Vec<&str> = first.split('/').collect();
    for area in areas {
        let same = shared.iter().zip(area.split('/')).take_while(|(a, b)| **a == *b).count();
        shared.truncate(same);
    }
    shared.join("/")
}

impl OwnConditions {
    /// The key of "alarms of this detector are out of service for longer than was stated".
    #[must_use]
    pub fn maintenance_key(binding: &str) -> ConditionKey {
        ConditionKey::new(OWN_BINDING, MAINTENANCE, binding)
    }

    /// What that is; listed where the detector's alarms are.
    #[must_use]
    pub(crate) fn maintenance_def(&self, binding: &str, engine: &Engine) -> Arc<ConditionDef> {
        let plain = self.detector_def(binding);
        Arc::new(ConditionDef {
            key: Self::maintenance_key(binding),
            area: area_of(binding, engine).into(),
            alarm_type: AlarmType::SystemOffNormal,
            class: ConditionClass::Maintenance,
            severity: Severity::clamped(SEVERITY),
            text: format!("alarms of detector `{binding}` are out of service for longer than was stated").into(),
            response: "ask whether the work is done: then put each back into service (PlaceInService), or else state \
                       another time (RemoveFromServiceFor)"
                .into(),
            rules: Arc::new(Rules { re_alarm: Some(AGAIN), ..Rules::default() }),
            ..(*plain).clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::{AlarmCommand, CommandKind};

    const S: u64 = 1000;

    struct Plant {
        engine: Engine,
        own: OwnConditions,
        reminders: Reminders,
        s: i64,
    }

    fn key(at: usize) -> ConditionKey {
        ConditionKey::new("pump", "limit", &at.to_string())
    }

    impl Plant {
        fn new() -> Self {
            let own = OwnConditions::new("gateway");
            let mut engine = Engine::default();
            for at in 0..20 {
                let area = if at == 0 { "Hall/Pump/Motor" } else { "Hall/Pump" };
                let def = ConditionDef { key: key(at), area: area.into(), ..(*own.detector_def("pump")).clone() };
                engine.define(Arc::new(def), Instant::from_s(0));
            }
            Self { engine, own, reminders: Reminders::default(), s: 0 }
        }

        fn give(&mut self, key: ConditionKey, kind: CommandKind, event_id: Vec<u8>) -> Vec<Transition> {
            let at = Instant::from_s(self.s);
            let command = AlarmCommand { key, kind, event_id, comment: None, user: "bob".into(), at };
            let told = self.engine.command(&command, Lsn(1)).unwrap();
            self.reminders.settle(&mut self.engine, &self.own, &told, Lsn(1), at)
        }

        fn pass(&mut self, s: i64) -> Vec<Transition> {
            self.s += s;
            let now = Instant::from_s(self.s);
            let told = self.engine.expire(Lsn(1), now, |_| true);
            self.reminders.settle(&mut self.engine, &self.own, &told, Lsn(1), now)
        }

        fn acknowledge(&mut self) {
            let key = OwnConditions::maintenance_key("pump");
            let event = self.reminder().event_id(&key).bytes().to_vec();
            self.give(key, CommandKind::Acknowledge, event);
        }

        fn reminder(&self) -> &ConditionState {
            self.engine.state(&OwnConditions::maintenance_key("pump")).unwrap()
        }
    }

    #[test]
    fn a_time_out_of_service_that_is_over_is_an_alarm_until_somebody_puts_it_back() {
        let mut plant = Plant::new();
        assert!(plant.give(key(1), CommandKind::RemoveFromServiceFor(60 * S), vec![]).is_empty());
        assert!(plant.pass(59).is_empty());
        let reminded = plant.pass(1);
        assert_eq!((reminded.len(), &*reminded[0].def.area), (1, "Hall/Pump"));
        let message = "out of service for longer than was stated: pump/limit/1 (until 1970-01-01T00:01:00Z by bob)";
        assert_eq!((plant.reminder().message.as_str(), plant.reminder().active.value), (message, true));
        assert_eq!(plant.give(key(1), CommandKind::PlaceInService, vec![]).len(), 1);
        assert!(!plant.reminder().active.value && plant.reminder().retain, "it waits to be acknowledged");
    }

    #[test]
    fn the_end_of_a_shutdown_is_one_alarm_and_each_that_follows_makes_it_one_anew() {
        let mut plant = Plant::new();
        for at in 0..12 {
            plant.give(key(at), CommandKind::RemoveFromServiceFor(60 * S), vec![]);
        }
        plant.give(key(15), CommandKind::RemoveFromServiceFor(120 * S), vec![]);
        assert_eq!(plant.pass(60).len(), 1);
        assert!(plant.reminder().message.ends_with(", and 2 more"), "{}", plant.reminder().message);
        plant.acknowledge();
        assert_eq!(plant.give(key(3), CommandKind::PlaceInService, vec![]).len(), 1);
        assert!(plant.reminder().acked.value && plant.reminder().message.ends_with(", and 1 more"));
        assert_eq!(plant.pass(60).len(), 1);
        assert!(!plant.reminder().acked.value, "there is more of it");
        plant.acknowledge();
        assert!(plant.pass(8 * 3600 - 1).is_empty() && plant.reminder().acked.value);
        plant.pass(1);
        assert!(!plant.reminder().acked.value, "another shift, which knows nothing of it");
    }

    #[test]
    fn a_restart_neither_tells_it_anew_nor_forgets_it() {
        let mut plant = Plant::new();
        plant.give(key(1), CommandKind::RemoveFromServiceFor(60 * S), vec![]);
        plant.pass(60);
        plant.acknowledge();
        let mut engine = Engine::default();
        let states: Vec<_> = plant.engine.conditions().map(|(def, state)| (def.clone(), state.encode())).collect();
        let mut told = Vec::new();
        for (def, state) in states {
            engine.restore(&def.key, &state).unwrap();
            told.push(engine.define(def, Instant::from_s(70)));
        }
        let mut reminders = Reminders::default();
        assert!(reminders.settle(&mut engine, &plant.own, &told, Lsn(2), Instant::from_s(70)).is_empty());
        assert!(engine.state(&OwnConditions::maintenance_key("pump")).unwrap().acked.value);
        // The condition that was overdue is no longer there.
        let without: Vec<_> = told.into_iter().filter(|told| told.def.key != key(1)).collect();
        let mut reminders = Reminders::default();
        let ended = reminders.settle(&mut engine, &plant.own, &without, Lsn(2), Instant::from_s(70));
        assert!(ended.len() == 1 && !ended[0].state.active.value);
    }
}
