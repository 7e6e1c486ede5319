//! The examples of OPC 10000-13 Annex A: what its four historians hold, and what each aggregate makes of it.
//!
//! A row is `seconds after 12:00:00`, the value if there is one, and the status: `G`ood, `?` uncertain, `U`ncertain
//! sub-normal, `B`ad, `N`o data, with the info bits `c`alculated, `i`nterpolated, `p`artial and `m`ultiple values.
//! Rows with `*` are left out: published versions differ there.

use std::time::Duration;

use watchfire_model::{Instant, StatusCode};

use crate::status::{BAD, BAD_NO_DATA, UNCERTAIN_SUB_NORMAL, with_bits};
use crate::{Aggregate, Configuration, Intervals, Point, Processed, Rules, process};

const UNCERTAIN: StatusCode = StatusCode::UNCERTAIN;
const GOOD: StatusCode = StatusCode::GOOD;

/// 12:00:00 on some day.
fn at(s: f64) -> Instant {
    Instant::from_ns(1_400_000_000_000_000_000 + (s * 1e6).round() as i64 * 1000)
}

fn point(s: f64, value: f64, status: StatusCode) -> Point {
    Point { time: at(s), value, exact: None, status }
}

fn historian(number: u32) -> (Vec<Point>, Rules) {
    let one = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0].map(|s| match s {
        40.0 => point(s, f64::NAN, BAD),
        70.0 => point(s, s, UNCERTAIN),
        _ => point(s, s, GOOD),
    });
    let times = [2.0, 25.0, 28.0, 39.0, 42.0, 48.0, 52.0, 72.0, 77.0, 83.0, 86.0, 90.0];
    let numbers = [10.0, 20.0, 25.0, 30.0, f64::NAN, 40.0, 50.0, 60.0, 70.0, 70.0, 80.0, 90.0];
    let states = [1.0, 0.0, 1.0, 1.0, f64::NAN, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0];
    let status = |s: f64| {
        if s == 42.0 {
            BAD
        } else if s == 77.0 {
            UNCERTAIN
        } else {
            GOOD
        }
    };
    let values = if number == 4 { states } else { numbers };
    let others = times.iter().zip(values).map(|(s, value)| point(*s, value, status(*s)));
    let percent = if number == 3 { 50 } else { 100 };
    let configuration = Configuration {
        treat_uncertain_as_bad: number != 1,
        percent_data_bad: percent,
        percent_data_good: percent,
        use_sloped_extrapolation: false,
    };
    let points = if number == 1 { one.to_vec() } else { others.collect() };
    (points, Rules { configuration, stepped: number >= 3 })
}

fn run(aggregate: Aggregate, number: u32, step_s: u64) -> Vec<Processed> {
    let (points, rules) = historian(number);
    let intervals = Intervals::new(at(0.0), at(100.0), Duration::from_secs(step_s)).unwrap();
    process(&points, aggregate, rules, intervals).unwrap()
}

fn status(text: &str) -> StatusCode {
    let code = match &text[..1] {
        "G" => GOOD,
        "?" => UNCERTAIN,
        "U" => UNCERTAIN_SUB_NORMAL,
        "B" => BAD,
        "N" => BAD_NO_DATA,
        _ => panic!("{text}"),
    };
    let bits = text[1..].chars().map(|bit| match bit {
        'c' => crate::CALCULATED,
        'i' => crate::INTERPOLATED,
        'p' => crate::PARTIAL,
        'm' => crate::MULTIPLE_VALUES,
        _ => panic!("{text}"),
    });
    with_bits(code, bits.sum())
}

#[track_caller]
fn check(aggregate: Aggregate, number: u32, step_s: u64, rows: &str) {
    let results = run(aggregate, number, step_s);
    let rows: Vec<&str> = rows.split(';').map(str::trim).collect();
    assert_eq!(results.len(), rows.len());
    let mut wrong = Vec::new();
    for (result, row) in results.iter().zip(rows) {
        let parts: Vec<&str> = row.split_whitespace().collect();
        let (expected, code) = match parts[1..] {
            ["*"] => continue,
            [code] => (None, code),
            [value, code] => (Some(value.parse::<f64>().unwrap()), code),
            _ => panic!("{row}"),
        };
        let same_value = match (result.value, expected) {
            (Some(value), Some(expected)) => (value.number() - expected).abs() < 0.000_6,
            (value, expected) => value.is_none() && expected.is_none(),
        };
        let same_time = result.time == at(parts[0].parse().unwrap());
        if !same_value || !same_time || result.status != status(code) {
            let s = result.time.since_ns(at(0.0)) as f64 / 1e9;
            wrong.push(format!("{row} -> {s} {:?} {:#x}", result.value.map(|v| v.number()), result.status.0));
        }
    }
    assert!(wrong.is_empty(), "{aggregate:?} of historian {number}:\n{}", wrong.join("\n"));
}

