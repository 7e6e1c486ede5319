//! Looking through everything that is stored: whether each part can be decoded, fits what is said of it elsewhere, and
//! whether none is missing. Nothing is changed, and whoever reads or writes goes on meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use watchfire_model::{AlarmState, Lsn, RecordBody};
use watchfire_pipeline::{History, PortError};

use crate::bucket::{self, Head, widen};
use crate::chain::{Chained, Link};
use crate::checkpoint;
use crate::ctl::Kind;
use crate::days::SlotEntry;
use crate::fills::fills_of;
use crate::gaps::GapsKnown;
use crate::history::SledHistory;
use crate::key_value::KeyValue;
use crate::slot::Slot;
use crate::sums::Looked;

/// Records without samples that are read at once.
const STEP: usize = 1024;
/// So many places are only ever left out on purpose: a journal was gone on without, and its places with it.
const LEFT_OUT_MIN: u64 = 1 << 39;

/// What a look through the store found.
#[derive(Debug, Default)]
pub struct Verified {
    /// Days of samples.
    pub days: u64,
    /// Buckets of samples.
    pub buckets: u64,
    /// Chunks, one of each signal in a bucket.
    pub chunks: u64,
    /// Samples.
    pub rows: u64,
    /// Gaps on record.
    pub gaps: u64,
    /// Records without samples.
    pub records: u64,
    /// The chain of them.
    pub chain: Chained,
    /// Those of them that tell what became of gaps.
    pub fills: u64,
    /// States of conditions.
    pub conditions: u64,
    /// Checkpoints of detectors.
    pub checkpoints: u64,
    /// Summaries.
    pub summaries: Looked,
    /// What is missing and known to be, one sentence each.
    pub notes: Vec<String>,
    /// What is not what was written, with the file or key and the way out.
    pub faults: Vec<PortError>,
}

impl Verified {
    fn took<T>(&mut self, result: Result<T, PortError>) -> Option<T> {
        result.map_err(|error| self.faults.push(error)).ok()
    }
}

impl SledHistory {
    /// Looks through everything sealed. Costs a read of all of it; days are not dropped meanwhile.
    #[must_use]
    pub fn verify(&self) -> Verified {
        self.verify_noted(None)
    }

    /// The same, and whether the chain of records has a hash that somebody has noted.
    #[must_use]
    pub fn verify_noted(&self, noted: Option<&Link>) -> Verified {
        let _kept = self.keeping.lock();
        let (sealed, days) = self.counted();
        let mut found = Verified::default();
        found.took(self.ctl().check());
        self.names(&mut found);
        let heads = self.heads(&days, &mut found);
        let newest = self.places(sealed, &days, &heads, &mut found);
        self.states(sealed, &newest, &mut found);
        self.chain(sealed, noted, &mut found);
        found.summaries = self.look_through_sums(&mut found.faults);
        found
    }

    /// Each record follows the one before.
    fn chain(&self, sealed: Lsn, noted: Option<&Link>, found: &mut Verified) {
        let Some(chain) = found.took(self.ctl().follow_chain(sealed, noted)) else { return };
        if let Some(lsn) = chain.broken {
            let detail = format!(
                "record {lsn} is not what followed the one before it: one was changed, taken out or put in; restore the data \
                 folder from a backup"
            );
            found.faults.push(damaged("the chain of records in `ctl`", detail));
        }
        if noted.is_some() && chain.broken.is_none() && chain.passes.is_none() {
            let detail = "no record that is kept has the hash that was noted: it is older than what is kept, or all of the \
                          chain was made anew";
            found.faults.push(damaged("the chain of records in `ctl`", detail.to_owned()));
        }
        found.chain = chain;
    }

