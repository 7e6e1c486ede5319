//! Sealed records are read back as they were, by place and by time.

use proptest::prelude::*;
use watchfire_model::{Frame, Instant, Lsn, Quality, Record, RecordBody, Rows, SignalId, StatusCode};
use watchfire_pipeline::{History, Page, PortError, RecordReader, Wanted};

use super::made::{START_S, all, bits, range, records};
use crate::SledHistory;

const DAY_S: i64 = 86_400;

fn sealed_in(folder: &std::path::Path, written: &[Record], cut: usize) -> SledHistory {
    let history = SledHistory::open(folder).unwrap();
    written.chunks(cut).for_each(|part| history.seal(part).unwrap());
    history
}

#[test]
fn records_read_back_bit_for_bit_across_days_restarts_and_repeated_seals() {
    for (seed, step_s) in [(1, 1), (2, 20_000), (3, 40_000)] {
        let folder = tempfile::tempdir().unwrap();
        let written = records(seed, 120, step_s);
        for part in written.chunks(37) {
            let history = SledHistory::open(folder.path()).unwrap();
            history.seal(part).unwrap();
            history.seal(part).unwrap();
            let read = all(&history, Lsn(1), 50);
            assert_eq!(bits(&read), bits(&written[..read.len()]), "seed {seed}");
        }
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(history.sealed(), Lsn(120));
        for (from, step) in [(1, 50), (1, 0), (77, 1), (77, usize::MAX), (120, 5)] {
            assert_eq!(
                bits(&all(&history, Lsn(from as u64), step)),
                bits(&written[from - 1..]),
                "seed {seed} from {from}"
            );
        }
        assert!(history.read(Lsn(121), 10).unwrap().is_empty());
    }
}

#[test]
fn a_read_holds_about_as_many_rows_as_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let history = sealed_in(folder.path(), &records(8, 200, 1), 60);
    let rows = |records: &[Record]| -> usize {
        records.iter().map(|r| if let RecordBody::Data(frame) = &r.body { frame.rows.len() } else { 0 }).sum()
    };
    for most in [1, 40, 300] {
        let read = history.read(Lsn(1), most).unwrap();
        assert!(rows(&read) <= most.max(30) && rows(&read) + 30 >= most.min(rows(&read) + 30), "{most}");
    }
    assert!(history.read(Lsn(1), 300).unwrap().len() > history.read(Lsn(1), 40).unwrap().len());
}

#[test]
fn a_range_is_what_a_plain_search_finds() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(5, 200, 600);
    let history = sealed_in(folder.path(), &written, 40);
    let ns = |s: i64| (START_S + s) * 1_000_000_000;
    let day = DAY_S * 1_000_000_000;
    for (from, to) in [
        (i64::MIN, i64::MAX),
        (ns(600), ns(2_000)),
        (ns(0) - day, ns(0) + day),
        (0, 1),
        (i64::MIN, i64::MIN + 1),
        (5, 5),
        (9, 1),
    ] {
        let (from, to) = (Instant::from_ns(from), Instant::from_ns(to));
        for signal in (0..6).map(|id| SignalId(id * 1000)) {
            let mut expected = Vec::new();
            for record in &written {
                let RecordBody::Data(frame) = &record.body else { continue };
                for row in 0..frame.rows.len() {
                    let time = frame.rows.time[row];
                    if frame.rows.signal[row] == signal && time >= from && time < to {
                        expected.push((time, record.lsn, row, row_of(&frame.rows, row)));
                    }
                }
            }
            expected.sort_by_key(|found| (found.0, found.1, found.2));
            let rows = range(&history, signal, from, to).unwrap();
            rows.check().unwrap();
            let each = |rows: &Rows| (0..rows.len()).map(|row| row_of(rows, row)).collect::<Vec<_>>();
            let expected: Vec<_> = expected.into_iter().map(|expected| expected.3).collect();
            assert_eq!(each(&rows), expected);
            for bytes_max in [1, 250, 20_000] {
                let mut wanted = Wanted { signal, from, to, upto: history.sealed(), bytes_max };
                let mut paged = Vec::new();
                loop {
                    let Page { rows, rest } = history.range(&wanted).unwrap();
                    rows.check().unwrap();
                    paged.extend(each(&rows));
                    // A single text here has up to 9,000 bytes.
                    assert!(rows.weight() < bytes_max + 20_000, "{} bytes for {bytes_max}", rows.weight());
                    assert!(rest.is_none() || !rows.is_empty());
                    let Some(rest) = rest else { break };
                    wanted.from = rest;
                }
                assert_eq!(paged, expected, "in pages of {bytes_max}");
            }
        }
    }
}

