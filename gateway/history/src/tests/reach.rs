//! Gaps and what became of them are found by their signals and hours: nothing is opened or read for whoever asks of
//! others, whatever a device's clock says.

use std::path::Path;

use watchfire_model::{
    Control, Fill, Frame, Gap, GapCause, Instant, Lsn, Quality, Record, RecordBody, SignalId, StatusCode,
};
use watchfire_pipeline::{GapBegins, History};

use super::made::{all, bits, records};
use super::summaries::{START_S, at, minutes};
use super::whole::{all_gaps, change, gaps_of, told};
use crate::SledHistory;
use crate::bucket::{self, from_key};
use crate::ctl::{Kind, named};
use crate::fills::looked;
use crate::gaps::{GapsHead, GapsKnown};
use crate::key_value::{Change, KeyValue};
use crate::slot_entry::set_slot;
use crate::store::Store;

/// As of a device that was never told the time, and of one that is years ahead.
const NEVER_SET: Instant = Instant::from_s(946_684_800);
const AHEAD: Instant = Instant::from_s(4_000_000_000);
const HOUR: i64 = 3600;

fn gap(signal: u32, since: Instant, until: Instant) -> Gap {
    Gap { signal: Some(SignalId(signal)), since, until, cause: GapCause::SourceLost }
}

fn some_later(at: Instant) -> Instant {
    Instant::from_ns(at.ns() + 5_000_000_000)
}

/// Two hours of frames, in each of which three signals have gaps of that minute, and devices whose clocks are wrong some
/// of other years; of one its clock was set meanwhile.
fn two_hours() -> Vec<Record> {
    let mut records = minutes(1, START_S, 120, Quality::NONE);
    for (minute, record) in (0..).zip(&mut records) {
        let RecordBody::Data(frame) = &mut record.body else { continue };
        let now = at(minute * 60);
        frame.gaps = vec![
            gap(1, now, some_later(now)),
            gap(2, now, some_later(now)),
            gap(3, now, some_later(now)),
            gap(70, NEVER_SET, some_later(NEVER_SET)),
            gap(71, AHEAD, some_later(AHEAD)),
            gap(72, NEVER_SET, now),
        ];
    }
    records
}

/// The gaps of some signals that touch a time, and of how many buckets they were read.
fn found(history: &SledHistory, signals: (u32, u32), between: (Instant, Instant)) -> (usize, usize) {
    let before = looked::GAPS.get();
    let (mut count, mut next) = (0, Some(Lsn(1)));
    while let Some(from) = next {
        let signals = Some((SignalId(signals.0), SignalId(signals.1)));
        let more = history.gaps(from, history.sealed(), signals, between).unwrap();
        count += more.gaps.len();
        next = more.rest;
    }
    (count, looked::GAPS.get() - before)
}

#[test]
fn wrong_clocks_open_no_day_and_no_bucket_for_whoever_asks_for_gaps_of_another_time() {
    for slot_bytes in [1, u64::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let history = SledHistory::open(folder.path()).unwrap().with_slots_of(slot_bytes);
        two_hours().chunks(10).for_each(|part| history.seal(part).unwrap());
        drop(history);
        let history = SledHistory::open(folder.path()).unwrap();
        let (known, slots) = (history.counted().1, if slot_bytes == 1 { 12 } else { 1 });
        let open = || known.keys().filter(|slot| history.days().is_open(**slot)).count();
        assert_eq!((known.len(), open()), (slots, 0));
        // A year in between, and one after all.
        for year_s in [-20 * 365 * 86_400, 365 * 86_400] {
            let begin = at(year_s);
            assert_eq!((found(&history, (0, 63), (begin, some_later(begin))), open()), ((0, 0), 0));
        }
        let second_hour = (at(HOUR), at(2 * HOUR));
        let of_second_hour = known.len() / 2;
        let (count, read) = found(&history, (1, 2), second_hour);
        assert_eq!((count, read), (120, 6));
        assert_eq!(open(), of_second_hour.max(1));
        // Nor for whoever asks of other signals at the same time, but those between.
        assert_eq!(found(&history, (73, 900), second_hour), (0, 0));
        // Who asks of those devices finds all of it.
        assert_eq!(found(&history, (70, 70), (NEVER_SET, NEVER_SET)), (120, 12));
        assert_eq!(found(&history, (71, 71), (AHEAD, AHEAD)), (120, 12));
        assert_eq!(found(&history, (72, 72), (at(-86_400), at(-86_399))), (120, 12));
        assert_eq!(history.verify().faults.len(), 0);
    }
}

/// So many times what became of a gap of an hour each, of two signals, and of a device whose clock was never set.
fn fills(count: u64) -> Vec<Record> {
    let fill = |signal, since| Fill {
        signal: SignalId(signal),
        since,
        until: some_later(since),
        values: 1,
        status: StatusCode::GOOD,
    };
    let body = |hour: u64| {
        let begin = at(i64::try_from(hour).unwrap() * HOUR);
        let fills = vec![fill(5, begin), fill(6, begin), fill(70, NEVER_SET)];
        RecordBody::Control(Control::Filled { source: "s".into(), fills })
    };
    let frame = RecordBody::Data(Frame { now: at(0), ..Frame::default() });
    let bodies = (0..count).map(body).chain([frame]);
    (1..).zip(bodies).map(|(lsn, body)| Record { lsn: Lsn(lsn), body }).collect()
}

