//! Groups: one cause, one alarm. By example, then over random lives of several conditions: whatever is below the first of
//! its group has one above it that stands and that everybody sees.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use watchfire_model::{AlarmCommand, CommandKind, ConditionKey, Instant, Level, Lsn, Severity, StatusCode};

use super::bench::{def, seconds};
use crate::{
    Belief, ConditionClass, ConditionDef, ConditionState, Engine, EventId, Finding, Group, Rules, Suppression,
    Transition,
};

/// An engine with some conditions, and a hand that moves time on with each call.
struct Plant {
    engine: Engine,
    defs: Vec<ConditionDef>,
    s: i64,
}

fn member(place: usize, severity: u16, group: Option<&str>) -> ConditionDef {
    let group = group.map(|name| Group { name: name.into(), first_only: true });
    let key = ConditionKey::new("hot", "high", &place.to_string());
    ConditionDef { key, severity: Severity::clamped(severity), ..def(false, Rules { group, ..Rules::default() }) }
}

impl Plant {
    fn new(defs: Vec<ConditionDef>) -> Self {
        let mut engine = Engine::default();
        for def in &defs {
            engine.define(Arc::new(def.clone()), Instant::from_s(0));
        }
        Self { engine, defs, s: 0 }
    }

    /// Members of one group with these severities.
    fn of(severities: &[u16]) -> Self {
        let member = |(place, severity): (usize, &u16)| member(place, *severity, Some("pump"));
        Self::new(severities.iter().enumerate().map(member).collect())
    }

    fn key(&self, place: usize) -> ConditionKey {
        self.defs[place].key.clone()
    }

    fn state(&self, place: usize) -> &ConditionState {
        self.engine.state(&self.defs[place].key).unwrap()
    }

    /// Does something, and what follows from it in groups.
    fn then(&mut self, what: impl FnOnce(&mut Engine, Lsn, Instant) -> Vec<Transition>) -> Vec<Transition> {
        self.s += 1;
        let (cause, now) = (Lsn(self.s.unsigned_abs()), Instant::from_s(self.s));
        let mut told = what(&mut self.engine, cause, now);
        told.extend(self.engine.hand_on(cause, now));
        told
    }

    fn find(&mut self, place: usize, level: Level) -> Vec<Transition> {
        let key = self.key(place);
        self.then(|engine, cause, at| {
            let message = format!("{level:?} at {at}");
            let finding = Finding { level, message, score: None, evidence: vec![], at, quality: StatusCode::GOOD };
            engine.apply(&key, cause, finding, at)
        })
    }

    fn ask(&mut self, place: usize, kind: CommandKind) -> Vec<Transition> {
        let (key, event_id) = (self.key(place), self.state(place).event_id(&self.key(place)).bytes().to_vec());
        self.then(|engine, cause, at| {
            let command = AlarmCommand { key, kind, event_id, comment: None, user: "anna".into(), at };
            engine.command(&command, cause).unwrap_or_default()
        })
    }

    fn believe(&mut self, places: &[usize], supported: bool) -> Vec<Transition> {
        let keys: Vec<_> = places.iter().map(|place| self.key(*place)).collect();
        self.then(|engine, cause, now| {
            let quality = if supported { StatusCode::GOOD } else { StatusCode::UNCERTAIN_LAST_USABLE };
            let belief = Belief { quality, supported };
            keys.iter().flat_map(|key| engine.believe(key, cause, belief, now)).collect()
        })
    }

    fn mode(&mut self, place: usize, holds: bool) -> Vec<Transition> {
        let key = self.key(place);
        self.then(|engine, cause, now| engine.suppress(&key, Suppression::MODE, holds, cause, now))
    }

    /// Defines one otherwise, as a reload does.
    fn reload(&mut self, place: usize, def: ConditionDef) -> Vec<Transition> {
        self.defs[place] = def.clone();
        self.then(|engine, cause, now| {
            let key = def.key.clone();
            engine.define(Arc::new(def), now);
            engine.settle(&key, cause, now)
        })
    }

