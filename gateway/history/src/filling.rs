//! A bucket that is being filled: frames come one by one and are kept as columns of all of them, which are large blocks
//! that go back to the system at once when it has been encoded. Then each signal's rows are gathered in turn.

use std::collections::HashMap;

use watchfire_model::{Frame, Instant, Lsn, Rows, SignalId};
use watchfire_pipeline::PortError;

use crate::bucket::{DIRECTORY, FRAMES, GAPS, HEAD, Head, PAGES, key, widen};
use crate::chunk::Chunk;
use crate::frames::Shape;
use crate::key_value::{Change, KeyValue, Pair, VALUE_BYTES_MAX};
use crate::pages::{Layout, Page};
use crate::{directory, frames, gaps};

/// Pages that are written at once: some three megabytes.
const PAGES_AT_ONCE: usize = if cfg!(test) { 3 } else { 500 };

/// Frames that will be one bucket.
#[derive(Debug, Default)]
pub struct Filling {
    rows: Rows,
    frames: Vec<Shape>,
    span: Option<(Instant, Instant)>,
}

/// The rows of each signal, as places in the columns of all.
struct Gathered {
    /// Signals in ascending order, and how many of `rows` are theirs and of those before them.
    signals: Vec<(SignalId, usize)>,
    rows: Vec<u32>,
    /// For each row the rank of its signal.
    order: Vec<u32>,
}

impl Filling {
    /// Adds the next frame. Costs a copy of its rows: 37 bytes a plain sample.
    ///
    /// # Errors
    /// When the frame's columns do not fit together.
    pub fn push(&mut self, lsn: Lsn, mut frame: Frame) -> Result<(), PortError> {
        frame.rows.check().map_err(|error| unfit(lsn, error.to_string()))?;
        let times = || frame.rows.time.iter().copied();
        self.span = widen(self.span, times().min().zip(times().max()));
        let (rows, has_skew) = (frame.rows.len(), !frame.rows.skew_ns.is_empty());
        self.rows.append(&mut frame.rows);
        frame.rows = Rows::default();
        self.frames.push(Shape { lsn, frame, rows, has_skew });
        Ok(())
    }

    /// Writes the bucket into a day's database, some megabytes at a time and its head last, and answers what is known of
    /// it. Costs 50 to 500 ns a row, and 8 bytes of memory a row.
    ///
    /// # Errors
    /// When there is no frame, or a signal has more than fits a bucket, or the database fails.
    pub fn write(self, store: &impl KeyValue) -> Result<Head, PortError> {
        let Self { rows, frames, span } = self;
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return Err(unfit(Lsn(0), "a bucket of no frames".to_owned()));
        };
        let (first, last) = (first.lsn, last.lsn);
        let gathered = gather(&rows.signal);
        let mut layout = Layout::default();
        // In the order of their keys, but for the head: written so, they take less of the disk.
        let table = frames::encode(&frames, &gathered.order);
        let table_sum = crc32fast::hash(&table);
        store.lay(pieces(first, FRAMES, &table))?;
        drop(table);
        let mut entries = Vec::new();
        let mut write_pages = |pages: Vec<Page>| {
            entries.extend(pages.iter().map(directory::entry));
            let pair = |Page { signal, part, bytes }| (key(first, PAGES, signal.0, part), bytes);
            store.lay(pages.into_iter().map(pair).collect())
        };
        let (mut chunk, mut begin) = (Chunk::default(), 0);
        for (signal, end) in &gathered.signals {
            chunk.0.clear();
            gathered
                .rows
                .get(begin..*end)
                .unwrap_or_default()
                .iter()
                .for_each(|row| chunk.0.push_row(&rows, *row as usize));
            begin = *end;
            let laid = layout.push(*signal, chunk.encode());
            laid.ok_or_else(|| unfit(first, "a chunk of more than 390 MB".to_owned()))?;
            if layout.whole() >= PAGES_AT_ONCE {
                write_pages(layout.take())?;
            }
        }
        write_pages(layout.finish())?;
        let rows_all = rows.len() as u64;
        drop(rows);
        let directory = directory::encode(&entries);
        let (gaps, gaps_head) = gaps::encode(&frames);
        let sums = Some((table_sum, crc32fast::hash(&directory)));
        let head = Head { first, last, rows: rows_all, span, sums, gaps: Some(gaps_head) };
        let mut pairs = pieces(first, DIRECTORY, &directory);
        pairs.extend(pieces(first, GAPS, &gaps));
        pairs.push((key(first, HEAD, 0, 0), head.encode()));
        store.write(pairs.into_iter().map(|(key, value)| vec![Change::Put(key, value)]).collect())?;
        Ok(head)
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

/// Sorts rows by signal; those of one stay in their order.
fn gather(column: &[SignalId]) -> Gathered {
    // First in the order in which signals first came, so that each row costs one look.
    let mut places: HashMap<SignalId, u32> = HashMap::new();
    let mut counts: Vec<(SignalId, usize)> = Vec::new();
    let mut order: Vec<u32> = Vec::with_capacity(column.len());
    for signal in column {
        let place = *places.entry(*signal).or_insert_with(|| {
            counts.push((*signal, 0));
            // There are no more signals than their ids can tell apart.
            (counts.len() - 1) as u32
        });
        if let Some((_, count)) = counts.get_mut(place as usize) {
            *count += 1;
        }
        order.push(place);
    }
    let mut by_signal: Vec<u32> = (0..).take(counts.len()).collect();
    by_signal.sort_unstable_by_key(|place| counts.get(*place as usize).map(|(signal, _)| *signal));
    let mut ranks = vec![(0_u32, 0_usize); counts.len()];
    let mut signals = Vec::with_capacity(counts.len());
    let mut end = 0;
    for (place, rank) in by_signal.into_iter().zip(0_u32..) {
        let (Some((signal, count)), Some(slot)) = (counts.get(place as usize), ranks.get_mut(place as usize)) else {
            continue;
        };
        *slot = (rank, end);
        end += count;
        signals.push((*signal, end));
    }
    let mut rows = vec![0_u32; column.len()];
    for (place, row) in order.iter_mut().zip(0_u32..) {
        let Some((rank, next)) = ranks.get_mut(*place as usize) else { continue };
        if let Some(slot) = rows.get_mut(*next) {
            *slot = row;
        }
        *next += 1;
        *place = *rank;
    }
    Gathered { signals, rows, order }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_gathered_by_signal_in_their_order() {
        let column = [7, 3, u32::MAX, 3, 7, 7, 0].map(SignalId);
        let gathered = gather(&column);
        assert_eq!(gathered.signals, [(SignalId(0), 1), (SignalId(3), 3), (SignalId(7), 6), (SignalId(u32::MAX), 7)]);
        assert_eq!(gathered.rows, [6, 1, 3, 0, 4, 5, 2]);
        assert_eq!(gathered.order, [2, 1, 3, 1, 2, 2, 0]);
        assert_eq!(gather(&[]).signals, []);
    }
}
