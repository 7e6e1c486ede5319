//! A condition that is defined otherwise than before: nothing that its rules no longer provide for holds it.

use std::sync::Arc;

use watchfire_model::{CommandKind, Instant, Level, Lsn, Severity};

use super::bench::{Bench, def, seconds};
use crate::{ConditionClass, ConditionDef, Rules, Suppression, Transition};

/// Defines it otherwise while it is known, as a reload does.
fn reload(bench: &mut Bench, def: ConditionDef) -> Vec<Transition> {
    bench.s += 1;
    let (at, cause) = (Instant::from_s(bench.s), Lsn(bench.s.unsigned_abs()));
    bench.engine.define(Arc::new(def), at);
    let mut told = bench.engine.settle(&bench.key.clone(), cause, at);
    told.extend(bench.engine.hand_on(cause, at));
    told
}

/// An alarm that is over and acknowledged, and in the list because of how it is defined.
fn left_over(mut bench: Bench) -> Bench {
    bench.find(Level::High);
    let event = bench.event();
    bench.give(CommandKind::Acknowledge, &event, None).unwrap();
    bench.find(Level::Normal);
    assert!(bench.state().retain);
    bench
}

#[test]
fn an_alarm_that_need_not_be_reset_any_more_leaves_the_list_with_one_last_event() {
    let mut bench = left_over(Bench::ruled(Rules { latch: true, ..Rules::default() }));
    let event = bench.event();
    let told = reload(&mut bench, def(false, Rules::default()));
    assert_eq!(told.len(), 1);
    assert!(told[0].notify && !told[0].state.retain && !told[0].state.latched.value);
    assert_ne!(bench.event(), event);
    assert!(reload(&mut bench, def(false, Rules::default())).is_empty(), "once");
}

#[test]
fn an_alarm_that_need_not_be_confirmed_any_more_leaves_the_list_with_one_last_event() {
    let mut bench = left_over(Bench::new(true));
    let told = reload(&mut bench, def(false, Rules::default()));
    assert_eq!(told.len(), 1);
    assert!(told[0].notify && !told[0].state.retain && told[0].state.confirmed.value);
}

#[test]
fn occurrences_left_behind_that_need_not_be_confirmed_any_more_end() {
    let mut bench = Bench::new(true);
    bench.find(Level::High);
    let first = bench.event();
    bench.find(Level::Normal);
    bench.find(Level::High);
    bench.give(CommandKind::Acknowledge, &first, None).unwrap();
    let told = reload(&mut bench, def(false, Rules::default()));
    let branch = told[0].branch.as_ref().unwrap();
    assert!(told[0].notify && !branch.retain && bench.state().branches.is_empty() && bench.state().retain);
}

#[test]
fn what_is_disabled_is_brought_to_its_rules_without_an_event() {
    let mut bench = left_over(Bench::new(true));
    bench.find(Level::High);
    bench.ask(CommandKind::Disable).unwrap();
    assert!(reload(&mut bench, def(false, Rules::default())).iter().all(|told| !told.notify));
    assert!(bench.state().branches.is_empty());
}

#[test]
fn an_alarm_that_is_not_told_anew_any_more_waits_for_nothing() {
    let mut bench = Bench::ruled(Rules { re_alarm: seconds(100), ..Rules::default() });
    bench.find(Level::High);
    assert!(reload(&mut bench, def(false, Rules::default())).iter().all(|told| !told.notify));
    assert_eq!(bench.engine.next_due(), None);
}

#[test]
fn the_gateways_own_reasons_end_where_they_are_not_provided_for() {
    let counted = Rules { budget: Some(3), ..Rules::default() };
    let managed = Rules { sub_classes: vec![ConditionClass::HighlyManaged], ..counted.clone() };
    for (rules, left) in [
        (Rules::default(), vec!["the mode of operation"]),
        (managed, vec![]),
        (counted.clone(), vec!["the mode of operation", "the budget of its detector"]),
    ] {
        let mut bench = Bench::ruled(counted.clone());
        bench.find(Level::High);
        for reason in [Suppression::BUDGET, Suppression::MODE] {
            bench.engine.suppress(&bench.key.clone(), reason, true, Lsn(1), Instant::from_s(1));
        }
        let told = reload(&mut bench, def(false, rules));
        assert_eq!(bench.state().suppressed.value.names(), left);
        assert_eq!(told.iter().filter(|told| told.notify).count(), usize::from(left.len() < 2));
    }
    let mut bench = Bench::ruled(counted);
    bench.find(Level::High);
    bench.ask(CommandKind::Suppress).unwrap();
    reload(&mut bench, ConditionDef { class: ConditionClass::HighlyManaged, ..def(false, Rules::default()) });
    assert_eq!(bench.state().suppressed.value.names(), ["an operator"], "a person's word stands");
}

#[test]
fn a_severity_that_is_changed_is_that_of_the_alarm_that_stands_and_is_told() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let heavier = || ConditionDef { severity: Severity::clamped(900), ..def(false, Rules::default()) };
    let told = reload(&mut bench, heavier());
    assert_eq!(told.len(), 1);
    let state = &told[0].state;
    assert!(told[0].notify && state.active.value && !state.acked.value);
    assert_eq!((state.severity.value.get(), state.last_severity.value.get()), (900, 700));
    assert!(reload(&mut bench, heavier()).is_empty(), "once");
    // One that nobody sees has it without an event.
    let mut bench = Bench::new(false);
    assert!(reload(&mut bench, heavier()).iter().all(|told| !told.notify));
    assert_eq!(bench.state().severity.value.get(), 900);
}

#[test]
fn rules_that_are_added_take_hold_of_an_alarm_that_stands() {
    let mut bench = Bench::new(false);
    bench.find(Level::High);
    let rules = |after| Rules { latch: true, re_alarm: seconds(after), ..Rules::default() };
    let told = reload(&mut bench, def(false, rules(100)));
    assert!(told.len() == 1 && told[0].notify && told[0].state.latched.value);
    assert_eq!(bench.engine.next_due(), Some(Instant::from_s(2 + 100)));
    assert!(reload(&mut bench, def(false, rules(100))).is_empty(), "once");
    reload(&mut bench, def(false, rules(50)));
    assert_eq!(bench.engine.next_due(), Some(Instant::from_s(4 + 50)), "sooner");
    reload(&mut bench, def(false, rules(5000)));
    assert_eq!(bench.engine.next_due(), Some(Instant::from_s(4 + 50)), "never later than was said");
    let mut bench = Bench::new(false);
    assert!(reload(&mut bench, def(false, rules(100))).is_empty(), "there is nothing to hold");
}
