//! How the alarms of an operator's console are doing: the figures of OPC 10000-9 §9.2 (AlarmMetricsType) and of
//! ISA-18.2 §16 / IEC 62682, EEMUA 191. Fed with what is shown; keeps counts of thirty days, and knows no nodes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchfire_model::{ConditionKey, Instant, Severity};

use crate::{Glance, Recent, TrackRecord, Trusted};

/// The period by which rates and floods are judged.
const PERIOD_S: i64 = 600;
pub(crate) const DAY_S: i64 = 86_400;
/// What is kept.
pub(crate) const DAYS: i64 = 30;
/// More alarms than this in a period begin a flood,
const FLOOD_BEGINS: u32 = 10;
/// fewer than this end it.
const FLOOD_ENDS: u32 = 5;
/// Alarms that stand for longer are stale.
const STALE: Duration = Duration::from_secs(86_400);
/// Alarms that end within such a time are fleeting.
const FLEETING: Duration = Duration::from_secs(10);
/// The conditions that are looked at for the share of the most frequent.
const TOP: usize = 10;

/// A time over which figures are given, which ends now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// Ten minutes.
    Period,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// Thirty days.
    Month,
}

impl Window {
    const fn seconds(self) -> i64 {
        match self {
            Self::Period => PERIOD_S,
            Self::Hour => 3600,
            Self::Day => DAY_S,
            Self::Month => DAYS * DAY_S,
        }
    }
}

/// Alarms of ten minutes, by priority: severities up to 333, up to 666, above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Period {
    /// Since 1970, in periods.
    index: i64,
    alarms: [u32; 3],
    fleeting: u32,
}

impl Period {
    fn all(&self) -> u32 {
        self.alarms.iter().sum()
    }
}

/// Counts of one console. What is written of it are the counts; what stands is told anew after a restart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Metrics {
    start: Instant,
    alarms: u32,
    re_alarms_max: u16,
    rate_max: u32,
    active_max: Duration,
    unacknowledged_max: Duration,
    /// Only those with alarms, in order.
    periods: VecDeque<Period>,
    /// Alarms of each condition by day.
    conditions: BTreeMap<ConditionKey, VecDeque<(i64, u32)>>,
    record: TrackRecord,
    /// Written in a place of its own.
    #[serde(skip)]
    recent: Recent,
    #[serde(skip)]
    active: BTreeMap<ConditionKey, Instant>,
    /// Of those, the ones that are put aside: they bother nobody.
    #[serde(skip)]
    aside: BTreeSet<ConditionKey>,
    #[serde(skip)]
    unacknowledged: BTreeMap<ConditionKey, Vec<(u64, Instant)>>,
    #[serde(skip)]
    chattering: BTreeSet<ConditionKey>,
}

impl Metrics {
    /// Begins to count.
    #[must_use]
    pub fn new(start: Instant) -> Self {
        Self { start, ..Self::default() }
    }

    /// What is counted next was so at `to`: it was counted since then at the latest.
    pub fn reach_back(&mut self, to: Instant) {
        self.start = self.start.min(to);
    }

    /// Begins to count anew; what stands, stands.
    pub fn reset(&mut self, now: Instant) {
        *self = Self {
            start: now,
            active: std::mem::take(&mut self.active),
            aside: std::mem::take(&mut self.aside),
            unacknowledged: std::mem::take(&mut self.unacknowledged),
            chattering: std::mem::take(&mut self.chattering),
            ..Self::default()
        };
    }

    /// Takes over how a condition stands. `before` is how it stood; `None` for one that has just appeared, which is no
    /// new alarm whatever its state.
    pub fn saw(&mut self, key: &ConditionKey, before: Option<&Glance>, after: &Glance) {
        let now = after.now;
        if after.is_alarm_after(before) {
            self.count(key, after.severity, now);
        }
        self.record.saw(before, after);
        self.re_alarms_max = self.re_alarms_max.max(after.re_alarms);
        if let Some(since) = note(&mut self.active, key, after.active) {
            let lasted = between(since, now);
            self.active_max = self.active_max.max(lasted);
            if lasted <= FLEETING
                && !after.aside
                && let Some(period) = self.period(now)
            {
                period.fleeting += 1;
            }
        }
        self.wait(key, after);
        keep(&mut self.aside, key, after.aside && after.active.is_some());
        keep(&mut self.chattering, key, after.chattering && !after.aside);
    }

    /// Forgets how a condition stands that is of this console no longer; what was counted of it stays counted.
    pub fn left(&mut self, key: &ConditionKey) {
        self.active.remove(key);
        self.aside.remove(key);
        self.unacknowledged.remove(key);
        self.chattering.remove(key);
    }

