//! The aggregates against a model that looks at all points at once and adds up time in small steps.
//!
//! Points and edges lie on whole seconds, so the middle of a quarter of a second is never at a point, and a value that
//! runs along a line is, over the quarter, what it is in its middle.

use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::{Instant, StatusCode};

use crate::point::{Class, Known};
use crate::status::{BAD, BAD_NO_DATA};
use crate::{
    Aggregate, Bounds, Configuration, Interval, Intervals, Point, Processed, Processor, Rules, interpolate_at, process,
};

/// A quarter of a second.
const STEP_NS: i64 = 250_000_000;

#[derive(Clone, Debug)]
struct Case {
    points: Vec<Point>,
    rules: Rules,
    intervals: Intervals,
}

prop_compose! {
    fn cases()(
        seconds in prop::collection::btree_map(0_i64..60, (-5_i8..6, 0_u8..6), 0..25),
        flags in any::<[bool; 3]>(),
        shares in prop::sample::select(vec![(100_u8, 100_u8), (50, 50), (80, 60)]),
        range in (0_i64..60, 1_i64..40, any::<bool>(), 0_u64..20),
    ) -> Case {
        let point = |(s, (value, status)): (&i64, &(i8, u8))| {
            let status = match status { 0 => BAD, 1 => StatusCode::UNCERTAIN, _ => StatusCode::GOOD };
            Point { time: Instant::from_s(*s), value: f64::from(*value), exact: None, status }
        };
        let [treat_uncertain_as_bad, stepped, use_sloped_extrapolation] = flags;
        let configuration = Configuration {
            treat_uncertain_as_bad, percent_data_good: shares.0, percent_data_bad: shares.1, use_sloped_extrapolation,
        };
        let (from, length, backward, step) = range;
        let (low, high) = (Instant::from_s(from), Instant::from_s(from + length));
        let (start, end) = if backward { (high, low) } else { (low, high) };
        Case {
            points: seconds.iter().map(point).collect(),
            rules: Rules { configuration, stepped },
            intervals: Intervals::new(start, end, Duration::from_secs(step)).unwrap(),
        }
    }
}

impl Case {
    fn run(&self, aggregate: Aggregate) -> Vec<Processed> {
        process(&self.points, aggregate, self.rules, self.intervals).unwrap()
    }

    fn each(&self) -> impl Iterator<Item = Interval> {
        (0..self.intervals.count()).map(|index| self.intervals.get(index).unwrap())
    }

    fn known(&self) -> Vec<Known> {
        self.points.iter().map(|point| Known::new(*point, &self.rules, true)).collect()
    }

    fn in_interval(&self, interval: &Interval) -> Vec<Known> {
        self.known().into_iter().filter(|known| interval.has(known.point.time)).collect()
    }

    fn good(&self, interval: &Interval) -> Vec<f64> {
        let good = self.in_interval(interval).into_iter().filter(|known| known.class == Class::Good);
        good.map(|known| known.point.value).collect()
    }

