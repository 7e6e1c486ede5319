//! A bucket that is being filled. Its records are read several times rather than kept: first what frames there are and
//! whose rows they hold, then the rows of some signals at a time, which are gathered and encoded in turn.

use watchfire_model::{Frame, Instant, Lsn, RecordBody, Rows, SignalId};
use watchfire_pipeline::{PortError, RecordRun};

use crate::bucket::{DIRECTORY, FRAMES, GAPS, HEAD, Head, PAGES, key, widen};
use crate::chunk::Chunk;
use crate::directory::Entry;
use crate::frames::Shape;
use crate::gathered::{Beside, Gathered};
use crate::hours::Hours;
use crate::key_value::{Change, KeyValue, Pair, VALUE_BYTES_MAX};
use crate::pages::{Layout, Page};
use crate::places::Places;
use crate::{directory, frames, gaps};

/// Pages that are written at once: a megabyte and a half, in whole leaves of the database.
const PAGES_AT_ONCE: usize = if cfg!(test) { 3 } else { 15 * 17 };
/// What is held of rows at once, bytes, unless one signal has more: four times of it are the two million plain ones that
/// are sealed together, so that the journal is read five times for them.
const BYTES_AT_ONCE: usize = if cfg!(test) { 800 } else { 8 << 20 };

/// Frames that will be one bucket.
#[derive(Debug, Default)]
pub struct Filling {
    /// The signals in the order in which they first came, and how many rows each has.
    counts: Counts,
    places: Places,
    /// The place of each row's signal among them.
    order: Vec<u32>,
    /// What rows have beside times and values.
    beside: Beside,
    frames: Vec<Shape>,
    span: Option<(Instant, Instant)>,
    hours: Hours,
}

/// Signals, and how many rows each has.
type Counts = Vec<(SignalId, usize)>;

/// What was written of some signals of a bucket.
struct Pages<'s, S> {
    store: &'s S,
    first: Lsn,
    layout: Layout,
    entries: Vec<Entry>,
}

impl Filling {
    /// Adds the next frame. Costs 4 bytes of memory a row.
    ///
    /// # Errors
    /// When the frame's columns do not fit together.
    pub fn push(&mut self, lsn: Lsn, mut frame: Frame) -> Result<(), PortError> {
        frame.rows.check().map_err(|error| unfit(lsn, error.to_string()))?;
        let times = || frame.rows.time.iter().copied();
        self.span = widen(self.span, times().min().zip(times().max()));
        self.hours = self.hours.with(Hours::of_times(&frame.rows.time));
        self.beside = self.beside.with(&frame.rows);
        let (rows, has_skew) = (frame.rows.len(), !frame.rows.skew_ns.is_empty());
        frame.rows.signal.iter().for_each(|signal| self.count(*signal));
        frame.rows = Rows::default();
        self.frames.push(Shape { lsn, frame, rows, has_skew });
        Ok(())
    }

    fn count(&mut self, signal: SignalId) {
        let place = self.places.get(signal).unwrap_or_else(|| {
            // There are no more signals than their ids can tell apart.
            let place = self.counts.len() as u32;
            self.places.set(signal, place);
            self.counts.push((signal, 0));
            place
        });
        self.counts.get_mut(place as usize).into_iter().for_each(|(_, count)| *count += 1);
        self.order.push(place);
    }

    /// Writes the bucket into a slot's database, some megabytes at a time and its head last, and answers what is known of
    /// it. `run` gives its frames again, once for each [`BYTES_AT_ONCE`]. Costs 50 to 500 ns a row.
    ///
    /// # Errors
    /// When there is no frame, or a signal has more than fits a bucket, or the database fails, or the frames are not those
    /// that they were.
    pub fn write(self, store: &impl KeyValue, run: &dyn RecordRun) -> Result<Head, PortError> {
        let Self { counts, order, beside, frames, span, hours, places } = self;
        drop(places);
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return Err(unfit(Lsn(0), "a bucket of no frames".to_owned()));
        };
        let (first, last) = (first.lsn, last.lsn);
        let rows_all = order.len() as u64;
        let (counts, order) = ranked(counts, order);
        // In the order of their keys, but for the head: written so, they take less of the disk.
        let table = frames::encode(&frames, &order);
        drop(order);
        let table_sum = crc32fast::hash(&table);
        store.lay(pieces(first, FRAMES, &table))?;
        drop(table);
        let mut pages = Pages { store, first, layout: Layout::default(), entries: Vec::new() };
        for some in at_once(&counts, BYTES_AT_ONCE / beside.row_bytes()) {
            pages.add(some, gathered(some, (first, last), run)?)?;
        }
        let directory = directory::encode(&pages.finish()?);
        let (gaps, gaps_head) = gaps::encode(&frames);
        let sums = Some((table_sum, crc32fast::hash(&directory)));
        let hours = Some(hours).filter(|hours| *hours != Hours::of_span(span));
        let head = Head { first, last, rows: rows_all, span, hours, sums, gaps: Some(gaps_head) };
        let mut pairs = pieces(first, DIRECTORY, &directory);
        pairs.extend(pieces(first, GAPS, &gaps));
        pairs.push((key(first, HEAD, 0, 0), head.encode()));
        store.write(pairs.into_iter().map(|(key, value)| vec![Change::Put(key, value)]).collect())?;
        Ok(head)
    }
}