    /// Notes which occurrences wait for acknowledgement, and for how long those did that no longer do.
    fn wait(&mut self, key: &ConditionKey, after: &Glance) {
        let was = self.unacknowledged.remove(key).unwrap_or_default();
        let of =
            |all: &[(u64, Instant)], wanted: u64| all.iter().find(|(one, _)| *one == wanted).map(|(_, since)| *since);
        for (occurrence, since) in &was {
            if of(&after.waits, *occurrence).is_none() {
                self.unacknowledged_max = self.unacknowledged_max.max(between(*since, after.now));
            }
        }
        if !after.waits.is_empty() {
            let known = |(one, since): &(u64, Instant)| (*one, of(&was, *one).unwrap_or(*since));
            self.unacknowledged.insert(key.clone(), after.waits.iter().map(known).collect());
        }
    }

    fn count(&mut self, key: &ConditionKey, severity: Severity, now: Instant) {
        self.alarms = self.alarms.saturating_add(1);
        let priority = match severity.get() {
            ..=333 => 0,
            334..=666 => 1,
            _ => 2,
        };
        if let Some(count) = self.period(now).and_then(|period| period.alarms.get_mut(priority)) {
            *count = count.saturating_add(1);
        }
        self.recent.count(now);
        self.rate_max = self.rate_max.max(self.recent.within_last(PERIOD_S));
        let day = seconds(now).div_euclid(DAY_S);
        let days = self.conditions.entry(key.clone()).or_default();
        match days.back_mut().filter(|(last, _)| *last >= day) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => days.push_back((day, 1)),
        }
        while days.front().is_some_and(|(first, _)| *first <= day - DAYS) {
            days.pop_front();
        }
    }

    /// The period of a time; a time before the last one counts as that one.
    fn period(&mut self, now: Instant) -> Option<&mut Period> {
        let index = seconds(now).div_euclid(PERIOD_S);
        if self.periods.back().is_none_or(|last| last.index < index) {
            self.periods.push_back(Period { index, ..Period::default() });
            let oldest = index - DAYS * DAY_S / PERIOD_S;
            while self.periods.front().is_some_and(|first| first.index <= oldest) {
                self.periods.pop_front();
            }
        }
        self.periods.back_mut()
    }

    /// What came lately, which is not written with the rest.
    #[must_use]
    pub const fn recent(&self) -> &Recent {
        &self.recent
    }

    /// Takes back what came lately.
    pub fn set_recent(&mut self, recent: Recent) {
        self.recent = recent;
    }

    /// The figures as they are now.
    #[must_use]
    pub fn figures(&self, now: Instant) -> Figures<'_> {
        Figures { metrics: self, now }
    }
}

/// Figures at one time.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    metrics: &'a Metrics,
    now: Instant,
}

