//! Rules that Annex A's tables do not show: backward requests, extrapolation, reads at given times, and what a bad,
//! missing or odd point does to a result.

use std::time::Duration;

use watchfire_model::{Instant, StatusCode};

use crate::status::{BAD, BAD_NO_DATA, UNCERTAIN_SUB_NORMAL, with_bits};
use crate::{
    Aggregate, AggregateError, Bounds, CALCULATED, Configuration, INTERPOLATED, Intervals, MULTIPLE_VALUES, PARTIAL,
    Point, Processed, Processor, Rules, Value, interpolate_at, process,
};

const GOOD: StatusCode = StatusCode::GOOD;
const UNCERTAIN: StatusCode = StatusCode::UNCERTAIN;

fn at(s: i64) -> Instant {
    Instant::from_s(s)
}

fn point(s: i64, value: f64, status: StatusCode) -> Point {
    Point { time: at(s), value, exact: None, status }
}

fn good(values: &[(i64, f64)]) -> Vec<Point> {
    values.iter().map(|(s, value)| point(*s, *value, GOOD)).collect()
}

fn run(points: &[Point], aggregate: Aggregate, rules: Rules, range: (i64, i64, u64)) -> Vec<Processed> {
    let intervals = Intervals::new(at(range.0), at(range.1), Duration::from_secs(range.2)).unwrap();
    process(points, aggregate, rules, intervals).unwrap()
}

fn values(results: &[Processed]) -> Vec<Option<f64>> {
    results.iter().map(|result| result.value.map(|value| value.number())).collect()
}

#[test]
fn backward_intervals_come_latest_first_and_hold_their_later_edge() {
    let points = good(&[(-1, 0.0), (0, 1.0), (4, 2.0), (5, 3.0), (10, 4.0), (11, 5.0)]);
    let results = run(&points, Aggregate::Count, Rules::default(), (10, 0, 5));
    let times: Vec<Instant> = results.iter().map(|result| result.time).collect();
    assert_eq!(times, [at(10), at(5)]);
    assert_eq!(values(&results), [Some(1.0), Some(2.0)], "10 alone, then 5 and 4");
    let starts = run(&points, Aggregate::StartBound, Rules::default(), (10, 0, 5));
    assert_eq!(values(&starts), [Some(4.0), Some(3.0)]);
    let ends = run(&points, Aggregate::EndBound, Rules::default(), (10, 0, 5));
    assert_eq!(values(&ends), [Some(3.0), Some(1.0)]);
    let deltas = run(&points, Aggregate::DeltaBounds, Rules::default(), (10, 0, 5));
    assert_eq!(values(&deltas), [Some(-1.0), Some(-2.0)], "from where the request starts to where it ends");
    let least = run(&points, Aggregate::MinimumActualTime2, Rules::default(), (10, 0, 5));
    assert_eq!(least[0].time, Instant::from_ns(at(5).ns() + 1_000_000), "just after the end, which is not in it");
}

#[test]
fn an_interval_that_the_request_cuts_short_is_partial() {
    let points = good(&[(-1, 1.0), (0, 1.0), (20, 1.0)]);
    let results = run(&points, Aggregate::TimeAverage2, Rules::default(), (0, 12, 5));
    let partial: Vec<bool> = results.iter().map(|result| result.status.0 & PARTIAL != 0).collect();
    assert_eq!(partial, [false, false, true]);
    assert_eq!(results[0].status, with_bits(GOOD, CALCULATED));
}

