//! What a kill, a lost write or a damaged file leaves, and what is said of it.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use watchfire_model::{AlarmState, ConditionKey, Decided, Instant, Lsn, Record, RecordBody, SignalId};
use watchfire_pipeline::{History, PortError, RecordReader, RecordRun};

use super::made::{START_S, all, bits, copy_folder, range, records};
use crate::SledHistory;
use crate::bucket::from_key;
use crate::ctl::{Ctl, Kind, part, placed};
use crate::key_value::{Change, KeyValue};
use crate::slot::Slot;
use crate::slot_entry::drop_slot;
use crate::store::Store;

fn today(folder: &Path) -> std::path::PathBuf {
    folder.join("ts").join(Slot::first_of(Instant::from_s(START_S)).to_string())
}

/// A folder with 30 records sealed, and what `ctl` was after 20.
fn half_way(seed: u64) -> (tempfile::TempDir, tempfile::TempDir) {
    let (folder, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let written = records(seed, 30, 1);
    SledHistory::open(folder.path()).unwrap().seal(&written[..20]).unwrap();
    copy_folder(folder.path(), before.path());
    SledHistory::open(folder.path()).unwrap().seal(&written[20..]).unwrap();
    (folder, before)
}

#[test]
fn a_seal_that_was_killed_before_it_counted_is_done_again_however_it_is_cut() {
    for again in [21, 25, 30, 40] {
        let (folder, before) = half_way(1);
        // The samples of 21 to 30 are on disk, but nothing says that they count.
        copy_folder(&before.path().join("ctl"), &folder.path().join("ctl"));
        std::fs::copy(before.path().join("ctl.mark"), folder.path().join("ctl.mark")).unwrap();
        let history = SledHistory::open(folder.path()).unwrap();
        let written = records(1, 50, 1);
        assert_eq!(history.sealed(), Lsn(20));
        assert_eq!(bits(&all(&history, Lsn(1), 100)), bits(&written[..20]));
        let rows = range(&history, SignalId(0), Instant::MIN, Instant::MAX).unwrap().len();
        history.seal(&written[20..again]).unwrap();
        history.seal(&written[again..]).unwrap();
        assert_eq!(bits(&all(&history, Lsn(1), 100)), bits(&written), "sealed again up to {again}");
        assert!(range(&history, SignalId(0), Instant::MIN, Instant::MAX).unwrap().len() > rows);
    }
}

/// Records, so many of which can be read, all reads together; the next one is a defect.
struct Fragile<'r>(&'r [Record], Cell<usize>);

impl RecordRun for Fragile<'_> {
    fn records(&self) -> Box<dyn Iterator<Item = Result<Record, PortError>> + '_> {
        Box::new(self.0.iter().map(|record| {
            self.1.set(self.1.get().checked_sub(1).expect("no more can be read"));
            Ok(record.clone())
        }))
    }
}

#[test]
fn a_seal_that_panics_anywhere_leaves_nothing_that_counts_and_the_next_one_seals_all() {
    // Over more than one day.
    let written = records(1, 80, 3_000);
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    history.seal(&written[..20]).unwrap();
    let mut panics = 0;
    for reads in (0..).step_by(23) {
        let run = Fragile(&written[20..], Cell::new(reads));
        if let Ok(sealed) = catch_unwind(AssertUnwindSafe(|| history.seal_run(&run))) {
            sealed.unwrap();
            break;
        }
        panics += 1;
        assert_eq!(history.sealed(), Lsn(20), "after {reads} reads");
        assert_eq!(bits(&all(&history, Lsn(1), 100)), bits(&written[..20]), "after {reads} reads");
    }
    assert!(panics > 10, "{panics}");
    assert_eq!(bits(&all(&history, Lsn(1), 100)), bits(&written));
    assert_eq!(history.verify().faults.len(), 0);
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(bits(&all(&history, Lsn(1), 100)), bits(&written));
}

/// How many alarms decides where the batches end, in one of these just before what says that it is sealed.
#[test]
fn a_seal_of_many_alarms_that_is_killed_between_any_two_of_its_batches_counts_once() {
    let state = |n: u64| AlarmState { key: ConditionKey::new("hot", "high", &format!("s/{n}")), state: vec![7; 40] };
    let mut most = 0;
    for alarms in 243..=250 {
        let mut written = records(12, 6, 1);
        written[3].body = RecordBody::Decided(Decided {
            binding: "hot".to_owned(),
            frame: Lsn(3),
            verdicts: Vec::new(),
            transitions: (0..alarms).map(state).collect(),
            events: Vec::new(),
        });
        for killed in 0.. {
            most = most.max(killed);
            let context = format!("{alarms} alarms, killed after {killed} batches");
            let folder = tempfile::tempdir().unwrap();
            let history = SledHistory::open(folder.path()).unwrap();
            history.seal(&written[..2]).unwrap();
            history.ctl().end_after(killed);
            if history.seal(&written[2..]).is_ok() {
                break;
            }
            drop(history);
            let history = SledHistory::open(folder.path()).unwrap();
            assert_eq!(history.sealed(), Lsn(2), "{context}");
            history.seal(&written[2..]).unwrap();
            drop(history);
            let history = SledHistory::open(folder.path()).unwrap();
            assert_eq!(bits(&all(&history, Lsn(1), 100)), bits(&written), "{context}");
            assert!(history.verify().faults.is_empty(), "{context}");
        }
    }
    assert!(most > 2, "it came in {most} batches");
}

