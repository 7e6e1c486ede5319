//! Whether a data folder holds what was promised of it, and nothing else.

use std::path::Path;

use watchfire_model::{Lsn, Record};
use watchfire_pipeline::History;

use crate::writer::{CONDITIONS, body, checkpoint, open, state};

/// What a process had said before it died.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promised {
    /// The last record that was durable.
    pub record: u64,
    /// The last checkpoint.
    pub checkpoint: Option<u64>,
}

impl Promised {
    /// Takes over what it says on a line; half a line says nothing.
    pub fn hear(&mut self, line: &str) {
        match line.split_once(' ').map(|(what, lsn)| (what, lsn.parse())) {
            Some(("r", Ok(lsn))) => self.record = self.record.max(lsn),
            Some(("c", Ok(lsn))) => self.checkpoint = Some(self.checkpoint.unwrap_or_default().max(lsn)),
            _ => {}
        }
    }
}

fn bits(record: &Record) -> Vec<u8> {
    postcard::to_stdvec(&(record.lsn, &record.body)).unwrap()
}

/// Opens a folder and holds it against what was promised; reads records from `from` on, and all of them where it is 1.
/// Answers the last record there is.
pub fn check(folder: &Path, promised: Promised, from: u64) -> u64 {
    let (log, journal, history) = open(folder);
    let tail = log.tail().0;
    assert!(tail >= promised.record, "record {} was durable, but the log ends at {tail}", promised.record);
    let mut next = from.max(1);
    while next <= tail {
        let records = log.read(Lsn(next), 1 << 16).unwrap();
        assert!(!records.is_empty(), "record {next} cannot be read, but the log ends at {tail}");
        for record in &records {
            assert_eq!(record.lsn.0, next, "another record stands there");
            let written = Record { lsn: record.lsn, body: body(next) };
            assert!(bits(record) == bits(&written), "record {next} is not what was written");
            next += 1;
        }
    }
    let sealed = history.sealed().0;
    let mut expected: Vec<u64> = (0..=sealed).rev().filter(|lsn| lsn % 5 == 0 && *lsn > 0).take(10).collect();
    expected.truncate(usize::try_from(CONDITIONS).unwrap());
    let states = history.alarm_states().unwrap();
    for lsn in expected {
        // A seal of many records that did not end may have brought a condition further; the log has those records still.
        let then = (lsn..=tail).step_by(usize::try_from(CONDITIONS * 5).unwrap());
        assert!(
            then.into_iter().any(|then| states.contains(&state(then))),
            "the state of record {lsn} is not that of its condition"
        );
    }
    let saved = history.load_checkpoint("hot").unwrap();
    if let Some(promised) = promised.checkpoint {
        let saved = saved.as_ref().expect("a checkpoint that was saved is gone");
        assert!(saved.frame.0 >= promised, "checkpoint {promised} was saved, but there is {}", saved.frame);
    }
    assert!(
        saved.as_ref().is_none_or(|saved| *saved == checkpoint(saved.frame.0)),
        "a checkpoint is not what was saved"
    );
    if from <= 1 {
        let found = history.verify();
        assert!(found.faults.is_empty(), "{:?}", found.faults);
        let found = journal.verify();
        assert!(found.faults.is_empty(), "{:?}", found.faults);
    }
    tail
}
