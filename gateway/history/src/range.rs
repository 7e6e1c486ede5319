//! Reading the sealed samples of one signal between two times, a page at a time: what may hold the next one is opened
//! first, and of what is decoded that alone is held which may belong to the page.

use std::collections::BTreeMap;
use std::time::Duration;

use watchfire_model::{Copied, Instant, Lsn, Rows, SignalId};
use watchfire_pipeline::{Page, PortError, Wanted};

use crate::bucket::{self, Head};
use crate::chunk::Chunk;
use crate::days::SlotEntry;
use crate::hours::{Hours, begin_of, hour_of};
use crate::reads::{Reads, sorted};
use crate::slot::Slot;

/// About what a row takes without its text.
const ROW_BYTES: usize = 32;

impl Reads<'_> {
    /// Samples, by time, then by place in the log; see [`watchfire_pipeline::History::range`]. Opens in the order of the
    /// earliest times that it may hold first a day, then a bucket, then the signal's chunk in it, until none that is left
    /// can hold anything before what was found. Decodes little more than it answers, and holds no more than two pages and
    /// a chunk, whatever times a signal has.
    pub fn range(&self, wanted: &Wanted) -> Result<Page, PortError> {
        let Wanted { signal, from, to, .. } = *wanted;
        let mut closed = Closed::default();
        for (slot, entry) in &self.known {
            let at = earliest(entry.span, entry.touched(), (from, to));
            closed.days.extend(at.map(|at| ((at, *slot), *entry)));
        }
        let mut found = Found::new(wanted);
        while let Some(next) = closed.next().filter(|next| *next < found.to) {
            if let Some(chunk) = closed.chunks.first_entry().filter(|first| first.key().0 <= next) {
                let ((_, first), (slot, encoded)) = chunk.remove_entry();
                let chunk = Chunk::decode(signal, &encoded).ok_or_else(|| damaged(slot, first, signal))?;
                found.add(first, chunk.0);
            } else if let Some(bucket) = closed.buckets.first_entry().filter(|first| first.key().0 <= next) {
                let ((_, first), (slot, entry, head)) = bucket.remove_entry();
                let Some(store) = self.days.reading(slot, &entry)? else { continue };
                let directory = match self.directories.get(&head) {
                    Some(held) => held,
                    None => self.directories.keep(&head, bucket::directory(&store, &head)?),
                };
                let Some(bytes) = bucket::chunk(&store, &head, directory.as_deref(), signal)? else { continue };
                let span = span_of(signal, &bytes).ok_or_else(|| damaged(slot, first, signal))?;
                let at = earliest(Some(span), head.touched(), (from, found.to));
                closed.chunks.extend(at.map(|at| ((at, first), (slot, bytes))));
            } else if let Some(((_, slot), entry)) = closed.days.pop_first() {
                self.buckets_of(slot, &entry, &Wanted { to: found.to, ..*wanted }, &mut closed)?;
            }
        }
        Ok(found.into_page())
    }

    /// Notes the buckets of a day.
    fn buckets_of(&self, slot: Slot, entry: &SlotEntry, wanted: &Wanted, closed: &mut Closed) -> Result<(), PortError> {
        let Some(store) = self.days.reading(slot, entry)? else { return Ok(()) };
        let mut at = bucket::after(&store, Lsn(0))?;
        while let Some(head) = at.filter(|head| head.last <= wanted.upto.min(self.sealed)) {
            let begins = earliest(head.span, head.touched(), (wanted.from, wanted.to));
            closed.buckets.extend(begins.map(|at| ((at, head.first), (slot, *entry, head))));
            at = bucket::after(&store, head.last)?;
        }
        Ok(())
    }
}