    /// As after a kill: another engine with what was written, defined in the order in which detectors happen to start.
    fn restart(&mut self, backwards: bool) -> Vec<Transition> {
        let mut engine = Engine::default();
        for (def, state) in self.engine.conditions() {
            engine.restore(&def.key, &state.encode()).unwrap();
        }
        self.engine = engine;
        let mut defs = self.defs.clone();
        if backwards {
            defs.reverse();
        }
        let mut told = Vec::new();
        for def in defs {
            told.extend(self.then(|engine, cause, now| {
                let key = def.key.clone();
                engine.define(Arc::new(def), now);
                engine.settle(&key, cause, now)
            }));
        }
        told
    }

    /// Which stand as the first of their group, and which are put aside by it.
    fn stands(&self) -> Vec<&'static str> {
        let stands = |state: &ConditionState| match (state.first_in_group, state.is_aside()) {
            (true, false) => "first",
            (false, true) => "aside",
            (false, false) if state.active.value => "told",
            (false, false) => "",
            (true, true) => "hidden first",
        };
        (0..self.defs.len()).map(|place| stands(self.state(place))).collect()
    }
}

/// Those that were told, with an event, to stand and be put aside by nothing.
fn told(all: &[Transition]) -> Vec<&str> {
    let stands = |told: &&Transition| told.notify && is_seen(&told.state);
    all.iter().filter(stands).map(|told| told.def.key.instance()).collect()
}

#[test]
fn the_first_of_a_group_is_told_and_what_follows_is_below_it() {
    let mut plant = Plant::of(&[500, 500, 900]);
    for place in [1, 0, 2] {
        assert_eq!(plant.find(place, Level::High).len(), 1);
    }
    assert_eq!(plant.stands(), ["aside", "first", "told"], "what is more severe is not hidden");
    plant.find(0, Level::Normal);
    assert_eq!(plant.stands(), ["", "first", "told"]);
    plant.find(1, Level::Normal);
    assert_eq!(plant.stands(), ["", "", "first"], "who still stands is the first");
    plant.find(2, Level::Normal);
    plant.find(0, Level::High);
    assert_eq!(plant.stands(), ["first", "", ""], "the next one begins anew");
}

#[test]
fn when_the_first_ends_the_oldest_that_stands_is_told_as_an_alarm_once() {
    let mut plant = Plant::of(&[500, 500, 500]);
    for place in [0, 2, 1] {
        plant.find(place, Level::High);
    }
    plant.ask(0, CommandKind::Acknowledge);
    let all = plant.find(0, Level::Normal);
    assert_eq!((told(&all), plant.stands()), (vec!["2"], vec!["", "aside", "first"]));
    assert!(!plant.state(2).acked.value && !plant.state(0).retain);
    assert_eq!(told(&plant.find(0, Level::High)), Vec::<&str>::new(), "it comes back below the one that was told");
    assert_eq!(plant.stands(), ["aside", "aside", "first"]);
    assert_eq!(told(&plant.find(2, Level::Normal)), ["1"]);
}

#[test]
fn of_those_that_are_as_old_the_most_severe_is_told_and_hides_no_more_severe_one() {
    let mut plant = Plant::of(&[900, 500, 700, 600]);
    plant.find(0, Level::High);
    let keys: Vec<_> = [1, 2, 3].map(|place| plant.key(place)).to_vec();
    plant.then(|engine, cause, at| {
        let finding = |at| Finding {
            level: Level::High,
            message: String::new(),
            score: None,
            evidence: vec![],
            at,
            quality: StatusCode::GOOD,
        };
        keys.iter().flat_map(|key| engine.apply(key, cause, finding(at), at)).collect()
    });
    assert_eq!(plant.stands(), ["first", "aside", "aside", "aside"]);
    assert_eq!(told(&plant.find(0, Level::Normal)), ["2"]);
    let mut plant = Plant::of(&[900, 500, 700]);
    for place in 0..3 {
        plant.find(place, Level::High);
    }
    assert_eq!(told(&plant.find(0, Level::Normal)), ["1", "2"], "the oldest is less severe than the other");
}

