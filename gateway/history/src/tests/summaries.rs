//! Summaries say what the samples say, whatever happened in between, and outlive them.

use std::path::Path;

use watchfire_model::{Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode, Summary, Unit};
use watchfire_pipeline::{History, Told, without_repeated};

use super::made::{Dice, copy_folder, range, records};
use crate::SledHistory;
use crate::slot::Slot;

/// Where an hour begins, and a month.
pub const START_S: i64 = 1_798_761_600;
const HOUR_S: i64 = 3600;
const SIGNALS: u32 = 40;

/// Frames of a minute each in which every signal has three samples, one of them bad now and then; a fast one has ten.
pub fn minutes(first: u64, from_s: i64, count: u64, quality: Quality) -> Vec<Record> {
    let mut dice = Dice(first);
    let mut body = |minute: u64| {
        let begin_s = from_s + i64::try_from(minute).unwrap() * 60;
        let mut rows = Rows::default();
        for i in 0..10_i64 {
            for signal in (0..SIGNALS).filter(|signal| i < 3 || *signal == 7) {
                let time = Instant::from_ns((begin_s * 1000 + i * 5_900 + i64::from(signal)) * 1_000_000);
                let value = if dice.roll(50) == 0 { f64::NAN } else { dice.roll(1000) as f64 / 10.0 };
                let status = StatusCode(
                    [0, 0x4000_0000, 0x8031_0000][usize::from(dice.roll(30) < 2) * (1 + usize::from(i == 2))],
                );
                rows.push(SignalId(signal), time, value, status, quality, 0);
            }
        }
        RecordBody::Data(Frame { now: Instant::from_s(begin_s + 59), rows, ..Frame::default() })
    };
    (0..count).map(|minute| Record { lsn: Lsn(first + minute), body: body(minute) }).collect()
}

pub fn at(s: i64) -> Instant {
    Instant::from_s(START_S + s)
}

/// Makes what there is to be made.
fn summarise(history: &SledHistory, now: Instant) {
    while history.summarise(now).unwrap() {}
}

fn told(history: &SledHistory, signal: u32, unit: Unit, from: Instant, to: Instant) -> Vec<Told> {
    let (mut told, mut next) = (Vec::new(), Some(from));
    while let Some(from) = next {
        let more = history.summaries(SignalId(signal), unit, from, to).unwrap();
        told.extend(more.told);
        next = more.rest;
    }
    told
}

/// What the samples say of a stretch.
fn expected(history: &SledHistory, signal: u32, unit: Unit, from: Instant) -> Option<Summary> {
    let rows = without_repeated(range(history, SignalId(signal), from, from.plus(unit.length())).unwrap());
    let mut summary = Summary::of(&rows, 0)?;
    (1..rows.len()).for_each(|row| summary.add(&rows, row));
    Some(summary)
}

#[track_caller]
fn tells_what_samples_say(
    history: &SledHistory,
    signals: impl Iterator<Item = u32>,
    from: Instant,
    to: Instant,
) -> usize {
    let mut count = 0;
    for signal in signals {
        for unit in [Unit::Hour, Unit::Minute] {
            for Told { from, summary } in told(history, signal, unit, from, to) {
                let expected = expected(history, signal, unit, from);
                assert_eq!(format!("{summary:?}"), format!("{expected:?}"), "{signal} at {from} by {unit:?}");
                count += 1;
            }
        }
    }
    count
}

/// Three and a half hours in buckets of ten minutes, of which three are past.
fn three_hours(folder: &Path) -> SledHistory {
    let history = SledHistory::open(folder).unwrap();
    minutes(1, START_S, 210, Quality::NONE).chunks(10).for_each(|part| history.seal(part).unwrap());
    history
}

