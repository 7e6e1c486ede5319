//! Shelving, suppression, service, silence, latch: what is put aside, and how it comes back.

use std::sync::Arc;
use std::time::Duration;

use watchfire_model::{AlarmCommand, CommandKind, Instant, Level, Lsn, StatusCode};

use super::bench::{Bench, def, seconds};
use crate::{Belief, ConditionClass, ConditionDef, Engine, RefusedCommand, Rules, Shelving, Suppression};

#[test]
fn a_timed_shelving_ends_by_itself_also_after_a_restart() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let shelved = bench.ask(CommandKind::TimedShelve(60_000)).unwrap();
    assert!(shelved.notify && shelved.state.is_aside() && shelved.state.retain, "it stands, and is put aside");
    assert_eq!(bench.ask(CommandKind::TimedShelve(1)), Err(RefusedCommand::AlreadyShelved));
    assert_eq!(bench.engine.next_due(), Some(Instant::from_s(2 + 60)));
    bench.restart();
    assert_eq!(bench.engine.next_due(), Some(Instant::from_s(2 + 60)));
    assert!(bench.pass(58).is_none());
    let back = bench.pass(1).unwrap();
    assert!(back.notify && !back.state.is_aside() && back.state.active.value);
    assert_eq!(bench.engine.next_due(), None);
}

#[test]
fn a_one_shot_shelving_ends_with_the_alarm() {
    let mut bench = Bench::new(false);
    bench.ask(CommandKind::OneShotShelve).unwrap();
    assert_eq!(bench.ask(CommandKind::OneShotShelve), Err(RefusedCommand::AlreadyShelved));
    assert!(bench.find(Level::High).unwrap().state.is_aside(), "it waits for the next alarm, and that one is aside");
    assert!(!bench.find(Level::Normal).unwrap().state.is_aside());
    assert_eq!(bench.ask(CommandKind::Unshelve), Err(RefusedCommand::NotShelved));
    bench.ask(CommandKind::OneShotShelve).unwrap();
    assert!(!bench.ask(CommandKind::Unshelve).unwrap().state.is_aside());
}

#[test]
fn nothing_is_shelved_for_longer_than_the_condition_allows() {
    let mut bench = Bench::ruled(Rules { max_shelve: seconds(100), ..Rules::default() });
    for ms in [0, 100_001, u64::MAX] {
        assert_eq!(bench.ask(CommandKind::TimedShelve(ms)), Err(RefusedCommand::ShelvingTimeOutOfRange));
    }
    bench.find(Level::High);
    bench.ask(CommandKind::OneShotShelve).unwrap();
    assert!(!bench.pass(100).unwrap().state.is_aside());
    bench.ask(CommandKind::TimedShelve(100_000)).unwrap();
    assert!(bench.ask(CommandKind::OneShotShelve).is_ok(), "from one kind of shelving to the other");
    assert!(matches!(bench.state().shelving.value, Shelving::OneShot { until: Some(_) }));
}

#[test]
fn suppression_has_reasons_that_end_by_themselves_or_by_a_person() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    bench.ask(CommandKind::Suppress).unwrap();
    let key = bench.key.clone();
    let set = |bench: &mut Bench, reason, holds| bench.engine.suppress(&key, reason, holds, Lsn(9), Instant::from_s(9));
    assert_eq!(set(&mut bench, Suppression::MODE, true).len(), 1);
    assert!(set(&mut bench, Suppression::MODE, true).is_empty(), "it is already");
    assert_eq!(bench.state().suppressed.value.names(), ["an operator", "the mode of operation"]);
    set(&mut bench, Suppression::MODE, false);
    assert!(bench.state().is_aside(), "the operator's reason is left");
    set(&mut bench, Suppression::MODE, true);
    assert!(!bench.ask(CommandKind::Unsuppress).unwrap().state.is_aside(), "a person lifts them all");
}

#[test]
fn what_is_highly_managed_is_suppressed_by_people_alone() {
    let managed = ConditionClass::HighlyManaged;
    let by_class = ConditionDef { class: managed, ..def(false, Rules::default()) };
    let by_further_class = def(false, Rules { sub_classes: vec![managed], ..Rules::default() });
    for def in [by_class, by_further_class] {
        let mut bench = Bench::with(def);
        let told = bench.engine.suppress(&bench.key, Suppression::BUDGET, true, Lsn(1), Instant::from_s(1));
        assert!(told.is_empty() && !bench.state().is_aside());
        assert!(bench.ask(CommandKind::Suppress).unwrap().state.is_aside());
    }
}

#[test]
fn out_of_service_and_silence_are_states_of_their_own() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let out = bench.ask(CommandKind::RemoveFromService).unwrap().state;
    assert!(out.out_of_service.value && out.is_aside() && out.retain);
    assert!(!bench.ask(CommandKind::PlaceInService).unwrap().state.is_aside());
    let silent = bench.ask(CommandKind::Silence).unwrap().state;
    assert!(silent.silenced.value && !silent.is_aside(), "silence is for the horn alone");
    let event = bench.event();
    bench.give(CommandKind::Acknowledge, &event, None).unwrap();
    bench.find(Level::Normal);
    assert!(!bench.find(Level::High).unwrap().state.silenced.value, "the next alarm sounds");
}

