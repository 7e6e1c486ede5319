//! Looking through everything, and copies of it.

use watchfire_model::{Control, Instant, Lsn, RecordBody, SignalId};
use watchfire_pipeline::{Checkpoint, History, RecordReader};

use super::made::{START_S, all, bits, copy_folder, records};
use crate::SledHistory;
use crate::bucket::from_key;
use crate::ctl::{Kind, named, placed};
use crate::key_value::{Change, KeyValue};
use crate::slot::Slot;
use crate::store::Store;

fn filled(folder: &std::path::Path, count: u64) -> SledHistory {
    let history = SledHistory::open(folder).unwrap();
    records(20, count, 600).chunks(40).for_each(|part| history.seal(part).unwrap());
    history.signal_ids(&["a/b".to_owned(), "a/c".to_owned()]).unwrap();
    let checkpoint = Checkpoint {
        binding: "hot".into(),
        plugin: "limit".into(),
        state_version: 1,
        config_hash: "x".into(),
        frame: Lsn(5),
        bytes: vec![1; 20_000],
        host: vec![2; 10],
    };
    history.save_checkpoint(&checkpoint).unwrap();
    history
}

pub fn told(folder: &std::path::Path) -> Vec<String> {
    match SledHistory::open(folder) {
        Ok(history) => history.verify().faults.iter().map(ToString::to_string).collect(),
        Err(refused) => vec![refused.to_string()],
    }
}

/// Changes a database behind its owner's back, its digest with it.
pub fn change(folder: &std::path::Path, of: &str, damage: impl Fn(&Store) -> Vec<Change>, digested: bool) {
    let store = Store::open(&folder.join(of), 1 << 20).unwrap();
    store.write(vec![damage(&store)]).unwrap();
    if digested {
        store.write(crate::digest::begin(&store).unwrap()).unwrap();
    }
    store.commit().unwrap();
}

#[test]
fn what_is_whole_is_found_whole_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let history = filled(folder.path(), 200);
    let found = history.verify();
    assert_eq!((found.faults.len(), found.notes.len()), (0, 0), "{:?}", found.faults);
    let samples = records(20, 200, 600).into_iter().map(|record| match record.body {
        watchfire_model::RecordBody::Data(frame) => frame.rows.len() as u64,
        _ => 0,
    });
    assert_eq!(found.rows, samples.sum::<u64>());
    assert!(found.days > 1 && found.buckets >= 5 && found.chunks > 20 && found.records > 20 && found.conditions > 1);
    assert_eq!(found.checkpoints, 1);
}

/// The database, what is told, and the change.
type Damage<'d> = (&'d str, &'d str, &'d dyn Fn(&Store) -> Change);

#[test]
fn whatever_is_changed_or_missing_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 200));
    let day = format!("ts/{}", Slot::first_of(Instant::from_s(START_S)));
    let damages: [Damage<'_>; 8] = [
        (&day, "are missing", &|store| Change::Remove(store.at_or_after(&from_key(Lsn(2))).unwrap().unwrap().0)),
        (&day, "cannot be decoded", &|store| {
            // A page in the middle of the first bucket.
            let (key, mut bytes) = store.at_or_after(&crate::bucket::key(Lsn(1), 2, 1, 0)).unwrap().unwrap();
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
            Change::Put(key, bytes)
        }),
        (&day, "cannot be decoded", &|store| {
            // Gaps.
            let found =
                store.range(&crate::bucket::key(Lsn(1), 4, 0, 0), &crate::bucket::key(Lsn(1), 4, 9, 0), 1).unwrap();
            let (key, mut bytes) = found[0].clone();
            bytes[1] ^= 4;
            Change::Put(key, bytes)
        }),
        ("ctl", "the list in `ctl` of what became of gaps", &|store| {
            Change::Remove(store.at_or_after(&placed(Kind::Filled, Lsn(1))).unwrap().unwrap().0)
        }),
        ("ctl", "`record 55` in", &|store| {
            Change::Remove(store.at_or_after(&placed(Kind::Record, Lsn(50))).unwrap().unwrap().0)
        }),
        ("ctl", "do not fit their digest", &|_| Change::Put(named(Kind::Note, "x"), vec![1])),
        ("ctl", "the state of condition `hot/high/s/0`", &|_| {
            Change::Put([named(Kind::Alarm, "hot/high/s/0").as_slice(), &[0, 0]].concat(), vec![1, 9])
        }),
        ("ctl", "the checkpoint of detector `hot`", &|store| {
            let (key, mut bytes) = store.at_or_after(&named(Kind::Piece, "hot")).unwrap().unwrap();
            bytes[0] ^= 1;
            Change::Put(key, bytes)
        }),
    ];
    for (file, words, damage) in damages {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        let digested = file == "ctl" && !words.contains("digest");
        change(copy.path(), file, |store| vec![damage(store)], digested);
        let told = told(copy.path());
        assert!(told.iter().any(|told| told.contains(words)), "{file}, {words}: {told:?}");
    }
}