/// The earliest time in `from..to` that something may hold of which the span and the hours are known.
fn earliest(span: Option<(Instant, Instant)>, hours: Hours, (from, to): (Instant, Instant)) -> Option<Instant> {
    let (first, last) = span?;
    let begin = from.max(first);
    // Before 1970 there are no hours.
    let at = hour_of(begin).map_or(Some(begin), |hour| hours.from(hour).map(|hour| begin_of(hour).max(begin)))?;
    (at < to && at <= last).then_some(at)
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

fn damaged(slot: Slot, first: Lsn, signal: SignalId) -> PortError {
    PortError::Damaged {
        what: format!("the chunk of signal {signal} in bucket {first} of day {slot}"),
        detail: "it cannot be decoded; restore the day from a backup".to_owned(),
    }
}

/// What was found of a page.
struct Found {
    from: Instant,
    /// What lies here or later is for the next page.
    to: Instant,
    bytes_max: usize,
    /// By the first record of the bucket it is from.
    rows: Vec<(Lsn, Rows)>,
    /// What it holds, and with how much it holds more than it may.
    bytes: usize,
    bytes_to_cut: usize,
    is_cut: bool,
}

impl Found {
    const fn new(wanted: &Wanted) -> Self {
        let Wanted { from, to, bytes_max, .. } = *wanted;
        Self { from, to, bytes_max, rows: Vec::new(), bytes: 0, bytes_to_cut: bytes_max, is_cut: false }
    }

    /// Takes what lies in the page of a bucket's rows.
    fn add(&mut self, first: Lsn, rows: Rows) {
        let rows = within(rows, self.from, self.to);
        self.bytes += bytes_of(&rows);
        self.rows.push((first, rows));
        if self.bytes >= self.bytes_to_cut {
            self.cut();
        }
    }

    /// Lets go of what lies beyond the first `bytes_max` bytes.
    fn cut(&mut self) {
        let mut each: Vec<(Instant, usize)> = self.rows.iter().flat_map(|(_, rows)| weights(rows)).collect();
        each.sort_unstable();
        let mut bytes = 0;
        let last = each.iter().find(|(_, weight)| {
            bytes += weight;
            bytes >= self.bytes_max
        });
        let Some((time, _)) = last else { return };
        (self.to, self.is_cut) = (time.plus(Duration::from_nanos(1)), true);
        for (_, rows) in &mut self.rows {
            *rows = within(std::mem::take(rows), self.from, self.to);
        }
        self.rows.retain(|(_, rows)| !rows.is_empty());
        self.bytes = self.rows.iter().map(|(_, rows)| bytes_of(rows)).sum();
        self.bytes_to_cut = self.bytes.saturating_add(self.bytes_max);
    }

    fn into_page(mut self) -> Page {
        if self.bytes >= self.bytes_max {
            self.cut();
        }
        self.rows.sort_by_key(|(first, _)| *first);
        let mut rows = Rows::default();
        self.rows.iter_mut().for_each(|(_, some)| rows.append(some));
        Page { rows: sorted(rows), rest: self.is_cut.then_some(self.to) }
    }
}

/// The times of rows, and about how many bytes each holds.
fn weights(rows: &Rows) -> Vec<(Instant, usize)> {
    let mut weights: Vec<(Instant, usize)> = rows.time.iter().map(|time| (*time, ROW_BYTES)).collect();
    for (row, text) in &rows.text {
        if let Some((_, bytes)) = weights.get_mut(*row as usize) {
            *bytes += text.len();
        }
    }
    weights
}

fn bytes_of(rows: &Rows) -> usize {
    rows.len() * ROW_BYTES + rows.text.iter().map(|(_, text)| text.len()).sum::<usize>()
}

/// Those of some rows whose time lies in `from..to`.
fn within(rows: Rows, from: Instant, to: Instant) -> Rows {
    let time = &rows.time;
    if time.iter().all(|time| (from..to).contains(time)) {
        return rows;
    }
    let mut some = Rows::default();
    if time.is_sorted() {
        let before = |bound: Instant| time.partition_point(|time| *time < bound);
        some.extend_from(&rows, before(from)..before(to).max(before(from)));
        return some;
    }
    let mut copied = Copied::default();
    for (row, _) in time.iter().enumerate().filter(|(_, time)| (from..to).contains(*time)) {
        some.copy_row(&rows, row, &mut copied);
    }
    some
}

#[cfg(test)]
mod tests {
    use watchfire_model::{Quality, StatusCode};

    use super::*;

    #[test]
    fn a_page_holds_two_of_its_size_at_the_most_whatever_times_a_signal_has() {
        let wanted =
            Wanted { signal: SignalId(1), from: Instant::MIN, to: Instant::MAX, upto: Lsn(9), bytes_max: 3200 };
        let mut found = Found::new(&wanted);
        let mut times = Vec::new();
        for bucket in 0..200_u64 {
            let mut rows = Rows::default();
            for row in 0..50 {
                let time = Instant::from_s(i64::try_from((bucket * 50 + row) * 7919 % 10_000).unwrap());
                times.push(time);
                rows.push(SignalId(1), time, 0.0, StatusCode::GOOD, Quality::NONE, 0);
            }
            found.add(Lsn(bucket + 1), rows);
            assert!(found.bytes < 2 * 3200 && found.rows.len() <= 200);
        }
        let Page { rows, rest } = found.into_page();
        times.sort_unstable();
        assert_eq!((rows.time, rest), (times[..100].to_vec(), Some(times[99].plus(Duration::from_nanos(1)))));
    }

    #[test]
    fn what_may_come_first_is_known_by_hours_and_before_1970_by_the_span_alone() {
        let at = |hour: i64, s: i64| Instant::from_s(hour * 3600 + s);
        let hours = Hours::of_times(&[at(5, 7), at(90, 7), at(91, 30)]);
        let span = Some((at(5, 7), at(91, 30)));
        let old = Some((at(-9, 0), at(91, 30)));
        for (span, from, to, expected) in [
            (span, at(0, 0), at(99, 0), Some(at(5, 7))),
            (span, at(5, 8), at(99, 0), Some(at(5, 8))),
            (span, at(6, 0), at(99, 0), Some(at(90, 0))),
            (span, at(6, 0), at(90, 0), None),
            (span, at(91, 31), at(99, 0), None),
            (old, Instant::MIN, at(99, 0), Some(at(-9, 0))),
            (old, at(-8, 0), at(0, 0), Some(at(-8, 0))),
            (None, at(0, 0), at(99, 0), None),
        ] {
            assert_eq!(earliest(span, hours, (from, to)), expected, "{span:?} in {from}..{to}");
        }
    }
}