    /// Whether data goes into the interval.
    fn has_data(&self, interval: &Interval) -> bool {
        let times: Vec<Instant> = self.points.iter().map(|point| point.time).collect();
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return false };
        let ends_before = if interval.backward { *last <= interval.low } else { *last < interval.low };
        let begins_after = if interval.backward { *first > interval.high } else { *first >= interval.high };
        !ends_before && !begins_after
    }

    /// Value and class by the rules of simple bounds, at a time without a point.
    fn simple(&self, time: Instant) -> (f64, Class) {
        let known = self.known();
        let before = known.iter().rfind(|known| known.point.time < time);
        let after = known.iter().find(|known| known.point.time > time);
        let (Some(before), Some(after)) = (before, after) else { return (f64::NAN, Class::Bad) };
        match (before.class, after.class) {
            (Class::Bad, _) => (f64::NAN, Class::Bad),
            (class, _) if self.rules.stepped => (before.point.value, class),
            (_, Class::Bad) => (before.point.value, Class::Uncertain),
            (one, other) => (line(before.point, after.point, time), one.max(other)),
        }
    }

    /// The point at a time, or what simple bounds make of it.
    fn edge(&self, time: Instant) -> (f64, Class) {
        let there = self.known().into_iter().find(|known| known.point.time == time);
        there.map_or_else(|| self.simple(time), |known| (known.point.value, known.class))
    }

    /// Value and class by the rules of interpolated bounds with slopes, at a time without a point.
    fn interpolated(&self, time: Instant) -> (f64, Class) {
        let known = self.known();
        let usable = |known: &&Known| known.class != Class::Bad;
        let mut before = known.iter().filter(usable).rev().filter(|known| known.point.time < time);
        let Some(left) = before.next() else { return (f64::NAN, Class::Bad) };
        let Some(right) = known.iter().filter(usable).find(|known| known.point.time > time) else {
            let earlier = before.next().filter(|_| self.rules.configuration.use_sloped_extrapolation);
            let value = earlier.map_or(left.point.value, |earlier| line(earlier.point, left.point, time));
            return (value, Class::Uncertain);
        };
        let between = |one: &&Known| left.point.time < one.point.time && one.point.time < right.point.time;
        let skipped = known.iter().any(|one| between(&one));
        let class = if skipped { Class::Uncertain } else { left.class.max(right.class) };
        (line(left.point, right.point, time), class)
    }

    /// Seconds by class, value times seconds, seconds at zero: by simple bounds, with the last point's millisecond.
    fn by_steps(&self, interval: &Interval, at: impl Fn(Instant) -> (f64, Class)) -> ([f64; 3], f64, f64) {
        let (mut seconds, mut area, mut zero) = ([0.0; 3], 0.0, 0.0);
        let mut ns = interval.low.ns() + STEP_NS / 2;
        while ns < interval.high.ns() {
            let (value, class) = at(Instant::from_ns(ns));
            seconds[class as usize] += 0.25;
            if class != Class::Bad {
                area += value * 0.25;
            }
            ns += STEP_NS;
        }
        // State by what a region starts with: only stepped variables have one state between their points.
        if self.rules.stepped {
            let mut ns = interval.low.ns() + STEP_NS / 2;
            while ns < interval.high.ns() {
                let (value, class) = at(Instant::from_ns(ns));
                zero += if class != Class::Bad && value == 0.0 { 0.25 } else { 0.0 };
                ns += STEP_NS;
            }
        }
        (seconds, area, zero)
    }

    fn ends_in(&self, interval: &Interval) -> bool {
        self.points.last().is_some_and(|point| interval.has(point.time))
    }
}

fn line(before: Point, after: Point, time: Instant) -> f64 {
    let share = time.since_ns(before.time) as f64 / after.time.since_ns(before.time) as f64;
    before.value + (after.value - before.value) * share
}

fn number(result: &Processed) -> Option<f64> {
    result.value.map(|value| value.number())
}

