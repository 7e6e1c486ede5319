//! Reading sealed samples: by place in the log, as the very frames they came in, and by signal and time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::{Copied, Gap, Instant, Lsn, Record, RecordBody, Rows, SignalId};
use watchfire_pipeline::{Gaps, Page, PortError, Wanted};

use crate::bucket::{self, Head};
use crate::chunk::Chunk;
use crate::ctl::Ctl;
use crate::days::{Days, SlotEntry};
use crate::directory::Entry;
use crate::gaps::touch;
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
type Directory = Option<Arc<Vec<Entry>>>;

impl Directories {
    fn get(&self, head: &Head) -> Option<Directory> {
        self.0.lock().get(&head.first).filter(|(held, _)| held == head).map(|(_, directory)| directory.clone())
    }

    fn keep(&self, head: &Head, directory: Option<Vec<Entry>>) -> Directory {
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

    /// Samples, by time, then by place in the log; see [`watchfire_pipeline::History::range`]. Decodes little more than
    /// it answers: what may hold the next sample is opened in the order of earliest times, first a day, then a bucket,
    /// then the signal's chunk in it, until none that is left can hold anything before what was found.
    pub fn range(&self, wanted: &Wanted) -> Result<Page, PortError> {
        let Wanted { signal, from, to, bytes_max, .. } = *wanted;
        let touches = |(earliest, latest): &(Instant, Instant)| *earliest < to && from <= *latest && from < to;
        let mut closed = Closed::default();
        for (slot, entry) in &self.known {
            closed.days.extend(entry.span.filter(touches).map(|span| ((span.0, *slot), *entry)));
        }
        let mut found: Vec<(Lsn, Chunk)> = Vec::new();
        let (mut bytes, mut rest) = (0, None);
        loop {
            let next = closed.next();
            if bytes >= bytes_max {
                rest = rest_of(&found, from, next.unwrap_or(to).min(to), bytes_max);
                if rest.is_some() {
                    break;
                }
            }
            let Some(next) = next else { break };
            if let Some(first) = closed.days.first_entry().filter(|first| first.key().0 <= next) {
                let ((_, slot), entry) = first.remove_entry();
                self.buckets_of(slot, &entry, wanted, touches, &mut closed)?;
            } else if let Some(first) = closed.buckets.first_entry().filter(|first| first.key().0 <= next) {
                let ((_, first), (slot, entry, head)) = first.remove_entry();
                let Some(store) = self.days.reading(slot, &entry)? else { continue };
                let directory = match self.directories.get(&head) {
                    Some(held) => held,
                    None => self.directories.keep(&head, bucket::directory(&store, &head)?),
                };
                let Some(bytes) = bucket::chunk(&store, &head, directory.as_deref(), signal)? else { continue };
                let span = span_of(signal, &bytes).ok_or_else(|| damaged(slot, first, signal))?;
                if touches(&span) {
                    closed.chunks.insert((span.0, first), (slot, bytes));
                }
            } else if let Some(((_, first), (slot, encoded))) = closed.chunks.pop_first() {
                let chunk = Chunk::decode(signal, &encoded).ok_or_else(|| damaged(slot, first, signal))?;
                bytes += if chunk.0.text.is_empty() {
                    chunk.0.time.iter().filter(|time| (from..to).contains(*time)).count() * ROW_BYTES
                } else {
                    weights(&chunk, from, to).iter().map(|(_, bytes)| bytes).sum::<usize>()
                };
                found.push((first, chunk));
            }
        }
        found.sort_by_key(|(first, _)| *first);
        let mut rows = Rows::default();
        let to = rest.map_or(to, |rest| rest.min(to));
        found.iter().for_each(|(_, chunk)| take(chunk, from, to, &mut rows));
        Ok(Page { rows: sorted(rows), rest })
    }

    /// The gaps that frames from `from` on tell of, in the order of the log: those of one bucket, `upto` at the last,
    /// that touch `between`. Costs a look at the heads of the days that have such gaps, and a read of one bucket's.
    pub fn gaps(&self, from: Lsn, upto: Lsn, between: (Instant, Instant)) -> Result<Gaps, PortError> {
        let has_some = |entry: &SlotEntry| match entry.gaps {
            Some((_, span)) => span.is_some_and(|span| touch(span, between)),
            None => true,
        };
        let mut days: Vec<_> = self.known.iter().filter(|(_, entry)| entry.last >= from && has_some(entry)).collect();
        days.sort_unstable_by_key(|(_, entry)| entry.first);
        let upto = upto.min(self.sealed);
        for (slot, entry) in days {
            let Some(store) = self.days.reading(*slot, entry)? else { continue };
            let mut at = bucket::find(&store, from)?;
            while let Some(head) = at.filter(|head| head.first <= upto) {
                if head.gaps.is_none_or(|gaps| gaps.span.is_some_and(|span| touch(span, between))) {
                    let is_wanted = |(lsn, gap): &(Lsn, Gap)| {
                        *lsn >= from && *lsn <= upto && touch((gap.since, gap.until), between)
                    };
                    let gaps: Vec<_> = bucket::gaps(&store, &head)?.into_iter().filter(is_wanted).collect();
                    if !gaps.is_empty() {
                        return Ok(Gaps { gaps, rest: Some(head.last.next()) });
                    }
                }
                at = bucket::after(&store, head.last)?;
            }
        }
        Ok(Gaps::default())
    }

    /// Notes the buckets of a day.
    fn buckets_of(
        &self,
        slot: Slot,
        entry: &SlotEntry,
        wanted: &Wanted,
        touches: impl Fn(&(Instant, Instant)) -> bool,
        closed: &mut Closed,
    ) -> Result<(), PortError> {
        let Some(store) = self.days.reading(slot, entry)? else { return Ok(()) };
        let mut at = bucket::after(&store, Lsn(0))?;
        while let Some(head) = at.filter(|head| head.last <= wanted.upto.min(self.sealed)) {
            closed.buckets.extend(head.span.filter(&touches).map(|span| ((span.0, head.first), (slot, *entry, head))));
            at = bucket::after(&store, head.last)?;
        }
        Ok(())
    }
}

/// What a range has not opened yet, by the earliest time that it may hold.
#[derive(Default)]
struct Closed {
    days: BTreeMap<(Instant, Slot), SlotEntry>,
    buckets: BTreeMap<(Instant, Lsn), (Slot, SlotEntry, Head)>,
    chunks: BTreeMap<(Instant, Lsn), (Slot, Vec<u8>)>,
}

impl Closed {
    fn next(&self) -> Option<Instant> {
        let slot = self.days.first_key_value().map(|(key, _)| key.0);
        let bucket = self.buckets.first_key_value().map(|(key, _)| key.0);
        let chunk = self.chunks.first_key_value().map(|(key, _)| key.0);
        slot.into_iter().chain(bucket).chain(chunk).min()
    }
}

/// The earliest and the latest time of an encoded chunk.
fn span_of(signal: SignalId, encoded: &[u8]) -> Option<(Instant, Instant)> {
    if let Some(head) = Chunk::decode_head(encoded) {
        return Some((head.earliest, head.latest));
    }
    let time = Chunk::decode(signal, encoded)?.0.time;
    time.iter().min().copied().zip(time.iter().max().copied())
}

/// About what a row takes without its text.
const ROW_BYTES: usize = 32;

/// The times of the rows that lie in `from..to`, and about how many bytes each holds.
fn weights(chunk: &Chunk, from: Instant, to: Instant) -> Vec<(Instant, usize)> {
    let mut weights: Vec<(Instant, usize)> = chunk.0.time.iter().map(|time| (*time, ROW_BYTES)).collect();
    for (row, text) in &chunk.0.text {
        if let Some((_, bytes)) = weights.get_mut(*row as usize) {
            *bytes += text.len();
        }
    }
    weights.retain(|(time, _)| (from..to).contains(time));
    weights
}

/// Where the rest begins after the first `bytes_max` bytes of what lies in `from..to`; `None` when there are not so many.
fn rest_of(found: &[(Lsn, Chunk)], from: Instant, to: Instant, bytes_max: usize) -> Option<Instant> {
    let mut rows: Vec<(Instant, usize)> = found.iter().flat_map(|(_, chunk)| weights(chunk, from, to)).collect();
    rows.sort_unstable();
    let mut bytes = 0;
    let last = rows.iter().find(|(_, weight)| {
        bytes += weight;
        bytes >= bytes_max
    });
    last.map(|(time, _)| time.plus(Duration::from_nanos(1)))
}

fn damaged(slot: Slot, first: Lsn, signal: SignalId) -> PortError {
    PortError::Damaged {
        what: format!("the chunk of signal {signal} in bucket {first} of day {slot}"),
        detail: "it cannot be decoded; restore the day from a backup".to_owned(),
    }
}

fn take(chunk: &Chunk, from: Instant, to: Instant, rows: &mut Rows) {
    let time = &chunk.0.time;
    if time.is_sorted() {
        let before = |bound: Instant| time.partition_point(|time| *time < bound);
        rows.extend_from(&chunk.0, before(from)..before(to).max(before(from)));
        return;
    }
    let mut copied = Copied::default();
    for (row, _) in chunk.0.time.iter().enumerate().filter(|(_, time)| (from..to).contains(time)) {
        rows.copy_row(&chunk.0, row, &mut copied);
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
