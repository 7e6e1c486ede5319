//! The figures against days counted by hand.

use std::time::Duration;

use watchfire_model::{CommandKind, ConditionKey, Instant, Level};

use super::bench::{Bench, seconds};
use crate::{ConditionState, Glance, GlanceV1, Metrics, Rules, Window};

/// Noon of some day, so that a day by the calendar has room on both sides.
const NOON: i64 = 20_000 * 86_400 + 43_200;

/// Consoles with conditions that come and go.
struct Console {
    metrics: Metrics,
    start: i64,
}

impl Console {
    fn new() -> Self {
        Self { metrics: Metrics::new(Instant::from_s(NOON)), start: NOON }
    }

    /// A condition is active from one second to another.
    fn alarm(&mut self, name: &str, from: i64, until: i64, severity: u16) {
        let key = ConditionKey::new("a", name, "");
        let state = |s: i64, active: bool, activations: u64| {
            let at = Instant::from_s(self.start + s);
            let mut state = ConditionState::normal(watchfire_model::Severity::clamped(severity), at);
            state.active.value = active;
            state.activations = activations;
            state
        };
        let (before, during, after) = (state(from, false, 0), state(from, true, 1), state(until, false, 1));
        let before = Glance::of(&before);
        let during = before.then(&during);
        self.metrics.saw(&key, Some(&before), &during);
        self.metrics.saw(&key, Some(&during), &during.then(&after));
    }

    fn at(&self, s: i64) -> crate::Figures<'_> {
        self.metrics.figures(Instant::from_s(self.start + s))
    }
}

#[test]
fn alarms_are_counted_by_window_and_priority() {
    let mut console = Console::new();
    for (at, severity) in [(0, 100), (10, 333), (700, 334), (4_000, 900)] {
        console.alarm("x", at, at + 60, severity);
    }
    let now = console.at(4_100);
    assert_eq!(now.alarm_count(), 4);
    assert_eq!(now.alarms(Window::Period), 1);
    assert_eq!(now.alarms(Window::Hour), 2, "the first two lie before the six periods of the hour");
    assert_eq!(now.alarms(Window::Day), 4);
    assert_eq!(now.priorities(Window::Day), [0.5, 0.25, 0.25]);
    assert_eq!(now.priorities(Window::Period), [0.0, 0.0, 1.0]);
    assert_eq!(now.rate_max(), 2.0);
    assert!((now.rate() - 4.0 / (4_100.0 / 600.0)).abs() < 1e-9);
    let later = console.at(31 * 86_400);
    assert_eq!((later.alarms(Window::Month), later.alarm_count()), (0, 4));
}

#[test]
fn the_rate_is_of_the_last_ten_minutes_whatever_the_clock_says() {
    let mut console = Console::new();
    // Five minutes before a period of the clock ends, and in the next.
    for at in 0..300 {
        console.alarm(&format!("{at}"), 300 + at, 360 + at, 500);
    }
    assert_eq!(console.at(601).alarms(Window::Period), 300, "a period of the clock has just begun");
    assert_eq!(console.at(601).rate_max(), 300.0);
    assert_eq!(console.at(899).alarms(Window::Period), 300);
    assert_eq!(console.at(1049).alarms(Window::Period), 150, "half of them are older");
    assert_eq!((console.at(1200).alarms(Window::Period), console.at(1200).alarms(Window::Hour)), (0, 300));
    assert_eq!(console.at(3_600 + 299).alarms(Window::Hour), 300);
    assert_eq!(console.at(3_600 + 449).alarms(Window::Hour), 150);
    assert_eq!(console.at(3_600 + 600).alarms(Window::Hour), 0);
    // The most in ten minutes, over the end of a period.
    for at in (0..200).chain(300..500) {
        console.alarm(&format!("{at}"), 8_750 + at, 8_800 + at, 500);
    }
    assert_eq!(console.at(9_400).rate_max(), 400.0);
}

#[test]
fn a_flood_begins_above_ten_and_ends_below_five() {
    let mut console = Console::new();
    // Alarms in the periods from the first on; the sixth has none.
    for (period, count) in (0..).zip([11, 5, 4, 10, 11, 0, 5]) {
        for at in 0..count {
            console.alarm(&format!("{at}"), period * 600 + at, period * 600 + at + 60, 500);
        }
    }
    // In flood: the first, the second and the fifth of seven.
    assert!((console.at(6 * 600 + 599).flood_share(Window::Day) - 3.0 / 7.0).abs() < 1e-9);
    assert_eq!(console.at(7 * 600).flood_share(Window::Period), 0.0);
}

#[test]
fn the_ten_most_frequent_have_their_share() {
    let mut console = Console::new();
    for name in 0..20 {
        console.alarm(&format!("{name}"), name * 600, name * 600 + 60, 500);
    }
    assert_eq!(console.at(13_000).top_share(Window::Day), 0.5);
    for _ in 0..20 {
        console.alarm("0", 13_000, 13_100, 500);
    }
    assert_eq!(console.at(14_000).top_share(Window::Day), 30.0 / 40.0);
    assert_eq!(console.at(3 * 86_400).top_share(Window::Day), 0.0);
    assert_eq!(console.at(3 * 86_400).top_share(Window::Month), 30.0 / 40.0);
}