#[test]
fn after_the_last_point_the_line_goes_on_or_the_value_stays() {
    let points = good(&[(0, 10.0), (10, 20.0)]);
    for (use_sloped_extrapolation, stepped, expected) in
        [(true, false, 25.0), (false, false, 20.0), (true, true, 20.0), (false, true, 20.0)]
    {
        let configuration = Configuration { use_sloped_extrapolation, ..Default::default() };
        let found = interpolate_at(&points, at(15), Bounds::Interpolated, &Rules { configuration, stepped });
        assert_eq!(found.value, Some(Value::Source(expected, None)));
        assert_eq!(found.status, with_bits(UNCERTAIN_SUB_NORMAL, INTERPOLATED));
    }
    assert_eq!(interpolate_at(&points, at(15), Bounds::Simple, &Rules::default()).status, BAD_NO_DATA);
    assert_eq!(interpolate_at(&points, at(-1), Bounds::Interpolated, &Rules::default()).status, BAD_NO_DATA);
    assert_eq!(interpolate_at(&[], at(0), Bounds::Interpolated, &Rules::default()).status, BAD_NO_DATA);
}

#[test]
fn a_read_at_a_time_gives_the_point_or_what_lies_between_its_neighbours() {
    let usable = Configuration { treat_uncertain_as_bad: false, ..Default::default() };
    let sloped = Rules { configuration: usable, stepped: false };
    let points = [point(5, 10.0, GOOD), point(15, 20.0, GOOD), point(25, f64::NAN, BAD), point(35, 50.0, UNCERTAIN)];
    let uncertain = with_bits(UNCERTAIN_SUB_NORMAL, INTERPOLATED);
    let between = with_bits(GOOD, INTERPOLATED);
    for (s, bounds, stepped, value, status) in [
        (5, Bounds::Interpolated, false, Some(10.0), GOOD),
        (10, Bounds::Interpolated, false, Some(15.0), between),
        (10, Bounds::Simple, true, Some(10.0), between),
        (20, Bounds::Simple, false, Some(20.0), uncertain),
        (20, Bounds::Interpolated, false, Some(27.5), uncertain),
        (20, Bounds::Interpolated, true, Some(20.0), between),
        (25, Bounds::Interpolated, false, None, BAD),
        (30, Bounds::Simple, false, None, BAD_NO_DATA),
        (30, Bounds::Interpolated, false, Some(42.5), uncertain),
        (30, Bounds::Interpolated, true, Some(20.0), uncertain),
        (35, Bounds::Interpolated, false, Some(50.0), UNCERTAIN),
    ] {
        let found = interpolate_at(&points, at(s), bounds, &Rules { stepped, ..sloped });
        assert_eq!(found.value.map(Value::number), value, "{s} {bounds:?} {stepped}");
        assert_eq!(found.status, status, "{s} {bounds:?} {stepped}");
    }
}

/// An hour of which fifty minutes were not received: 10 at its beginning, 20 after ten minutes, then nothing until 50 at its
/// end.
#[test]
fn what_was_not_received_is_bad_and_neither_counted_nor_drawn_through() {
    let lost = StatusCode::BAD_DATA_LOST;
    let mut points = good(&[(0, 10.0), (600, 20.0), (3600, 50.0), (4200, 50.0)]);
    points.insert(2, point(600, f64::NAN, lost));
    let fair = UNCERTAIN_SUB_NORMAL;
    for (aggregate, value, code) in [
        (Aggregate::DurationGood, 600_000.0, GOOD),
        (Aggregate::DurationBad, 3_000_000.0, GOOD),
        (Aggregate::PercentGood, 100.0 / 6.0, GOOD),
        (Aggregate::PercentBad, 500.0 / 6.0, GOOD),
        // Two good values and one that is not: fewer good ones than there should be.
        (Aggregate::Count, 2.0, fair),
        (Aggregate::Average, 15.0, fair),
        // The line from 10 to 20, and nothing else.
        (Aggregate::Total2, 15.0 * 600.0, fair),
        (Aggregate::TimeAverage2, 15.0, fair),
        // These go on to the next good value, which makes them uncertain (Tables 54 and 56).
        (Aggregate::Total, 15.0 * 600.0 + 35.0 * 3000.0, fair),
        (Aggregate::TimeAverage, 114_000.0 / 3600.0, fair),
        (Aggregate::Minimum, 10.0, fair),
        (Aggregate::Start, 10.0, GOOD),
        (Aggregate::WorstQuality, f64::from(lost.0), GOOD),
    ] {
        let found = run(&points, aggregate, Rules::default(), (0, 3600, 0)).remove(0);
        let is_near = found.value.is_some_and(|found| (found.number() - value).abs() < 1e-9 * value.abs());
        assert!(is_near && found.status.0 & 0xFFFF_0000 == code.0, "{aggregate:?}: {found:?}");
    }
    // With half of the data good is good enough, and half of it bad too much.
    let half = Configuration { percent_data_good: 50, percent_data_bad: 50, ..Configuration::default() };
    let halved = run(&points, Aggregate::TimeAverage2, Rules { configuration: half, stepped: false }, (0, 3600, 0));
    assert_eq!((halved[0].value, halved[0].status.0 & 0xFFFF_0000), (None, BAD.0));
    // Within it there is nothing but that.
    let within = run(&points, Aggregate::PercentGood, Rules::default(), (1200, 2400, 0));
    assert_eq!(values(&within), [Some(0.0)]);
    for stepped in [false, true] {
        for bounds in [Bounds::Simple, Bounds::Interpolated] {
            let rules = Rules { stepped, ..Rules::default() };
            let found = |s| interpolate_at(&points, at(s), bounds, &rules);
            let number = |s| found(s).value.map(Value::number);
            assert_eq!([600, 3600].map(number), [Some(20.0), Some(50.0)], "what was received");
            assert!([601, 2000, 3599].iter().all(|s| (found(*s).value, found(*s).status) == (None, lost)));
        }
    }
}