#[test]
fn while_one_writes_what_belongs_together_nobody_else_writes() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let alone = history.ctl().alone();
    let written = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            history.ctl().commit(Vec::new()).unwrap();
            written.store(true, Ordering::SeqCst);
        });
        for i in 0..50_u64 {
            alone.lay(vec![(placed(Kind::Chain, Lsn(i)), vec![1; 32])]).unwrap();
            assert!(!written.load(Ordering::SeqCst));
        }
        alone.commit(Vec::new()).unwrap();
        drop(alone);
    });
    assert!(written.load(Ordering::SeqCst));
}

#[test]
fn what_a_killed_seal_wrote_of_a_new_day_goes_though_its_head_was_to_follow() {
    let folder = tempfile::tempdir().unwrap();
    drop(SledHistory::open(folder.path()).unwrap());
    let day = today(folder.path());
    let store = Store::open(&day, 1 << 20).unwrap();
    let page = [from_key(Lsn(1)), vec![1]].concat();
    store.write(vec![vec![Change::Put(page, vec![1])]]).unwrap();
    store.commit().unwrap();
    store.close().unwrap();
    drop(SledHistory::open(folder.path()).unwrap());
    let left: Vec<_> = std::fs::read_dir(folder.path().join("ts")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn days_that_nobody_knows_are_set_aside_and_dropped_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    drop(SledHistory::open(folder.path()).unwrap());
    let at = |name: &str| folder.path().join("ts").join(name);
    for name in ["2020-02-01.damaged", "2020-02-02", "2020-02-03.dropped"] {
        std::fs::create_dir_all(at(name)).unwrap();
        std::fs::write(at(name).join("db"), "x").unwrap();
    }
    drop(SledHistory::open(folder.path()).unwrap());
    assert!(at("2020-02-01.damaged").exists() && at("2020-02-02.stray0/db").exists());
    assert!(!at("2020-02-02").exists() && !at("2020-02-03.dropped").exists());
}

#[test]
fn a_kill_while_a_day_is_dropped_or_first_sealed_leaves_nothing_of_it() {
    let strays = |folder: &Path| {
        let names = std::fs::read_dir(folder.join("ts")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().contains("stray")).count()
    };
    let (folder, _) = half_way(8);
    let day = today(folder.path());
    assert!(day.exists());
    // It no longer counts, and that is all that was done.
    Ctl::open(folder.path()).unwrap().commit(vec![drop_slot(Slot::first_of(Instant::from_s(START_S)))]).unwrap();
    drop(SledHistory::open(folder.path()).unwrap());
    assert!(!day.exists() && strays(folder.path()) == 0);
    drop(SledHistory::open(folder.path()).unwrap());

    let (folder, before) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop(SledHistory::open(folder.path()).unwrap());
    copy_folder(folder.path(), before.path());
    let written = records(9, 30, 1);
    SledHistory::open(folder.path()).unwrap().seal(&written).unwrap();
    copy_folder(&before.path().join("ctl"), &folder.path().join("ctl"));
    std::fs::copy(before.path().join("ctl.mark"), folder.path().join("ctl.mark")).unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    assert!(!today(folder.path()).exists() && strays(folder.path()) == 0);
    history.seal(&written).unwrap();
    assert_eq!(bits(&all(&history, Lsn(1), 100)), bits(&written));
}

#[test]
fn what_is_lost_between_the_stores_is_left_out_and_what_a_killed_seal_left_of_it_too() {
    let (folder, before) = half_way(10);
    let written = records(10, 30, 1);
    copy_folder(&before.path().join("ctl"), &folder.path().join("ctl"));
    std::fs::remove_file(folder.path().join("ctl.mark")).unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    history.go_on_at(Lsn(21)).unwrap();
    assert_eq!(history.sealed(), Lsn(20), "they join");
    // A seal lays the places of its records before what stands there.
    let laid = [part(&placed(Kind::Record, Lsn(25)), 0), placed(Kind::Chain, Lsn(25))];
    history.ctl().commit(laid.into_iter().map(|key| vec![Change::Put(key, Vec::new())]).collect()).unwrap();
    history.go_on_at(Lsn(1001)).unwrap();
    assert_eq!(history.sealed(), Lsn(1000));
    let mut after = records(11, 10, 1);
    after.iter_mut().for_each(|record| record.lsn.0 += 1000);
    history.seal(&after).unwrap();
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    let read = history.read(Lsn(1), usize::MAX).unwrap();
    assert_eq!(bits(&read), bits(&written[..20]), "nothing is read across the hole");
    assert_eq!(bits(&history.read(Lsn(21), usize::MAX).unwrap()), bits(&after));
    assert_eq!(bits(&history.read(Lsn(1001), usize::MAX).unwrap()), bits(&after));
}

#[test]
fn samples_without_an_index_are_never_taken_for_nothing() {
    let (folder, _) = half_way(7);
    std::fs::remove_dir_all(folder.path().join("ctl")).unwrap();
    assert!(SledHistory::open(folder.path()).is_err(), "the mark knows better");
    std::fs::remove_dir_all(folder.path().join("ctl")).unwrap();
    std::fs::remove_file(folder.path().join("ctl.mark")).unwrap();
    let refused = SledHistory::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("`ctl`") && today(folder.path()).join("db").exists(), "{refused}");
}

