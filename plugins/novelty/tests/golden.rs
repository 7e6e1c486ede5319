//! The scores of this implementation against those of an independent one, number by number.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use watchfire_detector::{Batch, Detector, Row, Setup, Signal};
use watchfire_detector_novelty::{Nova, Novelty, hour_of_week};

const GOLDEN: &str = include_str!("data/nab_art_daily_jumpsup_scores.csv");
const HOLD_OFF: u64 = 260;

/// Time, value, and the scores of the three channels and of the whole.
fn golden() -> Vec<[f64; 6]> {
    let row = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(|number| number.parse().unwrap()).collect();
        <[f64; 6]>::try_from(numbers).unwrap()
    };
    GOLDEN.lines().skip(1).map(row).collect()
}

fn agrees(ours: f64, golden: f64) -> bool {
    (ours - golden).abs() <= 1e-8 * golden.abs().max(1.0)
}

#[test]
fn every_score_agrees_with_the_reference() {
    let mut nova = Nova::default();
    for (row, [time, value, scores @ ..]) in golden().into_iter().enumerate() {
        let slot = hour_of_week(time as i64);
        let [a, b, c] = nova.scores(value, slot);
        let judged = nova.offer(value, slot, HOLD_OFF);
        for (ours, golden) in [a, b, c, judged.score].into_iter().zip(scores) {
            assert!(agrees(ours, golden), "row {row}: {ours} against {golden}");
        }
    }
}

fn batch(time: f64, value: f64) -> Batch {
    let time = time as i64 * 1_000_000_000;
    let mut batch = Batch { now: time, ..Batch::default() };
    batch.push(Row { signal: 0, time, value, status: 0, quality: 0 });
    batch
}

fn novelty() -> Novelty {
    let signal = Signal { name: "plant/load".into(), unit: Some("kW".into()), ..Signal::default() };
    Novelty::init(Setup { signals: vec![signal], ..Setup::default() }).unwrap().0
}

#[test]
fn the_detector_reports_the_jump_and_says_why() {
    let mut detector = novelty();
    let (mut found, mut told) = (Vec::new(), Vec::new());
    for (row, [time, value, .., score]) in golden().into_iter().enumerate() {
        let outcome = detector.process(&batch(time, value)).unwrap();
        let reported = outcome.scores.score.first().copied().unwrap_or_default();
        told.extend(outcome.scores.score.first().map(|_| row));
        assert!(reported == 0.0 || agrees(reported, score));
        if reported >= 1.2 {
            found.push(detector.explain(0, 0).unwrap());
        }
    }
    assert_eq!(told.first(), Some(&750), "the first judgement is told, and none before it");
    let [jump] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(jump.why, "127.882 kW is unusual on a Friday between 9 and 10 h, when about 68.1714 kW is usual");
    assert!(jump.evidence[0].observed > jump.evidence[0].high.unwrap(), "{jump:?}");
}

#[test]
fn a_state_taken_anywhere_changes_nothing() {
    let rows = golden();
    let mut whole = novelty();
    let scores = |detector: &mut Novelty, rows: &[[f64; 6]]| -> Vec<_> {
        rows.iter().map(|[time, value, ..]| detector.process(&batch(*time, *value)).unwrap()).collect()
    };
    let expected = scores(&mut whole, &rows);
    for cut in [0, 1, 50, 749, 750, 2_000, 4_000] {
        let mut first = novelty();
        scores(&mut first, &rows[..cut]);
        let mut second = novelty();
        second.load(Novelty::describe().state_version, &first.save()).unwrap();
        assert_eq!(second.save(), first.save());
        assert_eq!(scores(&mut second, &rows[cut..]), expected[cut..], "cut at {cut}");
        assert_eq!(second.save(), whole.save());
    }
}

/// FNV-1a.
fn digest(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// What replays of logs that older versions wrote rely on: with another state version it may be otherwise.
#[test]
fn scores_and_state_are_to_the_last_bit_what_they_were_in_the_first_version_of_the_state() {
    assert_eq!(Novelty::describe().state_version, 1);
    let config = r#"{"hold_off_samples": 3}"#.to_owned();
    let setup = Setup { config, signals: vec![Signal::default()], ..Setup::default() };
    let (mut detector, mut scores) = (Novelty::init(setup).unwrap().0, Vec::new());
    let mut noise = 0x9E37_79B9_7F4A_7C15_u64;
    for (row, [time, value, ..]) in golden().into_iter().enumerate() {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        // Values of which none comes twice, and a stretch of them that is far off.
        let off = if row % 1_000 < 990 { 0.0 } else { 1e3 };
        let value = value + off + (noise >> 11) as f64 * 1e-12;
        let outcome = detector.process(&batch(time, value)).unwrap();
        scores.extend(outcome.scores.score.iter().flat_map(|score| score.to_bits().to_le_bytes()));
    }
    assert!(scores.len() > 8 * 500, "{}", scores.len());
    let found = (digest(scores.into_iter()), digest(detector.save().into_iter()));
    assert_eq!(found, (0x1D5F_D701_0F7B_9FD1, 0xA553_1AD5_D819_7D62));
}
