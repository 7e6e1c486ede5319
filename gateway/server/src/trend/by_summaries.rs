//! Aggregates of what is summarised: the same as from samples while those are kept, and told when they are not.

use std::time::Duration;

use proptest::prelude::*;
use watchfire_aggregates::{Aggregate, Configuration, Intervals, Processed, Rules, Value};
use watchfire_model::{Instant, Quality, Rows, SignalId, StatusCode, Summary, Unit};
use watchfire_pipeline::{CursorError, Marked, Page, Summaries, Told, Traced, push_gap};

use super::Series;

/// Samples, and summaries of some hours of them.
#[derive(Debug)]
struct Recorded {
    rows: Rows,
    /// Samples before this time are no longer kept.
    kept_from: Instant,
    /// Hours that are summarised.
    summarised: Vec<bool>,
}

impl Recorded {
    fn between(&self, from: Instant, to: Instant) -> std::ops::Range<usize> {
        let at = |time: Instant| self.rows.time.partition_point(|other| *other < time);
        at(from)..at(to).max(at(from))
    }
}

impl Traced for Recorded {
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
        let all = self.between(from.max(self.kept_from), to);
        let mut end = all.end.min(all.start + 7);
        // Those of one time stay together.
        while end < all.end && self.rows.time.get(end) == self.rows.time.get(end - 1) {
            end += 1;
        }
        let mut rows = Rows::default();
        rows.extend_from(&self.rows, all.start..end);
        Ok(Page { rows, rest: self.rows.time.get(end).copied().filter(|_| end < all.end) })
    }

    fn summaries(&self, unit: Unit, from: Instant, to: Instant) -> Result<Summaries, CursorError> {
        let mut answer = Summaries::default();
        for (hour, _) in self.summarised.iter().enumerate().filter(|(_, is_summarised)| **is_summarised) {
            let begin = Instant::from_s(i64::try_from(hour).unwrap() * 3600);
            let many = Unit::Hour.length_ns() / unit.length_ns();
            for at in (0..many).map(|i| Instant::from_ns(begin.ns() + i * unit.length_ns())) {
                let end = at.plus(unit.length());
                if from > at || to < end {
                    continue;
                }
                if answer.told.len() >= 9 {
                    answer.rest = Some(at);
                    return Ok(answer);
                }
                let which = self.between(at, end);
                let mut summary = Summary::of(&self.rows, which.start).filter(|_| !which.is_empty());
                which.skip(1).for_each(|row| summary.iter_mut().for_each(|summary| summary.add(&self.rows, row)));
                answer.told.push(Told { from: at, summary });
            }
        }
        Ok(answer)
    }
}

/// A value and a status about every some minutes, now and then at the very edge of an hour.
fn rows(each: &[(u32, i8, u8)]) -> Rows {
    let (mut rows, mut s) = (Rows::default(), 0_i64);
    for (step, value, status) in each {
        s += i64::from(*step);
        if step % 5 == 0 {
            s = (s + 3599) / 3600 * 3600;
        }
        let status = match status {
            0 => StatusCode(0x8031_0000),
            1 => StatusCode::UNCERTAIN,
            _ => StatusCode::GOOD,
        };
        rows.push(SignalId(0), Instant::from_s(s), f64::from(*value), status, Quality::NONE, 0);
    }
    rows
}

/// All values of a series, some intervals at a time.
fn read(trace: &dyn Traced, aggregate: Aggregate, rules: Rules, intervals: Intervals) -> Vec<Processed> {
    let mut series = Series { aggregate, rules, intervals, next: 0, lost_until: None };
    let mut found = Vec::new();
    loop {
        let (values, next) = series.read(trace, 3).unwrap();
        found.extend(values);
        let Some(next) = next else { return found };
        series.next = next;
    }
}

fn same(one: &Processed, other: &Processed) -> bool {
    let values = match (one.value, other.value) {
        (Some(Value::Double(a)), Some(Value::Double(b))) => (a - b).abs() <= 1e-9 * a.abs().max(1e6),
        (a, b) => a == b,
    };
    values && (one.time, one.status) == (other.time, other.status)
}

