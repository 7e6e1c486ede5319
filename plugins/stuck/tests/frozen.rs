//! Frozen, slow, silent, interrupted and idle signals, second by second.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use watchfire_detector::{Batch, Cause, Detector, Gap, Level, Row, Setup, Signal, Verdict};
use watchfire_detector_stuck::Stuck;

const S: i64 = 1_000_000_000;

fn stuck(config: &str, names: &[&str]) -> Stuck {
    let signal = |name: &&str| Signal { name: (*name).to_owned(), unit: Some("Cel".into()), ..Signal::default() };
    Stuck::init(Setup { config: config.into(), signals: names.iter().map(signal).collect(), ..Setup::default() })
        .unwrap()
        .0
}

/// A batch at second `s`: a value for each signal that has one.
fn batch(s: i64, values: &[Option<f64>]) -> Batch {
    let mut batch = Batch { now: s * S, ..Batch::default() };
    for (signal, value) in (0..).zip(values).filter_map(|(signal, value)| Some((signal, (*value)?))) {
        batch.push(Row { signal, time: s * S, value, status: 0, quality: 0 });
    }
    batch
}

/// A reading that moves each second.
fn noise(s: i64) -> f64 {
    20.0 + ((7 * s * s + 3 * s) % 101) as f64 / 100.0
}

/// What is told from second `from` to `to` of signals that do as `values` says.
fn run(
    detector: &mut Stuck,
    from: i64,
    to: i64,
    values: impl Fn(i64) -> Vec<Option<f64>>,
) -> Vec<(i64, u32, Level, String)> {
    let told = |s: i64, verdict: Verdict| (s, verdict.instance, verdict.level, verdict.why);
    let mut all = Vec::new();
    for s in from..to {
        let outcome = detector.process(&batch(s, &values(s))).unwrap();
        all.extend(outcome.verdicts.into_iter().map(|verdict| told(s, verdict)));
    }
    all
}

#[test]
fn a_frozen_sensor_is_found_and_told_over() {
    let mut detector = stuck("{}", &["plant/a", "plant/b"]);
    let learned = run(&mut detector, 0, 100, |s| vec![Some(noise(s)), Some(noise(s + 3))]);
    assert!(learned.iter().all(|(_, _, level, _)| *level == Level::Normal), "{learned:?}");
    let frozen = run(&mut detector, 100, 200, |s| vec![Some(noise(s)), Some(20.5)]);
    let [(at, 1, Level::Active, why)] = frozen.as_slice() else { panic!("{frozen:?}") };
    assert_eq!(
        (*at, why.as_str()),
        (110, "has stood at 20.5 °C, to within 0.01 °C, for 10 s; the longest learned is 2 s")
    );
    let over = run(&mut detector, 200, 210, |s| vec![Some(noise(s)), Some(noise(s))]);
    assert!(matches!(over.as_slice(), [(_, 1, Level::Normal, _)]), "{over:?}");
}

#[test]
fn a_signal_whose_server_reports_changes_alone_is_found_by_its_silence() {
    let mut detector = stuck("{}", &["plant/a", "plant/b"]);
    run(&mut detector, 0, 100, |s| vec![Some(noise(s)), Some(noise(s))]);
    let silent = run(&mut detector, 100, 120, |s| vec![Some(noise(s)), None]);
    assert!(matches!(silent.as_slice(), [(109, 1, Level::Active, _)]), "{silent:?}");

    let mut alone = stuck("{}", &["plant/a"]);
    run(&mut alone, 0, 100, |s| vec![Some(noise(s))]);
    let silent = run(&mut alone, 100, 120, |_| vec![None]);
    assert!(matches!(silent.as_slice(), [(109, 0, Level::Active, _)]), "{silent:?}");
}