#[test]
fn what_nobody_sees_hides_nothing() {
    use CommandKind::{Disable, OneShotShelve, RemoveFromService, Suppress, TimedShelve};
    for kind in [Disable, TimedShelve(60_000), OneShotShelve, RemoveFromService, Suppress] {
        let mut plant = Plant::of(&[500, 500]);
        plant.find(0, Level::High);
        plant.find(1, Level::High);
        assert_eq!(plant.stands()[1], "aside");
        assert_eq!(told(&plant.ask(0, kind)), ["1"], "{kind:?}");
        assert!(!plant.state(0).first_in_group && plant.state(1).first_in_group);
        let mut plant = Plant::of(&[500, 500]);
        plant.ask(0, kind);
        plant.find(0, Level::High);
        assert_eq!(told(&plant.find(1, Level::High)), ["1"], "{kind:?} before both");
        assert!(plant.state(1).first_in_group);
    }
    let mut plant = Plant::of(&[500, 500]);
    plant.find(0, Level::High);
    plant.find(1, Level::High);
    assert_eq!(told(&plant.mode(0, true)), ["1"]);
}

#[test]
fn a_lost_source_and_its_return_make_no_alarm_of_what_is_below_another() {
    let mut plant = Plant::of(&[500, 500, 500]);
    for place in 0..3 {
        plant.find(place, Level::High);
    }
    assert_eq!(told(&plant.believe(&[0, 1, 2], false)), Vec::<&str>::new());
    assert_eq!(told(&plant.believe(&[0, 1, 2], true)), ["0"]);
    assert_eq!(plant.stands(), ["first", "aside", "aside"]);
}

#[test]
fn what_ends_together_with_the_first_is_not_told() {
    let mut plant = Plant::of(&[500, 500]);
    plant.find(0, Level::High);
    plant.find(1, Level::High);
    let keys = [plant.key(0), plant.key(1)];
    let all = plant.then(|engine, cause, at| {
        let finding = Finding {
            level: Level::Normal,
            message: String::new(),
            score: None,
            evidence: vec![],
            at,
            quality: StatusCode::GOOD,
        };
        keys.iter().flat_map(|key| engine.apply(key, cause, finding.clone(), at)).collect()
    });
    assert_eq!(told(&all), Vec::<&str>::new());
}

#[test]
fn a_person_lifts_what_a_group_suppresses_and_it_stays_lifted() {
    let mut plant = Plant::of(&[500, 500]);
    plant.find(0, Level::High);
    plant.find(1, Level::High);
    assert_eq!(told(&plant.ask(1, CommandKind::Unsuppress)), ["1"]);
    plant.find(1, Level::HighHigh);
    plant.restart(false);
    assert_eq!(plant.stands(), ["first", "told"]);
    plant.find(1, Level::Normal);
    plant.find(1, Level::High);
    assert_eq!(plant.stands(), ["first", "aside"], "the next occurrence is below the first again");
}

#[test]
fn what_is_highly_managed_is_never_below_another() {
    let managed = |def: ConditionDef| ConditionDef { class: ConditionClass::HighlyManaged, ..def };
    let mut plant = Plant::of(&[500, 500]);
    let def = managed(plant.defs[1].clone());
    plant.reload(1, def.clone());
    plant.find(0, Level::High);
    assert_eq!(told(&plant.find(1, Level::High)), ["1"]);
    let mut plant = Plant::of(&[500, 500]);
    plant.find(0, Level::High);
    plant.find(1, Level::High);
    assert_eq!(told(&plant.reload(1, def)), ["1"], "nor by the rules of before");
}

#[test]
fn an_alarm_that_is_in_another_group_now_leads_its_old_one_no_longer() {
    for group in [None, Some("fan")] {
        let mut plant = Plant::of(&[500, 500, 500]);
        for place in 0..3 {
            plant.find(place, Level::High);
        }
        let all = plant.reload(0, member(0, 500, group));
        assert!(told(&all).contains(&"1"), "who was below it is the first");
        assert_eq!(plant.stands(), [if group.is_some() { "first" } else { "told" }, "first", "aside"]);
        plant.reload(2, member(2, 500, group));
        assert_eq!(plant.stands()[2], if group.is_some() { "aside" } else { "told" });
    }
    let mut plant = Plant::of(&[500, 500]);
    plant.find(0, Level::High);
    plant.find(1, Level::High);
    let mut apart = plant.defs[1].clone();
    Arc::make_mut(&mut apart.rules).group = Some(Group { name: "pump".into(), first_only: false });
    assert_eq!(told(&plant.reload(1, apart)), ["1"], "its group suppresses it no more");
}

