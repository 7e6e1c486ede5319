//! Ids, states of alarms, checkpoints, notes.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::{Lsn, RecordBody};
use watchfire_pipeline::{Checkpoint, History};

use super::made::records;
use crate::SledHistory;
use crate::ctl::{Ctl, Kind, named};
use crate::key_value::Change;

#[test]
fn the_last_state_of_each_alarm_is_kept_however_long_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let written = records(9, 400, 1);
    let mut expected: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut decided = BTreeMap::new();
    for record in &written {
        if let RecordBody::Decided(found) = &record.body {
            found.transitions.iter().for_each(|t| drop(expected.insert(t.key.to_string(), t.state.clone())));
            decided.insert(found.binding.clone(), found.frame);
        }
    }
    let history = SledHistory::open(folder.path()).unwrap();
    written.chunks(100).for_each(|part| history.seal(part).unwrap());
    let found = history.alarm_states().unwrap().into_iter().map(|s| (s.key.to_string(), s.state));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    assert_eq!(history.decided().unwrap(), decided);
}

#[test]
fn a_state_that_stays_as_it_was_is_written_once_and_stands_for_the_newest_frame() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let pieces = |history: &SledHistory| -> Vec<Vec<u8>> {
        history.ctl().under(&named(Kind::Piece, "hot")).unwrap().into_iter().map(|(key, _)| key).collect()
    };
    let saved = |frame: u64, size: usize| Checkpoint { bytes: vec![4; size], ..checkpoint(frame, 0) };
    history.save_checkpoint(&saved(1, 200_000)).unwrap();
    let first = pieces(&history);
    history.save_checkpoint(&saved(2, 200_000)).unwrap();
    assert_eq!(pieces(&history), first);
    drop(history);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(history.load_checkpoint("hot").unwrap(), Some(saved(2, 200_000)));
    history.save_checkpoint(&saved(3, 200_001)).unwrap();
    assert!(pieces(&history).iter().all(|key| !first.contains(key)), "another state has other pieces");
    assert_eq!(history.load_checkpoint("hot").unwrap(), Some(saved(3, 200_001)));
    // One piece goes bad on the disk: the same state puts it right.
    let bad = vec![vec![Change::Put(pieces(&history)[3].clone(), vec![5; 6_000])]];
    history.ctl().commit(bad).unwrap();
    assert_eq!(history.load_checkpoint("hot").unwrap(), None);
    history.save_checkpoint(&saved(4, 200_001)).unwrap();
    assert_eq!(history.load_checkpoint("hot").unwrap(), Some(saved(4, 200_001)));
}

#[test]
fn ids_are_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let first = SledHistory::open(folder.path()).unwrap().signal_ids(&names("a ab b a")).unwrap();
    assert_eq!(first[0], first[3]);
    let history = SledHistory::open(folder.path()).unwrap();
    let second = history.signal_ids(&names("d b a")).unwrap();
    assert_eq!((second[1], second[2]), (first[2], first[0]));
    assert!(!first.contains(&second[0]));
    assert_eq!(history.known_signals().unwrap().len(), 4);
    let refused = history.signal_ids(&["x".repeat(2000)]).unwrap_err();
    assert!(refused.to_string().contains("shorten"), "{refused}");
}

#[test]
fn notes_are_kept_and_replaced_by_shorter_ones() {
    let folder = tempfile::tempdir().unwrap();
    for value in [vec![1; 20_000], vec![2; 5], vec![]] {
        SledHistory::open(folder.path()).unwrap().set_note("last", &value).unwrap();
        assert_eq!(SledHistory::open(folder.path()).unwrap().note("last").unwrap(), Some(value));
    }
    assert_eq!(SledHistory::open(folder.path()).unwrap().note("other").unwrap(), None);
}

fn checkpoint(frame: u64, size: usize) -> Checkpoint {
    Checkpoint {
        binding: "hot".into(),
        plugin: "limit".into(),
        state_version: 1,
        config_hash: "c".into(),
        frame: Lsn(frame),
        bytes: vec![u8::try_from(frame).unwrap(); size],
        host: vec![9; 10],
    }
}

#[test]
fn a_checkpoint_replaces_the_one_before_and_leaves_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    for saved in [checkpoint(1, 50_000), checkpoint(2, 0), checkpoint(3, 3_500_000), checkpoint(4, 7)] {
        let history = SledHistory::open(folder.path()).unwrap();
        history.save_checkpoint(&saved).unwrap();
        history.save_checkpoint(&Checkpoint { binding: "hotter".into(), ..checkpoint(9, 3) }).unwrap();
        drop(history);
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(history.load_checkpoint("hot").unwrap(), Some(saved));
    }
    assert_eq!(SledHistory::open(folder.path()).unwrap().load_checkpoint("cold").unwrap(), None);
    let ctl = Ctl::open(folder.path()).unwrap();
    assert_eq!(ctl.under(&named(Kind::Piece, "hot")).unwrap().len(), 1);
}

