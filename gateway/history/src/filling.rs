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
/// What is held of rows at once on an average, bytes, unless one signal has more: four times of it are the two million
/// plain ones that are sealed together, so that the journal is read five times for them. More is held at first and less
/// later, see [`at_once`].
const BYTES_AT_ONCE: usize = if cfg!(test) { 800 } else { 8 << 20 };
/// Bytes of pages that come of a byte of rows: the database holds decoded what was written to it until it is closed.
const WRITTEN_SHARE: f64 = 3.0 / 8.0;

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
        let (gaps, gaps_head) = gaps::encode(&frames);
        // Each takes a quarter of a kilobyte.
        drop(frames);
        let mut pages = Pages { store, first, layout: Layout::default(), entries: Vec::new() };
        for some in at_once(&counts, BYTES_AT_ONCE / beside.row_bytes()) {
            pages.add(some, gathered(some, (first, last), run)?)?;
        }
        let directory = directory::encode(&pages.finish()?);
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

/// Runs of neighbours, as few as have at most so many rows together on an average, one of them at least: the first have
/// more and the later ones less, by as much as the database holds by then of what was written before. So what both take
/// together is the same at the begin of each, and a sixth to a quarter less than with runs of one size.
fn at_once(counts: &[(SignalId, usize)], rows_max: usize) -> impl Iterator<Item = &[(SignalId, usize)]> {
    let total: usize = counts.iter().map(|(_, count)| count).sum();
    let runs = total.div_ceil(rows_max.max(1)).max(1);
    let left = |run: usize| (1.0 - WRITTEN_SHARE).powi(i32::try_from(run).unwrap_or(i32::MAX));
    // Up to here are the runs up to this one; the last ends with the last row.
    let end_of = move |run: usize| (total as f64 * (1.0 - left(run)) / (1.0 - left(runs))).round() as usize;
    let (mut rest, mut run, mut rows) = (counts, 0, 0);
    std::iter::from_fn(move || {
        run += 1;
        while run < runs && end_of(run) <= rows {
            run += 1;
        }
        let end = if run >= runs { total } else { end_of(run) };
        let fits = |(_, count): &&(SignalId, usize)| {
            let is_in = rows + count <= end;
            rows += if is_in { *count } else { 0 };
            is_in
        };
        let mut some = rest.iter().take_while(fits).count();
        if some == 0 {
            (some, rows) = (1, rows + rest.first().map_or(0, |(_, count)| *count));
        }
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
    fn signals_are_taken_in_no_more_runs_than_fit_but_one_at_least() {
        let runs = |counts: &[usize], rows_max: usize| -> Vec<usize> {
            let counts: Counts = counts.iter().copied().zip(0..).map(|(count, id)| (SignalId(id), count)).collect();
            let runs: Vec<_> = at_once(&counts, rows_max).collect();
            assert_eq!(runs.concat(), counts);
            runs.into_iter().map(<[_]>::len).collect()
        };
        assert_eq!(runs(&[20, 30, 1, 70, 50, 1], 50), [3, 1, 1, 1]);
        assert_eq!(runs(&[20, 30, 1, 70, 50, 1], 172), [6]);
        assert_eq!(runs(&[1000, 30, 30], 50), [1, 1, 1]);
        assert_eq!(runs(&[], 50), [0_usize; 0]);
        assert_eq!(runs(&[1; 100], 1).iter().sum::<usize>(), 100);
    }

    #[test]
    fn what_is_gathered_and_what_the_database_has_by_then_take_four_megabytes_less_than_in_runs_of_one_size() {
        // Two million rows of fifty thousand signals, and what is sealed at the most.
        for (signals, rows_each) in [(50_000, 40), (50_000, 100), (2_000, 1_300)] {
            let counts: Counts = (0..signals).map(|id| (SignalId(id), rows_each)).collect();
            let rows_max = (8 << 20) / 16;
            let equal: Vec<usize> = counts.chunks(rows_max / rows_each).map(|some| some.len() * rows_each).collect();
            let ours: Vec<usize> = at_once(&counts, rows_max).map(|some| some.len() * rows_each).collect();
            assert!(ours.len() <= equal.len(), "the journal is read no more often: {ours:?} {equal:?}");
            // With all of a run held to its end, as it was, and with each part of it let go of.
            let most = |runs: &[usize], own: f64| {
                let mut written = 0.0;
                let mut held = runs.iter().map(|run| {
                    let held = written + *run as f64 * own;
                    written += *run as f64 * WRITTEN_SHARE;
                    held * 16.0
                });
                held.by_ref().fold(0.0, f64::max)
            };
            let (before, now) = (most(&equal, 1.0 + WRITTEN_SHARE), most(&ours, 1.0));
            assert!(now < before * 0.85, "{} MB of {}", now / 1e6, before / 1e6);
            assert!(before - now > 4.0 * (1 << 20) as f64, "{} MB of {}", now / 1e6, before / 1e6);
        }
    }
}
