//! What must hold of the engine: each rule by example, then all of them over random lives of a condition.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use watchfire_model::{AlarmCommand, CommandKind, ConditionKey, Instant, Level, Lsn, Scope, Severity, StatusCode};

use crate::{AlarmType, ConditionClass, ConditionDef, ConditionState, Engine, Finding, RefusedCommand, Transition};

fn def(confirm: bool) -> Arc<ConditionDef> {
    Arc::new(ConditionDef {
        key: ConditionKey::new("hot", "high", "plant/bearing"),
        area: "plant".into(),
        source_name: "plant/bearing".into(),
        signal: None,
        scope: Scope::Signal,
        alarm_type: AlarmType::ExclusiveLevel,
        class: ConditionClass::Process,
        severity: Severity::clamped(700),
        text: "too hot".into(),
        response: "stop".into(),
        confirm,
        detector: "limit 1.0.0".into(),
    })
}

/// An engine with one condition, and a hand that moves time on with each call.
struct Bench {
    engine: Engine,
    key: ConditionKey,
    s: i64,
}

impl Bench {
    fn new(confirm: bool) -> Self {
        let (def, mut engine) = (def(confirm), Engine::default());
        let key = def.key.clone();
        engine.define(def, Instant::from_s(0));
        Self { engine, key, s: 0 }
    }

    fn find(&mut self, level: Level) -> Option<Transition> {
        self.find_because(level, format!("{level:?} at {}", self.s + 1))
    }

    fn find_because(&mut self, level: Level, message: String) -> Option<Transition> {
        self.s += 1;
        let at = Instant::from_s(self.s);
        let finding = Finding { level, message, score: None, evidence: vec![], at, quality: StatusCode::GOOD };
        self.engine.apply(&self.key, Lsn(self.s.unsigned_abs()), finding, at)
    }

    fn give(
        &mut self,
        kind: CommandKind,
        event_id: &[u8],
        comment: Option<&str>,
    ) -> Result<Transition, RefusedCommand> {
        self.s += 1;
        let comment = comment.map(|text| ("en".to_owned(), text.to_owned()));
        let (key, event_id, at) = (self.key.clone(), event_id.to_vec(), Instant::from_s(self.s));
        self.engine.command(&AlarmCommand { key, kind, event_id, comment, user: "anna".into(), at })
    }

    fn state(&self) -> &ConditionState {
        self.engine.state(&self.key).unwrap()
    }

    fn event(&self) -> [u8; 16] {
        *self.state().event_id(&self.key).bytes()
    }
}

#[test]
fn an_alarm_lives_from_active_to_gone() {
    let mut bench = Bench::new(true);
    let active = bench.find(Level::High).unwrap().state;
    assert!(active.retain && active.active.value && !active.acked.value);
    let again = active.message.clone();
    assert_eq!(bench.find_because(Level::High, again), None, "the same again is no transition");
    assert!(bench.find(Level::High).unwrap().notify, "another reason is");
    let event = bench.event();
    let acked = bench.give(CommandKind::Acknowledge, &event, Some("on my way")).unwrap().state;
    assert!(acked.acked.value && !acked.confirmed.value);
    assert_eq!((acked.comment.value.text.as_str(), acked.user.as_str()), ("on my way", "anna"));
    let gone = bench.find(Level::Normal).unwrap().state;
    assert!(gone.retain, "not yet confirmed");
    let event = bench.event();
    let confirmed = bench.give(CommandKind::Confirm, &event, None).unwrap().state;
    assert!(!confirmed.retain, "one last event takes it off the list");
    assert_eq!(confirmed.comment.value.text, "on my way", "no comment leaves the comment");
}

#[test]
fn without_confirmation_an_acknowledged_alarm_that_is_over_leaves_the_list() {
    let mut bench = Bench::new(false);
    bench.find(Level::Low);
    assert!(bench.find(Level::Normal).unwrap().state.retain, "not yet acknowledged");
    let event = bench.event();
    assert!(!bench.give(CommandKind::Acknowledge, &event, None).unwrap().state.retain);
}