#[test]
fn interpolative() {
    check(
        Aggregate::Interpolative,
        1,
        5,
        "0 N; 5 N; 10 10 G; 15 15 Gi; 20 20 G; 25 25 Gi; 30 30 G; 35 35 Ui; 40 40 Ui; 45 45 Ui; 50 50 G; 55 55 Gi;
         60 60 G; 65 65 Ui; 70 70 ?; 75 75 Ui; 80 80 G; 85 85 Gi; 90 90 G; 95 90 Ui",
    );
    check(
        Aggregate::Interpolative,
        2,
        5,
        "0 N; 5 11.304 Gi; 10 13.478 Gi; 15 15.652 Gi; 20 17.826 Gi; 25 20 G; 30 25.909 Gi; 35 28.182 Gi;
         40 31.111 Ui; 45 36.667 Ui; 50 45 Gi; 55 51.5 Gi; 60 54 Gi; 65 56.5 Gi; 70 59 Gi; 75 62.727 Ui;
         80 67.273 Ui; 85 76.667 Gi; 90 90 G; 95 90 Ui",
    );
    check(
        Aggregate::Interpolative,
        3,
        5,
        "0 N; 5 10 Gi; 10 10 Gi; 15 10 Gi; 20 10 Gi; 25 20 G; 30 25 Gi; 35 25 Gi; 40 30 Gi; 45 30 Ui; 50 40 Gi;
         55 50 Gi; 60 50 Gi; 65 50 Gi; 70 50 Gi; 75 60 Gi; 80 60 Ui; 85 70 Gi; 90 90 G; 95 90 Ui",
    );
}

#[test]
fn average() {
    check(
        Aggregate::Average,
        1,
        5,
        "0 N; 5 N; 10 10 Gc; 15 N; 20 20 Gc; 25 N; 30 30 Gc; 35 N; 40 N; 45 N; 50 50 Gc; 55 N; 60 60 Gc; 65 N; 70 N;
         75 N; 80 80 Gc; 85 N; 90 90 Gc; 95 N",
    );
    for number in [2, 3] {
        check(
            Aggregate::Average,
            number,
            5,
            "0 10 Gc; 5 N; 10 N; 15 N; 20 N; 25 22.5 Gc; 30 N; 35 30 Gc; 40 N; 45 40 Gc; 50 50 Gc; 55 N; 60 N; 65 N;
             70 60 Gc; 75 N; 80 70 Gc; 85 80 Gc; 90 90 Gc; 95 N",
        );
    }
}

#[test]
fn time_average() {
    check(
        Aggregate::TimeAverage,
        1,
        5,
        "0 N; 5 N; 10 12.5 Gc; 15 17.5 Gc; 20 22.5 Gc; 25 27.5 Gc; 30 32.5 Uc; 35 37.5 Uc; 40 42.5 Uc; 45 47.5 Uc;
         50 52.5 Gc; 55 57.5 Gc; 60 62.5 Uc; 65 67.5 Uc; 70 72.5 Uc; 75 77.5 Uc; 80 82.5 Gc; 85 87.5 Gc; 90 90 Uc;
         95 90 Uc",
    );
    check(
        Aggregate::TimeAverage,
        2,
        5,
        "0 10.652 Ucp; 5 *; 10 *; 15 *; 20 *; 25 *; 30 *; 35 *; 40 *; 45 *; 50 *; 55 *; 60 *; 65 *; 70 *; 75 *; 80 *;
         85 *; 90 *; 95 *",
    );
}

#[test]
fn time_average_2() {
    check(
        Aggregate::TimeAverage2,
        1,
        5,
        "0 N; 5 N; 10 12.5 Gc; 15 17.5 Gc; 20 22.5 Gc; 25 27.5 Gc; 30 30 Uc; 35 30 Uc; 40 N; 45 N; 50 52.5 Gc;
         55 57.5 Gc; 60 62.5 Uc; 65 67.5 Uc; 70 72.5 Uc; 75 77.5 Uc; 80 82.5 Gc; 85 87.5 Gc; 90 90 Ucp; 95 N",
    );
    check(
        Aggregate::TimeAverage2,
        2,
        5,
        "0 10.652 Ucp; 5 12.391 Gc; 10 14.565 Gc; 15 16.739 Gc; 20 18.913 Gc; 25 23.682 Gc; 30 27.046 Gc;
         35 29.273 Uc; 40 30 Uc; 45 42.5 Uc; 50 49.45 Gc; 55 52.75 Gc; 60 55.25 Gc; 65 57.75 Gc; 70 59.8 Uc; 75 *;
         80 *; 85 *; 90 *; 95 *",
    );
    check(
        Aggregate::TimeAverage2,
        3,
        5,
        "0 10 Gcp; 5 10 Gc; 10 10 Gc; 15 10 Gc; 20 10 Gc; 25 22 Gc; 30 25 Gc; 35 26 Gc; 40 Bc; 45 Bc; 50 46 Gc;
         55 50 Gc; 60 50 Gc; 65 50 Gc; 70 56 Gc; 75 Bc; 80 Bc; 85 *; 90 *; 95 N",
    );
}