#[test]
fn an_outage_freezes_nothing() {
    let mut detector = stuck("{}", &["plant/a", "plant/b", "other/c"]);
    let all = |s| vec![Some(noise(s)), Some(noise(s)), Some(noise(s))];
    run(&mut detector, 0, 100, all);
    let out = run(&mut detector, 100, 400, |s| vec![None, None, Some(noise(s))]);
    assert_eq!(out, []);
    // The source is back: one signal at once, the other four seconds later.
    let back = run(&mut detector, 400, 404, |s| vec![Some(noise(s)), None, Some(noise(s))]);
    assert_eq!(back, []);
    assert_eq!(run(&mut detector, 404, 500, all), []);
}

#[test]
fn after_a_gap_the_count_begins_again_but_a_finding_stays() {
    let gap = |s: i64| Gap { signal: Some(1), since: s * S, until: s * S, cause: Cause::SourceLost };
    let mut detector = stuck("{}", &["plant/a", "plant/b"]);
    run(&mut detector, 0, 100, |s| vec![Some(noise(s)), Some(noise(s))]);
    let still = |s| vec![Some(noise(s)), Some(20.5)];
    run(&mut detector, 100, 105, still);
    let outcome = detector.process(&Batch { gaps: vec![gap(105)], ..batch(105, &still(105)) }).unwrap();
    assert_eq!(outcome.verdicts, []);
    let found = run(&mut detector, 106, 130, still);
    assert!(matches!(found.as_slice(), [(111, 1, Level::Active, _)]), "{found:?}");
    let outcome = detector.process(&Batch { gaps: vec![gap(130)], ..batch(130, &still(130)) }).unwrap();
    assert_eq!(outcome.verdicts, [], "still the same value: nothing has cleared it");
    let bad = run(&mut detector, 131, 133, |s| vec![Some(noise(s)), Some(f64::NAN)]);
    assert!(matches!(bad.as_slice(), [(131, 1, Level::Unknown, _)]), "{bad:?}");
    assert!(matches!(run(&mut detector, 133, 140, still).as_slice(), [(133, 1, Level::Active, _)]));
}

#[test]
fn where_idleness_is_normal_it_is_no_finding() {
    for (config, findings) in [(r#"{"idle":[0]}"#, 0), ("{}", 1)] {
        let mut detector = stuck(config, &["plant/pump"]);
        run(&mut detector, 0, 100, |s| vec![Some(noise(s))]);
        let idle = run(&mut detector, 100, 400, |_| vec![Some(0.0)]);
        assert_eq!(idle.len(), findings, "{idle:?}");
    }
}

#[test]
fn a_signal_that_hardly_ever_moves_is_never_judged() {
    let mut detector = stuck("{}", &["plant/setpoint"]);
    let told = run(&mut detector, 0, 3_000, |s| vec![Some((s / 300) as f64)]);
    assert!(matches!(told.as_slice(), [(0, 0, Level::Normal, _)]), "{told:?}");
}

#[test]
fn a_state_taken_anywhere_changes_nothing() {
    let names = ["plant/a", "plant/b"];
    let values = |s: i64| vec![Some(noise(s)), (!(100..=150).contains(&s)).then(|| noise(s))];
    let mut whole = stuck("{}", &names);
    let expected = run(&mut whole, 0, 200, values);
    for cut in [0, 1, 20, 99, 105, 160] {
        let mut first = stuck("{}", &names);
        run(&mut first, 0, cut, values);
        let mut second = stuck("{}", &names);
        second.load(Stuck::describe().state_version, &first.save()).unwrap();
        assert_eq!(second.save(), first.save());
        let rest: Vec<_> = expected.iter().filter(|told| told.0 >= cut).cloned().collect();
        assert_eq!(run(&mut second, cut, 200, values), rest, "cut at {cut}");
        assert_eq!(second.save(), whole.save());
    }
    let mut found = stuck("{}", &names);
    run(&mut found, 0, 120, values);
    let mut again = stuck("{}", &names);
    again.load(1, &found.save()).unwrap();
    let restated = again.process(&batch(120, &values(120))).unwrap().verdicts;
    assert!(matches!(restated.as_slice(), [Verdict { instance: 1, level: Level::Active, .. }]), "{restated:?}");
}