#[test]
fn a_restart_tells_nothing_in_whatever_order_detectors_start() {
    for backwards in [false, true] {
        let mut plant = Plant::of(&[500, 500, 900]);
        for place in [1, 0, 2] {
            plant.find(place, Level::High);
        }
        assert!(plant.restart(backwards).is_empty());
        assert_eq!(plant.stands(), ["aside", "first", "told"]);
        assert_eq!(told(&plant.find(1, Level::Normal)), ["0"]);
    }
}

#[test]
fn one_whose_first_never_comes_back_after_a_restart_is_told() {
    let mut plant = Plant::of(&[500, 500]);
    plant.find(0, Level::High);
    plant.find(1, Level::High);
    let states: Vec<_> = plant.engine.conditions().map(|(def, state)| (def.key.clone(), state.encode())).collect();
    let mut engine = Engine::default();
    for (key, state) in states {
        engine.restore(&key, &state).unwrap();
    }
    engine.define(Arc::new(plant.defs.pop().unwrap()), Instant::from_s(9));
    assert!(engine.hand_on(Lsn(9), Instant::from_s(9)).is_empty(), "the first may be defined yet");
    assert_eq!(engine.next_due(), Some(Instant::from_s(9 + 60)));
    let late = Instant::from_s(9 + 60);
    assert!(engine.expire(Lsn(9), late, |_| true).is_empty());
    assert_eq!(told(&engine.hand_on(Lsn(9), late)), ["1"]);
    assert_eq!(engine.next_due(), None);
}

/// Something that happens to one of the conditions.
#[derive(Clone, Debug)]
enum Step {
    Find(usize, Level),
    Ask(usize, CommandKind),
    Believe(Vec<usize>, bool),
    Mode(usize, bool),
    Pass(i64),
    Reload(usize, ConditionDef),
    Restart(bool),
}

const MEMBERS: usize = 5;

fn a_def(place: usize) -> impl Strategy<Value = ConditionDef> {
    let class = prop_oneof![4 => Just(ConditionClass::Process), 1 => Just(ConditionClass::HighlyManaged)];
    let severity = prop::sample::select(vec![300, 500, 500, 500, 900]);
    let group = prop::sample::select(vec![Some("pump"), Some("pump"), Some("pump"), Some("fan"), None]);
    let delay = prop::option::weighted(0.2, Just(seconds(3)));
    (class, severity, group, prop::bool::weighted(0.8), delay).prop_map(
        move |(class, severity, group, first_only, delay)| {
            let mut def = ConditionDef { class, ..member(place, severity, group) };
            let rules = Arc::make_mut(&mut def.rules);
            rules.on_delay = delay.flatten();
            rules.re_alarm = delay.flatten();
            if let Some(group) = &mut rules.group {
                group.first_only = first_only;
            }
            def
        },
    )
}

fn defs() -> impl Strategy<Value = Vec<ConditionDef>> {
    (a_def(0), a_def(1), a_def(2), a_def(3), a_def(4)).prop_map(|(a, b, c, d, e)| vec![a, b, c, d, e])
}