impl Figures<'_> {
    /// StartTime: when counting began.
    #[must_use]
    pub fn start(&self) -> Instant {
        self.metrics.start
    }

    /// AlarmCount: alarms since then.
    #[must_use]
    pub fn alarm_count(&self) -> u32 {
        self.metrics.alarms
    }

    /// MaximumActiveState: the longest time that an alarm was or is active.
    #[must_use]
    pub fn longest_active(&self) -> Duration {
        let standing = self.metrics.active.values().map(|since| between(*since, self.now));
        standing.max().unwrap_or_default().max(self.metrics.active_max)
    }

    /// MaximumUnAck: the longest time that an alarm waited or waits for acknowledgement, occurrences that were left behind
    /// included.
    #[must_use]
    pub fn longest_unacknowledged(&self) -> Duration {
        let waiting = self.metrics.unacknowledged.values().flatten().map(|(_, since)| between(*since, self.now));
        waiting.max().unwrap_or_default().max(self.metrics.unacknowledged_max)
    }

    /// MaximumReAlarmCount.
    #[must_use]
    pub fn re_alarms_max(&self) -> u16 {
        self.metrics.re_alarms_max
    }

    /// MaximumAlarmRate: the most alarms in ten minutes, wherever they began.
    #[must_use]
    pub fn rate_max(&self) -> f64 {
        f64::from(self.metrics.rate_max)
    }

    /// AverageAlarmRate: alarms in ten minutes since counting began.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let periods = between(self.metrics.start, self.now).as_secs_f64() / Duration::from_secs(600).as_secs_f64();
        f64::from(self.metrics.alarms) / periods.max(1.0)
    }

    /// Alarms in a window: of ten minutes (CurrentAlarmRate, OPC 10000-9 §8.2) and an hour to ten seconds, of longer ones
    /// by periods of ten minutes of the clock, of which the one that runs is the last.
    #[must_use]
    pub fn alarms(&self, window: Window) -> u32 {
        match window {
            Window::Period | Window::Hour => self.metrics.recent.within(window.seconds(), self.now),
            Window::Day | Window::Month => self.periods(window).map(Period::all).sum(),
        }
    }

    /// Alarms that ended within ten seconds.
    #[must_use]
    pub fn fleeting(&self, window: Window) -> u32 {
        self.periods(window).map(|period| period.fleeting).sum()
    }

    /// The shares of low, medium and high priority; zero where there were no alarms. ISA-18.2 asks for 0.8, 0.15, 0.05.
    #[must_use]
    pub fn priorities(&self, window: Window) -> [f64; 3] {
        let mut counts = [0.0; 3];
        for period in self.periods(window) {
            for (count, alarms) in counts.iter_mut().zip(period.alarms) {
                *count += f64::from(alarms);
            }
        }
        let all: f64 = counts.iter().sum();
        counts.map(|count| if all > 0.0 { count / all } else { 0.0 })
    }

    /// The share of periods of ten minutes in flood since counting began or the window did: above ten alarms until
    /// there are fewer than five. ISA-18.2 asks for less than 0.01.
    #[must_use]
    pub fn flood_share(&self, window: Window) -> f64 {
        let (first, last) = self.span(window);
        let mut flood = false;
        let mut flooded = 0_i64;
        let mut next = first;
        for period in self.periods(window) {
            // Those without alarms in between end a flood.
            flood &= period.index <= next;
            next = period.index + 1;
            flood = period.all() > FLOOD_BEGINS || (flood && period.all() >= FLOOD_ENDS);
            flooded += i64::from(flood);
        }
        let all = i32::try_from(last - first + 1).unwrap_or(i32::MAX);
        f64::from(i32::try_from(flooded).unwrap_or(i32::MAX)) / f64::from(all.max(1))
    }

    /// The share of the ten most frequent conditions, over a day or thirty by the calendar (UTC). ISA-18.2 asks for less
    /// than 0.05.
    #[must_use]
    pub fn top_share(&self, window: Window) -> f64 {
        let today = seconds(self.now).div_euclid(DAY_S);
        let days = (window.seconds() / DAY_S).max(1);
        let of = |days_of: &VecDeque<(i64, u32)>| -> u64 {
            days_of.iter().filter(|(day, _)| *day > today - days).map(|(_, count)| u64::from(*count)).sum()
        };
        let mut counts: Vec<u64> = self.metrics.conditions.values().map(of).collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        let all: u64 = counts.iter().sum();
        let top: u64 = counts.iter().take(TOP).sum();
        if all == 0 { 0.0 } else { share(top, all) }
    }

    /// Alarms that stand for longer than a day, and are not put aside. ISA-18.2 asks for fewer than five.
    #[must_use]
    pub fn stale(&self) -> usize {
        let bothers = |key: &ConditionKey| !self.metrics.aside.contains(key);
        let stand = self.metrics.active.iter().filter(|(key, _)| bothers(key));
        stand.filter(|(_, since)| between(**since, self.now) > STALE).count()
    }

    /// Alarms that chatter now, and are not put aside. ISA-18.2 asks for none.
    #[must_use]
    pub fn chattering(&self) -> usize {
        self.metrics.chattering.len()
    }

    /// What people said of the alarms of the last thirty days, and how many there were.
    #[must_use]
    pub fn record(&self) -> Trusted {
        self.metrics.record.until(self.now)
    }

    /// The first and last period of a window, as far as was counted.
    fn span(&self, window: Window) -> (i64, i64) {
        let last = seconds(self.now).div_euclid(PERIOD_S);
        let first = last - window.seconds() / PERIOD_S + 1;
        (first.max(seconds(self.metrics.start).div_euclid(PERIOD_S)).min(last), last)
    }

    fn periods(&self, window: Window) -> impl Iterator<Item = &Period> {
        let (first, last) = self.span(window);
        self.metrics.periods.iter().filter(move |period| (first..=last).contains(&period.index))
    }
}

/// Notes since when something holds. Answers since when it did, where it has just ended.
fn note(all: &mut BTreeMap<ConditionKey, Instant>, key: &ConditionKey, since: Option<Instant>) -> Option<Instant> {
    let Some(since) = since else { return all.remove(key) };
    all.entry(key.clone()).or_insert(since);
    None
}

/// Notes whether something holds.
fn keep(all: &mut BTreeSet<ConditionKey>, key: &ConditionKey, holds: bool) {
    if !holds {
        all.remove(key);
    } else if !all.contains(key) {
        all.insert(key.clone());
    }
}

fn between(since: Instant, now: Instant) -> Duration {
    Duration::from_nanos(u64::try_from(now.since_ns(since)).unwrap_or_default())
}

pub(crate) fn seconds(at: Instant) -> i64 {
    at.ns().div_euclid(1_000_000_000)
}

#[expect(clippy::cast_precision_loss, reason = "counts of alarms are far below 2^52")]
fn share(some: u64, all: u64) -> f64 {
    some as f64 / all as f64
}