#[test]
fn a_range_up_to_a_place_has_nothing_that_was_sealed_later() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(5, 200, 600);
    let history = sealed_in(folder.path(), &written[..80], 40);
    let (signal, from, to, upto) = (SignalId(0), Instant::MIN, Instant::MAX, history.sealed());
    let wanted = Wanted { signal, from, to, upto, bytes_max: usize::MAX };
    let before = history.range(&wanted).unwrap().rows;
    written[80..].chunks(30).for_each(|part| history.seal(part).unwrap());
    assert_eq!(history.range(&wanted).unwrap().rows.time, before.time);
    assert!(range(&history, signal, from, to).unwrap().len() > before.len());
}

fn row_of(rows: &watchfire_model::Rows, row: usize) -> impl PartialEq + std::fmt::Debug + use<> {
    let text = rows.text_at(row).map(str::to_owned);
    let marks = (rows.status[row], rows.quality[row], rows.skew_ns_at(row), rows.exact_at(row), text);
    (rows.signal[row], rows.time[row], rows.value[row].to_bits(), marks)
}

#[test]
fn what_is_too_old_goes_by_whole_days_and_its_control_records_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(4, 60, 20_000);
    let history = sealed_in(folder.path(), &written, 10);
    let states = history.alarm_states().unwrap();
    let days = || std::fs::read_dir(folder.path().join("ts")).unwrap().count();
    let before = days();
    history.read(Lsn(1), 1).unwrap();
    for left in [before - 1, before - 2] {
        history.retain(Instant::from_s(START_S + 4 * DAY_S)).unwrap();
        assert_eq!(days(), left, "one at a time");
    }
    let oldest = history.read(Lsn(1), 1).unwrap()[0].lsn;
    assert!(
        matches!(written[usize::try_from(oldest.0).unwrap() - 1].body, RecordBody::Data(_)),
        "a frame is the oldest"
    );
    assert!(oldest > Lsn(1));
    let kept = &written[usize::try_from(oldest.0 - 1).unwrap()..];
    assert_eq!(bits(&all(&history, oldest, 50)), bits(kept));
    assert_eq!(history.alarm_states().unwrap(), states);
    let left = days();
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(history.read(Lsn(1), 1).unwrap()[0].lsn, oldest);
    assert_eq!(days(), left);
    let newest = written.iter().rev().find_map(|r| if let RecordBody::Data(f) = &r.body { Some(f.now) } else { None });
    (0..left + 3).for_each(|_| history.retain(newest.unwrap()).unwrap());
    assert_eq!((days(), history.sealed()), (1, Lsn(60)));
}

#[test]
fn the_oldest_days_go_when_there_is_less_room_than_they_take_but_never_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let written = records(30, 200, 2000);
    written.chunks(20).for_each(|part| history.seal(part).unwrap());
    let (days, bytes) = (history.counted().1, history.sizes().unwrap().disk_bytes);
    assert!(days.len() > 2);
    assert!(!history.retain_within(bytes).unwrap(), "there is room for all");
    assert!(history.retain_within(bytes - 1).unwrap());
    let left = history.counted().1;
    assert_eq!(left.keys().collect::<Vec<_>>(), days.keys().skip(1).collect::<Vec<_>>());
    assert!(!history.retain_within(bytes - 1).unwrap(), "that was enough");
    while history.retain_within(0).unwrap() {}
    assert_eq!(history.counted().1.keys().collect::<Vec<_>>(), days.keys().last().into_iter().collect::<Vec<_>>());
    assert_eq!(history.verify().faults.len(), 0);
    drop(history);
    let first = SledHistory::open(folder.path()).unwrap().read(Lsn(1), 10).unwrap();
    assert!(first[0].lsn > Lsn(100));
}