#[test]
fn a_page_that_is_missing_is_told_by_whoever_reads_its_signal() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(20, 100, 1);
    SledHistory::open(folder.path()).unwrap().seal(&written).unwrap();
    let day = format!("ts/{}", Slot::first_of(Instant::from_s(START_S)));
    change(
        folder.path(),
        &day,
        |store| {
            let page = store.at_or_before(&crate::bucket::key(Lsn(1), 2, u32::MAX, 0)).unwrap();
            page.into_iter().map(|(key, _)| Change::Remove(key)).collect()
        },
        false,
    );
    let history = SledHistory::open(folder.path()).unwrap();
    let refused = super::made::range(&history, SignalId(4000), Instant::MIN, Instant::MAX).unwrap_err().to_string();
    assert!(refused.contains("cannot be decoded") && refused.contains(".damaged"), "{refused}");
}

/// As layout 2 had it: gaps in the tables of frames, nothing of them in `ctl`. As layout 1 had it: no digest, no
/// directories and sums of buckets, no counts of days either.
fn as_layout(folder: &std::path::Path, layout: u8) {
    let history = SledHistory::open(folder).unwrap();
    let days = history.counted().1;
    drop(history);
    for (day, entry) in &days {
        let plain = |store: &Store| {
            let mut changes = Vec::new();
            let mut at = crate::bucket::after(store, Lsn(0)).unwrap();
            while let Some(head) = at {
                let table = crate::bucket::with_gaps(store, &head);
                let sums = head.sums.map(|(_, directory)| (crc32fast::hash(&table), directory)).filter(|_| layout > 1);
                let of = |kind, number| crate::bucket::key(head.first, kind, number, 0);
                // Gaps, and the directory.
                for kind in [Some(4), (layout == 1).then_some(3)].into_iter().flatten() {
                    let found = store.range(&of(kind, 0), &of(kind, u32::MAX), usize::MAX).unwrap();
                    changes.extend(found.into_iter().map(|(key, _)| Change::Remove(key)));
                }
                let pieces = table.chunks(6000).zip(0..);
                changes.extend(pieces.map(|(piece, number)| Change::Put(of(1, number), piece.to_vec())));
                let plain = crate::bucket::Head { sums, gaps: None, hours: None, ..head };
                changes.push(Change::Put(from_key(head.first), plain.encode()));
                at = crate::bucket::after(store, head.last).unwrap();
            }
            changes
        };
        change(folder, &format!("ts/{day}"), plain, false);
        let counts = entry.counts.filter(|_| layout > 1);
        let entry = crate::days::SlotEntry { counts, gaps: None, hours: None, ..*entry };
        change(folder, "ctl", |_| vec![crate::slot_entry::set_slot(*day, &entry)], layout > 1);
    }
    let fills = |store: &Store| {
        let found = store.range(b"f", b"g", usize::MAX).unwrap();
        assert!(!found.is_empty());
        found.into_iter().map(|(key, _)| Change::Remove(key)).collect()
    };
    change(folder, "ctl", fills, layout > 1);
    let meta = |name: &str| named(Kind::Meta, name);
    change(folder, "ctl", |_| vec![Change::Put(meta("schema"), vec![layout])], layout > 1);
    if layout == 1 {
        change(folder, "ctl", |_| vec![Change::Remove(meta("digest"))], false);
    }
}