#[test]
fn what_stands_waits_chatters_and_flees_is_seen() {
    let mut bench = Bench::ruled(Rules { re_alarm: seconds(100_000), ..Rules::default() });
    let mut metrics = Metrics::new(Instant::from_s(0));
    let mut before = Glance::of(bench.state());
    let mut saw = |bench: &Bench, metrics: &mut Metrics| {
        let after = before.then(bench.state());
        metrics.saw(&bench.key, Some(&before), &after);
        before = after;
    };
    for _ in 0..3 {
        bench.find(Level::High);
        saw(&bench, &mut metrics);
        bench.find(Level::Normal);
        saw(&bench, &mut metrics);
    }
    let now = metrics.figures(Instant::from_s(bench.s));
    assert_eq!((now.fleeting(Window::Hour), now.chattering(), now.stale()), (3, 1, 0));
    bench.find(Level::High);
    saw(&bench, &mut metrics);
    let since = bench.s;
    let event = bench.event();
    bench.pass(99_999);
    bench.give(CommandKind::Acknowledge, &event, None).unwrap();
    saw(&bench, &mut metrics);
    let now = metrics.figures(Instant::from_s(since + 100_001));
    assert_eq!((now.stale(), now.alarm_count(), now.re_alarms_max()), (1, 4, 0));
    assert_eq!(now.longest_active(), Duration::from_secs(100_001));
    assert_eq!(now.longest_unacknowledged(), Duration::from_secs(100_007), "the first that nobody saw still waits");
    bench.pass(10);
    saw(&bench, &mut metrics);
    let now = metrics.figures(Instant::from_s(bench.s));
    assert_eq!((now.re_alarms_max(), now.alarm_count()), (1, 5), "told anew is an alarm");
}

#[test]
fn what_is_put_aside_is_neither_fleeting_nor_chattering_nor_stale() {
    let mut bench = Bench::new(false);
    let mut metrics = Metrics::new(Instant::from_s(0));
    let mut before = Glance::of(bench.state());
    let mut saw = |bench: &Bench, metrics: &mut Metrics| {
        let after = before.then(bench.state());
        metrics.saw(&bench.key, Some(&before), &after);
        before = after;
    };
    bench.ask(CommandKind::Suppress).unwrap();
    saw(&bench, &mut metrics);
    for _ in 0..3 {
        for level in [Level::High, Level::Normal] {
            bench.find(level);
            saw(&bench, &mut metrics);
        }
    }
    bench.find(Level::High);
    saw(&bench, &mut metrics);
    let figures = |metrics: &Metrics, s: i64| {
        let now = metrics.figures(Instant::from_s(s));
        (now.fleeting(Window::Month), now.chattering(), now.stale())
    };
    assert_eq!(figures(&metrics, bench.s), (0, 0, 0));
    bench.s += 100_000;
    assert_eq!(figures(&metrics, bench.s), (0, 0, 0), "it stands for longer than a day, and bothers nobody");
    bench.ask(CommandKind::Unsuppress).unwrap();
    saw(&bench, &mut metrics);
    assert_eq!(figures(&metrics, bench.s), (0, 1, 1), "it is an alarm again, which still stands");
}

#[test]
fn an_occurrence_that_was_left_behind_waits_until_it_is_acknowledged() {
    let mut bench = Bench::new(false);
    let mut metrics = Metrics::new(Instant::from_s(0));
    let mut before = Glance::of(bench.state());
    let mut saw = |bench: &Bench, metrics: &mut Metrics| {
        before = before.then_told(bench.state(), Instant::from_s(bench.s));
        metrics.saw(&bench.key, None, &before);
    };
    let longest = |metrics: &Metrics, s: i64| metrics.figures(Instant::from_s(s)).longest_unacknowledged().as_secs();
    bench.find(Level::High);
    saw(&bench, &mut metrics);
    let (first, first_event) = (bench.s, bench.event());
    bench.find(Level::Normal);
    bench.pass(99);
    bench.find(Level::High);
    saw(&bench, &mut metrics);
    let (second, second_event) = (bench.s, bench.event());
    assert_eq!(bench.state().branches.len(), 1);
    bench.give(CommandKind::Acknowledge, &second_event, None).unwrap();
    saw(&bench, &mut metrics);
    assert_eq!(longest(&metrics, first + 500), 500, "the first is only left behind");
    bench.pass(1_000);
    bench.give(CommandKind::Acknowledge, &first_event, None).unwrap();
    saw(&bench, &mut metrics);
    let lasted = u64::try_from(bench.s - first).unwrap();
    assert_eq!(longest(&metrics, bench.s + 5_000), lasted, "nothing waits any more");
    // One after another is two waits, and not one over both.
    bench.find(Level::Normal);
    bench.find(Level::High);
    saw(&bench, &mut metrics);
    assert!(second < bench.s && longest(&metrics, bench.s + 10) == lasted);
}