#[test]
fn hours_that_are_past_say_what_their_samples_say() {
    let folder = tempfile::tempdir().unwrap();
    let history = three_hours(folder.path());
    summarise(&history, at(3 * HOUR_S + 1800));
    assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)).len(), 3, "the fourth is not past");
    assert_eq!(told(&history, 7, Unit::Minute, at(0), at(9 * HOUR_S)).len(), 180);
    assert_eq!(told(&history, 3, Unit::Minute, at(0), at(9 * HOUR_S)), [], "there are few of them");
    let count = tells_what_samples_say(&history, 0..SIGNALS, at(-HOUR_S), at(9 * HOUR_S));
    assert_eq!(count, 3 * 40 + 180);
    let none = told(&history, 99_999, Unit::Hour, at(0), at(9 * HOUR_S));
    assert_eq!((none.len(), none.iter().all(|told| told.summary.is_none())), (3, true), "a signal without samples");
    // Only stretches that lie in the time as a whole.
    assert_eq!(told(&history, 3, Unit::Hour, at(1), at(3 * HOUR_S)).len(), 2);
    assert_eq!(told(&history, 7, Unit::Minute, at(30), at(3 * 60)).len(), 2);
    summarise(&history, at(5 * HOUR_S));
    assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)).len(), 4, "now it is");
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(tells_what_samples_say(&history, 0..SIGNALS, at(0), at(9 * HOUR_S)), 4 * 40 + 240);
}

#[test]
fn what_comes_late_has_its_hours_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let history = three_hours(folder.path());
    summarise(&history, at(4 * HOUR_S + 300));
    let mut late = Rows::default();
    for (signal, s) in [(3, 10), (3, 2 * HOUR_S), (9, 30 * HOUR_S), (3, -700 * HOUR_S)] {
        late.push(SignalId(signal), at(s), 12345.0, StatusCode::GOOD, Quality::LATE, 0);
    }
    let body = RecordBody::Data(Frame { now: at(4 * HOUR_S), rows: late, ..Frame::default() });
    history.seal(&[Record { lsn: Lsn(211), body }]).unwrap();
    let from = |told: &[Told]| told.iter().map(|told| told.from).collect::<Vec<_>>();
    let before = told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S));
    assert_eq!(from(&before), [at(HOUR_S), at(3 * HOUR_S)], "until then samples tell of its hours");
    assert_eq!(told(&history, 4, Unit::Hour, at(0), at(9 * HOUR_S)).len(), 4, "of others summaries do");
    summarise(&history, at(4 * HOUR_S + 600));
    let after = told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S));
    assert_eq!(after[0].summary.as_ref().unwrap().greatest.unwrap().value, 12345.0);
    assert_eq!(told(&history, 3, Unit::Hour, at(-800 * HOUR_S), at(-600 * HOUR_S)).len(), 1, "in a month of its own");
    assert_eq!(told(&history, 9, Unit::Hour, at(29 * HOUR_S), at(40 * HOUR_S)), [], "what is to come is put off");
    tells_what_samples_say(&history, 0..SIGNALS, at(-800 * HOUR_S), at(40 * HOUR_S));
    summarise(&history, at(32 * HOUR_S));
    assert_eq!(told(&history, 9, Unit::Hour, at(29 * HOUR_S), at(40 * HOUR_S)).len(), 1);
    tells_what_samples_say(&history, 0..SIGNALS, at(-800 * HOUR_S), at(40 * HOUR_S));
}