#[test]
fn minimum_and_maximum() {
    check(Aggregate::Minimum, 1, 16, "0 10 Gcp; 16 20 Gc; 32 N; 48 50 Gc; 64 N; 80 80 Gp; 96 N");
    check(Aggregate::Maximum, 1, 16, "0 10 Gcp; 16 30 Gc; 32 N; 48 60 Gc; 64 N; 80 90 Gcp; 96 N");
    for number in [2, 3] {
        check(Aggregate::Minimum, number, 16, "0 10 Gcp; 16 20 Gc; 32 30 Uc; 48 40 G; 64 60 Uc; 80 70 Gcp; 96 N");
        check(Aggregate::Maximum, number, 16, "0 10 Gcp; 16 25 Gc; 32 30 Uc; 48 50 Gc; 64 60 Uc; 80 90 Gcp; 96 N");
    }
}

#[test]
fn minimum_and_maximum_actual_time() {
    check(Aggregate::MinimumActualTime, 1, 16, "10 10 Gp; 20 20 G; 32 N; 50 50 G; 64 N; 80 80 Gp; 96 N");
    check(Aggregate::MaximumActualTime, 1, 16, "10 10 Gp; 30 30 G; 32 N; 60 60 G; 64 N; 90 90 Gp; 96 N");
    for number in [2, 3] {
        check(Aggregate::MinimumActualTime, number, 16, "2 10 Gp; 25 20 G; 39 30 U; 48 40 G; 72 60 U; 83 70 Gp; 96 N");
        check(Aggregate::MaximumActualTime, number, 16, "2 10 Gp; 28 25 G; 39 30 U; 52 50 G; 72 60 U; 90 90 Gp; 96 N");
    }
}

#[test]
fn minimum_2() {
    check(Aggregate::Minimum2, 1, 16, "0 10 Ucp; 16 16 Ui; 32 30 Ui; 48 50 Uc; 64 64 Ui; 80 80 Up; 96 N");
    check(Aggregate::Minimum2, 2, 16, "0 10 Ucp; 16 16.087 Gi; 32 26.818 Ui; 48 40 G; 64 56 Ui; 80 70 Ucp; 96 N");
    check(Aggregate::Minimum2, 3, 16, "0 10 Gcp; 16 10 Gi; 32 25 Gi; 48 40 G; 64 50 Gi; 80 70 Gcp; 96 N");
}

#[test]
fn maximum_2() {
    check(Aggregate::Maximum2, 1, 16, "0 16 Uip; 16 30 Ucm; 32 30 Ui; 48 64 Ui; 64 80 Uc; 80 90 Ucp; 96 N");
    check(Aggregate::Maximum2, 2, 16, "0 16.087 Uip; 16 26.818 Gi; 32 40 Uc; 48 56 Gi; 64 60 Uc; 80 90 Ucp; 96 N");
    check(Aggregate::Maximum2, 3, 16, "0 10 Gcp; 16 25 Gc; 32 30 Gc; 48 50 Gc; 64 60 Gc; 80 90 Gcp; 96 N");
}

#[test]
fn minimum_actual_time_2() {
    let of = Aggregate::MinimumActualTime2;
    check(of, 1, 16, "10 10 Up; 16 16 Ui; 32 30 Ui; 50 50 U; 64 64 Ui; 80 80 Up; 96 N");
    check(of, 2, 16, "2 10 Up; 16 16.087 Gi; 32 26.818 Ui; 48 40 G; 64 56 Ui; 83 70 Up; 96 N");
    check(of, 3, 16, "2 10 Gp; 16 10 Gi; 32 25 Gi; 48 40 G; 64 50 Gi; 83 70 Gp; 96 N");
}

