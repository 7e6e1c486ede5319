//! Summaries in place of points: whatever the points are, each aggregate that takes them comes to the same.

use std::time::Duration;

use proptest::prelude::*;
use watchfire_model::{Instant, Quality, Rows, SignalId, StatusCode, Summary, Unit};

use crate::{Aggregate, Configuration, Intervals, Point, Processed, Processor, Rules, Value};

const UNIT: Unit = Unit::Minute;

prop_compose! {
    fn any_rows()(each in prop::collection::vec(
        (0..90_000_u64, prop_oneof![4 => (0..40_i32).prop_map(|v| f64::from(v) / 8.0), 1 => Just(f64::NAN), 1 => any::<f64>()], 0..16_u8,
         prop::option::weighted(0.1, any::<i64>())), 1..80), only_good: bool) -> Rows {
        let mut rows = Rows::default();
        let mut time_ms = 0_u64;
        for (step_ms, value, status, exact) in each {
            // Many in a minute, now and then none for minutes, and some at one time.
            time_ms += [step_ms / 30, step_ms / 10, step_ms * 4, 0][usize::try_from(step_ms % 4).unwrap()];
            let status = match status { 0 => 0x8031_0000, 1 => 0x4000_0000, 2 => 0x40A4_0000, 3 => 0xC000_0000, _ => 0 };
            let (value, status) = if only_good { (if value.is_nan() { 1.5 } else { value }, 0) } else { (value, status) };
            let time = Instant::from_ns(i64::try_from(time_ms).unwrap() * 1_000_000);
            rows.push(SignalId(1), time, value, StatusCode(status), Quality::NONE, 0);
            exact.into_iter().for_each(|bits| rows.set_exact(bits));
        }
        rows
    }
}

fn points(rows: &Rows) -> Vec<Point> {
    (0..rows.len()).map(|row| Point::from(&rows.sample(row).unwrap())).collect()
}

fn by_points(rows: &Rows, aggregate: Aggregate, rules: Rules, intervals: Intervals) -> Vec<Processed> {
    crate::process(&points(rows), aggregate, rules, intervals).unwrap()
}

/// Whole minutes within the request are summarised, the rest is given point by point.
fn by_summaries(rows: &Rows, aggregate: Aggregate, rules: Rules, intervals: Intervals) -> Vec<Processed> {
    let (low, high) = intervals.span(0..intervals.count()).unwrap();
    let mut processor = Processor::new(aggregate, rules, intervals, 0..intervals.count()).unwrap();
    let points = points(rows);
    let mut row = 0;
    while let Some(point) = points.get(row) {
        let begin = UNIT.begin(point.time);
        let end = points.partition_point(|other| other.time < begin.plus(UNIT.length()));
        if low <= begin && begin.plus(UNIT.length()) <= high {
            let mut summary = Summary::of(rows, row).unwrap();
            (row + 1..end).for_each(|row| summary.add(rows, row));
            if processor.push_summary(&summary).unwrap() {
                row = end;
                continue;
            }
        }
        (row..end).for_each(|row| processor.push(&points[row]).unwrap());
        row = end;
    }
    processor.finish()
}

/// A value to the bit, or but for its last digits where it is made of many.
fn same(one: &Processed, other: &Processed, is_sum: bool, scale: f64) -> bool {
    let close = |a: f64, b: f64| {
        a.to_bits() == b.to_bits() || (is_sum && ((a - b).abs() <= 1e-9 * scale || (!a.is_finite() && !b.is_finite())))
    };
    let values = match (one.value, other.value) {
        (Some(Value::Double(a)), Some(Value::Double(b))) => close(a, b),
        (Some(Value::Source(a, e)), Some(Value::Source(b, f))) => a.to_bits() == b.to_bits() && e == f,
        (a, b) => a == b,
    };
    values && (one.time, one.status) == (other.time, other.status)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn summaries_come_to_what_their_points_come_to(
        rows in any_rows(), flags in any::<[bool; 3]>(), first in -3..9_i64, minutes in 1..30_i64, step in 1..5_u64, rest_s in 0..60_i64,
    ) {
        let [treat_uncertain_as_bad, stepped, use_sloped_extrapolation] = flags;
        let configuration = Configuration { treat_uncertain_as_bad, use_sloped_extrapolation, ..Configuration::default() };
        let rules = Rules { configuration, stepped };
        let (start, end) = (Instant::from_s(first * 60), Instant::from_s((first + minutes) * 60 + rest_s));
        let intervals = Intervals::new(start, end, Duration::from_secs(step * 60)).unwrap();
        let greatest = rows.value.iter().filter(|value| value.is_finite()).map(|value| value.abs()).fold(1.0, f64::max);
        for aggregate in Aggregate::all() {
            let (wanted, found) = (by_points(&rows, aggregate, rules, intervals), by_summaries(&rows, aggregate, rules, intervals));
            use Aggregate as A;
            let is_sum = matches!(aggregate, A::Average | A::TimeAverage | A::TimeAverage2 | A::Total | A::Total2
                | A::StandardDeviationSample | A::StandardDeviationPopulation | A::VarianceSample | A::VariancePopulation);
            let scale = match aggregate {
                A::VarianceSample | A::VariancePopulation => greatest * greatest,
                // A root of what is nearly nothing.
                A::StandardDeviationSample | A::StandardDeviationPopulation => greatest * 100.0,
                A::Total | A::Total2 => greatest * 3600.0,
                _ => greatest,
            };
            prop_assert_eq!(wanted.len(), found.len());
            for (wanted, found) in wanted.iter().zip(&found) {
                prop_assert!(same(wanted, found, is_sum, scale), "{:?}: {:?} is {:?}", aggregate, wanted, found);
            }
        }
    }
}

#[test]
fn most_of_what_hmis_ask_for_takes_summaries() {
    let (rules, stepped) = (Rules::default(), Rules { stepped: true, ..Rules::default() });
    let taken = |rules| Aggregate::all().filter(|aggregate| aggregate.takes_some(&rules)).count();
    assert_eq!((taken(rules), taken(stepped)), (21, 17));
    let mut rows = Rows::default();
    rows.push(SignalId(1), Instant::from_s(1), 1.0, StatusCode::UNCERTAIN, Quality::NONE, 0);
    let one = Summary::of(&rows, 0).unwrap();
    assert!(Aggregate::Count.takes(&rules, &one) && !Aggregate::DurationGood.takes(&rules, &one));
}