#[test]
fn killed_anywhere_it_comes_to_the_same() {
    let (folder, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(three_hours(folder.path()));
    for calls in (0..60).step_by(3) {
        copy_folder(folder.path(), work.path());
        let history = SledHistory::open(work.path()).unwrap();
        let mut more = true;
        for _ in 0..calls {
            more = history.summarise(at(4 * HOUR_S + 300)).unwrap();
        }
        drop(history);
        let history = SledHistory::open(work.path()).unwrap();
        tells_what_samples_say(&history, [0, 7, 39].into_iter(), at(0), at(9 * HOUR_S));
        summarise(&history, at(4 * HOUR_S + 300));
        assert_eq!(tells_what_samples_say(&history, [0, 7, 39].into_iter(), at(0), at(9 * HOUR_S)), 3 * 4 + 240);
        assert!(history.verify().faults.is_empty());
        if !more {
            return;
        }
    }
    panic!("it never ends");
}

#[test]
fn they_outlive_the_samples_and_later_ones_are_blended_in() {
    let folder = tempfile::tempdir().unwrap();
    let history = three_hours(folder.path());
    summarise(&history, at(4 * HOUR_S + 300));
    let minutes_told = || format!("{:?}", told(&history, 7, Unit::Minute, at(0), at(4 * HOUR_S)));
    let before = minutes_told();
    let hours = told(&history, 3, Unit::Hour, at(0), at(4 * HOUR_S));
    // Another day, so that the first is not the only one.
    minutes(211, START_S + 30 * HOUR_S, 60, Quality::NONE).chunks(10).for_each(|part| history.seal(part).unwrap());
    history.retain(at(24 * HOUR_S)).unwrap();
    history.retain(at(24 * HOUR_S)).unwrap();
    assert!(range(&history, SignalId(3), at(0), at(9 * HOUR_S)).unwrap().is_empty(), "the day has gone");
    summarise(&history, at(32 * HOUR_S));
    assert!(before.len() > 1000 && minutes_told() == before);
    let mut late = Rows::default();
    late.push(SignalId(3), at(HOUR_S + 9), 777.0, StatusCode::GOOD, Quality::LATE, 0);
    let body = RecordBody::Data(Frame { now: at(32 * HOUR_S), rows: late, ..Frame::default() });
    history.seal(&[Record { lsn: Lsn(271), body }]).unwrap();
    for _ in 0..2 {
        summarise(&history, at(33 * HOUR_S));
        let blended = told(&history, 3, Unit::Hour, at(0), at(4 * HOUR_S));
        assert_eq!(blended.len(), 4);
        assert_eq!(format!("{:?}", [&blended[0], &blended[2]]), format!("{:?}", [&hours[0], &hours[2]]));
        let (one, was) = (blended[1].summary.as_ref().unwrap(), hours[1].summary.as_ref().unwrap());
        assert_eq!((one.rows(), one.greatest.unwrap().value, one.is_blended), (was.rows() + 1, 777.0, true));
    }
}

#[test]
fn what_is_damaged_is_set_aside_and_made_anew_while_samples_are_read() {
    for damage in ["gone", "empty", "older"] {
        let (folder, older) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let history = three_hours(folder.path());
        summarise(&history, at(2 * HOUR_S + 1800));
        drop(history);
        copy_folder(&folder.path().join("sums"), older.path());
        let history = SledHistory::open(folder.path()).unwrap();
        summarise(&history, at(4 * HOUR_S + 300));
        assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)).len(), 4);
        drop(history);
        let month = folder.path().join("sums").join(&at(0).to_string()[..7]);
        match damage {
            "gone" => std::fs::remove_dir_all(&month).unwrap(),
            "empty" => std::fs::write(month.join("db"), "").unwrap(),
            _ => copy_folder(older.path(), &folder.path().join("sums")),
        }
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)), [], "{damage}");
        assert!(!range(&history, SignalId(3), at(0), at(HOUR_S)).unwrap().is_empty(), "{damage}");
        summarise(&history, at(4 * HOUR_S + 300));
        assert_eq!(tells_what_samples_say(&history, 0..SIGNALS, at(0), at(9 * HOUR_S)), 4 * 40 + 240, "{damage}");
        assert!(history.verify().faults.is_empty(), "{damage}");
    }
}

#[test]
fn a_copy_has_them_too_and_months_go_with_time() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let history = three_hours(folder.path());
    summarise(&history, at(4 * HOUR_S + 300));
    history.back_up(copy.path(), |_| Ok(())).unwrap();
    let copied = SledHistory::open(copy.path()).unwrap();
    let looked = copied.verify();
    assert!(looked.faults.is_empty(), "{:?}", looked.faults);
    assert_eq!((looked.summaries.hours, looked.summaries.minutes), (4 * u64::from(SIGNALS), 210));
    assert_eq!(told(&copied, 3, Unit::Hour, at(0), at(9 * HOUR_S)).len(), 4);
    history.retain_summaries(at(9000 * HOUR_S)).unwrap();
    assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)).len(), 4, "the newest stays");
    history.retain_summaries(Instant::MAX).unwrap();
    assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)), []);
    assert!(std::fs::read_dir(folder.path().join("sums")).unwrap().next().is_none());
}

#[test]
fn samples_of_any_time_and_order_come_to_what_they_say() {
    for seed in 1..6 {
        let folder = tempfile::tempdir().unwrap();
        let history = SledHistory::open(folder.path()).unwrap();
        let written = records(seed, 300, 30);
        let last = Instant::from_s(super::made::START_S + 400 * HOUR_S);
        for (part, now_s) in written.chunks(40).zip(1..) {
            history.seal(part).unwrap();
            summarise(&history, Instant::from_s(super::made::START_S + now_s * HOUR_S));
        }
        let from = Instant::from_s(super::made::START_S - 400 * HOUR_S);
        let count = tells_what_samples_say(&history, (0..5).map(|n| n * 1000), from, last);
        assert!(count > 5, "{count}");
        assert!(history.verify().faults.is_empty());
    }
}

