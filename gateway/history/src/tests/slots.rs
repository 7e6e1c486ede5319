//! Days in several slots, and what is damaged of them where the gateway is to go on.

use std::path::{Path, PathBuf};

use watchfire_model::{Instant, Lsn, Record, RecordBody, SignalId};
use watchfire_pipeline::{History, RecordReader};

use super::made::{START_S, all, bits, copy_folder, range, records};
use crate::SledHistory;
use crate::key_value::{Change, KeyValue};
use crate::slot::Slot;
use crate::store::Store;

/// Every bucket is large enough for a slot of its own.
const SMALL: u64 = 1;

fn small(folder: &Path) -> SledHistory {
    SledHistory::open(folder).unwrap().with_slots_of(SMALL)
}

/// Sealed in parts of 20 records, each a slot.
fn sealed(folder: &Path, written: &[Record]) -> SledHistory {
    let history = small(folder);
    written.chunks(20).for_each(|part| history.seal(part).unwrap());
    history
}

fn slots(history: &SledHistory) -> Vec<String> {
    history.counted().1.keys().map(ToString::to_string).collect()
}

fn place(folder: &Path, part: u16) -> PathBuf {
    folder.join("ts").join(Slot { part, ..Slot::first_of(Instant::from_s(START_S)) }.to_string())
}

/// What is told of it, and what is done to a slot.
type Damage<'d> = (&'d str, &'d dyn Fn(&Path));

/// Those without samples, and the frames outside of `lost`.
fn without(written: &[Record], lost: std::ops::RangeInclusive<u64>) -> Vec<Record> {
    let stays = |record: &&Record| !matches!(record.body, RecordBody::Data(_)) || !lost.contains(&record.lsn.0);
    written.iter().filter(stays).cloned().collect()
}