#[test]
fn start_and_end_are_the_points_themselves_with_all_their_bits() {
    let mut points = good(&[(-1, 0.0), (2, 1.0), (4, 2.0), (20, 0.0)]);
    points[1].exact = Some(i64::MAX);
    points[2].status = BAD;
    let start = run(&points, Aggregate::Start, Rules::default(), (0, 10, 0));
    assert_eq!(start, [Processed { time: at(2), value: Some(Value::Source(1.0, Some(i64::MAX))), status: GOOD }]);
    let end = run(&points, Aggregate::End, Rules::default(), (0, 10, 0));
    assert_eq!(end, [Processed { time: at(4), value: None, status: BAD }]);
    let none = run(&points, Aggregate::Start, Rules::default(), (10, 15, 0));
    assert_eq!(none, [Processed { time: at(10), value: None, status: BAD_NO_DATA }]);
}

#[test]
fn delta_is_uncertain_where_points_at_its_ends_are_left_out() {
    let between = [point(0, 1.0, GOOD), point(1, 9.0, BAD), point(2, 4.0, GOOD), point(30, 0.0, GOOD)];
    let found = run(&between, Aggregate::Delta, Rules::default(), (0, 20, 10));
    assert_eq!((found[0].value, found[0].status), (Some(Value::Source(3.0, None)), with_bits(GOOD, CALCULATED)));
    assert_eq!(found[1].status, BAD_NO_DATA);
    let after = [point(0, 1.0, GOOD), point(2, 4.0, GOOD), point(3, 9.0, BAD), point(30, 0.0, GOOD)];
    let found = run(&after, Aggregate::Delta, Rules::default(), (0, 10, 0));
    assert_eq!(found[0].status, with_bits(UNCERTAIN_SUB_NORMAL, CALCULATED));
}

#[test]
fn the_worst_quality_is_a_value_and_the_start_bound_counts_in_the_second_form() {
    let other_bad = StatusCode::BAD_NO_COMMUNICATION;
    let points =
        [point(-2, 1.0, BAD), point(1, 1.0, GOOD), point(2, 1.0, UNCERTAIN), point(11, 1.0, GOOD), point(12, 1.0, BAD)];
    let points: Vec<Point> = points.into_iter().chain([point(13, 1.0, other_bad), point(30, 1.0, GOOD)]).collect();
    let found = run(&points, Aggregate::WorstQuality, Rules::default(), (0, 20, 10));
    assert_eq!(found[0].value, Some(Value::Status(UNCERTAIN)), "however uncertain values are treated");
    assert_eq!(found[0].status, with_bits(GOOD, CALCULATED));
    assert_eq!(found[1].value, Some(Value::Status(BAD)), "the first of two");
    assert_eq!(found[1].status, with_bits(GOOD, CALCULATED | MULTIPLE_VALUES));
    let found = run(&points, Aggregate::WorstQuality2, Rules::default(), (0, 20, 10));
    assert_eq!(found[0].value, Some(Value::Status(BAD_NO_DATA)));
    assert_eq!(found[0].status, with_bits(GOOD, CALCULATED));
}

