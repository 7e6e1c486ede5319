//! Delays, alarms told anew, chattering.

use watchfire_model::{CommandKind, Instant, Level, Lsn};

use super::bench::{Bench, seconds};
use crate::Rules;

#[test]
fn what_does_not_last_is_no_alarm() {
    let mut bench = Bench::ruled(Rules { on_delay: seconds(10), ..Rules::default() });
    let held = bench.find(Level::High).unwrap();
    assert!(!held.notify && !held.state.active.value && !held.state.retain);
    assert_eq!(bench.engine.next_due(), Some(Instant::from_s(11)));
    assert!(!bench.find(Level::Normal).unwrap().notify);
    assert_eq!(bench.engine.next_due(), None);
    assert!(bench.pass(60).is_none() && !bench.state().active.value);
}

#[test]
fn what_lasts_is_an_alarm_of_the_time_at_which_the_delay_was_over() {
    let mut bench = Bench::ruled(Rules { on_delay: seconds(10), ..Rules::default() });
    bench.find(Level::High);
    bench.pass(3);
    bench.find_because(Level::HighHigh, "worse".to_owned());
    bench.restart();
    assert!(bench.pass(5).is_none(), "the first finding counts, and it is 9 s old");
    let raised = bench.pass(3).unwrap();
    assert!(raised.notify && raised.state.active.value && !raised.state.acked.value);
    assert_eq!((raised.state.level, raised.state.message.as_str()), (Level::HighHigh, "worse"));
    assert_eq!(raised.state.active.since, Instant::from_s(11), "not when somebody looked");
}

#[test]
fn a_delay_waits_for_a_detector_that_has_not_seen_all() {
    let mut bench = Bench::ruled(Rules { on_delay: seconds(10), ..Rules::default() });
    bench.find(Level::High);
    let late = Instant::from_s(100);
    assert!(bench.engine.expire(Lsn(1), late, |_| false).is_empty());
    assert!(bench.engine.expire_binding("another", Lsn(1), late).is_empty());
    assert_eq!(bench.engine.expire_binding("hot", Lsn(1), late).len(), 1);
}

#[test]
fn an_alarm_that_is_gone_for_a_moment_goes_on() {
    let mut bench = Bench::ruled(Rules { off_delay: seconds(10), ..Rules::default() });
    bench.find(Level::High);
    assert!(!bench.find(Level::Normal).unwrap().notify);
    assert!(bench.state().active.value);
    bench.find(Level::High);
    assert_eq!((bench.state().activations, bench.engine.next_due()), (1, None));
    bench.find(Level::Normal);
    let gone = bench.pass(10).unwrap();
    assert!(gone.notify && !gone.state.active.value);
}

#[test]
fn an_alarm_that_stands_too_long_is_told_anew() {
    let mut bench = Bench::ruled(Rules { re_alarm: seconds(100), ..Rules::default() });
    bench.find(Level::High);
    let first = bench.event();
    bench.give(CommandKind::Acknowledge, &first, None).unwrap();
    bench.ask(CommandKind::Silence).unwrap();
    let again = bench.pass(98).unwrap();
    assert!(again.notify && !again.state.acked.value && !again.state.silenced.value);
    assert_eq!((again.state.re_alarms, again.state.activations, again.state.branches.len()), (1, 1, 0));
    assert!(bench.give(CommandKind::Acknowledge, &first, None).is_err(), "nobody has seen this one yet");
    assert_eq!(bench.pass(1000).unwrap().state.re_alarms, 2, "once, however long nobody looked");
    assert!(bench.pass(0).is_none() && bench.pass(99).is_none(), "nor again as soon as somebody looks once more");
    assert_eq!(bench.pass(1).unwrap().state.re_alarms, 3);
    bench.ask(CommandKind::OneShotShelve).unwrap();
    assert!(bench.pass(1000).is_none_or(|told| !told.notify), "what is put aside is not told anew");
    assert_eq!(bench.state().re_alarms, 3);
    bench.find(Level::Normal);
    assert_eq!((bench.engine.next_due(), bench.state().re_alarms), (None, 0), "it is counted until it is over");
}

#[test]
fn what_comes_and_goes_chatters_until_it_was_quiet_for_a_minute() {
    let mut bench = Bench::ruled(Rules::default());
    for round in 1..=3 {
        assert_eq!(bench.find(Level::High).unwrap().state.chattering, round == 3);
        bench.find(Level::Normal);
    }
    assert!(bench.pass(58).is_none());
    assert!(!bench.pass(1).unwrap().state.chattering);
    for _ in 0..4 {
        bench.find(Level::High);
        bench.find(Level::Normal);
        bench.pass(40);
    }
    assert!(!bench.state().chattering, "twice a minute is not too often");
}

#[test]
fn a_damped_alarm_that_chatters_is_one_alarm() {
    let mut bench = Bench::ruled(Rules { damp: true, ..Rules::default() });
    for _ in 0..50 {
        bench.find(Level::High);
        bench.find(Level::Normal);
    }
    assert_eq!(bench.state().activations, 3);
    assert!(bench.state().active.value && bench.state().chattering);
    let over = bench.pass(60).unwrap().state;
    assert!(!over.active.value);
    assert!(!bench.pass(60).map_or_else(|| bench.state().chattering, |told| told.state.chattering));
    assert_eq!(bench.find(Level::High).unwrap().state.activations, 4);
}
