//! What `limit` tells of a signal, value by value.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use watchfire_detector::{Batch, Cause, Detector, Gap, Level, Refusal, Row, Setup, Signal, quality};
use watchfire_detector_limit::Limit;

const S: i64 = 1_000_000_000;
const BAD: u32 = 0x8000_0000;

fn limit(config: &str) -> Result<Limit, Refusal> {
    let signal =
        Signal { name: "plant/temp".into(), unit: Some("Cel".into()), range: Some((0.0, 100.0)), ..Signal::default() };
    Limit::init(Setup { config: config.into(), signals: vec![signal], ..Setup::default() }).map(|(limit, _)| limit)
}

/// What is told of each row: condition, level, reason.
fn tell(limit: &mut Limit, rows: &[(f64, u32, u8)]) -> Vec<Vec<(u16, Level, String)>> {
    let batch = |(s, (value, status, quality)): (i64, &(f64, u32, u8))| {
        let mut batch = Batch { now: s * S, ..Batch::default() };
        batch.push(Row { signal: 0, time: s * S, value: *value, status: *status, quality: *quality });
        batch
    };
    let told = |batch: Batch| {
        let verdicts = limit.process(&batch).unwrap().verdicts;
        verdicts.into_iter().map(|verdict| (verdict.condition, verdict.level, verdict.why)).collect()
    };
    (0..).zip(rows).map(batch).map(told).collect()
}

