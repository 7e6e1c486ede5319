//! What the store of record promises: what is sealed reads back bit for bit, in order, whatever happened in between.

use std::collections::BTreeMap;

use proptest::prelude::*;
use watchfire_model::{
    AlarmState, ConditionKey, Control, Decided, DetectorOrigin, Frame, Gap, GapCause, Instant, Lsn, Quality, Record,
    RecordBody, Rows, SignalId, StatusCode,
};
use watchfire_pipeline::{Checkpoint, History, PortError, RecordReader};

use crate::SledHistory;
use crate::chunk::Chunk;

const DAY_S: i64 = 86_400;

/// A small generator: tests say their seed, not their data.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn frame(dice: &mut Dice, now: Instant) -> Frame {
    let mut rows = Rows::default();
    for _ in 0..dice.roll(30) {
        let signal = SignalId(u32::try_from(dice.roll(5)).unwrap());
        let late = i64::try_from(dice.roll(200_000_000_000)).unwrap();
        let odd = [f64::NAN, -0.0, f64::INFINITY, f64::MIN_POSITIVE / 3.0, 0.1, 1e300];
        let value = odd[usize::try_from(dice.roll(6)).unwrap()];
        let status = StatusCode(if dice.roll(4) == 0 { 0x8031_0000 } else { 0 });
        let quality = if dice.roll(9) == 0 { Quality::LATE } else { Quality::NONE };
        let skew = i64::try_from(dice.roll(3)).unwrap() - 1;
        rows.push(signal, Instant::from_ns(now.ns() - late), value, status, quality, skew);
        match dice.roll(12) {
            0 => rows.set_text("some \u{1f525} text".repeat(usize::try_from(dice.roll(3)).unwrap())),
            1 => rows.set_exact(i64::MIN + i64::try_from(dice.roll(9)).unwrap()),
            _ => {}
        }
    }
    if rows.skew_ns.iter().all(|skew| *skew == 0) {
        rows.skew_ns.clear();
    }
    let gap = Gap { signal: None, since: Instant::MIN, until: now, cause: GapCause::SourceLost };
    let gaps = if dice.roll(6) == 0 { vec![gap] } else { vec![] };
    Frame { now, utc_offset_s: 3600, mode: u32::try_from(dice.roll(3)).unwrap(), rows, gaps }
}

fn state(dice: &mut Dice) -> AlarmState {
    let long = if dice.roll(5) == 0 { 15_000 } else { 40 };
    let byte = u8::try_from(dice.roll(200)).unwrap();
    AlarmState { key: ConditionKey::new("hot", "high", &format!("s/{}", dice.roll(3))), state: vec![byte; long] }
}

fn records(seed: u64, count: u64, step_s: i64) -> Vec<Record> {
    let mut dice = Dice(seed);
    let mut now = Instant::from_s(1_800_000_000);
    let body = |lsn: u64, dice: &mut Dice| match dice.roll(8) {
        0 => RecordBody::Control(Control::DetectorStarted {
            binding: "hot".into(),
            digest: "d".into(),
            config_hash: "c".repeat(7_000),
            origin: DetectorOrigin::Fresh(Lsn(0)),
            seed: 1,
        }),
        1 => RecordBody::Decided(Decided {
            binding: "hot".into(),
            frame: Lsn(lsn),
            verdicts: vec![],
            transitions: vec![state(dice), state(dice)],
        }),
        _ => {
            now = Instant::from_ns(now.ns() + step_s * 1_000_000_000 + 1);
            RecordBody::Data(frame(dice, now))
        }
    };
    let mut body = body;
    (1..=count).map(|lsn| Record { lsn: Lsn(lsn), body: body(lsn, &mut dice) }).collect()
}

/// Bit for bit, NaN and −0 included.
fn bits(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(|record| postcard::to_allocvec(&(record.lsn, &record.body)).unwrap()).collect()
}