#[test]
fn earlier_events_of_an_occurrence_can_be_acknowledged_but_not_those_of_the_one_before() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let first = bench.event();
    bench.find(Level::HighHigh);
    assert!(bench.give(CommandKind::Acknowledge, &first, None).is_ok());
    bench.find(Level::Normal);
    bench.find(Level::High);
    assert_eq!(bench.give(CommandKind::Acknowledge, &first, None), Err(RefusedCommand::EventIdUnknown));
    assert!(!bench.state().acked.value);
}

/// What is asked, with which comment.
type Asked<'a> = (CommandKind, Option<&'a str>);

#[test]
fn every_refusal_has_its_reason_and_changes_nothing() {
    use CommandKind::{Acknowledge, AddComment, Confirm, Disable, Enable};
    let long = "x".repeat(5000);
    let acked: &[Asked<'_>] = &[(Acknowledge, None)];
    let disabled: &[Asked<'_>] = &[(Disable, None)];
    let cases: &[(&[Asked<'_>], CommandKind, Option<&str>, RefusedCommand)] = &[
        (acked, Acknowledge, None, RefusedCommand::AlreadyAcked),
        (&[], Confirm, None, RefusedCommand::AlreadyConfirmed),
        (&[], Enable, None, RefusedCommand::AlreadyEnabled),
        (disabled, Disable, None, RefusedCommand::AlreadyDisabled),
        (disabled, Acknowledge, None, RefusedCommand::Disabled),
        (&[], AddComment, None, RefusedCommand::CommentMissing),
        (&[], AddComment, Some(&long), RefusedCommand::CommentTooLong),
    ];
    for (before, kind, comment, refused) in cases {
        let mut bench = Bench::new(true);
        bench.find(Level::High);
        for (kind, comment) in *before {
            let event = bench.event();
            bench.give(*kind, &event, *comment).unwrap();
        }
        let (event, state) = (bench.event(), bench.state().clone());
        assert_eq!(bench.give(*kind, &event, *comment), Err(*refused), "{kind:?}");
        assert_eq!(*bench.state(), state, "{kind:?}");
    }
    let mut bench = Bench::new(false);
    bench.key = ConditionKey::new("no", "such", "");
    assert_eq!(bench.give(Enable, &[], None), Err(RefusedCommand::UnknownCondition));
}

#[test]
fn a_disabled_condition_says_nothing_and_remembers() {
    let mut bench = Bench::new(false);
    bench.give(CommandKind::Disable, &[], None).unwrap();
    let kept = bench.find(Level::High).unwrap();
    assert!(!kept.notify && !kept.state.retain);
    let enabled = bench.give(CommandKind::Enable, &[], None).unwrap().state;
    assert!(enabled.active.value && !enabled.acked.value && enabled.retain);
}

#[test]
fn what_a_detector_cannot_tell_clears_nothing() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    bench.s += 1;
    let at = Instant::from_s(bench.s);
    let quality = StatusCode::UNCERTAIN;
    let finding = Finding { level: Level::Unknown, message: "?".into(), score: None, evidence: vec![], at, quality };
    let unsure = bench.engine.apply(&bench.key, Lsn(9), finding, at).unwrap().state;
    assert!(unsure.active.value && unsure.level == Level::High);
    assert_eq!((unsure.quality.value, unsure.message.as_str()), (StatusCode::UNCERTAIN, "High at 1"));
}

#[test]
fn an_inactive_condition_that_cannot_be_judged_shows_it_without_an_event() {
    let mut bench = Bench::new(false);
    let quality = StatusCode::UNCERTAIN;
    let unsure = bench.engine.apply_quality(&bench.key, Lsn(1), quality, Instant::from_s(1)).unwrap();
    assert!(!unsure.notify && unsure.state.quality.value == quality);
    assert!(bench.find(Level::High).unwrap().notify);
    let unsure = bench.engine.apply_quality(&bench.key, Lsn(2), quality, Instant::from_s(9)).unwrap();
    assert!(unsure.notify, "a listed one tells");
}

#[test]
fn two_gateways_fed_the_same_log_agree_on_every_event_id() {
    let life = |_: u8| {
        let mut bench = Bench::new(true);
        bench.find(Level::High);
        let event = bench.event();
        bench.give(CommandKind::Acknowledge, &event, Some("x")).unwrap();
        bench.find(Level::Normal);
        bench.state().clone()
    };
    assert_eq!(life(1), life(2));
}

/// Something that happens to a condition.
#[derive(Clone, Debug)]
enum Step {
    Find(Level),
    Quality(bool),
    /// A command with the EventId of the transition so many before the last.
    Give(CommandKind, usize, bool),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use CommandKind::{Acknowledge, AddComment, Confirm, Disable, Enable};
    let level = prop::sample::select(vec![Level::Normal, Level::High, Level::HighHigh, Level::Low, Level::Unknown]);
    let kind = prop::sample::select(vec![Acknowledge, Confirm, AddComment, Enable, Disable]);
    let step = prop_oneof![
        4 => level.prop_map(Step::Find),
        1 => any::<bool>().prop_map(Step::Quality),
        4 => (kind, 0..4_usize, any::<bool>()).prop_map(|(kind, back, comment)| Step::Give(kind, back, comment)),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 0..80)
}

/// A transition that the table of OPC 10000-9 §5.7 allows.
fn check_transition(before: &ConditionState, after: &ConditionState, confirm: bool) {
    assert_eq!(after.transitions, before.transitions + 1);
    assert_ne!(after.event_id, before.event_id);
    assert_eq!(after.event_ids.last(), Some(&after.event_id));
    let began = after.activations > before.activations;
    let listed = after.active.value || !after.acked.value || (confirm && !after.confirmed.value);
    assert_eq!(after.retain, after.enabled.value && listed);
    if before.acked.value && !after.acked.value {
        assert!(began && after.active.value, "only a new occurrence takes an acknowledgement back");
    }
    if before.confirmed.value && !after.confirmed.value {
        assert!(confirm && !before.acked.value && after.acked.value, "only acknowledging asks for confirmation");
    }
    if began {
        assert_eq!(after.event_ids.len(), 1, "an occurrence begins without earlier EventIds");
    }
}

proptest! {
    #[test]
    fn no_life_leaves_the_table(steps in steps(), confirm in any::<bool>()) {
        let mut bench = Bench::new(confirm);
        let mut events = vec![bench.state().event_id];
        let mut seen = BTreeSet::new();
        for step in steps {
            let before = bench.state().clone();
            let reached = match step {
                Step::Find(level) => bench.find(level),
                Step::Quality(good) => {
                    bench.s += 1;
                    let quality = if good { StatusCode::GOOD } else { StatusCode::UNCERTAIN };
                    bench.engine.apply_quality(&bench.key, Lsn(1), quality, Instant::from_s(bench.s))
                }
                Step::Give(kind, back, comment) => {
                    let event = *events[events.len().saturating_sub(back + 1)].bytes();
                    bench.give(kind, &event, comment.then_some("text")).ok()
                }
                Step::Restart => {
                    let (mut engine, def) = (Engine::default(), def(confirm));
                    engine.restore(&bench.key, &bench.state().encode()).unwrap();
                    engine.define(def, Instant::from_s(bench.s));
                    bench.engine = engine;
                    prop_assert_eq!(bench.state(), &before, "snapshot then restore is identity");
                    None
                }
            };
            if let Some(Transition { state, notify: false, .. }) = &reached {
                prop_assert!(!before.retain && !state.retain, "what is or was listed is told");
                prop_assert_eq!((state.event_id, state.acked.value), (before.event_id, before.acked.value));
            } else if let Some(Transition { state, .. }) = reached {
                prop_assert_eq!(&*state, bench.state());
                check_transition(&before, &state, confirm);
                prop_assert!(seen.insert(state.event_id), "an EventId is never used twice");
                events.push(state.event_id);
            } else {
                prop_assert_eq!(bench.state().event_id, before.event_id);
                prop_assert_eq!(bench.state().retain, before.retain);
                prop_assert_eq!(bench.state().acked.value, before.acked.value);
            }
        }
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut engine = Engine::default();
        let key = ConditionKey::new("a", "b", "");
        if engine.restore(&key, &bytes).is_err() {
            prop_assert!(engine.state(&key).is_none());
        }
    }
}