/// All gaps and all that tells what became of them.
pub fn all_gaps(history: &SledHistory) -> (Vec<(Lsn, watchfire_model::Gap)>, Vec<Lsn>) {
    let (mut found, mut next) = (Vec::new(), Some(Lsn(1)));
    while let Some(from) = next {
        let more = history.gaps(from, history.sealed(), None, (Instant::MIN, Instant::MAX)).unwrap();
        found.extend(more.gaps);
        next = more.rest;
    }
    let fills = history.filled(Lsn(1), history.sealed(), None, usize::MAX).unwrap();
    (found, fills.into_iter().map(|record| record.lsn).collect())
}

/// What the records say of gaps.
pub fn gaps_of(records: &[watchfire_model::Record]) -> (Vec<(Lsn, watchfire_model::Gap)>, Vec<Lsn>) {
    let mut told = (Vec::new(), Vec::new());
    for record in records {
        match &record.body {
            RecordBody::Data(frame) => told.0.extend(frame.gaps.iter().map(|gap| (record.lsn, *gap))),
            RecordBody::Control(Control::Filled { .. }) => told.1.push(record.lsn),
            _ => {}
        }
    }
    told
}

#[test]
fn gaps_are_found_without_samples_and_go_with_their_day() {
    let folder = tempfile::tempdir().unwrap();
    let history = filled(folder.path(), 200);
    let written = records(20, 200, 600);
    let expected = gaps_of(&written);
    assert!(expected.0.len() > 20 && expected.1.len() > 5);
    assert_eq!(all_gaps(&history), expected);
    let found = history.verify();
    assert_eq!((found.gaps, found.fills), (expected.0.len() as u64, expected.1.len() as u64));
    let (from, upto) = (Lsn(50), Lsn(120));
    let part = history.gaps(from, upto, None, (Instant::MIN, Instant::MAX)).unwrap().gaps;
    assert!(!part.is_empty() && part.iter().all(|(lsn, _)| (from..=upto).contains(lsn)));
    let before = Instant::from_s(START_S + 86_400);
    assert_eq!(history.gaps(Lsn(1), upto, None, (Instant::MAX, Instant::MAX)).unwrap().gaps, []);

    let days = history.counted().1;
    history.retain(before).unwrap();
    let first = history.counted().1.values().map(|entry| entry.first).min().unwrap();
    assert!(history.counted().1.len() < days.len());
    let left = gaps_of(&written[usize::try_from(first.0).unwrap() - 1..]);
    assert_eq!(all_gaps(&history), left);
    assert!(history.verify().faults.is_empty());
}

#[test]
fn a_folder_of_an_earlier_layout_is_taken_up_and_one_of_a_later_layout_is_refused() {
    let written = records(20, 200, 600);
    for layout in [1, 2] {
        let folder = tempfile::tempdir().unwrap();
        drop(filled(folder.path(), 100));
        as_layout(folder.path(), layout);
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(bits(&all(&history, Lsn(1), 1000)), bits(&written[..100]));
        assert!(
            history.counted().1.values().all(|entry| entry.gaps.is_none() && entry.counts.is_some() == (layout > 1))
        );
        assert_eq!(all_gaps(&history), gaps_of(&written[..100]));
        // It goes on in the new layout, on a day of the old one too.
        history.seal(&written[100..]).unwrap();
        assert_eq!(all_gaps(&history), gaps_of(&written));
        drop(history);
        assert_eq!(told(folder.path()), Vec::<String>::new());
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(bits(&all(&history, Lsn(1), 1000)), bits(&written));
        drop(history);
        change(folder.path(), "ctl", |_| vec![Change::Put(named(Kind::Note, "x"), vec![1])], false);
        assert!(told(folder.path())[0].contains("digest"), "it has one now");

        change(folder.path(), "ctl", |_| vec![Change::Put(named(Kind::Meta, "schema"), vec![9])], true);
        let refused = told(folder.path()).remove(0);
        assert!(
            refused.contains("layout 9") && refused.contains("up to 6") && refused.contains("later one"),
            "{refused}"
        );
    }
}

