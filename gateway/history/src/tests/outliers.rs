//! One device with a wrong clock costs those who read other times nothing, and those who read it no more than they get.

use watchfire_model::{Instant, Lsn, Quality, Record, SignalId, Unit};
use watchfire_pipeline::{History, Wanted};

use super::made::range;
use super::summaries::{START_S, at, minutes, with_clock_of};
use crate::SledHistory;
use crate::bucket::key;
use crate::key_value::{Change, KeyValue};
use crate::slot::Slot;
use crate::store::Store;

/// As of a device that was never told the time.
const NEVER_SET: Instant = Instant::from_s(946_684_800);

/// Two hours, in every frame of which a signal has a value of the year 2000.
fn two_hours(signal: u32) -> Vec<Record> {
    with_clock_of(minutes(1, START_S, 120, Quality::NONE), signal, |_| NEVER_SET)
}

#[test]
fn one_wrong_clock_opens_no_day_for_whoever_reads_another_time() {
    let folder = tempfile::tempdir().unwrap();
    // Every bucket in a slot of its own.
    let history = SledHistory::open(folder.path()).unwrap().with_slots_of(1);
    two_hours(77).chunks(10).for_each(|part| history.seal(part).unwrap());
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    let open = || history.counted().1.keys().filter(|slot| history.days().is_open(**slot)).count();
    assert_eq!((history.counted().1.len(), open()), (12, 0));
    let rows = range(&history, SignalId(3), at(300), at(360)).unwrap();
    assert_eq!((rows.len(), open()), (3, 6), "those of its hour");
    assert_eq!(range(&history, SignalId(77), Instant::MIN, at(0)).unwrap().len(), 120);
    assert!(range(&history, SignalId(77), at(0), Instant::MAX).unwrap().is_empty());
}

#[test]
fn a_page_of_a_signal_with_wrong_times_decodes_no_more_than_it_answers() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    two_hours(3).chunks(10).for_each(|part| history.seal(part).unwrap());
    drop(history);
    // Whoever decodes the last bucket fails.
    let day = folder.path().join("ts").join(Slot::first_of(at(0)).to_string());
    let store = Store::open(&day, 1 << 20).unwrap();
    let (page, mut bytes) = store.at_or_after(&key(Lsn(111), 2, 0, 0)).unwrap().unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    store.write(vec![vec![Change::Put(page, bytes)]]).unwrap();
    store.commit().unwrap();
    store.close().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let wanted = Wanted { signal: SignalId(3), from: at(0), to: Instant::MAX, upto: Lsn(120), bytes_max: 20 * 32 };
    let page = history.range(&wanted).unwrap();
    assert_eq!(page.rows.len(), 20);
    assert!(page.rest.is_some_and(|rest| rest < at(600)));
    let next = history.range(&Wanted { from: page.rest.unwrap(), ..wanted }).unwrap();
    assert_eq!(next.rows.len(), 20);
    assert!(history.range(&Wanted { from: at(118 * 60), ..wanted }).is_err(), "it was not read before");
}

#[test]
fn a_wrong_time_that_was_just_sealed_hides_no_summary_of_another_hour() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let written = with_clock_of(minutes(1, START_S, 200, Quality::NONE), 3, |_| NEVER_SET);
    written[..190].chunks(10).for_each(|part| history.seal(part).unwrap());
    while history.summarise(at(3 * 3600 + 600)).unwrap() {}
    let told = || history.summaries(SignalId(3), Unit::Hour, at(0), at(4 * 3600)).unwrap().told.len();
    assert_eq!(told(), 3);
    history.seal(&written[190..]).unwrap();
    assert_eq!(told(), 3);
}