#[test]
fn what_was_known_before_occurrences_were_told_apart_is_read() {
    let state = ConditionState::normal(watchfire_model::Severity::clamped(500), Instant::from_s(9));
    let glance = Glance { waits: vec![(3, Instant::from_s(4))], activations: 3, ..Glance::of(&state) };
    let bytes = postcard::to_allocvec(&(
        (glance.now, glance.severity, glance.activations, glance.re_alarms, glance.aside, glance.chattering),
        (glance.active, Some(Instant::from_s(4)), &glance.marks),
    ));
    let old: GlanceV1 = postcard::from_bytes(&bytes.unwrap()).unwrap();
    assert_eq!(Glance::from(old), glance);
}

#[test]
fn what_nobody_is_bothered_with_is_no_alarm() {
    let mut bench = Bench::new(false);
    let mut metrics = Metrics::new(Instant::from_s(0));
    bench.ask(CommandKind::Suppress).unwrap();
    let before = Glance::of(bench.state());
    bench.find(Level::High);
    metrics.saw(&bench.key, Some(&before), &before.then(bench.state()));
    assert_eq!(metrics.figures(Instant::from_s(9)).alarm_count(), 0);
    metrics.saw(&ConditionKey::new("a", "b", ""), None, &Glance::of(bench.state()));
    assert_eq!(metrics.figures(Instant::from_s(9)).alarm_count(), 0, "what stood before is none");
}

#[test]
fn what_stands_when_it_is_put_aside_no_longer_is_an_alarm_from_then_on_and_once() {
    let mut bench = Bench::new(false);
    let mut metrics = Metrics::new(Instant::from_s(0));
    let mut before = Glance::of(bench.state());
    let mut count = |bench: &Bench| {
        let after = before.then(bench.state());
        metrics.saw(&bench.key, Some(&before), &after);
        before = after;
        metrics.figures(Instant::from_s(bench.s)).alarm_count()
    };
    bench.ask(CommandKind::Suppress).unwrap();
    assert_eq!(count(&bench), 0);
    bench.find(Level::High);
    assert_eq!(count(&bench), 0);
    bench.ask(CommandKind::Unsuppress).unwrap();
    assert_eq!(count(&bench), 1, "now somebody is told");
    for kind in [CommandKind::Suppress, CommandKind::Unsuppress] {
        bench.ask(kind).unwrap();
        assert_eq!(count(&bench), 1, "it was counted");
    }
    bench.ask(CommandKind::Suppress).unwrap();
    for level in [Level::Normal, Level::High, Level::Normal] {
        bench.find(level);
        assert_eq!(count(&bench), 1);
    }
    bench.ask(CommandKind::Unsuppress).unwrap();
    assert_eq!(count(&bench), 1, "it is over");
    bench.find(Level::High);
    assert_eq!(count(&bench), 2);
}

#[test]
fn what_people_say_of_alarms_is_counted_for_thirty_days_and_changes_nothing() {
    let mut bench = Bench::new(false);
    let mut record = crate::TrackRecord::default();
    let mut before = Glance::of(bench.state());
    let never = bench.give(CommandKind::Mark(true), &bench.event(), None);
    assert_eq!(never, Err(crate::RefusedCommand::EventIdUnknown), "it was never an alarm");
    let mut saw = |bench: &Bench, record: &mut crate::TrackRecord| {
        let after = before.then(bench.state());
        record.saw(Some(&before), &after);
        before = after;
        let said = record.until(Instant::from_s(bench.s));
        (said.alarms, said.genuine, said.mistaken)
    };
    bench.find(Level::High);
    let first = bench.event();
    assert_eq!(saw(&bench, &mut record), (1, 0, 0));
    let marked = bench.give(CommandKind::Mark(false), &first, Some("the gauge was being cleaned")).unwrap();
    assert!(marked.notify && marked.state.active.value && !marked.state.acked.value, "it changes nothing else");
    assert_eq!(
        (marked.state.mark.value, marked.state.comment.value.text.as_str()),
        (Some(false), "the gauge was being cleaned")
    );
    assert_eq!(saw(&bench, &mut record), (1, 0, 1));
    bench.give(CommandKind::Mark(true), &first, None).unwrap();
    assert_eq!(saw(&bench, &mut record), (1, 1, 0), "somebody thought better of it");
    bench.find(Level::Normal);
    saw(&bench, &mut record);
    bench.find(Level::High);
    assert_eq!((saw(&bench, &mut record), bench.state().mark.value), ((2, 1, 0), None), "another occurrence");
    bench.give(CommandKind::Mark(false), &first, None).unwrap();
    assert_eq!(saw(&bench, &mut record), (2, 0, 1), "its EventId means the branch that is left of it");
    bench.restart();
    assert_eq!(bench.state().branches[0].mark.value, Some(false));
    let event = bench.event();
    bench.give(CommandKind::Mark(true), &event, None).unwrap();
    assert_eq!(saw(&bench, &mut record), (2, 1, 1));
    let later = record.until(Instant::from_s(31 * 86_400));
    assert_eq!((later.alarms, later.genuine, later.mistaken), (0, 0, 0));
}