fn all(history: &SledHistory, from: Lsn) -> Vec<Record> {
    let mut found = history.read(from, 50).unwrap();
    while let Some(last) = found.last().map(|record| record.lsn) {
        let more = history.read(last.next(), 50).unwrap();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
    found
}

#[test]
fn sealed_records_read_back_bit_for_bit_across_days_and_restarts() {
    for (seed, step_s) in [(1, 1), (2, 20_000), (3, 90_000)] {
        let folder = tempfile::tempdir().unwrap();
        let written = records(seed, 120, step_s);
        for part in written.chunks(37) {
            let history = SledHistory::open(folder.path()).unwrap();
            history.seal(part).unwrap();
            history.seal(part).unwrap();
        }
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(history.sealed(), Lsn(120));
        assert_eq!(bits(&all(&history, Lsn(1))), bits(&written), "seed {seed}");
        assert_eq!(bits(&all(&history, Lsn(77))), bits(&written[76..]), "seed {seed}");
        assert!(history.read(Lsn(121), 10).unwrap().is_empty());
    }
}

#[test]
fn a_range_is_what_a_plain_search_finds() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(5, 150, 60);
    let history = SledHistory::open(folder.path()).unwrap();
    written.chunks(40).for_each(|part| history.seal(part).unwrap());
    let base = 1_800_000_000;
    for (from, to) in [(i64::MIN, i64::MAX), ((base + 600) * 1_000_000_000, (base + 2_000) * 1_000_000_000), (0, 1)] {
        let (from, to) = (Instant::from_ns(from), Instant::from_ns(to));
        for signal in (0..6).map(SignalId) {
            let mut expected = Vec::new();
            for record in &written {
                let RecordBody::Data(frame) = &record.body else { continue };
                for row in 0..frame.rows.len() {
                    if frame.rows.signal[row] == signal && frame.rows.time[row] >= from && frame.rows.time[row] < to {
                        let (text, exact) = (frame.rows.text_at(row).map(str::to_owned), frame.rows.exact_at(row));
                        expected.push((
                            frame.rows.time[row],
                            record.lsn,
                            row,
                            frame.rows.value[row].to_bits(),
                            text,
                            exact,
                        ));
                    }
                }
            }
            expected.sort_by_key(|found| (found.0, found.1, found.2));
            let rows = history.range(signal, from, to).unwrap();
            let found: Vec<_> = (0..rows.len())
                .map(|row| {
                    (
                        rows.time[row],
                        rows.value[row].to_bits(),
                        rows.text_at(row).map(str::to_owned),
                        rows.exact_at(row),
                    )
                })
                .collect();
            assert_eq!(found, expected.into_iter().map(|e| (e.0, e.3, e.4, e.5)).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_last_state_of_each_alarm_is_kept_however_long_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(9, 400, 1);
    let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut decided = None;
    for record in &written {
        if let RecordBody::Decided(found) = &record.body {
            found.transitions.iter().for_each(|t| drop(expected.insert(t.key.to_string(), t.state.clone())));
            decided = Some(found.frame);
        }
    }
    let history = SledHistory::open(folder.path()).unwrap();
    written.chunks(50).for_each(|part| history.seal(part).unwrap());
    let found = history.alarm_states().unwrap().into_iter().map(|s| (s.key.to_string(), s.state));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(history.decided().unwrap().get("hot").copied(), decided);
}

#[test]
fn ids_are_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let first = SledHistory::open(folder.path()).unwrap().signal_ids(&names("a b c")).unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let second = history.signal_ids(&names("d c a")).unwrap();
    assert_eq!((second[1], second[2]), (first[2], first[0]));
    assert!(!first.contains(&second[0]));
    assert_eq!(history.known_signals().unwrap().len(), 4);
}

#[test]
fn a_checkpoint_replaces_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let of = |frame: u64, size: usize| Checkpoint {
        binding: "hot".into(),
        plugin: "limit".into(),
        state_version: 1,
        config_hash: "c".into(),
        frame: Lsn(frame),
        bytes: vec![u8::try_from(frame).unwrap(); size],
        host: vec![9; 10],
    };
    for checkpoint in [of(1, 50_000), of(2, 0), of(3, 7)] {
        let history = SledHistory::open(folder.path()).unwrap();
        history.save_checkpoint(&checkpoint).unwrap();
        history.save_checkpoint(&Checkpoint { binding: "hotter".into(), ..of(9, 3) }).unwrap();
        drop(history);
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(history.load_checkpoint("hot").unwrap(), Some(checkpoint));
    }
    assert_eq!(SledHistory::open(folder.path()).unwrap().load_checkpoint("cold").unwrap(), None);
}

#[test]
fn what_is_too_old_goes_by_whole_days() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(4, 60, 20_000);
    let history = SledHistory::open(folder.path()).unwrap();
    written.chunks(10).for_each(|part| history.seal(part).unwrap());
    let days = || std::fs::read_dir(folder.path().join("ts")).unwrap().count();
    let before = days();
    let cut = Instant::from_s(1_800_000_000 + 4 * DAY_S);
    history.retain(cut).unwrap();
    assert!(days() < before && days() > 0);
    let oldest = history.read(Lsn(1), 1).unwrap()[0].lsn;
    assert!(oldest > Lsn(1));
    assert_eq!(bits(&all(&history, oldest)), bits(&written[usize::try_from(oldest.0 - 1).unwrap()..]));
    drop(history);
    assert_eq!(SledHistory::open(folder.path()).unwrap().read(Lsn(1), 1).unwrap()[0].lsn, oldest);
}