#[test]
fn a_checkpoint_waits_for_no_seal_and_is_read_while_others_write() {
    let folder = tempfile::tempdir().unwrap();
    let history = Arc::new(SledHistory::open(folder.path()).unwrap());
    let sealing = history.sealing.lock();
    let (said, done) = std::sync::mpsc::channel();
    let other = history.clone();
    std::thread::spawn(move || {
        other.save_checkpoint(&checkpoint(1, 9_000)).unwrap();
        let writing = other.writer.lock();
        let reader = other.clone();
        let read = std::thread::spawn(move || said.send(reader.load_checkpoint("hot").unwrap()).unwrap());
        read.join().unwrap();
        drop(writing);
    });
    let loaded = done.recv_timeout(std::time::Duration::from_secs(20)).expect("it waits");
    assert_eq!(loaded, Some(checkpoint(1, 9_000)));
    drop(sealing);
}

#[test]
fn a_checkpoint_that_is_read_while_it_is_replaced_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    history.save_checkpoint(&checkpoint(0, 20_000)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..30).for_each(|n| history.save_checkpoint(&checkpoint(n, 20_000)).unwrap()));
        while !writer.is_finished() {
            let loaded = history.load_checkpoint("hot").unwrap().expect("there is one");
            assert_eq!(loaded, checkpoint(loaded.frame.0, 20_000));
        }
    });
}

#[test]
fn what_is_sealed_never_goes_back_however_seals_and_checkpoints_meet() {
    let folder = tempfile::tempdir().unwrap();
    let history = SledHistory::open(folder.path()).unwrap();
    let written = records(12, 200, 1);
    std::thread::scope(|scope| {
        let sealer = scope.spawn(|| written.chunks(5).for_each(|part| history.seal(part).unwrap()));
        while !sealer.is_finished() {
            history.save_checkpoint(&checkpoint(1, 100)).unwrap();
        }
    });
    history.save_checkpoint(&checkpoint(2, 100)).unwrap();
    drop(history);
    assert_eq!(SledHistory::open(folder.path()).unwrap().sealed(), Lsn(200));
}

#[test]
fn a_kill_while_a_checkpoint_is_saved_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    SledHistory::open(folder.path()).unwrap().save_checkpoint(&checkpoint(1, 50_000)).unwrap();
    let before = Ctl::open(folder.path()).unwrap().under(&named(Kind::Piece, "hot")).unwrap();
    // The pieces of the next one, as far as a kill let them come; no manifest knows them.
    let next: Vec<_> = before
        .iter()
        .map(|(key, bytes)| {
            let mut key = key.clone();
            let generation = key.len() - 5;
            key[generation] += 1;
            vec![Change::Put(key, vec![7; bytes.len()])]
        })
        .collect();
    assert!(next.len() > 5);
    for arrived in [1, 3, next.len()] {
        let ctl = Ctl::open(folder.path()).unwrap();
        ctl.commit(next[..arrived].to_vec()).unwrap();
        drop(ctl);
        let history = SledHistory::open(folder.path()).unwrap();
        assert_eq!(history.load_checkpoint("hot").unwrap(), Some(checkpoint(1, 50_000)));
    }
    let history = SledHistory::open(folder.path()).unwrap();
    history.save_checkpoint(&checkpoint(2, 9_000)).unwrap();
    assert_eq!(history.load_checkpoint("hot").unwrap(), Some(checkpoint(2, 9_000)));
}

#[test]
fn a_checkpoint_that_is_not_what_was_saved_counts_as_none() {
    let folder = tempfile::tempdir().unwrap();
    SledHistory::open(folder.path()).unwrap().save_checkpoint(&checkpoint(1, 20_000)).unwrap();
    let ctl = Ctl::open(folder.path()).unwrap();
    let (key, mut bytes) = ctl.under(&named(Kind::Piece, "hot")).unwrap().remove(2);
    bytes[100] ^= 1;
    ctl.commit(vec![vec![Change::Put(key, bytes)]]).unwrap();
    drop(ctl);
    let history = SledHistory::open(folder.path()).unwrap();
    assert_eq!(history.load_checkpoint("hot").unwrap(), None);
    history.save_checkpoint(&checkpoint(2, 5)).unwrap();
    assert_eq!(history.load_checkpoint("hot").unwrap(), Some(checkpoint(2, 5)));
}