#[test]
fn each_level_is_told_once_with_its_limit() {
    let mut limit = limit(r#"{"high_high":95,"high":90,"low":10}"#).unwrap();
    let told = tell(
        &mut limit,
        &[(50.0, 0, 0), (91.0, 0, 0), (92.0, 0, 0), (96.5, 0, 0), (89.5, 0, 0), (88.9, 0, 0), (5.0, 0, 0)],
    );
    let said: Vec<&str> = told.iter().map(|told| told.first().map_or("", |(_, _, why)| why.as_str())).collect();
    assert_eq!(
        said,
        [
            "50 °C is within the limits",
            "91 °C is above the high limit of 90 °C",
            "",
            "96.5 °C is above the high-high limit of 95 °C",
            "89.5 °C is above the high limit of 90 °C",
            "88.9 °C is within the limits",
            "5 °C is below the low limit of 10 °C",
        ]
    );
}

#[test]
fn a_bad_value_clears_nothing_and_distrust_silences_nothing() {
    let mut limit = limit(r#"{"high":90}"#).unwrap();
    let rows = [(91.0, 0, 0), (20.0, BAD, 0), (f64::NAN, 0, 0), (89.5, 0, 0), (99.0, 0, quality::DISTRUSTED)];
    let levels: Vec<Option<Level>> =
        tell(&mut limit, &rows).iter().map(|told| told.first().map(|(_, level, _)| *level)).collect();
    // 89.5 is within the deadband below 90: still high, as it was before the values went bad.
    assert_eq!(levels, [Some(Level::High), Some(Level::Unknown), None, Some(Level::High), None]);
}

#[test]
fn a_rate_is_a_condition_of_its_own_and_a_gap_interrupts_it() {
    let mut limit = limit(r#"{"rate_per_s":2}"#).unwrap();
    let told = tell(&mut limit, &[(50.0, 0, 0), (51.0, 0, 0), (56.0, 0, 0)]);
    let (0, Level::High, why) = &told[2][0] else { panic!("{told:?}") };
    assert_eq!(why, "rises by 5 °C a second, faster than the 2 allowed");
    let gap = Gap { signal: None, since: 3 * S, until: 9 * S, cause: Cause::SourceLost };
    let mut batch = Batch { now: 10 * S, gaps: vec![gap], ..Batch::default() };
    batch.push(Row { signal: 0, time: 10 * S, value: 99.0, status: 0, quality: 0 });
    assert_eq!(limit.process(&batch).unwrap().verdicts, []);
}

#[test]
fn what_makes_no_sense_is_refused_by_its_key() {
    for (config, key) in [
        ("{}", "high"),
        (r#"{"high":10,"high_high":10}"#, "high_high"),
        (r#"{"low":10,"low_low":20}"#, "low"),
        (r#"{"high":10,"deadband":-1}"#, "deadband"),
        (r#"{"rate_per_s":0}"#, "rate_per_s"),
        (r#"{"rate_per_s":1,"rate_over_s":-1}"#, "rate_over_s"),
        (r#"{"hihg":10}"#, "hihg"),
    ] {
        let Err(refusal) = limit(config) else { panic!("{config} must be refused") };
        assert_eq!(refusal.key.as_deref(), Some(key), "{config}: {}", refusal.message);
    }
}

#[test]
fn rows_in_one_batch_are_judged_as_in_many() {
    let config = r#"{"high_high":95,"high":90,"low":10,"deadband":2}"#;
    let signal = |id| Signal { name: format!("plant/s{id}"), ..Signal::default() };
    let start = || {
        let signals = (0..5).map(signal).collect();
        Limit::init(Setup { config: config.into(), signals, ..Setup::default() }).unwrap().0
    };
    let row = |number: u32| {
        let value = if number.is_multiple_of(37) { f64::NAN } else { f64::from(number * 31 % 110) };
        Row {
            signal: number * 7 % 5,
            time: i64::from(number),
            value,
            status: u32::from(number.is_multiple_of(41)) << 31,
            quality: 0,
        }
    };
    for count in [0, 1, 7, 8, 9, 64, 203] {
        let (mut whole, mut each) = (start(), start());
        let mut batch = Batch::default();
        (0..count).for_each(|number| batch.push(row(number)));
        let together = whole.process(&batch).unwrap().verdicts;
        let one_by_one = (0..count).flat_map(|number| {
            let mut single = Batch::default();
            single.push(row(number));
            each.process(&single).unwrap().verdicts
        });
        // As text: a NaN in the evidence equals no other.
        assert_eq!(format!("{together:?}"), format!("{:?}", one_by_one.collect::<Vec<_>>()), "{count} rows");
        assert_eq!(whole.save(), each.save());
    }
}

/// One after another no row has others beside it that could speak for it.
#[test]
fn many_rows_in_a_batch_are_told_as_each_in_a_batch_of_its_own() {
    const SIGNALS: u32 = 24;
    let start = || {
        let signals = (0..SIGNALS).map(|id| Signal { name: format!("s/{id}"), ..Signal::default() }).collect();
        let config = r#"{"high_high":95,"high":90,"low":10,"deadband":3}"#.to_owned();
        Limit::init(Setup { config, signals, ..Setup::default() }).unwrap().0
    };
    let (mut together, mut alone, mut state) = (start(), start(), 7_u64);
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) % below
    };
    let mut told = 0;
    for now in 0..2_000_i64 {
        let mut batch = Batch { now: now * S, ..Batch::default() };
        for at in 0..random(64) {
            // Mostly calm, of all signals in order; now and then anything of anyone, one that is not there among them.
            let calm = random(40) > 0;
            let signal = if calm { at as u32 % SIGNALS } else { random(u64::from(SIGNALS) + 1) as u32 };
            let value = if calm { 40.0 } else { random(110) as f64 };
            let status = if random(300) == 0 { BAD } else { 0 };
            let value = if random(300) == 0 { f64::NAN } else { value };
            batch.push(Row { signal, time: now * S + at as i64, value, status, quality: 0 });
        }
        let expected: Vec<_> = batch
            .rows()
            .flat_map(|row| {
                let mut one = Batch { now: now * S, ..Batch::default() };
                one.push(row);
                alone.process(&one).unwrap().verdicts
            })
            .collect();
        // As texts: what was observed may be no number.
        assert_eq!(format!("{:?}", together.process(&batch).unwrap().verdicts), format!("{expected:?}"), "batch {now}");
        told += expected.len();
    }
    assert!(told > 1_000 && together.save() == alone.save(), "{told}");
}
