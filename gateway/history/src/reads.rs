//! Reading sealed samples by place in the log, as the very frames they came in, and the gaps that those tell of.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use watchfire_model::{Gap, Instant, Lsn, Record, RecordBody, Rows, SignalId};
use watchfire_pipeline::{Gaps, PortError};

use crate::bucket::{self, Head};
use crate::ctl::Ctl;
use crate::days::{Days, SlotEntry};
use crate::directory::Entry;
use crate::gaps::touch;
use crate::reach::Signals;
use crate::slot::Slot;

/// Rows of decoded buckets that are kept for the next read; the newest is kept whatever it holds.
const RECENT_ROWS_MAX: u64 = 1 << 20;

/// Entries of directories that are kept: some three megabytes.
const ENTRIES_MAX: usize = 1 << 18;
/// Directories that are kept.
const BUCKETS_MAX: usize = 1 << 13;

/// Buckets that were decoded last: whoever replays reads a bucket in many steps.
#[derive(Debug, Default)]
pub struct Recent(VecDeque<(Head, Arc<Vec<Record>>)>);

impl Recent {
    fn get(&self, head: &Head) -> Option<Arc<Vec<Record>>> {
        self.0.iter().find(|(held, _)| held == head).map(|(_, records)| records.clone())
    }

    fn keep(&mut self, head: Head, records: Arc<Vec<Record>>) {
        self.0.push_back((head, records));
        while self.0.len() > 1 && self.0.iter().map(|(head, _)| head.rows).sum::<u64>() > RECENT_ROWS_MAX {
            self.0.pop_front();
        }
    }
}

/// Where sealed samples lie.
pub struct Reads<'h> {
    /// Records without samples.
    pub ctl: &'h Ctl,
    /// Samples.
    pub days: &'h Days,
    /// The days there are.
    pub known: BTreeMap<Slot, SlotEntry>,
    /// The last record that counts.
    pub sealed: Lsn,
    /// Directories that were read last.
    pub directories: &'h Directories,
}

/// The directories of buckets that were read last: whoever reads many signals, or one of many days page by page, needs
/// each again and again.
#[derive(Debug, Default)]
pub struct Directories(parking_lot::Mutex<HashMap<Lsn, (Head, Directory)>>);

/// The directory of a bucket, if it has one.
pub type Directory = Option<Arc<Vec<Entry>>>;

impl Directories {
    /// That of a bucket, if it was read lately.
    pub fn get(&self, head: &Head) -> Option<Directory> {
        self.0.lock().get(&head.first).filter(|(held, _)| held == head).map(|(_, directory)| directory.clone())
    }