fn step() -> impl Strategy<Value = Step> {
    use CommandKind::{
        Acknowledge, Disable, Enable, OneShotShelve, PlaceInService, RemoveFromService, Suppress, TimedShelve,
        Unshelve, Unsuppress,
    };
    let level = prop::sample::select(vec![Level::Normal, Level::High, Level::High, Level::HighHigh]);
    let kind = prop::sample::select(vec![
        Acknowledge,
        Disable,
        Enable,
        OneShotShelve,
        TimedShelve(4_000),
        Unshelve,
        Suppress,
        Unsuppress,
        RemoveFromService,
        PlaceInService,
    ]);
    prop_oneof![
        8 => (0..MEMBERS, level).prop_map(|(place, level)| Step::Find(place, level)),
        4 => (0..MEMBERS, kind).prop_map(|(place, kind)| Step::Ask(place, kind)),
        1 => (prop::collection::vec(0..MEMBERS, 1..4), any::<bool>()).prop_map(|(places, supported)| Step::Believe(places, supported)),
        1 => (0..MEMBERS, any::<bool>()).prop_map(|(place, holds)| Step::Mode(place, holds)),
        2 => (1..10_i64).prop_map(Step::Pass),
        1 => (0..MEMBERS).prop_flat_map(|place| (Just(place), a_def(place))).prop_map(|(place, def)| Step::Reload(place, def)),
        1 => any::<bool>().prop_map(Step::Restart),
    ]
}

/// A condition that stands and that everybody sees.
fn is_seen(state: &ConditionState) -> bool {
    state.enabled.value && state.active.value && !state.is_aside()
}

/// What must hold of groups at any time.
fn check(plant: &Plant) {
    let group = |def: &ConditionDef| def.rules.group.as_ref().map(|group| group.name.clone());
    let all: Vec<_> = plant.engine.conditions().collect();
    for (def, state) in &all {
        let others = || all.iter().filter(|(other, _)| other.key != def.key && group(other) == group(def));
        if state.suppressed.value.has(Suppression::GROUP) {
            assert!(def.rules.group.as_ref().unwrap().first_only && !def.is_highly_managed());
            assert!(state.enabled.value && state.active.value, "what is over is below nothing");
            let above =
                others().any(|(other, above)| above.first_in_group && is_seen(above) && other.severity >= def.severity);
            assert!(above, "{} is hidden by nothing that anybody sees", def.key);
        }
        if state.first_in_group {
            assert!(is_seen(state) && group(def).is_some(), "{} is a first that nobody sees", def.key);
            assert!(others().all(|(_, other)| !other.first_in_group), "{} is one of two that are first", def.key);
        } else if is_seen(state) && group(def).is_some() {
            assert!(others().any(|(_, other)| other.first_in_group), "{} stands in a group without a first", def.key);
        }
    }
}

/// What must hold of what was told: each event once, and whatever is hidden no longer has one.
fn check_told(before: &[ConditionState], plant: &Plant, told: &[Transition], seen: &mut BTreeSet<EventId>) {
    for transition in told.iter().filter(|told| told.notify) {
        assert!(seen.insert(transition.told().event_id), "an EventId is never used twice");
    }
    for (place, before) in before.iter().enumerate() {
        let hidden = |state: &ConditionState| !is_seen(state);
        if hidden(before) && !hidden(plant.state(place)) {
            let events = told.iter().filter(|told| {
                told.notify && told.branch.is_none() && told.def.key == plant.key(place) && is_seen(&told.state)
            });
            assert!(events.count() >= 1, "{} stands again and nobody was told", plant.key(place));
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_below_the_first_of_its_group_has_one_above_it_that_everybody_sees(
        defs in defs(),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut plant = Plant::new(defs);
        let mut seen = BTreeSet::new();
        for step in steps {
            let before: Vec<_> = (0..MEMBERS).map(|place| plant.state(place).clone()).collect();
            let told = match step {
                Step::Find(place, level) => plant.find(place, level),
                Step::Ask(place, kind) => plant.ask(place, kind),
                Step::Believe(places, supported) => plant.believe(&places, supported),
                Step::Mode(place, holds) => plant.mode(place, holds),
                Step::Pass(s) => {
                    plant.s += s;
                    plant.then(|engine, cause, now| engine.expire(cause, now, |_| true))
                }
                Step::Reload(place, def) => plant.reload(place, def),
                Step::Restart(backwards) => {
                    let told = plant.restart(backwards);
                    prop_assert!(told.is_empty(), "a restart changes nothing: {told:?}");
                    told
                }
            };
            check(&plant);
            check_told(&before, &plant, &told, &mut seen);
        }
    }
}