#[test]
fn a_database_that_has_gone_back_in_time_is_refused_with_both_places_and_the_way_out() {
    let (folder, before) = half_way(2);
    copy_folder(&before.path().join("ctl"), &folder.path().join("ctl"));
    let refused = SledHistory::open(folder.path()).unwrap_err().to_string();
    for part in ["record 20", "record 30", "ctl.mark", "backup"] {
        assert!(refused.contains(part), "{refused}");
    }
    std::fs::remove_file(folder.path().join("ctl.mark")).unwrap();
    assert_eq!(SledHistory::open(folder.path()).unwrap().sealed(), Lsn(20));
}

#[test]
fn a_day_that_has_gone_back_in_time_is_refused_until_it_is_set_aside() {
    let (folder, before) = half_way(3);
    let day = today(folder.path());
    copy_folder(&today(before.path()), &day);
    let written = records(3, 60, 1);
    let history = SledHistory::open(folder.path()).unwrap();
    let refused = history.read(Lsn(1), 1).unwrap_err().to_string();
    assert!(refused.contains(".damaged") && refused.contains("older"), "{refused}");
    assert!(history.seal(&written[30..]).is_err());
    drop(history);
    let aside = day.with_extension("damaged");
    std::fs::rename(&day, &aside).unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    assert!(
        history.read(Lsn(1), 10_000).unwrap().iter().all(|r| !matches!(r.body, watchfire_model::RecordBody::Data(_)))
    );
    history.seal(&written[30..]).unwrap();
    let read = all(&history, Lsn(31), 1000);
    assert_eq!(bits(&read), bits(&written[30..]));
    assert!(aside.exists());
}

#[test]
fn a_missing_day_is_told() {
    let (folder, _) = half_way(4);
    std::fs::remove_dir_all(today(folder.path())).unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let refused = range(&history, SignalId(0), Instant::MIN, Instant::MAX).unwrap_err();
    assert!(matches!(&refused, PortError::Damaged { detail, .. } if detail.contains("missing")), "{refused}");
}

#[test]
fn a_truncated_database_never_opens_as_if_nothing_were() {
    for file in ["ctl/db", &format!("ts/{}/db", Slot::first_of(Instant::from_s(START_S)))] {
        let (folder, _) = half_way(5);
        let written = records(5, 30, 1);
        let path = folder.path().join(file);
        let length = std::fs::metadata(&path).unwrap().len();
        for part in [0, 1, 2, 3] {
            OpenOptions::new().write(true).open(&path).unwrap().set_len(length * (3 - part) / 4).unwrap();
            let read = SledHistory::open(folder.path()).and_then(|history| history.read(Lsn(1), 1_000_000));
            // What was cut off may have been room that nothing stood in.
            assert!(read.is_err() || read.is_ok_and(|read| bits(&read) == bits(&written)), "{file} cut by {part}");
        }
        assert!(
            SledHistory::open(folder.path()).and_then(|history| history.read(Lsn(1), 1)).is_err(),
            "{file} is empty"
        );
    }
}

#[test]
fn records_out_of_order_or_with_a_hole_are_refused_and_nothing_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let mut written = records(6, 20, 1);
    assert!(history.seal(&written[3..]).is_err());
    written.swap(4, 5);
    assert!(history.seal(&written).is_err());
    assert_eq!(history.sealed(), Lsn(0));
    written.swap(4, 5);
    history.seal(&written).unwrap();
    assert_eq!(history.sealed(), Lsn(20));
}