    /// Keeps that of a bucket for the next read.
    pub fn keep(&self, head: &Head, directory: Option<Vec<Entry>>) -> Directory {
        let directory = directory.map(Arc::new);
        let mut held = self.0.lock();
        let entries = held.values().filter_map(|(_, held)| held.as_ref().map(|held| held.len())).sum::<usize>();
        if entries + directory.as_ref().map_or(0, |directory| directory.len()) > ENTRIES_MAX || held.len() > BUCKETS_MAX
        {
            held.clear();
        }
        held.insert(head.first, (*head, directory.clone()));
        directory
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

fn rows_of(record: &Record) -> usize {
    if let RecordBody::Data(frame) = &record.body { frame.rows.len() } else { 0 }
}

impl Reads<'_> {
    /// Records from `from` on, at least one if there is any.
    pub fn records(
        &self,
        from: Lsn,
        rows_max: usize,
        recent: &parking_lot::Mutex<Recent>,
    ) -> Result<Vec<Record>, PortError> {
        let (mut records, mut rows, mut next) = (Vec::new(), 0, Lsn(from.0.max(1)));
        while next <= self.sealed && (records.is_empty() || rows < rows_max) {
            let Some((slot, head)) = self.bucket_from(next)? else {
                let left = self.ctl.records(next, self.sealed, rows_max)?;
                records.extend(left);
                break;
            };
            let frames = self.bucket(slot, head, recent)?;
            let begin = frames.partition_point(|frame| frame.lsn < next);
            let mut upto = head.last;
            let mut taken = Vec::new();
            for frame in frames.get(begin..).unwrap_or_default() {
                if !(records.is_empty() && taken.is_empty()) && rows + rows_of(frame) > rows_max {
                    upto = Lsn(frame.lsn.0 - 1);
                    rows = rows.max(rows_max);
                    break;
                }
                rows += rows_of(frame);
                taken.push(frame.clone());
            }
            // Not one of them may be missing among the frames, so all are read, however many.
            taken.extend(self.ctl.records(next, upto, usize::MAX)?);
            taken.sort_unstable_by_key(|record| record.lsn);
            records.extend(taken);
            next = upto.next();
        }
        // What comes after a hole is read by itself, so that nobody passes over the hole unawares.
        let joined = records.windows(2).take_while(|pair| matches!(pair, [a, b] if a.lsn.next() == b.lsn)).count();
        records.truncate(joined + 1);
        Ok(records)
    }

    /// The bucket that holds the record at `lsn`, or else the first one after it.
    fn bucket_from(&self, lsn: Lsn) -> Result<Option<(Slot, Head)>, PortError> {
        let mut days: Vec<_> = self.known.iter().filter(|(_, entry)| entry.last >= lsn).collect();
        days.sort_unstable_by_key(|(_, entry)| entry.first);
        let mut best: Option<(Slot, Head)> = None;
        for (slot, entry) in days {
            if best.is_some_and(|(_, head)| head.first < entry.first) {
                break;
            }
            let Some(store) = self.days.reading(*slot, entry)? else { continue };
            let found = bucket::find(&store, lsn)?.filter(|head| head.last <= self.sealed);
            if let Some(head) = found
                && best.is_none_or(|(_, best)| head.first < best.first)
            {
                best = Some((*slot, head));
            }
        }
        Ok(best)
    }

    fn bucket(
        &self,
        slot: Slot,
        head: Head,
        recent: &parking_lot::Mutex<Recent>,
    ) -> Result<Arc<Vec<Record>>, PortError> {
        if let Some(held) = recent.lock().get(&head) {
            return Ok(held);
        }
        let entry = self.known.get(&slot).copied().unwrap_or(SlotEntry {
            first: head.first,
            last: head.last,
            span: None,
            hours: None,
            counts: None,
            gaps: None,
        });
        let Some(store) = self.days.reading(slot, &entry)? else { return Ok(Arc::default()) };
        let records = match bucket::records(&store, &head) {
            Ok(records) => Arc::new(records),
            Err(error) => return self.days.give_up(error).map(|()| Arc::default()),
        };
        recent.lock().keep(head, records.clone());
        Ok(records)
    }

    /// The gaps that frames from `from` on tell of, in the order of the log: those of one bucket, `upto` at the last,
    /// of some signals or of all, that touch `between`. Those that cannot be decoded are passed over where damage is gone
    /// on without. Costs a look at the heads of the days that may have such gaps, and a read of those of each bucket that
    /// may, up to one that has.
    pub fn gaps(
        &self,
        from: Lsn,
        upto: Lsn,
        signals: Option<Signals>,
        between: (Instant, Instant),
    ) -> Result<Gaps, PortError> {
        let has_some = |entry: &SlotEntry| entry.gaps.is_none_or(|gaps| gaps.concerns(signals, between));
        let mut days: Vec<_> = self.known.iter().filter(|(_, entry)| entry.last >= from && has_some(entry)).collect();
        days.sort_unstable_by_key(|(_, entry)| entry.first);
        let upto = upto.min(self.sealed);
        for (slot, entry) in days {
            let Some(store) = self.days.reading(*slot, entry)? else { continue };
            let mut at = bucket::find(&store, from)?;
            while let Some(head) = at.filter(|head| head.first <= upto) {
                if head.gaps.is_none_or(|gaps| gaps.known.concerns(signals, between)) {
                    let is_of =
                        |signal: SignalId| signals.is_none_or(|(first, last)| first <= signal && signal <= last);
                    let is_wanted = |(lsn, gap): &(Lsn, Gap)| {
                        (from..=upto).contains(lsn)
                            && gap.signal.is_none_or(is_of)
                            && touch((gap.since, gap.until), between)
                    };
                    let found = match bucket::gaps(&store, &head) {
                        Ok(found) => found,
                        // A start asks for all that are kept, and must not be refused for one.
                        Err(error) => self.days.give_up(error).map(|()| Vec::new())?,
                    };
                    let gaps: Vec<_> = found.into_iter().filter(is_wanted).collect();
                    if !gaps.is_empty() {
                        return Ok(Gaps { gaps, rest: Some(head.last.next()) });
                    }
                }
                at = bucket::after(&store, head.last)?;
            }
        }
        Ok(Gaps::default())
    }
}

/// Sorts rows by time, equal times staying in their order.
pub fn sorted(mut rows: Rows) -> Rows {
    if rows.skew_ns.iter().all(|skew| *skew == 0) {
        rows.skew_ns.clear();
    }
    if rows.time.is_sorted() {
        return rows;
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| rows.time.get(*row).copied());
    let mut place = vec![0_u32; rows.len()];
    for (at, row) in (0_u32..).zip(&order) {
        if let Some(place) = place.get_mut(*row) {
            *place = at;
        }
    }
    let moved = |row: u32| place.get(row as usize).copied().unwrap_or_default();
    rows.exact.iter_mut().for_each(|(row, _)| *row = moved(*row));
    rows.exact.sort_by_key(|(row, _)| *row);
    rows.text.iter_mut().for_each(|(row, _)| *row = moved(*row));
    rows.text.sort_by_key(|(row, _)| *row);
    Rows {
        signal: rows.signal,
        time: permuted(&rows.time, &order),
        value: permuted(&rows.value, &order),
        status: permuted(&rows.status, &order),
        quality: permuted(&rows.quality, &order),
        skew_ns: if rows.skew_ns.is_empty() { Vec::new() } else { permuted(&rows.skew_ns, &order) },
        exact: rows.exact,
        text: rows.text,
    }
}

fn permuted<T: Copy>(column: &[T], order: &[usize]) -> Vec<T> {
    order.iter().filter_map(|row| column.get(*row).copied()).collect()
}