#[test]
fn a_latched_alarm_stays_until_it_is_reset() {
    let mut bench = Bench::ruled(Rules { latch: true, ..Rules::default() });
    assert_eq!(bench.ask(CommandKind::Reset), Err(RefusedCommand::NotResettable), "it was never active");
    bench.find(Level::High);
    let event = bench.event();
    bench.give(CommandKind::Acknowledge, &event, None).unwrap();
    assert_eq!(bench.ask(CommandKind::Reset), Err(RefusedCommand::NotResettable), "it is active");
    let gone = bench.find(Level::Normal).unwrap().state;
    assert!(gone.latched.value && gone.retain && !gone.active.value);
    bench.restart();
    let reset = bench.ask(CommandKind::Reset).unwrap();
    assert!(reset.notify && !reset.state.latched.value && !reset.state.retain);
}

#[test]
fn a_disabled_condition_takes_no_other_command() {
    use CommandKind::{OneShotShelve, PlaceInService, RemoveFromService, Reset, Silence, Suppress, TimedShelve};
    let mut bench = Bench::new(false);
    bench.ask(CommandKind::Disable).unwrap();
    for kind in [TimedShelve(1), OneShotShelve, Suppress, RemoveFromService, PlaceInService, Silence, Reset] {
        assert_eq!(bench.ask(kind), Err(RefusedCommand::Disabled), "{kind:?}");
    }
}

#[test]
fn the_longest_time_is_no_overflow() {
    let mut bench = Bench::new(false);
    bench.ask(CommandKind::TimedShelve(u64::MAX)).unwrap();
    assert!(bench.pass(1_000_000).is_none(), "{:?}", Duration::from_millis(u64::MAX));
}

#[test]
fn a_condition_of_which_nothing_can_be_known_is_below_the_alarm_that_says_why() {
    let mut bench = Bench::new(false);
    let quality = StatusCode::UNCERTAIN_LAST_USABLE;
    let believe = |bench: &mut Bench, supported| {
        let belief = Belief { quality, supported };
        bench.engine.believe(&bench.key.clone(), Lsn(1), belief, Instant::from_s(9)).pop()
    };
    let quiet = believe(&mut bench, false).unwrap();
    assert!(!quiet.notify && quiet.state.is_aside(), "nobody has to hear of it");
    assert!(!believe(&mut bench, true).unwrap().state.is_aside());
    bench.find(Level::High);
    let told = believe(&mut bench, false).unwrap();
    assert!(told.notify && told.state.active.value && told.state.retain && told.state.is_aside());
}

#[test]
fn a_condition_that_no_longer_latches_is_not_latched_for_ever() {
    let rules = Rules { latch: true, re_alarm: seconds(100), ..Rules::default() };
    let mut bench = Bench::ruled(rules);
    bench.find(Level::High);
    let event = bench.event();
    bench.give(CommandKind::Acknowledge, &event, None).unwrap();
    let bytes = bench.state().encode();
    let mut engine = Engine::default();
    engine.restore(&bench.key, &bytes).unwrap();
    engine.define(Arc::new(def(false, Rules::default())), Instant::from_s(9));
    let plain = engine.settle(&bench.key, Lsn(9), Instant::from_s(9)).pop().unwrap().state;
    assert!(plain.active.value && !plain.latched.value);
    assert_eq!(engine.next_due(), None);
}

#[test]
fn what_does_not_sound_is_not_silenced() {
    let mut bench = Bench::new(false);
    let silence = |bench: &mut Bench| {
        let (key, at) = (bench.key.clone(), Instant::from_s(bench.s));
        let (kind, comment) = (CommandKind::Silence, Some((String::new(), "quiet".to_owned())));
        let command = AlarmCommand { key, kind, event_id: Vec::new(), comment, user: "anna".into(), at };
        bench.engine.command(&command, Lsn(1)).unwrap()
    };
    let nothing_came = bench.state().clone();
    assert!(silence(&mut bench).is_empty(), "it is inactive");
    assert_eq!(bench.state(), &nothing_came);
    bench.find(Level::High);
    assert!(silence(&mut bench)[0].state.silenced.value);
    let event = bench.event();
    assert!(silence(&mut bench).is_empty() && bench.event() == event, "it is silent already");
}

#[test]
fn what_a_person_has_lifted_is_not_suppressed_again_before_the_reason_has_ended() {
    let quality = StatusCode::UNCERTAIN_LAST_USABLE;
    let lost = |bench: &mut Bench, quality, supported| {
        let (key, at) = (bench.key.clone(), Instant::from_s(bench.s));
        bench.engine.believe(&key, Lsn(1), Belief { quality, supported }, at);
        bench.state().is_aside()
    };
    let mode = |bench: &mut Bench, holds| {
        let (key, at) = (bench.key.clone(), Instant::from_s(bench.s));
        bench.engine.suppress(&key, Suppression::MODE, holds, Lsn(1), at);
        bench.state().is_aside()
    };
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    assert!(lost(&mut bench, quality, false) && mode(&mut bench, true));
    bench.ask(CommandKind::Unsuppress).unwrap();
    bench.restart();
    // Its detector fails as well, and it is defined anew: neither is another loss or another mode.
    assert!(!lost(&mut bench, StatusCode::UNCERTAIN, false) && !mode(&mut bench, true));
    assert_eq!(bench.state().quality.value, StatusCode::UNCERTAIN);
    assert!(!lost(&mut bench, StatusCode::GOOD, true) && !mode(&mut bench, false));
    assert!(lost(&mut bench, quality, false), "what begins anew suppresses anew");
    assert!(!lost(&mut bench, StatusCode::GOOD, true));
    assert!(mode(&mut bench, true));
}