/// The places of what tells of a gap, and how many records were read for it.
fn told_of(history: &SledHistory, signal: u32, begin: Instant) -> (Vec<u64>, usize) {
    let before = looked::FILLS.get();
    let begins = GapBegins::of([(SignalId(signal), begin)].into_iter());
    let found = history.filled(Lsn(1), history.sealed(), begins.as_ref(), usize::MAX).unwrap();
    (found.iter().map(|record| record.lsn.0).collect(), looked::FILLS.get() - before)
}

#[test]
fn what_became_of_a_gap_is_read_where_it_may_be_told_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    // More than are looked at together.
    history.seal(&fills(1_500)).unwrap();
    for _ in 0..2 {
        assert_eq!(told_of(&history, 5, at(700 * HOUR)), (vec![701], 1));
        assert_eq!(told_of(&history, 6, at(1_400 * HOUR + 2)), (vec![1_401], 1));
        assert_eq!(told_of(&history, 99, at(700 * HOUR)), (vec![], 0));
        assert_eq!(told_of(&history, 5, at(-9 * HOUR)), (vec![], 0));
        assert_eq!(told_of(&history, 70, NEVER_SET).1, 1_500);
    }
    // What lies together is passed over as a whole from then on, wherever it is begun to look.
    for (signal, begin, from, listed) in [
        (99, at(700 * HOUR), 1, 476),
        (5, at(1_400 * HOUR), 1, 476),
        (5, at(1_400 * HOUR), 1_000, 476),
        (5, at(700 * HOUR), 1, 1_024),
        (5, at(700 * HOUR), 700, 325),
    ] {
        let before = looked::LISTED.get();
        let begins = GapBegins::of([(SignalId(signal), begin)].into_iter());
        let found = history.filled(Lsn(from), history.sealed(), begins.as_ref(), 1).unwrap();
        assert_eq!((found.len(), looked::LISTED.get() - before), (usize::from(signal == 5), listed));
    }
    let all = history.filled(Lsn(1), history.sealed(), None, 1_300).unwrap();
    assert_eq!(all.iter().map(|record| record.lsn.0).collect::<Vec<_>>(), (1..=1_300).collect::<Vec<_>>());
    assert_eq!(history.verify().faults.len(), 0);
}

/// As layout 5 had it: one span of the gaps of buckets and slots, and the places alone of what became of them.
fn as_layout_5(folder: &Path) {
    let history = SledHistory::open(folder).unwrap();
    let days = history.counted().1;
    drop(history);
    let without = |known: GapsKnown| GapsKnown { reach: None, ..known };
    for (day, entry) in &days {
        let heads = |store: &Store| {
            let mut changes = Vec::new();
            let mut at = bucket::after(store, Lsn(0)).unwrap();
            while let Some(head) = at {
                let gaps = head.gaps.map(|gaps| GapsHead { known: without(gaps.known), ..gaps });
                changes.push(Change::Put(from_key(head.first), bucket::Head { gaps, ..head }.encode()));
                at = bucket::after(store, head.last).unwrap();
            }
            changes
        };
        change(folder, &format!("ts/{day}"), heads, false);
        let entry = crate::days::SlotEntry { gaps: entry.gaps.map(without), ..*entry };
        change(folder, "ctl", |_| vec![set_slot(*day, &entry)], true);
    }
    let places = |store: &Store| {
        let found = store.range(b"f", b"g", usize::MAX).unwrap();
        assert!(found.iter().any(|(_, reach)| !reach.is_empty()));
        found.into_iter().map(|(key, _)| Change::Put(key, Vec::new())).collect()
    };
    change(folder, "ctl", places, true);
    change(folder, "ctl", |_| vec![Change::Put(named(Kind::Meta, "schema"), vec![5])], true);
}

#[test]
fn gaps_of_an_earlier_layout_are_found_as_ever_and_what_became_of_them_by_signals_and_hours() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(20, 200, 600);
    let history = SledHistory::open(folder.path()).unwrap();
    written[..100].chunks(40).for_each(|part| history.seal(part).unwrap());
    drop(history);
    as_layout_5(folder.path());
    let history = SledHistory::open(folder.path()).unwrap();
    assert!(history.counted().1.values().any(|entry| entry.gaps.is_some_and(|gaps| gaps.reach.is_none())));
    assert_eq!(all_gaps(&history), gaps_of(&written[..100]));
    written[100..].chunks(40).for_each(|part| history.seal(part).unwrap());
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(all_gaps(&history), gaps_of(&written));
    assert_eq!(bits(&all(&history, Lsn(1), 1000)), bits(&written));
    drop(history);
    assert_eq!(told(folder.path()), Vec::<String>::new());

    let folder = tempfile::tempdir().unwrap();
    SledHistory::open(folder.path()).unwrap().seal(&fills(40)).unwrap();
    as_layout_5(folder.path());
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(told_of(&history, 5, at(7 * HOUR)), (vec![8], 1));
    assert_eq!(told_of(&history, 99, at(7 * HOUR)), (vec![], 0));
    assert_eq!(history.verify().faults.len(), 0);
}