#[test]
fn a_clock_by_which_all_is_too_old_at_once_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(4, 60, 20_000);
    drop(sealed_in(folder.path(), &written[..40], 10));
    let history = SledHistory::open(folder.path()).unwrap();
    let days = || std::fs::read_dir(folder.path().join("ts")).unwrap().count();
    let before = days();
    let wrong = Instant::parse("2099-01-01").unwrap();
    for _ in 0..2 {
        let refused = history.retain(wrong).unwrap_err();
        assert!(matches!(&refused, PortError::Implausible(why) if why.contains("2099-01-01")), "{refused}");
    }
    assert_eq!(days(), before);
    // What the gateway records by a clock makes that clock believable the next time, also after a long rest.
    history.seal(&written[40..]).unwrap();
    let now = written.iter().rev().find_map(|r| if let RecordBody::Data(f) = &r.body { Some(f.now) } else { None });
    let before = days();
    history.retain(now.unwrap()).unwrap_err();
    history.retain(now.unwrap()).unwrap();
    assert_eq!(days(), before - 1);
}

#[test]
fn readers_and_a_writer_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(11, 300, 2_000);
    let history = SledHistory::open(folder.path()).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    while history.sealed() < Lsn(300) {
                        let sealed = history.sealed();
                        let read = all(&history, Lsn(1), 500);
                        assert!(read.len() as u64 >= sealed.0);
                        assert_eq!(bits(&read), bits(&written[..read.len()]));
                        range(&history, SignalId(0), Instant::MIN, Instant::MAX).unwrap();
                    }
                })
            })
            .collect();
        written.chunks(30).for_each(|part| history.seal(part).unwrap());
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn any_records_cut_anywhere_are_read_back(seed: u64, cut in 5..40_usize, step_s in prop_oneof![Just(0), 0..100_000_i64, any::<i64>()]) {
        let folder = tempfile::tempdir().unwrap();
        let written = records(seed, 40, step_s);
        let history = sealed_in(folder.path(), &written, cut);
        prop_assert_eq!(bits(&all(&history, Lsn(1), 64)), bits(&written));
        let rows: usize = written.iter().map(|r| if let RecordBody::Data(frame) = &r.body { frame.rows.len() } else { 0 }).sum();
        let found = (0..5).map(|id| range(&history, SignalId(id * 1000), Instant::MIN, Instant::MAX).unwrap().len());
        prop_assert_eq!(found.sum::<usize>(), rows);
    }
}

/// Clocks are set by an hour shortly before the end of a day: what was received goes on, times of samples do not.
#[test]
fn a_range_finds_what_was_received_while_clocks_were_set_by_an_hour() {
    const HOUR_S: i64 = 3600;
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let (mut written, mut expected) = (Vec::new(), Vec::new());
    let (mut server_s, mut now_s) = (START_S + DAY_S - START_S % DAY_S - 2 * HOUR_S, 0);
    for n in 0..1_200_i64 {
        server_s += 30
            + match n {
                200 | 900 => HOUR_S,
                400 | 600 => -HOUR_S,
                _ => 0,
            };
        now_s = (now_s + 30).max(server_s);
        let mut rows = Rows::default();
        rows.push(SignalId(1), Instant::from_s(server_s), n as f64, StatusCode::GOOD, Quality::NONE, 0);
        expected.push((server_s, n));
        let frame = Frame { now: Instant::from_s(now_s), rows, ..Frame::default() };
        written.push(Record { lsn: Lsn(n.unsigned_abs() + 1), body: RecordBody::Data(frame) });
    }
    written.chunks(90).for_each(|part| history.seal(part).unwrap());
    assert!(history.counted().1.len() > 1);
    expected.sort_unstable();
    let (first, last) = (expected[0].0, expected[expected.len() - 1].0);
    for from_s in (first - HOUR_S..last + HOUR_S).step_by(1_700) {
        for length_s in [1, 500, HOUR_S, 5 * HOUR_S, DAY_S] {
            let rows =
                range(&history, SignalId(1), Instant::from_s(from_s), Instant::from_s(from_s + length_s)).unwrap();
            let found =
                rows.time.iter().map(|time| time.ns() / 1_000_000_000).zip(rows.value.iter().map(|v| *v as i64));
            let within = expected.iter().filter(|(time, _)| (from_s..from_s + length_s).contains(time)).copied();
            assert_eq!(found.collect::<Vec<_>>(), within.collect::<Vec<_>>(), "{length_s} s from {from_s}");
        }
    }
    assert!(history.verify().faults.is_empty());
}