prop_compose! {
    fn recorded()(
        each in prop::collection::vec((0..4000_u32, -5..6_i8, 0..9_u8), 1..60),
        summarised in prop::collection::vec(prop::bool::weighted(0.8), 40),
    ) -> Recorded {
        Recorded { rows: rows(&each), kept_from: Instant::MIN, summarised }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn while_samples_are_kept_summaries_change_nothing(
        recorded in recorded(), flags in any::<[bool; 3]>(), first in -2..20_i64, hours in 1..15_i64, step in 0..4_u64, off_s in prop::sample::select(vec![0, 0, 60, 1800, 1801]),
        gaps in prop::collection::vec((0..40_i64, prop::sample::select(vec![0, 1, 1799, 3599])), 0..4),
    ) {
        let [treat_uncertain_as_bad, stepped, use_sloped_extrapolation] = flags;
        let configuration = Configuration { treat_uncertain_as_bad, use_sloped_extrapolation, ..Configuration::default() };
        let rules = Rules { configuration, stepped };
        let (start, end) = (Instant::from_s(first * 3600 + off_s), Instant::from_s((first + hours) * 3600));
        let intervals = Intervals::new(start, end, Duration::from_secs(step * 1800)).unwrap();
        let plain = Recorded { rows: recorded.rows.clone(), kept_from: Instant::MIN, summarised: Vec::new() };
        let mut gaps: Vec<Instant> = gaps.iter().map(|(hour, s)| Instant::from_s(hour * 3600 + s)).collect();
        gaps.sort_unstable();
        let marks = |_: &Recorded, from: Instant, to: Instant| {
            let mut marks = Rows::default();
            gaps.iter().filter(|time| (from..to).contains(*time)).for_each(|time| {
                push_gap(&mut marks, SignalId(0), *time, time.plus(Duration::from_secs(1)));
            });
            Ok(marks)
        };
        let (plain, recorded) = (Marked { trace: plain, marks: &marks }, Marked { trace: recorded, marks: &marks });
        for aggregate in Aggregate::all() {
            let (wanted, found) = (read(&plain, aggregate, rules, intervals), read(&recorded, aggregate, rules, intervals));
            prop_assert_eq!(wanted.len(), found.len());
            for (wanted, found) in wanted.iter().zip(&found) {
                prop_assert!(same(wanted, found), "{:?}: {:?} is {:?}", aggregate, wanted, found);
            }
        }
    }

    #[test]
    fn what_is_counted_is_told_also_when_the_samples_have_gone(
        each in prop::collection::vec((0..4000_u32, -5..6_i8, 0..9_u8), 1..60), first in -2..20_i64, hours in 1..15_i64, kept in 0..30_i64,
    ) {
        let whole = Recorded { rows: rows(&each), kept_from: Instant::MIN, summarised: Vec::new() };
        let kept_from = Instant::from_s(kept * 3600);
        let gone = Recorded { rows: whole.rows.clone(), kept_from, summarised: vec![true; 70] };
        let (start, end) = (Instant::from_s(first * 3600), Instant::from_s((first + hours) * 3600));
        let intervals = Intervals::new(start, end, Duration::from_secs(3600)).unwrap();
        for aggregate in [Aggregate::Count, Aggregate::Average, Aggregate::Minimum, Aggregate::Maximum, Aggregate::MaximumActualTime,
            Aggregate::Range, Aggregate::Start, Aggregate::End, Aggregate::StandardDeviationSample] {
            let (wanted, found) = (read(&whole, aggregate, Rules::default(), intervals), read(&gone, aggregate, Rules::default(), intervals));
            for (wanted, found) in wanted.iter().zip(&found) {
                prop_assert!(same(wanted, found), "{:?}: {:?} is {:?}", aggregate, wanted, found);
            }
        }
    }
}

#[test]
fn what_lies_between_lost_samples_is_bad_and_not_made_up() {
    // Good at both ends of the first hour, bad within it; the second one is all good.
    let mut rows = Rows::default();
    for (s, status) in [(0, 0), (1200, 0x8031_0000), (3000, 0), (3600, 0), (7100, 0), (7200, 0)] {
        rows.push(SignalId(0), Instant::from_s(s), 4.0, StatusCode(status), Quality::NONE, 0);
    }
    let gone = Recorded { rows, kept_from: Instant::from_s(7200), summarised: vec![true; 2] };
    let intervals = Intervals::new(Instant::from_s(0), Instant::from_s(7200), Duration::from_secs(3600)).unwrap();
    let of = |aggregate| {
        let found = read(&gone, aggregate, Rules::default(), intervals);
        found.iter().map(|one| one.value.map(Value::number)).collect::<Vec<Option<f64>>>()
    };
    assert_eq!(of(Aggregate::DurationBad), [Some(3_000_000.0), Some(0.0)]);
    assert_eq!(of(Aggregate::TimeAverage2), [Some(4.0), Some(4.0)]);
    assert_eq!(of(Aggregate::Average), [Some(4.0), Some(4.0)]);
}

#[test]
fn the_next_known_point_is_found_behind_many_hours_in_which_there_was_none() {
    let mut rows = Rows::default();
    for (s, value) in [(1800, 1.0), (20 * 3600, 5.0)] {
        rows.push(SignalId(0), Instant::from_s(s), value, StatusCode(0), Quality::NONE, 0);
    }
    let whole = Recorded { rows: rows.clone(), kept_from: Instant::MIN, summarised: Vec::new() };
    // More hours than are told in one go.
    let gone = Recorded { rows, kept_from: Instant::from_s(30 * 3600), summarised: vec![true; 30] };
    let intervals = Intervals::new(Instant::from_s(0), Instant::from_s(7200), Duration::from_secs(3600)).unwrap();
    let of = |trace: &Recorded| {
        let found = read(trace, Aggregate::TimeAverage, Rules::default(), intervals);
        found.iter().map(|one| one.value.map(Value::number)).collect::<Vec<Option<f64>>>()
    };
    assert_eq!(of(&gone), of(&whole));
}
