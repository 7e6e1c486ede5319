//! What was recorded of a signal, whichever store holds it now, in pages that fit into memory.

use std::ops::Range;

use watchfire_model::{Instant, RecordBody, Rows, SignalId};

use crate::{CursorError, Log, Page, Wanted};

/// Rows read from the log at once.
const READ_ROWS_MAX: usize = 1 << 16;
/// About how many bytes a page holds: some 100,000 plain samples.
const PAGE_BYTES: usize = if cfg!(test) { 256 } else { 4 << 20 };

/// About what a row takes without its text.
const ROW_BYTES: usize = 32;

/// The samples of a signal, page by page; each page blocks.
pub struct Samples<'l> {
    log: &'l Log,
    /// What is left of the sealed ones.
    wanted: Wanted,
    /// Those that were not sealed when this was begun, by time.
    tail: Rows,
    ended: bool,
}

/// The samples of a signal whose time lies in `from..to`, sorted by time, then by place in the log: exactly those that
/// were in the log at the time of this call, whatever is sealed meanwhile. Blocks; costs a scan of what is not sealed
/// yet, some minutes of everything, and each page a read of the signal's chunks in it.
///
/// # Errors
/// When a store fails.
pub fn samples(log: &Log, signal: SignalId, from: Instant, to: Instant) -> Result<Samples<'_>, CursorError> {
    let upto = log.history().sealed();
    let wanted = Wanted { signal, from, to, upto, bytes_max: PAGE_BYTES };
    Ok(Samples { log, wanted, tail: unsealed(log, &wanted)?, ended: false })
}

impl Iterator for Samples<'_> {
    type Item = Result<Rows, CursorError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let page = self.page();
        self.ended |= page.is_err();
        page.map(|rows| (!rows.is_empty()).then_some(rows)).transpose()
    }
}

impl Samples<'_> {
    fn page(&mut self) -> Result<Rows, CursorError> {
        let Page { rows: sealed, rest } = self.log.history().range(&self.wanted)?;
        let begin = self.tail.time.partition_point(|time| *time < self.wanted.from);
        // Both are whole up to here: the one because it says so, the other because of the last one's time.
        let next = rest.into_iter().chain(rest_of(&self.tail, begin, self.wanted.bytes_max)).min();
        let end = |rows: &Rows| next.map_or(rows.len(), |next| rows.time.partition_point(|time| *time < next));
        let page = merge((&sealed, 0..end(&sealed)), (&self.tail, begin..end(&self.tail)));
        self.ended = next.is_none();
        self.wanted.from = next.unwrap_or(self.wanted.to);
        Ok(page)
    }
}

/// Where rows, which are sorted by time, go on after so many bytes, those of one time staying together.
fn rest_of(rows: &Rows, begin: usize, bytes_max: usize) -> Option<Instant> {
    let mut bytes = 0;
    let full = (begin..rows.len()).find(|row| {
        bytes += ROW_BYTES + rows.text_at(*row).map_or(0, str::len);
        bytes >= bytes_max
    })?;
    let last = rows.time.get(full)?;
    rows.time.iter().skip(full).find(|time| *time > last).copied()
}

fn unsealed(log: &Log, wanted: &Wanted) -> Result<Rows, CursorError> {
    let mut found = Rows::default();
    let mut next = wanted.upto.next();
    loop {
        let records = match log.read(next, READ_ROWS_MAX) {
            // Sealed and too old meanwhile.
            Err(CursorError::Gone { oldest }) => {
                next = oldest;
                continue;
            }
            records => records?,
        };
        let Some(last) = records.last() else { break };
        next = last.lsn.next();
        for record in &records {
            if let RecordBody::Data(frame) = &record.body {
                let rows = &frame.rows;
                let is_wanted =
                    |id: SignalId, time: Instant| id == wanted.signal && (wanted.from..wanted.to).contains(&time);
                let wanted = rows.signal.iter().zip(&rows.time).map(|(id, time)| is_wanted(*id, *time));
                wanted.enumerate().filter(|(_, wanted)| *wanted).for_each(|(row, _)| found.push_row(rows, row));
            }
        }
    }
    let all = 0..found.len();
    Ok(merge((&found, all), (&Rows::default(), 0..0)))
}

/// Rows by time; those of one time as they come, the first ones first.
fn merge((first, some): (&Rows, Range<usize>), (second, others): (&Rows, Range<usize>)) -> Rows {
    let times = |rows: &Rows, which: Range<usize>| -> Vec<Instant> {
        which.filter_map(|row| rows.time.get(row).copied()).collect()
    };
    let some_times = times(first, some.clone()).into_iter().zip(some.map(|row| (false, row)));
    let other_times = times(second, others.clone()).into_iter().zip(others.map(|row| (true, row)));
    let mut order: Vec<(Instant, (bool, usize))> = some_times.chain(other_times).collect();
    order.sort_unstable();
    let mut merged = Rows::default();
    for (_, (is_second, row)) in order {
        merged.push_row(if is_second { second } else { first }, row);
    }
    merged
}