    /// Signals, what was decided, and checkpoints.
    fn names(&self, found: &mut Verified) {
        if let Some(signals) = found.took(self.known_signals()) {
            let ids: BTreeSet<_> = signals.values().collect();
            if ids.len() < signals.len() {
                found.faults.push(damaged("the list of signals in `ctl`", "two names have one id".to_owned()));
            }
        }
        found.took(self.decided());
        for binding in found.took(self.ctl().all(Kind::Checkpoint)).unwrap_or_default().into_keys() {
            found.checkpoints += 1;
            if let Some(None) = found.took(checkpoint::load(self.ctl(), &binding)) {
                let detail = "it is not what was saved; the detector will begin anew".to_owned();
                found.faults.push(damaged(&format!("the checkpoint of detector `{binding}` in `ctl`"), detail));
            }
        }
    }

    /// The heads of all buckets, by place, with their days checked against what `ctl` says of them.
    fn heads(&self, days: &BTreeMap<Slot, SlotEntry>, found: &mut Verified) -> Vec<(Slot, Head)> {
        let mut heads = Vec::new();
        for (slot, entry) in days {
            found.days += 1;
            let store = match found.took(self.days().reading(*slot, entry)) {
                Some(Some(store)) => store,
                Some(None) => {
                    found.notes.push(format!("day {slot} was set aside as damaged"));
                    continue;
                }
                None => continue,
            };
            let mut own: Vec<Head> = Vec::new();
            while let Some(Some(head)) = found
                .took(bucket::after(&store, own.last().map_or(Lsn(0), |head| head.last)))
                .map(|head| head.filter(|head| head.last <= entry.last))
            {
                own.push(head);
            }
            let span = own.iter().fold(None, |span, head| widen(span, head.span));
            let ends = (own.first().map(|head| head.first), own.last().map(|head| head.last));
            if ends != (Some(entry.first), Some(entry.last)) || span != entry.span {
                let detail = format!(
                    "it holds records {:?} to {:?} where `ctl` knows of {} to {}; restore it from a backup",
                    ends.0, ends.1, entry.first, entry.last
                );
                found.faults.push(damaged(&format!("the day `{}`", store.folder().display()), detail));
            }
            let gaps =
                own.iter().try_fold(GapsKnown::default(), |known, head| head.gaps.map(|gaps| known.with(gaps.known)));
            if entry.gaps.is_some() && entry.gaps != gaps {
                let detail =
                    format!("it has gaps {gaps:?} where `ctl` knows of {:?}; restore it from a backup", entry.gaps);
                found.faults.push(damaged(&format!("the day `{}`", store.folder().display()), detail));
            }
            heads.extend(own.into_iter().map(|head| (*slot, head)));
        }
        heads.sort_unstable_by_key(|(_, head)| head.first);
        heads
    }

    /// Every place up to `sealed` has its record; answers the last state of each condition that they tell of.
    fn places(
        &self,
        sealed: Lsn,
        days: &BTreeMap<Slot, SlotEntry>,
        heads: &[(Slot, Head)],
        found: &mut Verified,
    ) -> BTreeMap<String, (Lsn, AlarmState)> {
        let mut newest = BTreeMap::new();
        let oldest = found.took(self.ctl().records(Lsn(1), sealed, 1)).unwrap_or_default();
        let begins =
            oldest.first().map(|record| record.lsn).into_iter().chain(heads.first().map(|(_, head)| head.first));
        let Some(mut next) = begins.min() else { return newest };
        for (slot, head) in heads {
            let framed = match days.get(slot).map(|entry| self.days().reading(*slot, entry)) {
                Some(Ok(Some(store))) => found.took(bucket::verify(&store, head)),
                _ => None,
            };
            found.buckets += 1;
            let Some((frames, chunks)) = framed else {
                next = head.last.next();
                continue;
            };
            (found.rows, found.chunks) = (found.rows + head.rows, found.chunks + chunks);
            found.gaps += head.gaps.map_or(0, |gaps| gaps.known.count);
            self.between(next, head.last, &frames, days, found, &mut newest);
            next = head.last.next();
        }
        self.between(next, sealed, &[], days, found, &mut newest);
        self.fills(sealed, found);
        newest
    }