/// Everything there is, whatever holes lie between.
fn left(history: &SledHistory) -> Vec<Record> {
    let mut found: Vec<Record> = Vec::new();
    loop {
        let more = history.read(found.last().map_or(Lsn(1), |last| last.lsn.next()), 1000).unwrap();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

#[test]
fn sealing_leaves_no_slot_open() {
    let folder = tempfile::tempdir().unwrap();
    let history = sealed(folder.path(), &records(3, 200, 1));
    let slots = history.counted().1;
    assert!(slots.len() > 5, "{slots:?}");
    assert_eq!(slots.keys().filter(|slot| history.days().is_open(**slot)).count(), 0);
}

#[test]
fn a_large_day_lies_in_several_slots_and_is_read_and_dropped_as_one() {
    let (one, folder, copy) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let written = records(40, 200, 600);
    let plain = SledHistory::open(one.path()).unwrap();
    plain.seal(&written).unwrap();
    let history = sealed(folder.path(), &written);
    assert!(slots(&history).len() > slots(&plain).len() + 5, "{:?}", slots(&history));
    let holds_all = |history: &SledHistory| {
        assert_eq!(bits(&all(history, Lsn(1), 70)), bits(&written));
        for signal in [0, 1000, 2000, 3000, 4000].map(SignalId) {
            let of = |history| format!("{:?}", range(history, signal, Instant::MIN, Instant::MAX).unwrap());
            assert_eq!(of(history), of(&plain));
        }
        assert!(history.verify().faults.is_empty());
    };
    holds_all(&history);
    drop(history);
    let history = small(folder.path());
    holds_all(&history);
    history.back_up(copy.path(), |_| Ok(())).unwrap();
    assert_eq!(bits(&all(&SledHistory::open(copy.path()).unwrap(), Lsn(1), 70)), bits(&written));
    let first = slots(&history)[0].clone();
    history.retain(Instant::from_s(START_S + 86_400)).unwrap();
    assert!(slots(&history).iter().all(|slot| !slot.starts_with(&first)), "a day goes as a whole");
    assert!(std::fs::read_dir(folder.path().join("ts")).unwrap().count() == slots(&history).len());
    assert!(history.verify().faults.is_empty());
}

#[test]
fn a_slot_that_a_killed_seal_began_goes_and_is_made_again() {
    let (folder, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let written = records(41, 60, 1);
    drop(sealed(folder.path(), &written[..40]));
    copy_folder(folder.path(), before.path());
    drop(sealed(folder.path(), &written));
    copy_folder(&before.path().join("ctl"), &folder.path().join("ctl"));
    std::fs::copy(before.path().join("ctl.mark"), folder.path().join("ctl.mark")).unwrap();
    let history = small(folder.path());
    assert!(place(folder.path(), 1).exists() && !place(folder.path(), 2).exists());
    history.seal(&written[40..]).unwrap();
    assert!(place(folder.path(), 2).exists());
    assert_eq!(bits(&all(&history, Lsn(1), 70)), bits(&written));
}

#[test]
fn a_gateway_goes_on_without_a_slot_that_is_damaged_and_says_so_once() {
    let written = records(42, 80, 1);
    let damages: [Damage<'_>; 3] = [
        ("missing", &|slot| std::fs::remove_dir_all(slot).unwrap()),
        ("cut", &|slot| {
            let file = std::fs::OpenOptions::new().write(true).open(slot.join("db")).unwrap();
            file.set_len(1000).unwrap();
        }),
        ("older", &|slot| {
            std::fs::remove_dir_all(slot).unwrap();
            let store = Store::open(slot, 1 << 20).unwrap();
            store.write(vec![vec![Change::Put(vec![0], vec![1])]]).unwrap();
            store.commit().unwrap();
        }),
    ];
    for (words, damage) in damages {
        // In the middle, and the one that is written next.
        for part in [1, 2] {
            let folder = tempfile::tempdir().unwrap();
            drop(sealed(folder.path(), &written[..60]));
            let slot = place(folder.path(), part);
            damage(&slot);
            let first = 20 * u64::from(part) + 1;
            let refused = small(folder.path()).read(Lsn(first), 1000);
            assert!(refused.is_err(), "{words}: whoever looks through the data is told");
            let history = small(folder.path()).that_goes_on();
            assert!(history.given_up().is_empty());
            history.seal(&written[60..]).unwrap();
            let expected = without(&written, first..=first + 19);
            assert_eq!(bits(&left(&history)), bits(&expected), "{words}, part {part}");
            let told = history.given_up();
            assert!(told.len() == 1 && told[0].contains(&slot.display().to_string()), "{words}: {told:?}");
            assert!(slot.with_extension("damaged").exists() && !slot.exists());
            drop(history);
            // From then on it is gone on without, whoever looks.
            let history = small(folder.path());
            assert_eq!(bits(&left(&history)), bits(&expected));
            assert_eq!(history.verify().faults.len(), 0);
        }
    }
}

#[test]
fn a_gateway_passes_over_records_that_are_damaged_and_trends_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(43, 60, 1);
    drop(sealed(folder.path(), &written));
    let store = Store::open(&place(folder.path(), 1), 1 << 20).unwrap();
    let (key, mut bytes) = store.at_or_after(&crate::bucket::key(Lsn(21), 2, 0, 0)).unwrap().unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 4;
    store.write(vec![vec![Change::Put(key, bytes)]]).unwrap();
    store.commit().unwrap();
    store.close().unwrap();
    assert!(small(folder.path()).read(Lsn(21), 1).is_err());
    let history = small(folder.path()).that_goes_on();
    assert_eq!(bits(&left(&history)), bits(&without(&written, 21..=40)));
    left(&history);
    assert_eq!(history.given_up().len(), 1, "told once");
    assert!(range(&history, SignalId(0), Instant::MIN, Instant::MAX).is_err());
    assert!(place(folder.path(), 1).exists(), "the other signals are still there");
}

#[test]
fn a_gateway_passes_over_gaps_that_are_damaged_and_whoever_lists_them_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(43, 60, 1);
    drop(sealed(folder.path(), &written));
    let everything = |history: &SledHistory| {
        let (mut found, mut next) = (Vec::new(), Some(Lsn(1)));
        while let Some(from) = next {
            let more = history.gaps(from, history.sealed(), None, (Instant::MIN, Instant::MAX))?;
            found.extend(more.gaps.into_iter().map(|(lsn, _)| lsn));
            next = more.rest;
        }
        Ok::<_, watchfire_pipeline::PortError>(found)
    };
    let whole = everything(&small(folder.path())).unwrap();
    let store = Store::open(&place(folder.path(), 1), 1 << 20).unwrap();
    let (key, mut bytes) = store.at_or_after(&crate::bucket::key(Lsn(21), 4, 0, 0)).unwrap().unwrap();
    bytes[1] ^= 4;
    store.write(vec![vec![Change::Put(key, bytes)]]).unwrap();
    store.commit().unwrap();
    store.close().unwrap();
    assert!(everything(&small(folder.path())).is_err());
    let history = small(folder.path()).that_goes_on();
    let left = everything(&history).unwrap();
    let expected: Vec<Lsn> = whole.iter().filter(|lsn| !(21..=40).contains(&lsn.0)).copied().collect();
    assert!(expected.len() < whole.len() && expected.last().is_some_and(|last| last.0 > 40));
    assert_eq!(left, expected);
    everything(&history).unwrap();
    assert_eq!(history.given_up().len(), 1, "told once");
}

#[test]
fn what_a_database_puts_beside_its_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let history = small(folder.path());
    history.seal(&records(1, 20, 30)).unwrap();
    assert!(history.given_up().is_empty());
    let blobs = folder.path().join("ctl/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join("17"), "").unwrap();
    let told = history.given_up();
    assert!(told.len() == 1 && told[0].contains("ctl/blobs") && told[0].contains("backup"), "{told:?}");
}
