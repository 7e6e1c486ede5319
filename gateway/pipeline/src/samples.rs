//! What was recorded of a signal, whichever store holds it now, in pages that fit into memory.

use std::collections::HashSet;
use std::ops::Range;

use watchfire_alarms::ConditionDef;
use watchfire_model::{Copied, Instant, Lsn, Quality, Rows, SignalId, Unit};

use crate::{CursorError, Log, Page, Past, PastWanted, Summaries, Wanted, defined, past, trace_with_gaps};

/// About how many bytes a page holds: some 100,000 plain samples.
const PAGE_BYTES: usize = if cfg!(test) { 256 } else { 4 << 20 };

/// About what a row takes without its text.
const ROW_BYTES: usize = 32;

/// What was in the log of a signal at one moment, whatever is sealed meanwhile. Holds what was not sealed then; reads the
/// rest page by page, each of which blocks.
pub struct Trace<'l> {
    log: &'l Log,
    signal: SignalId,
    /// What was sealed at that moment.
    upto: Lsn,
    /// What was not, by time.
    tail: Rows,
}

/// What was recorded of a signal, to be looked at where one likes.
pub trait Traced {
    /// The samples whose time lies in `from..to`, sorted by time, then by place in the log: as many as fit into a page,
    /// and from which time on there are more. Those of one time are never parted. Blocks.
    ///
    /// # Errors
    /// When a store fails.
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError>;

    /// The stretches that lie in `from..to` as a whole and of which all samples are known without reading them, some at a
    /// time: also where those are no longer kept. Blocks.
    ///
    /// # Errors
    /// When a store fails.
    fn summaries(&self, unit: Unit, from: Instant, to: Instant) -> Result<Summaries, CursorError> {
        let _ = (unit, from, to);
        Ok(Summaries::default())
    }
}

/// What was recorded, for whoever shows it.
pub trait Recorded: Send + Sync {
    /// Says which signals are read next: what is not sealed of them is then found for all at once. Blocks.
    ///
    /// # Errors
    /// When a store fails.
    fn prepare(&self, signals: &[SignalId]) -> Result<(), CursorError> {
        let _ = signals;
        Ok(())
    }

    /// Says that the pages of a signal are read next that lie between two times: its gaps are then found for all of them
    /// at once. Blocks.
    ///
    /// # Errors
    /// When a store fails.
    fn prepare_gaps(&self, signal: SignalId, from: Instant, to: Instant) -> Result<(), CursorError> {
        let _ = (signal, from, to);
        Ok(())
    }

    /// What is recorded of a signal now, with its gaps in it. Blocks; costs as [`trace_with_gaps`].
    ///
    /// # Errors
    /// When a store fails.
    fn trace(&self, signal: SignalId) -> Result<Box<dyn Traced + '_>, CursorError>;

    /// The events that were told. Blocks; costs as [`past`], which says what is asked of whoever calls.
    ///
    /// # Errors
    /// When a store fails, or it does not go on.
    fn past(
        &self,
        wanted: &PastWanted,
        goes_on: &dyn Fn() -> bool,
        take: &mut dyn FnMut(Past) -> bool,
    ) -> Result<(), CursorError>;

    /// What the conditions of a detector are or were when they were defined last, as far as that is kept: those of one that
    /// is no longer configured, and those of signals that it watches no longer. Of which signals they are is in their names.
    /// Blocks; one read of up to eight megabytes.
    fn once_defined(&self, binding: &str) -> Vec<ConditionDef> {
        let _ = binding;
        Vec::new()
    }
}

impl Recorded for Log {
    fn prepare(&self, signals: &[SignalId]) -> Result<(), CursorError> {
        self.tails.of(self, self.history().sealed(), signals).map(drop)
    }

    fn prepare_gaps(&self, signal: SignalId, from: Instant, to: Instant) -> Result<(), CursorError> {
        self.holes.near(self, signal, from, to).map(drop)
    }

    fn trace(&self, signal: SignalId) -> Result<Box<dyn Traced + '_>, CursorError> {
        Ok(Box::new(trace_with_gaps(self, signal)?))
    }

    fn past(
        &self,
        wanted: &PastWanted,
        goes_on: &dyn Fn() -> bool,
        take: &mut dyn FnMut(Past) -> bool,
    ) -> Result<(), CursorError> {
        past(self, wanted, goes_on, take)
    }

    fn once_defined(&self, binding: &str) -> Vec<ConditionDef> {
        defined::once(self, binding)
    }
}