#[test]
fn maximum_actual_time_2() {
    let of = Aggregate::MaximumActualTime2;
    check(of, 1, 16, "15.999 16 Uip; 30 30 Um; 32 30 Ui; 63.999 64 Ui; 79.999 80 Ui; 90 90 Up; 96 N");
    check(of, 2, 16, "15.999 16.087 Uip; 31.999 26.818 Gi; 47.999 40 Ui; 63.999 56 Gi; 72 60 U; 90 90 Up; 96 N");
    check(of, 3, 16, "2 10 Gp; 28 25 G; 39 30 G; 52 50 G; 72 60 G; 90 90 Gp; 96 N");
}

#[test]
fn count() {
    check(Aggregate::Count, 1, 16, "0 1 Gcp; 16 2 Gc; 32 Bc; 48 2 Gc; 64 0 Uc; 80 2 Gcp; 96 N");
    check(Aggregate::Count, 2, 16, "0 1 Gcp; 16 2 Gc; 32 1 Uc; 48 2 Gc; 64 1 Uc; 80 3 Gcp; 96 N");
    check(Aggregate::Count, 3, 16, "0 1 Gcp; 16 2 Gc; 32 *; 48 2 Gc; 64 1 Gc; 80 3 Gcp; 96 N");
}

#[test]
fn duration_in_states() {
    let zero = "0 0 Ucp; 16 3000 Gc; 32 0 Uc; 48 12000 Gc; 64 13000 Uc; 80 4000 Ucp; 96 N";
    check(Aggregate::DurationInStateZero, 4, 16, zero);
    let other = "0 14000 Ucp; 16 13000 Gc; 32 10000 Uc; 48 4000 Gc; 64 0 Uc; 80 3001 Ucp; 96 N";
    check(Aggregate::DurationInStateNonZero, 4, 16, other);
}

#[test]
fn start_bound() {
    check(Aggregate::StartBound, 1, 16, "0 Np; 16 16 Gi; 32 30 Ui; 48 N; 64 64 Ui; 80 80 Gp; 96 N");
    check(Aggregate::StartBound, 2, 16, "0 Np; 16 16.087 Gi; 32 26.818 Gi; 48 40 G; 64 56 Gi; 80 Np; 96 N");
    check(Aggregate::StartBound, 3, 16, "0 Np; 16 10 Gi; 32 25 Gi; 48 40 G; 64 50 Gi; 80 Np; 96 N");
}

#[test]
fn durations_and_percents_of_quality() {
    let good = "0 6000 Gcp; 16 16000 Gc; 32 0 Gc; 48 14000 Gc; 64 0 Gc; 80 10001 Gcp; 96 N";
    check(Aggregate::DurationGood, 1, 16, good);
    let bad = "0 10000 Gcp; 16 0 Gc; 32 8000 Gc; 48 2000 Gc; 64 0 Gc; 80 0 Gcp; 96 N";
    check(Aggregate::DurationBad, 1, 16, bad);
    check(Aggregate::PercentGood, 1, 16, "0 37.5 Gcp; 16 100 Gc; 32 *; 48 87.5 Gc; 64 0 Gc; 80 100 Gcp; 96 N");
    check(Aggregate::PercentBad, 1, 16, "0 62.5 Gcp; 16 0 Gc; 32 50 Gc; 48 12.5 Gc; 64 0 Gc; 80 0 Gcp; 96 N");
    for number in [2, 3, 4] {
        let good = "0 14000 Gcp; 16 16000 Gc; 32 10000 Gc; 48 16000 Gc; 64 13000 Gc; 80 7001 Gcp; 96 N";
        check(Aggregate::DurationGood, number, 16, good);
        let bad = "0 2000 Gcp; 16 0 Gc; 32 6000 Gc; 48 0 Gc; 64 3000 Gc; 80 3000 Gcp; 96 N";
        check(Aggregate::DurationBad, number, 16, bad);
        let good = "0 87.5 Gcp; 16 100 Gc; 32 62.5 Gc; 48 100 Gc; 64 81.25 Gc; 80 70.003 Gcp; 96 N";
        check(Aggregate::PercentGood, number, 16, good);
        let bad = "0 12.5 Gcp; 16 0 Gc; 32 37.5 Gc; 48 0 Gc; 64 18.75 Gc; 80 29.997 Gcp; 96 N";
        check(Aggregate::PercentBad, number, 16, bad);
    }
}

#[test]
fn variance_sample() {
    check(Aggregate::VarianceSample, 1, 20, "0 0 Gcp; 20 50 Gc; 40 0 Uc; 60 0 Uc; 80 50 Gcp");
    for number in [2, 3] {
        check(Aggregate::VarianceSample, number, 20, "0 0 Gcp; 20 25 Gc; 40 50 Uc; 60 0 Uc; 80 100 Gcp");
    }
}