#[test]
fn a_day_that_is_damaged_stops_summaries_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    drop(three_hours(folder.path()));
    let day = folder.path().join("ts").join(Slot::first_of(at(0)).to_string());
    std::fs::remove_dir_all(&day).unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    summarise(&history, at(4 * HOUR_S + 300));
    assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)), []);
    assert!(!history.summarise(at(9 * HOUR_S)).unwrap());
}

/// The same with another signal, whose clock says something else.
pub fn with_clock_of(records: Vec<Record>, signal: u32, clock: impl Fn(u64) -> Instant) -> Vec<Record> {
    let add = |mut record: Record| {
        if let RecordBody::Data(frame) = &mut record.body {
            let time = clock(record.lsn.0);
            frame.rows.push(SignalId(signal), time, record.lsn.0 as f64, StatusCode::GOOD, Quality::NONE, 0);
        }
        record
    };
    records.into_iter().map(add).collect()
}

#[test]
fn a_clock_that_was_never_set_has_only_its_own_hours_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    // As of a device that begins at 2000-01-01 whenever it is switched on.
    let clock = |lsn: u64| Instant::from_s(946_684_800 + i64::try_from(lsn).unwrap() * 60);
    let written = with_clock_of(minutes(1, START_S, 600, Quality::NONE), 77, clock);
    for part in written.chunks(10) {
        history.seal(part).unwrap();
        summarise(&history, at(i64::try_from(part[9].lsn.0).unwrap() * 60));
    }
    let hour = u32::try_from((START_S / HOUR_S) + 5).unwrap();
    assert_eq!(history.buckets().touching(hour, hour).unwrap().len(), 6, "those of one hour, of 60");
    assert_eq!(
        tells_what_samples_say(&history, [3, 7].into_iter(), at(0), at(10 * HOUR_S)),
        9 * 2 + 540,
        "the tenth is not past"
    );
    assert_eq!(tells_what_samples_say(&history, [77].into_iter(), clock(0), clock(600)), 10);
    assert!(history.verify().faults.is_empty());
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(history.buckets().touching(hour, hour).unwrap().len(), 6);
}

#[test]
fn of_a_device_that_makes_up_its_times_samples_tell() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let clock = |lsn: u64| Instant::from_s(946_684_800 + i64::try_from(lsn * 7919 % 4000).unwrap() * 86_400);
    let written = with_clock_of(minutes(1, START_S, 120, Quality::NONE), 77, clock);
    for part in written.chunks(10) {
        history.seal(part).unwrap();
        summarise(&history, at(3 * HOUR_S));
    }
    let months = history.sums().months().len();
    assert!((13..=25).contains(&months), "two for each bucket at the most, and its own: {months}");
    assert_eq!(tells_what_samples_say(&history, [3, 7].into_iter(), at(0), at(10 * HOUR_S)), 2 * 2 + 120);
    let (from, to) = (Instant::from_s(946_684_800), Instant::from_s(1_300_000_000));
    assert!(tells_what_samples_say(&history, [77].into_iter(), from, to) > 12);
    assert!(history.verify().faults.is_empty());
}

/// A frame of late values of one signal.
fn late(lsn: u64, signal: u32, quality: Quality, times: impl Iterator<Item = i64>) -> Record {
    let mut rows = Rows::default();
    times.for_each(|s| rows.push(SignalId(signal), at(s), 777.0, StatusCode::GOOD, quality, 0));
    Record { lsn: Lsn(lsn), body: RecordBody::Data(Frame { now: at(0), rows, ..Frame::default() }) }
}

#[test]
fn months_that_a_bucket_was_too_wide_for_are_made_with_all_their_signals_later() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    // As imported from a table that is sorted by signal: half a year of one, then of one of another block.
    let half_a_year = || (-180..0).map(|day| day * 24 * HOUR_S);
    for (signal, lsn) in [(3, 1), (70, 2), (140, 3)] {
        history.seal(&[late(lsn, signal, Quality::LATE, half_a_year())]).unwrap();
        summarise(&history, at(HOUR_S));
    }
    let count = tells_what_samples_say(&history, [3, 70, 140].into_iter(), at(-200 * 24 * HOUR_S), at(HOUR_S));
    assert_eq!(count, 3 * 180);
}

