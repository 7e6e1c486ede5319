//! The figures against days counted by hand.

use std::time::Duration;

use watchfire_model::{CommandKind, ConditionKey, Instant, Level};

use super::bench::{Bench, seconds};
use crate::{ConditionState, Metrics, Rules, Window};

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
        self.metrics.saw(&key, Some(&before), &during);
        self.metrics.saw(&key, Some(&during), &after);
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
    let mut before = bench.state().clone();
    let mut saw = |bench: &Bench, metrics: &mut Metrics| {
        metrics.saw(&bench.key, Some(&before), bench.state());
        before = bench.state().clone();
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
    assert_eq!(now.longest_unacknowledged(), Duration::from_secs(100_006), "since the first that nobody saw");
    bench.pass(10);
    saw(&bench, &mut metrics);
    let now = metrics.figures(Instant::from_s(bench.s));
    assert_eq!((now.re_alarms_max(), now.alarm_count()), (1, 5), "told anew is an alarm");
}

#[test]
fn what_nobody_is_bothered_with_is_no_alarm() {
    let mut bench = Bench::new(false);
    let mut metrics = Metrics::new(Instant::from_s(0));
    bench.ask(CommandKind::Suppress).unwrap();
    let before = bench.state().clone();
    bench.find(Level::High);
    metrics.saw(&bench.key, Some(&before), bench.state());
    assert_eq!(metrics.figures(Instant::from_s(9)).alarm_count(), 0);
    metrics.saw(&ConditionKey::new("a", "b", ""), None, bench.state());
    assert_eq!(metrics.figures(Instant::from_s(9)).alarm_count(), 0, "what stood before is none");
}