impl Traced for Trace<'_> {
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
        let Self { log, signal, upto, tail } = self;
        let wanted = Wanted { signal: *signal, from, to, upto: *upto, bytes_max: PAGE_BYTES };
        let Page { rows: sealed, rest } = log.history().range(&wanted)?;
        let at = |time: Instant| tail.time.partition_point(|other| *other < time);
        let (begin, last) = (at(from), at(to.max(from)));
        // Both are whole up to here: the one because it says so, the other because of the last one's time.
        let rest = rest.into_iter().chain(rest_of(tail, begin..last, PAGE_BYTES)).min();
        let end = |rows: &Rows, last: usize| rest.map_or(last, |rest| rows.time.partition_point(|time| *time < rest));
        let (sealed_end, in_tail) = (end(&sealed, sealed.len()), begin..end(tail, last).max(begin));
        let rows = if in_tail.is_empty() {
            let mut rows = sealed;
            drop(rows.split_off(sealed_end));
            rows
        } else {
            merge((&sealed, 0..sealed_end), (tail, in_tail))
        };
        Ok(Page { rows: without_repeated(rows), rest })
    }

    fn summaries(&self, unit: Unit, from: Instant, to: Instant) -> Result<Summaries, CursorError> {
        let mut summaries = self.log.history().summaries(self.signal, unit, from, to)?;
        let tail = &self.tail.time;
        summaries.told.retain(|told| {
            let after = told.from.plus(unit.length());
            tail.partition_point(|time| *time < told.from) == tail.partition_point(|time| *time < after)
        });
        Ok(summaries)
    }
}

/// What the log holds of a signal whose time lies in `from..to`, as it is now. Blocks; costs a scan of what is not
/// sealed yet, some minutes of everything, and where the signal or one near it was read before, of what came since.
///
/// # Errors
/// When a store fails.
pub fn trace(log: &Log, signal: SignalId, from: Instant, to: Instant) -> Result<Trace<'_>, CursorError> {
    let upto = log.history().sealed();
    let rows = log.tails.of(log, upto, &[signal])?.pop().unwrap_or_default();
    Ok(Trace { log, signal, upto, tail: within(rows, from, to) })
}

/// The same of several signals, in their order, with one scan for all of them.
///
/// # Errors
/// As [`trace`].
pub(crate) fn traces<'l>(
    log: &'l Log,
    signals: &[SignalId],
    from: Instant,
    to: Instant,
) -> Result<Vec<Trace<'l>>, CursorError> {
    let upto = log.history().sealed();
    let tails = log.tails.of(log, upto, signals)?.into_iter().zip(signals);
    Ok(tails.map(|(rows, signal)| Trace { log, signal: *signal, upto, tail: within(rows, from, to) }).collect())
}

/// The rows of a signal whose time lies in `from..to`, by time.
fn within(mut rows: Rows, from: Instant, to: Instant) -> Rows {
    if !rows.time.iter().all(|time| (from..to).contains(time)) {
        let mut within = Rows::default();
        let mut copied = Copied::default();
        for (row, _) in rows.time.iter().enumerate().filter(|(_, time)| (from..to).contains(*time)) {
            within.copy_row(&rows, row, &mut copied);
        }
        rows = within;
    }
    let all = 0..rows.len();
    if rows.time.is_sorted() { rows } else { merge((&rows, all), (&Rows::default(), 0..0)) }
}

/// The samples of a signal, page by page; each page blocks.
pub struct Samples<'l> {
    trace: Box<dyn Traced + 'l>,
    /// From where there may be more; `None` at the end.
    next: Option<Instant>,
    to: Instant,
}

/// The samples of a signal whose time lies in `from..to`, sorted by time, then by place in the log: exactly those that
/// were in the log at the time of this call. Blocks and costs as [`trace`], and each page a read of the signal's chunks
/// in it.
///
/// # Errors
/// When a store fails.
pub fn samples(log: &Log, signal: SignalId, from: Instant, to: Instant) -> Result<Samples<'_>, CursorError> {
    Ok(Samples { trace: Box::new(trace(log, signal, from, to)?), next: Some(from), to })
}

/// The same with rows in it that say where values are missing ([`crate::push_gap`]).
///
/// # Errors
/// As [`samples`].
pub fn samples_with_gaps(log: &Log, signal: SignalId, from: Instant, to: Instant) -> Result<Samples<'_>, CursorError> {
    // For all of it at once, and for the signals that are likely to be next: not for each page.
    log.prepare_gaps(signal, from, to)?;
    Ok(Samples { trace: Box::new(trace_with_gaps(log, signal)?), next: Some(from), to })
}