#[test]
fn transitions_are_changes_between_zero_and_not_zero_and_look_back_before_the_interval() {
    let points = good(&[(-5, 1.0), (0, 2.0), (3, 0.0), (6, 0.0), (9, 7.0), (12, 0.0), (30, 0.0)]);
    let found = run(&points, Aggregate::NumberOfTransitions, Rules::default(), (0, 20, 10));
    assert_eq!(values(&found), [Some(2.0), Some(1.0)]);
    let first = run(&points[1..], Aggregate::NumberOfTransitions, Rules::default(), (0, 20, 10));
    assert_eq!(values(&first), [Some(3.0), Some(1.0)], "the very first value is a transition");
}

#[test]
fn a_minimum_tells_what_it_left_out() {
    let usable = Configuration { treat_uncertain_as_bad: false, ..Default::default() };
    let rules = Rules { configuration: usable, stepped: false };
    let points = [point(-1, 3.0, GOOD), point(1, 3.0, GOOD), point(2, 1.0, UNCERTAIN), point(4, 3.0, GOOD)];
    let points: Vec<Point> = points.into_iter().chain([point(30, 3.0, GOOD)]).collect();
    let found = run(&points, Aggregate::Minimum, rules, (0, 10, 0));
    assert_eq!(found[0].status, with_bits(UNCERTAIN_SUB_NORMAL, CALCULATED | MULTIPLE_VALUES));
    let found = run(&points, Aggregate::MaximumActualTime, rules, (0, 10, 0));
    assert_eq!((found[0].time, found[0].status), (at(1), with_bits(GOOD, MULTIPLE_VALUES)));
    let found = run(&points, Aggregate::Minimum2, rules, (0, 10, 0));
    assert_eq!(found[0].value, Some(Value::Source(1.0, None)), "with bounds, uncertain values count");
    let found = run(&points, Aggregate::Range2, rules, (0, 10, 0));
    assert_eq!(found[0].value, Some(Value::Source(2.0, None)));
}

#[test]
fn of_equal_extremes_the_oldest_is_told() {
    let points = good(&[(-1, 3.0), (1, 3.0), (2, 5.0), (30, 5.0)]);
    let found = run(&points, Aggregate::MinimumActualTime2, Rules::default(), (0, 10, 0));
    assert_eq!(found[0].time, at(0), "the start bound came first");
    assert_eq!(found[0].status, with_bits(GOOD, INTERPOLATED | MULTIPLE_VALUES));
    let found = run(&points, Aggregate::MinimumActualTime, Rules::default(), (0, 10, 0));
    assert_eq!((found[0].time, found[0].status), (at(1), GOOD));
}

#[test]
fn a_bad_point_at_the_very_time_is_skipped_and_told() {
    let points = [point(0, 1.0, GOOD), point(5, 9.0, BAD), point(10, 3.0, GOOD)];
    for (stepped, value) in [(true, 1.0), (false, 2.0)] {
        let found = run(&points, Aggregate::Interpolative, Rules { stepped, ..Rules::default() }, (5, 9, 0));
        assert_eq!(values(&found), [Some(value)]);
        assert_eq!(found[0].status, with_bits(UNCERTAIN_SUB_NORMAL, INTERPOLATED));
    }
}

