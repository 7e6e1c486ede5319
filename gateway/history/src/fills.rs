//! Where in the log it is told what became of gaps: the place of each such record, with the signals and hours that it
//! tells of, so that whoever looks something up reads no record that cannot concern it.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use watchfire_model::{Control, Fill, Lsn, Record, RecordBody};
use watchfire_pipeline::{GapBegins, PortError};

use crate::bytes::Reader;
use crate::ctl::{BODY, Ctl, Kind, PART_BYTES, join, part, placed, read_body, without_part};
use crate::key_value::{Change, Group, KeyValue, Pair};
use crate::reach::Reach;
use crate::store::Store;

/// Pairs read at once, and records of a stretch.
const STEP: usize = 1024;
/// A control record, as it is written.
const CONTROL: u64 = 1;
/// What became of gaps, as it is written.
const FILLED: u64 = 5;

/// What a record tells of gaps, if that is what it does.
pub fn fills_of(body: &RecordBody) -> Option<&[Fill]> {
    if let RecordBody::Control(Control::Filled { fills, .. }) = body { Some(fills) } else { None }
}

/// Lists a record that tells what became of gaps.
pub fn listed(lsn: Lsn, fills: &[Fill]) -> Change {
    let mut reach = Vec::new();
    Reach::of_fills(fills).put(&mut reach);
    Change::Put(placed(Kind::Filled, lsn), reach)
}

/// Of what a listed record tells; `None` where that is not known, as of one that an earlier layout has listed.
fn reach_of(value: &[u8]) -> Option<Reach> {
    let mut reader = Reader(value);
    Reach::read(&mut reader).filter(|_| reader.0.is_empty())
}

fn place_of(key: &[u8]) -> Option<Lsn> {
    key.get(1..)?.try_into().ok().map(|lsn| Lsn(u64::from_be_bytes(lsn)))
}

/// Stretches of the list, each with all that its records tell of: whoever asks of something else passes over the whole.
/// What is sealed stays as it is, but for what is dropped at the beginning, so that none is ever looked at again.
#[derive(Debug, Default)]
pub struct Stretches(Mutex<BTreeMap<Lsn, Stretch>>);

/// The places from one to another.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    first: Lsn,
    last: Lsn,
    reach: Reach,
}

impl Stretches {
    /// The first that ends at a place or later.
    fn from(&self, place: Lsn) -> Option<Stretch> {
        self.0.lock().range(place..).next().map(|(_, stretch)| *stretch)
    }

    /// Keeps one that overlaps no other, if it is known of what its records tell.
    fn keep(&self, first: Lsn, last: Lsn, listed: &[Pair]) {
        let all = listed
            .iter()
            .map(|(_, value)| reach_of(value))
            .try_fold(Reach::default(), |all, reach| reach.map(|reach| all.with(reach)));
        if let Some(reach) = all {
            self.0.lock().insert(last, Stretch { first, last, reach });
        }
    }
}

impl Ctl {
    /// The records from `from` to `to`, which must be sealed, that may tell what became of these gaps, or of any: the first
    /// `most` of them. Costs a read of each of them, and of some twenty bytes of each of those around.
    pub fn filled(
        &self,
        mut from: Lsn,
        to: Lsn,
        of: Option<&GapBegins>,
        most: usize,
    ) -> Result<Vec<Record>, PortError> {
        let mut records = Vec::new();
        while from <= to && records.len() < most {
            let next = self.stretches.from(from);
            let within = next.filter(|stretch| stretch.first <= from);
            if let (Some(stretch), Some(of)) = (within, of)
                && !stretch.reach.concerns_any(of)
            {
                from = stretch.last.next();
                continue;
            }
            let end = within.map(|stretch| stretch.last).or(next.map(|stretch| Lsn(stretch.first.0 - 1)));
            let end = end.unwrap_or(to).min(to);
            let found = self.store().range(&placed(Kind::Filled, from), &placed(Kind::Filled, end), STEP)?;
            let last = found.last().filter(|_| found.len() == STEP).and_then(|(key, _)| place_of(key));
            if let (Some(last), None, Some(_)) = (last, within, of) {
                self.stretches.keep(from, last, &found);
            }
            #[cfg(test)]
            looked::LISTED.set(looked::LISTED.get() + found.len());
            for (key, value) in found {
                if records.len() < most && of.is_none_or(|of| reach_of(&value).is_none_or(|all| all.concerns_any(of))) {
                    records.push(self.fill_at(place_of(&key).ok_or_else(|| self.damaged("what became of gaps"))?)?);
                }
            }
            from = last.unwrap_or(end).next();
        }
        Ok(records)
    }