impl<S: KeyValue> Pages<'_, S> {
    /// Adds the chunks of some signals, whose rows were gathered.
    fn add(&mut self, some: &[(SignalId, usize)], mut gathered: Gathered) -> Result<(), PortError> {
        let mut chunk = Chunk::default();
        for (rank, (signal, _)) in some.iter().enumerate() {
            gathered.take(*signal, rank, &mut chunk.0);
            let laid = self.layout.push(*signal, chunk.encode());
            laid.ok_or_else(|| unfit(self.first, "a chunk of more than 390 MB".to_owned()))?;
            if self.layout.whole() >= PAGES_AT_ONCE {
                let whole = self.layout.take();
                self.write(whole)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, pages: Vec<Page>) -> Result<(), PortError> {
        self.entries.extend(pages.iter().map(directory::entry));
        let first = self.first;
        let pair = |Page { signal, part, bytes }| (key(first, PAGES, signal.0, part), bytes);
        self.store.lay(pages.into_iter().map(pair).collect())
    }

    /// Writes what is left, and answers the directory.
    fn finish(mut self) -> Result<Vec<Entry>, PortError> {
        let rest = std::mem::take(&mut self.layout).finish();
        self.write(rest)?;
        Ok(self.entries)
    }
}

/// What is larger than one value may be, in parts.
fn pieces(first: Lsn, kind: u8, bytes: &[u8]) -> Vec<Pair> {
    let pieces = bytes.chunks(VALUE_BYTES_MAX).zip(0_u32..);
    pieces.map(|(piece, part)| (key(first, kind, part, 0), piece.to_vec())).collect()
}

fn unfit(lsn: Lsn, detail: String) -> PortError {
    PortError::Damaged { what: format!("record {lsn}"), detail }
}

fn changed(first: Lsn) -> PortError {
    unfit(first, "it and those after it were others when they were read again".to_owned())
}

/// The signals in ascending order, and the rank of each row's signal in the place of where it first came.
fn ranked(mut counts: Counts, mut order: Vec<u32>) -> (Counts, Vec<u32>) {
    let mut by_signal: Vec<u32> = (0..).take(counts.len()).collect();
    by_signal.sort_unstable_by_key(|place| counts.get(*place as usize).map(|(signal, _)| *signal));
    let mut ranks = vec![0_u32; counts.len()];
    for (place, rank) in by_signal.into_iter().zip(0..) {
        ranks.get_mut(place as usize).into_iter().for_each(|slot| *slot = rank);
    }
    order.iter_mut().for_each(|place| *place = ranks.get(*place as usize).copied().unwrap_or_default());
    counts.sort_unstable_by_key(|(signal, _)| *signal);
    (counts, order)
}

/// Runs of neighbours that have at most so many rows together, but one at least.
fn at_once(counts: &[(SignalId, usize)], rows_max: usize) -> impl Iterator<Item = &[(SignalId, usize)]> {
    let mut rest = counts;
    std::iter::from_fn(move || {
        let mut rows = 0;
        let fits = |(_, count): &&(SignalId, usize)| {
            rows += count;
            rows <= rows_max
        };
        let some = rest.iter().take_while(fits).count().max(1);
        let (now, later) = rest.split_at_checked(some)?;
        rest = later;
        Some(now)
    })
}

/// The rows of some neighbouring signals in the frames between two places.
fn gathered(some: &[(SignalId, usize)], (first, last): (Lsn, Lsn), run: &dyn RecordRun) -> Result<Gathered, PortError> {
    let mut gathered = Gathered::of(some);
    for record in run.records() {
        let record = record?;
        if record.lsn > last {
            break;
        }
        let RecordBody::Data(frame) = record.body else { continue };
        if record.lsn >= first && !gathered.push(frame.rows) {
            return Err(changed(first));
        }
    }
    if gathered.is_whole() { Ok(gathered) } else { Err(changed(first)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_and_bear_the_ranks_of_their_signals() {
        let mut filling = Filling::default();
        [7, 3, u32::MAX, 3, 7, 7, 0].into_iter().for_each(|signal| filling.count(SignalId(signal)));
        let (counts, order) = ranked(filling.counts, filling.order);
        assert_eq!(counts, [(0, 1), (3, 2), (7, 3), (u32::MAX, 1)].map(|(id, count)| (SignalId(id), count)));
        assert_eq!(order, [2, 1, 3, 1, 2, 2, 0]);
    }

    #[test]
    fn signals_are_taken_in_runs_that_fit_but_one_at_least() {
        let counts = [20, 30, 1, 70, 50, 1].into_iter().zip(0..).map(|(count, id)| (SignalId(id), count));
        let counts: Counts = counts.collect();
        let sizes: Vec<usize> = at_once(&counts, 50).map(<[_]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 1]);
        assert_eq!(at_once(&[], 50).count(), 0);
    }
}