#[test]
fn a_store_that_has_gone_back_in_time_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    history.seal(&records(1, 20, 1)).unwrap();
    drop(history);
    std::fs::write(folder.path().join("sealed"), "21\n").unwrap();
    let refused = SledHistory::open(folder.path()).unwrap_err();
    assert!(
        matches!(&refused, PortError::Damaged { detail, .. } if detail.contains("20") && detail.contains("21")),
        "{refused}"
    );
}

#[test]
fn a_hole_is_refused_and_a_truncated_store_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let written = records(1, 20, 1);
    assert!(history.seal(&written[3..]).is_err());
    history.seal(&written).unwrap();
    drop(history);
    let file = folder.path().join("ctl/db");
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length / 2).unwrap();
    let opened = SledHistory::open(folder.path());
    assert!(opened.is_err(), "a store cut in half must not open as if nothing were");
}

proptest! {
    #[test]
    fn any_chunk_reads_back_bit_for_bit(values in prop::collection::vec(any::<u64>(), 1..300), step in 0..5_i64) {
        let mut chunk = Chunk::default();
        for (row, bits) in values.iter().enumerate() {
            let time = Instant::from_ns(i64::MIN.wrapping_add(i64::try_from(row).unwrap() * step));
            let status = StatusCode(u32::try_from(bits % 3).unwrap());
            let quality = Quality(u8::try_from(bits % 2).unwrap());
            chunk.rows.push(SignalId(3), time, f64::from_bits(*bits), status, quality, i64::from(bits % 5 == 0));
            chunk.record.push(u32::try_from(row).unwrap());
            chunk.row.push(u32::try_from(bits % 9).unwrap());
        }
        let back = Chunk::decode(&chunk.encode().unwrap(), SignalId(3)).unwrap();
        let bits = |chunk: &Chunk| chunk.rows.value.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&back), bits(&chunk));
        prop_assert_eq!((back.record, back.row, back.rows.time), (chunk.record, chunk.row, chunk.rows.time));
        prop_assert_eq!((back.rows.status, back.rows.skew_ns), (chunk.rows.status, chunk.rows.skew_ns));
    }

    #[test]
    fn no_bytes_make_a_chunk_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(Chunk::decode(&bytes, SignalId(0)));
    }
}