impl Iterator for Samples<'_> {
    type Item = Result<Rows, CursorError>;

    fn next(&mut self) -> Option<Self::Item> {
        let page = self.trace.page(self.next.take()?, self.to);
        match page {
            Ok(Page { rows, rest }) => {
                self.next = rest;
                (!rows.is_empty()).then_some(Ok(rows))
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Where rows, which are sorted by time, go on after so many bytes, those of one time staying together.
fn rest_of(rows: &Rows, mut which: Range<usize>, bytes_max: usize) -> Option<Instant> {
    let mut bytes = 0;
    let end = which.end;
    let full = which.find(|row| {
        bytes += ROW_BYTES + rows.text_at(*row).map_or(0, str::len);
        bytes >= bytes_max
    })?;
    let last = rows.time.get(full)?;
    rows.time.iter().take(end).skip(full).find(|time| *time > last).copied()
}

/// Without the rows that only repeat one of the same time: what a node showed when it began to be watched anew is
/// recorded again, since a restart needs it, and what was fetched late is fetched again when the gateway ended before it
/// was all there; but each is one sample. Costs a look at each row, however many are of one time.
#[must_use]
pub fn without_repeated(rows: Rows) -> Rows {
    let may_repeat = |quality: &Quality| quality.has(Quality::INITIAL) || quality.has(Quality::LATE);
    if !rows.quality.iter().any(may_repeat) {
        return rows;
    }
    let what = |row: usize| {
        let value = rows.value.get(row).map(|value| value.to_bits());
        (value, rows.status.get(row), rows.exact_at(row), rows.text_at(row))
    };
    let mut kept = Rows::default();
    let mut copied = Copied::default();
    // What there was of one time: a server may give any number of values for it.
    let (mut begin, mut seen) = (0, HashSet::new());
    for of_one_time in rows.time.chunk_by(|a, b| a == b) {
        let run = begin..begin + of_one_time.len();
        begin = run.end;
        let is_alone = run.len() == 1;
        seen.clear();
        for row in run {
            let is_new = is_alone || seen.insert(what(row));
            if is_new || !rows.quality.get(row).is_some_and(may_repeat) {
                kept.copy_row(&rows, row, &mut copied);
            }
        }
    }
    kept
}

/// Rows by time; those of one time as they come, the first ones first.
pub(crate) fn merge((first, some): (&Rows, Range<usize>), (second, others): (&Rows, Range<usize>)) -> Rows {
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

#[cfg(test)]
mod tests {
    use watchfire_model::StatusCode;

    use super::*;

    #[test]
    fn a_million_values_of_one_time_are_told_apart_in_no_time() {
        let mut rows = Rows::default();
        let mut push = |value: u32, quality: Quality| {
            rows.push(SignalId(1), Instant::from_s(9), f64::from(value), StatusCode::GOOD, quality, 0);
        };
        (0..500_000).for_each(|value| push(value, Quality::LATE));
        // Fetched again; but a row of the live stream repeats nothing.
        (0..500_000).for_each(|value| push(value, Quality::LATE));
        push(7, Quality::NONE);
        let kept = without_repeated(rows);
        assert_eq!((kept.len(), kept.value.last()), (500_001, Some(&7.0)));
    }

    #[test]
    fn a_row_repeats_only_what_is_the_same_in_everything() {
        for of_one_time in [2, 40] {
            let mut rows = Rows::default();
            let mut push = |value: f64, status: StatusCode, text: Option<&str>| {
                rows.push(SignalId(1), Instant::from_s(9), value, status, Quality::INITIAL, 0);
                text.into_iter().for_each(|text| rows.set_text(text.to_owned()));
            };
            for _ in 0..2 {
                push(0.0, StatusCode::GOOD, None);
                push(-0.0, StatusCode::GOOD, None);
                push(f64::NAN, StatusCode::GOOD, Some("a"));
                push(f64::NAN, StatusCode::GOOD, Some("b"));
                push(0.0, StatusCode::BAD_NO_DATA, None);
                (0..of_one_time).for_each(|value| push(f64::from(value) + 1.0, StatusCode::GOOD, None));
            }
            let kept = without_repeated(rows);
            assert_eq!(kept.len(), 5 + of_one_time as usize);
        }
    }
}