    /// Every record that tells what became of gaps is found as one, and nothing else is.
    fn fills(&self, sealed: Lsn, found: &mut Verified) {
        let (mut from, mut fills) = (Lsn(1), 0);
        while let Some(records) = found.took(self.ctl().filled(from, sealed, None, STEP)) {
            let Some(last) = records.last() else { break };
            from = last.lsn.next();
            for record in &records {
                fills += u64::from(found.took(self.ctl().is_well_listed(record)).unwrap_or_default());
            }
        }
        if fills != found.fills {
            let detail = format!(
                "it names {fills} records as they are, but there are {}; restore the data folder from a backup",
                found.fills
            );
            found.faults.push(damaged("the list in `ctl` of what became of gaps", detail));
        }
    }

    /// The places from `next` to `last` are those of `frames` and of the records without samples there.
    fn between(
        &self,
        mut next: Lsn,
        last: Lsn,
        frames: &[Lsn],
        days: &BTreeMap<Slot, SlotEntry>,
        found: &mut Verified,
        newest: &mut BTreeMap<String, (Lsn, AlarmState)>,
    ) {
        let mut frames = frames.iter().copied().peekable();
        let mut from = next;
        while from <= last {
            let Some(records) = found.took(self.ctl().records(from, last, STEP)) else { return };
            let end = records.last().map_or(last, |record| record.lsn);
            for record in &records {
                while let Some(frame) = frames.next_if(|frame| *frame < record.lsn) {
                    next = self.follows(next, frame, days, found);
                }
                next = self.follows(next, record.lsn, days, found);
                found.records += 1;
                found.fills += u64::from(fills_of(&record.body).is_some());
                let transitions = match &record.body {
                    RecordBody::Decided(made) => made.transitions.as_slice(),
                    RecordBody::Commanded { transitions, .. } => transitions,
                    RecordBody::Data(_) | RecordBody::Control(_) => &[],
                };
                for state in transitions {
                    newest.insert(state.key.as_str().to_owned(), (record.lsn, state.clone()));
                }
            }
            from = end.next();
        }
        for frame in frames {
            next = self.follows(next, frame, days, found);
        }
        self.follows(next, last.next(), days, found);
    }

    /// The place after `here`, which must be `next`.
    fn follows(&self, next: Lsn, here: Lsn, days: &BTreeMap<Slot, SlotEntry>, found: &mut Verified) -> Lsn {
        if here > next {
            let (from, to) = (next, Lsn(here.0 - 1));
            let aside = days.iter().any(|(slot, entry)| {
                entry.first <= from && to <= entry.last && matches!(self.days().reading(*slot, entry), Ok(None))
            });
            if to.0 - from.0 >= LEFT_OUT_MIN {
                found.notes.push(format!("records from {from} on were lost with a journal that was gone on without"));
            } else if !aside {
                let detail = format!("the records {from} to {to} are missing; restore the data folder from a backup");
                found.faults.push(damaged("the run of sealed records", detail));
            }
        }
        here.next()
    }

    /// The states of conditions are those that the records told of last.
    fn states(&self, sealed: Lsn, newest: &BTreeMap<String, (Lsn, AlarmState)>, found: &mut Verified) {
        let _sealing = self.sealing.lock();
        let Some(states) = found.took(self.alarm_states()) else { return };
        if self.sealed() != sealed {
            // Sealed meanwhile: the states are newer than what was looked at.
            found.conditions = states.len() as u64;
            return;
        }
        let held: BTreeMap<_, _> = states.iter().map(|state| (state.key.as_str(), &state.state)).collect();
        found.conditions = held.len() as u64;
        for (key, (lsn, state)) in newest {
            if held.get(key.as_str()).is_none_or(|held| **held != state.state) {
                let detail =
                    format!("it is not the one that record {lsn} led to; restore the data folder from a backup");
                found.faults.push(damaged(&format!("the state of condition `{key}` in `ctl`"), detail));
            }
        }
    }
}

fn damaged(what: &str, detail: String) -> PortError {
    PortError::Damaged { what: what.to_owned(), detail }
}