#[test]
fn a_month_that_was_dropped_before_its_samples_is_made_with_all_its_signals() {
    let folder = tempfile::tempdir().unwrap();
    let history = three_hours(folder.path());
    let before = (-45..-35).map(|day| day * 24 * HOUR_S);
    history.seal(&[late(211, 3, Quality::LATE, before.clone())]).unwrap();
    summarise(&history, at(4 * HOUR_S + 300));
    history.retain_summaries(at(0)).unwrap();
    assert_eq!(told(&history, 3, Unit::Hour, at(-60 * 24 * HOUR_S), at(-24 * HOUR_S)), []);
    history.seal(&[late(212, 70, Quality::LATE, before)]).unwrap();
    summarise(&history, at(4 * HOUR_S + 300));
    let count = tells_what_samples_say(&history, [3, 70].into_iter(), at(-60 * 24 * HOUR_S), at(-24 * HOUR_S));
    assert_eq!(count, 2 * 10);
}

#[test]
fn a_value_that_stood_since_before_the_samples_that_are_kept_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let set = [late(1, 3, Quality::NONE, [9].into_iter())];
    history.seal(&set).unwrap();
    minutes(2, START_S + 30 * HOUR_S, 60, Quality::NONE).chunks(10).for_each(|part| history.seal(part).unwrap());
    summarise(&history, at(32 * HOUR_S));
    let before = told(&history, 3, Unit::Hour, at(0), at(HOUR_S));
    history.retain(at(24 * HOUR_S)).unwrap();
    history.retain(at(24 * HOUR_S)).unwrap();
    assert!(range(&history, SignalId(3), at(0), at(HOUR_S)).unwrap().is_empty(), "the day has gone");
    for lsn in 62..65 {
        // Its server tells it again whenever it is connected to.
        let mut again = late(lsn, 3, Quality::INITIAL, [9].into_iter());
        if let RecordBody::Data(frame) = &mut again.body {
            frame.now = at(33 * HOUR_S);
        }
        history.seal(&[again]).unwrap();
        summarise(&history, at(34 * HOUR_S));
        let after = told(&history, 3, Unit::Hour, at(0), at(HOUR_S));
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
    }
    assert_eq!(before[0].summary.as_ref().unwrap().rows(), 1);
}

#[test]
fn what_came_late_while_the_clock_lay_behind_is_summarised_once_it_is_right_again() {
    let folder = tempfile::tempdir().unwrap();
    let history = three_hours(folder.path());
    summarise(&history, at(4 * HOUR_S + 300));
    // What a lost source had, fetched when the machine's clock had been set back by twenty days.
    history.seal(&[late(211, 70, Quality::LATE, (0..4).map(|hour| hour * HOUR_S + 9))]).unwrap();
    summarise(&history, at(4 * HOUR_S + 600 - 20 * 24 * HOUR_S));
    tells_what_samples_say(&history, [3, 70].into_iter(), at(0), at(9 * HOUR_S));
    summarise(&history, at(4 * HOUR_S + 900));
    assert_eq!(tells_what_samples_say(&history, [3, 70].into_iter(), at(0), at(9 * HOUR_S)), 4 + 4);
}

#[test]
fn what_the_system_refuses_stops_summaries_alone() {
    let folder = tempfile::tempdir().unwrap();
    let history = three_hours(folder.path());
    // Nothing can be made in what is no folder.
    std::fs::write(folder.path().join("sums"), "").unwrap();
    assert!(history.summarise(at(4 * HOUR_S)).unwrap());
    summarise(&history, at(4 * HOUR_S));
    let told_of = history.given_up();
    assert!(
        told_of.len() == 1 && told_of[0].contains("sums") && told_of[0].contains("nothing is summarised"),
        "{told_of:?}"
    );
    assert_eq!(told(&history, 3, Unit::Hour, at(0), at(9 * HOUR_S)), []);
    history.seal(&minutes(211, START_S + 210 * 60, 10, Quality::NONE)).unwrap();
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    assert!(!range(&history, SignalId(3), at(0), at(HOUR_S)).unwrap().is_empty());
    summarise(&history, at(4 * HOUR_S));
    assert_eq!(history.given_up().len(), 1);
}