fn close(one: Option<f64>, other: Option<f64>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => (one - other).abs() < 1e-6,
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn is_bad_by_share(result: &Processed) -> bool {
    result.status.is_bad() && result.status.0 & 0xFFFF_0000 == BAD.0
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn values_of_points_are_what_they_are(case in cases()) {
        for (index, interval) in case.each().enumerate() {
            let good = case.good(&interval);
            let result = |aggregate| case.run(aggregate)[index];
            let has_data = case.has_data(&interval) && !good.is_empty();
            let expect = |value: f64| has_data.then_some(value);
            let sum: f64 = good.iter().sum();
            let mean = sum / good.len() as f64;
            let least = good.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = good.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let squares: f64 = good.iter().map(|value| (value - mean).powi(2)).sum();
            let over = |n: usize| if good.len() == 1 { 0.0 } else { squares / n as f64 };
            let found = result(Aggregate::Average);
            prop_assert!(is_bad_by_share(&found) || close(number(&found), expect(mean)), "{found:?}");
            prop_assert!(close(number(&result(Aggregate::Minimum)), expect(least)));
            prop_assert!(close(number(&result(Aggregate::Maximum)), expect(greatest)));
            prop_assert!(close(number(&result(Aggregate::Range)), expect(greatest - least)));
            prop_assert!(close(number(&result(Aggregate::VariancePopulation)), expect(over(good.len()))));
            if has_data {
                prop_assert!(close(number(&result(Aggregate::VarianceSample)), expect(over(good.len() - 1))));
                let both = good[good.len() - 1] - good[0];
                prop_assert!(close(number(&result(Aggregate::Delta)), expect(both)));
            }
            let found = result(Aggregate::Count);
            let count = case.has_data(&interval).then_some(good.len() as f64);
            prop_assert!(is_bad_by_share(&found) || close(number(&found), count), "{found:?}");
        }
    }

    #[test]
    fn extremes_with_bounds_are_those_of_all_candidates(case in cases()) {
        for (index, interval) in case.each().enumerate().filter(|(_, interval)| case.has_data(interval)) {
            let mut candidates: Vec<(f64, Class)> = vec![case.edge(interval.start())];
            candidates.extend(case.in_interval(&interval).iter().map(|known| (known.point.value, known.class)));
            if !case.rules.stepped {
                candidates.push(case.edge(interval.end()));
            }
            let usable: Vec<f64> = candidates.iter().filter(|one| one.1 != Class::Bad).map(|one| one.0).collect();
            let least = usable.iter().copied().reduce(f64::min);
            let greatest = usable.iter().copied().reduce(f64::max);
            for (aggregate, expected) in [
                (Aggregate::Minimum2, least),
                (Aggregate::MinimumActualTime2, least),
                (Aggregate::Maximum2, greatest),
                (Aggregate::MaximumActualTime2, greatest),
                (Aggregate::Range2, greatest.zip(least).map(|(greatest, least)| greatest - least)),
            ] {
                let found = case.run(aggregate)[index];
                prop_assert!(is_bad_by_share(&found) || close(number(&found), expected), "{found:?} {candidates:?}");
            }
        }
    }

    #[test]
    fn time_is_weighed_as_small_steps_weigh_it(case in cases()) {
        for (index, interval) in case.each().enumerate() {
            let (seconds, area, zero) = case.by_steps(&interval, |time| case.simple(time));
            let result = |aggregate| case.run(aggregate)[index];
            if !case.has_data(&interval) {
                prop_assert_eq!(result(Aggregate::TimeAverage2).status, BAD_NO_DATA);
                continue;
            }
            // What the millisecond after the last point adds is left out where it may differ from the model.
            let ends = case.ends_in(&interval);
            let usable = seconds[0] + seconds[1];
            let total = result(Aggregate::Total2);
            if !is_bad_by_share(&total) && !ends {
                prop_assert!(close(number(&total), (usable > 0.0).then_some(area)), "{:?} {area}", total);
                let average = result(Aggregate::TimeAverage2);
                prop_assert!(close(number(&average), (usable > 0.0).then_some(area / usable)));
                let [good, uncertain, bad] = seconds.map(|seconds| (seconds * 4.0) as u64);
                let class = case.rules.configuration.weigh(good, uncertain, bad);
                prop_assert!(usable == 0.0 || (average.status.0 >> 30) == class as u32, "{:?} {:?}", average, seconds);
            }
            let (at_zero, elsewhere) = (result(Aggregate::DurationInStateZero), result(Aggregate::DurationInStateNonZero));
            if !is_bad_by_share(&at_zero) {
                let sum = number(&at_zero).unwrap() + number(&elsewhere).unwrap();
                prop_assert!((sum - usable * 1e3).abs() <= 1.0 + 1e-6);
                if case.rules.stepped {
                    prop_assert!((number(&at_zero).unwrap() - zero * 1e3).abs() <= 1.0 + 1e-6);
                }
            }
            let good = number(&result(Aggregate::DurationGood)).unwrap();
            let bad = number(&result(Aggregate::DurationBad)).unwrap();
            let width = interval.high.since_ns(interval.low) as f64 / 1e6;
            prop_assert!(good + bad <= width + 1e-6);
            let has_uncertain = case.known().iter().any(|known| known.class == Class::Uncertain);
            if case.rules.stepped && !ends && !has_uncertain {
                prop_assert!((good + bad - width).abs() < 1e-6, "{good} {bad} {width}");
                prop_assert!((good - seconds[0] * 1e3).abs() < 1e-6);
            }
            let percents = (number(&result(Aggregate::PercentGood)), number(&result(Aggregate::PercentBad)));
            prop_assert!(percents.0.unwrap() + percents.1.unwrap() <= 100.0 + 1e-6);
        }
    }

    #[test]
    fn interpolated_time_is_weighed_as_small_steps_weigh_it(case in cases()) {
        let case = Case { rules: Rules { stepped: false, ..case.rules }, ..case };
        for (index, interval) in case.each().enumerate() {
            let (seconds, area, _) = case.by_steps(&interval, |time| case.interpolated(time));
            let usable = seconds[0] + seconds[1];
            let total = case.run(Aggregate::Total)[index];
            prop_assert!(close(number(&total), (usable > 0.0).then_some(area)), "{total:?} {area}");
            let average = case.run(Aggregate::TimeAverage)[index];
            prop_assert!(close(number(&average), (usable > 0.0).then_some(area / usable)));
            prop_assert_eq!(average.status.is_good(), seconds[1] + seconds[2] == 0.0);
        }
    }

    #[test]
    fn bounds_are_those_of_a_read_at_their_time(case in cases()) {
        for (aggregate, bounds) in
            [(Aggregate::Interpolative, Bounds::Interpolated), (Aggregate::StartBound, Bounds::Simple)]
        {
            for (index, interval) in case.each().enumerate() {
                let time = interval.start();
                let found = case.run(aggregate)[index];
                if !case.has_data(&interval) || case.points.iter().any(|point| point.time == time) {
                    continue;
                }
                let at = interpolate_at(&case.points, time, bounds, &case.rules);
                prop_assert_eq!(found.value, at.value);
                prop_assert_eq!(found.status.0 >> 16, at.status.0 >> 16);
                let expected = match bounds {
                    Bounds::Simple => case.simple(time),
                    Bounds::Interpolated if case.rules.stepped => continue,
                    Bounds::Interpolated => case.interpolated(time),
                };
                prop_assert!(close(number(&at), (expected.1 != Class::Bad).then_some(expected.0)));
                prop_assert_eq!(at.status.is_good(), expected.1 == Class::Good);
            }
        }
    }

    #[test]
    fn windows_one_after_the_other_are_the_whole(case in cases(), at in 0_u64..40) {
        let count = case.intervals.count();
        let cut = at.min(count);
        for aggregate in Aggregate::all() {
            let part = |window: std::ops::Range<u64>| {
                let mut processor = Processor::new(aggregate, case.rules, case.intervals, window).unwrap();
                for point in case.points.iter() {
                    if !processor.is_hungry() {
                        break;
                    }
                    processor.push(point).unwrap();
                }
                processor.finish()
            };
            let mut both = part(0..cut);
            both.extend(part(cut..count));
            let whole = case.run(aggregate);
            prop_assert_eq!(whole.len() as u64, count);
            for (one, other) in whole.iter().zip(&both) {
                prop_assert_eq!((one.time, one.status, one.value), (other.time, other.status, other.value));
            }
        }
    }

    #[test]
    fn only_the_nearest_points_outside_matter(case in cases()) {
        let (low, high) = case.intervals.span(0..case.intervals.count()).unwrap();
        let known = case.known();
        let outside: Vec<&Known> = known.iter().filter(|one| one.point.time < low).collect();
        let usable: Vec<&&Known> = outside.iter().filter(|one| one.class != Class::Bad).collect();
        let mut kept: Vec<Point> = usable.iter().rev().take(2).map(|one| one.point).collect();
        kept.extend(outside.last().map(|one| one.point));
        kept.extend(known.iter().filter(|one| low <= one.point.time && one.point.time <= high).map(|one| one.point));
        let after = || known.iter().filter(|one| one.point.time > high);
        kept.extend(after().next().map(|one| one.point));
        kept.extend(after().find(|one| one.class != Class::Bad).map(|one| one.point));
        kept.sort_by_key(|point| point.time);
        kept.dedup_by_key(|point| point.time);
        let few = Case { points: kept, ..case.clone() };
        for aggregate in Aggregate::all() {
            for (one, other) in case.run(aggregate).iter().zip(few.run(aggregate)) {
                prop_assert_eq!((one.time, one.status, one.value), (other.time, other.status, other.value));
            }
        }
    }

    #[test]
    fn no_result_is_without_a_value_unless_it_is_bad(case in cases()) {
        for aggregate in Aggregate::all() {
            for (result, interval) in case.run(aggregate).iter().zip(case.each()) {
                let raw = matches!(aggregate, Aggregate::Start | Aggregate::End);
                prop_assert_eq!(result.value.is_none(), result.status.is_bad(), "{:?} {:?}", aggregate, result);
                prop_assert!(result.value.is_none_or(|value| value.number().is_finite()));
                prop_assert!(interval.low <= result.time && result.time <= interval.high);
                prop_assert!(raw || interval.has(result.time));
            }
        }
    }
}