#[test]
fn totals_are_in_seconds_and_know_only_the_time_with_data() {
    let stepped = Rules { stepped: true, ..Rules::default() };
    let points = [point(0, 6.0, GOOD), point(60, f64::NAN, BAD), point(120, 2.0, GOOD), point(600, 0.0, GOOD)];
    let found = run(&points, Aggregate::Total2, stepped, (0, 300, 0));
    assert_eq!(values(&found), [Some(60.0 * 6.0 + 180.0 * 2.0)]);
    let found = run(&points, Aggregate::TimeAverage2, stepped, (0, 300, 0));
    assert_eq!(values(&found), [Some(3.0)], "720 over 240 s");
    assert_eq!(found[0].status, with_bits(UNCERTAIN_SUB_NORMAL, CALCULATED));
}

#[test]
fn what_is_no_number_spoils_no_sum_but_is_counted() {
    let points = good(&[(-1, 1.0), (0, 1.0), (1, f64::NAN), (2, 3.0), (30, 0.0)]);
    let found = run(&points, Aggregate::Average, Rules::default(), (0, 10, 0));
    assert_eq!(found[0].value, Some(Value::Double(2.0)));
    assert_eq!(found[0].status, with_bits(UNCERTAIN_SUB_NORMAL, CALCULATED));
    assert_eq!(values(&run(&points, Aggregate::Count, Rules::default(), (0, 10, 0))), [Some(3.0)]);
}

#[test]
fn spreads_and_totals_are_those_that_a_pencil_gives() {
    // Mean 4, squares of what is away from it 4 + 0 + 0 + 0 + 4; trapezoids of 6, 8, 8, 10 and 14.
    let points = good(&[(0, 2.0), (2, 4.0), (4, 4.0), (6, 4.0), (8, 6.0), (10, 8.0), (12, 8.0)]);
    let one_bad: Vec<Point> =
        points.iter().cloned().chain([point(11, 1e9, BAD)]).filter(|point| point.time != at(12)).collect();
    for points in [&points, &one_bad] {
        for (aggregate, expected) in [
            (Aggregate::VariancePopulation, 1.6),
            (Aggregate::StandardDeviationPopulation, 1.6_f64.sqrt()),
            (Aggregate::VarianceSample, 2.0),
            (Aggregate::StandardDeviationSample, 2.0_f64.sqrt()),
            (Aggregate::Range, 4.0),
            (Aggregate::Range2, 6.0),
            (Aggregate::Total, 46.0),
            (Aggregate::Total2, 46.0),
            (Aggregate::TimeAverage, 4.6),
        ] {
            let found = values(&run(points, aggregate, Rules::default(), (0, 10, 10)));
            let [Some(found)] = found[..] else { panic!("{aggregate:?}: {found:?}") };
            assert!((found - expected).abs() < 1e-12, "{aggregate:?}: {found} is not {expected}");
        }
    }
}

#[test]
fn points_come_in_order_and_an_odd_configuration_is_refused() {
    let intervals = Intervals::new(at(0), at(10), Duration::ZERO).unwrap();
    let mut processor = Processor::new(Aggregate::Average, Rules::default(), intervals, 0..1).unwrap();
    processor.push(&point(5, 1.0, GOOD)).unwrap();
    let refused = processor.push(&point(4, 1.0, GOOD));
    assert_eq!(refused, Err(AggregateError::Order { time: at(4), before: at(5) }));
    processor.push(&point(5, 3.0, GOOD)).unwrap();
    assert!(processor.is_hungry());
    processor.push(&point(10, 3.0, GOOD)).unwrap();
    assert!(!processor.is_hungry());
    assert_eq!(values(&processor.finish()), [Some(2.0)], "two points of one time are two");
    let configuration = Configuration { percent_data_good: 10, percent_data_bad: 10, ..Default::default() };
    let odd = Processor::new(Aggregate::Average, Rules { configuration, stepped: false }, intervals, 0..1);
    assert!(odd.is_err());
}

#[test]
fn without_any_point_every_interval_has_no_data() {
    for aggregate in Aggregate::all() {
        let found = run(&[], aggregate, Rules::default(), (0, 10, 5));
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|result| result.status == BAD_NO_DATA && result.value.is_none()), "{aggregate:?}");
    }
}