    fn fill_at(&self, lsn: Lsn) -> Result<Record, PortError> {
        #[cfg(test)]
        looked::FILLS.set(looked::FILLS.get() + 1);
        let found = self.records(lsn, lsn, 2)?.pop();
        found.filter(|found| found.lsn == lsn).ok_or_else(|| self.damaged(&format!("record {lsn}")))
    }

    /// Whether a record is listed if it tells what became of gaps, with what it tells of or without.
    ///
    /// # Errors
    /// When the store fails.
    pub fn is_well_listed(&self, record: &Record) -> Result<bool, PortError> {
        let value = self.store().get(&placed(Kind::Filled, record.lsn))?;
        Ok(match (fills_of(&record.body), value) {
            (Some(fills), Some(value)) => value.is_empty() || reach_of(&value) == Some(Reach::of_fills(fills)),
            (fills, value) => fills.is_none() && value.is_none(),
        })
    }
}

/// The places of the records that tell what became of gaps, for a folder that did not keep them.
pub fn index(store: &Store) -> Result<Vec<Group>, PortError> {
    let mut groups: Vec<Group> = Vec::new();
    let mut next = vec![Kind::Record as u8];
    loop {
        let pairs = store.range(&next, &[Kind::Record as u8 + 1], STEP)?;
        let Some((last, _)) = pairs.last() else { return Ok(groups) };
        next = [last.as_slice(), &[0]].concat();
        for (key, bytes) in &pairs {
            // Its first part tells what it is, whatever follows: after its length and form, two variants.
            let mut reader = Reader(bytes);
            let is_fill = key.ends_with(&[0; PART_BYTES])
                && reader.count().is_some()
                && reader.byte() == Some(BODY)
                && reader.varint() == Some(CONTROL)
                && reader.varint() == Some(FILLED);
            if is_fill {
                let place = without_part(key).get(1..).unwrap_or_default();
                groups.push(vec![Change::Put([&[Kind::Filled as u8], place].concat(), Vec::new())]);
            }
        }
    }
}

/// What the listed records tell of, for a folder that kept their places alone. One that cannot be read stays as it is.
pub fn tell_reach(store: &Store) -> Result<Vec<Group>, PortError> {
    let mut groups: Vec<Group> = Vec::new();
    let mut next = vec![Kind::Filled as u8];
    loop {
        let pairs = store.range(&next, &[Kind::Filled as u8 + 1], STEP)?;
        let Some((last, _)) = pairs.last() else { return Ok(groups) };
        next = [last.as_slice(), &[0]].concat();
        for lsn in pairs.iter().filter(|(_, value)| value.is_empty()).filter_map(|(key, _)| place_of(key)) {
            let record = placed(Kind::Record, lsn);
            let parts = store.range(&part(&record, 0), &part(&record, u16::MAX), usize::MAX)?;
            let body = join(parts.iter()).and_then(|bytes| read_body(&bytes));
            let fills = body.as_ref().and_then(fills_of);
            groups.extend(fills.map(|fills| vec![listed(lsn, fills)]));
        }
    }
}

/// What was read for those who asked.
#[cfg(test)]
pub mod looked {
    use std::cell::Cell;

    thread_local! {
        /// What is listed of them.
        pub static LISTED: Cell<usize> = const { Cell::new(0) };
        /// Records that tell what became of gaps.
        pub static FILLS: Cell<usize> = const { Cell::new(0) };
        /// Buckets whose gaps were read.
        pub static GAPS: Cell<usize> = const { Cell::new(0) };
    }
}