#[test]
fn a_folder_of_layout_4_is_taken_up_as_it_is_and_its_program_refuses_it_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path(), 100));
    change(folder.path(), "ctl", |_| vec![Change::Put(named(Kind::Meta, "schema"), vec![4])], true);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(bits(&all(&history, Lsn(1), 1000)), bits(&records(20, 100, 600)));
    assert_eq!(history.ctl().store().get(&named(Kind::Meta, "schema")).unwrap(), Some(vec![6]));
    assert!(history.verify().faults.is_empty());
}

#[test]
fn what_was_given_up_on_purpose_is_noted_and_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let history = filled(folder.path(), 60);
    let first = 60 + (1 << 40);
    history.go_on_at(Lsn(first + 1)).unwrap();
    let mut after = records(21, 10, 1);
    after.iter_mut().for_each(|record| record.lsn.0 += first);
    history.seal(&after).unwrap();
    drop(history);
    let day = folder.path().join("ts").join(Slot::first_of(Instant::from_s(START_S)).to_string());
    std::fs::rename(&day, day.with_extension("damaged")).unwrap();
    let found = SledHistory::open(folder.path()).unwrap().verify();
    assert_eq!((found.faults.len(), found.notes.len()), (0, 2), "{:?}", found.faults);
}

#[test]
fn a_copy_that_is_made_while_records_are_sealed_is_whole_and_guards_itself() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let history = filled(folder.path(), 100);
    let written = records(20, 400, 600);
    let mut rest = None;
    std::thread::scope(|scope| {
        let sealing = scope.spawn(|| written[100..].chunks(7).for_each(|part| history.seal(part).unwrap()));
        let copied = history.back_up(copy.path(), |sealed| {
            rest = Some((sealed, history.sealed()));
            Ok(())
        });
        sealing.join().unwrap();
        assert_eq!(
            Some((copied.unwrap().sealed, rest.unwrap().1)),
            rest,
            "nothing was sealed while the rest was copied"
        );
    });
    let sealed = rest.unwrap().0;
    let copied = SledHistory::open(copy.path()).unwrap();
    assert_eq!(copied.sealed(), sealed);
    assert_eq!(bits(&all(&copied, Lsn(1), 1000)), bits(&written[..usize::try_from(sealed.0).unwrap()]));
    assert!(copied.read(sealed.next(), 1).unwrap().is_empty());
    assert_eq!(copied.verify().faults.len(), 0);
    assert_eq!(copied.known_signals().unwrap(), history.known_signals().unwrap());
    assert_eq!(copied.load_checkpoint("hot").unwrap(), history.load_checkpoint("hot").unwrap());
    assert!(copied.load_checkpoint("hot").unwrap().is_some());

    // It is a store like any other: it goes on, and knows when it was put back.
    let before = tempfile::tempdir().unwrap();
    drop(copied);
    copy_folder(&copy.path().join("ctl"), before.path());
    let copied = SledHistory::open(copy.path()).unwrap();
    let next = usize::try_from(sealed.0).unwrap();
    copied.seal(&records(20, 500, 600)[next..]).unwrap();
    drop(copied);
    copy_folder(before.path(), &copy.path().join("ctl"));
    assert!(SledHistory::open(copy.path()).unwrap_err().to_string().contains("ctl.mark"));
}

#[test]
fn nothing_is_dropped_while_a_copy_is_made() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let history = SledHistory::open(folder.path()).unwrap();
    records(20, 200, 2000).chunks(40).for_each(|part| history.seal(part).unwrap());
    let days = history.counted().1.len();
    assert!(days > 2);
    let before = Instant::from_s(START_S + 2 * 86_400);
    history
        .back_up(copy.path(), |_| {
            assert_eq!(history.counted().1.len(), days);
            std::thread::scope(|scope| scope.spawn(|| history.retain(before).unwrap()).join().unwrap());
            Ok(())
        })
        .unwrap();
    assert_eq!(history.counted().1.len(), days);
    history.retain(before).unwrap();
    assert_eq!(history.counted().1.len(), days - 1);
}
