//! What was recorded of a signal, with its gaps in it: where values are missing there is a row without a value, so that
//! nobody draws a line, or adds up, through what was never received.

use watchfire_model::{Gap, GapCause, Instant, Quality, Rows, SignalId, StatusCode, Summary, Unit};

use crate::samples::merge;
use crate::{CursorError, Log, Page, Summaries, Trace, Traced, trace};

/// Where a gap begins: BadDataLost, no value, and as the server's time the one of which something is known again. What it
/// follows has the same time at the latest.
pub fn push_gap(rows: &mut Rows, signal: SignalId, since: Instant, until: Instant) {
    rows.push(signal, since, f64::NAN, StatusCode::BAD_DATA_LOST, Quality::GAP, until.since_ns(since));
}

/// Takes the rows that tell of gaps, as [`push_gap`] makes them, out of others: they are none of the log's rows, but gaps
/// that were imported.
pub fn take_gaps(rows: &mut Rows) -> Vec<Gap> {
    if !rows.quality.iter().any(|quality| quality.has(Quality::GAP)) {
        return Vec::new();
    }
    let (mut others, mut gaps) = (Rows::default(), Vec::new());
    for row in 0..rows.len() {
        let columns = rows.signal.get(row).zip(rows.time.get(row)).zip(rows.quality.get(row));
        let Some(((signal, since), quality)) = columns else { continue };
        if quality.has(Quality::GAP) {
            let until = Instant::from_ns(since.ns().saturating_add(rows.skew_ns_at(row)));
            gaps.push(Gap { signal: Some(*signal), since: *since, until, cause: GapCause::Imported });
        } else {
            others.push_row(rows, row);
        }
    }
    *rows = others;
    gaps
}

/// What was recorded, with rows of its own in it that say where values are missing; `marks` gives those of `from..to`, by
/// time. A row that says so follows those of its time.
pub struct Marked<T, M> {
    /// What was recorded.
    pub trace: T,
    /// The rows that say where values are missing.
    pub marks: M,
}

impl<T: Traced, M: Fn(&T, Instant, Instant) -> Result<Rows, CursorError>> Traced for Marked<T, M> {
    fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
        let Page { rows, rest } = self.trace.page(from, to)?;
        let marks = (self.marks)(&self.trace, from, rest.unwrap_or(to))?;
        if marks.is_empty() {
            return Ok(Page { rows, rest });
        }
        Ok(Page { rows: merge((&rows, 0..rows.len()), (&marks, 0..marks.len())), rest })
    }

    /// A stretch with a gap's beginning in it counts that as a bad sample, and what lies between its samples is no longer
    /// known from the summary alone.
    fn summaries(&self, unit: Unit, from: Instant, to: Instant) -> Result<Summaries, CursorError> {
        let mut summaries = self.trace.summaries(unit, from, to)?;
        let Some((first, last)) = summaries.told.first().zip(summaries.told.last()) else { return Ok(summaries) };
        let marks = (self.marks)(&self.trace, first.from, last.from.plus(unit.length()))?;
        if marks.is_empty() {
            return Ok(summaries);
        }
        let before = |time: Instant| marks.time.partition_point(|other| *other < time);
        for told in &mut summaries.told {
            for row in before(told.from)..before(told.from.plus(unit.length())) {
                let Some(mark) = Summary::of(&marks, row) else { continue };
                match &mut told.summary {
                    Some(summary) => summary.blend(&mark),
                    nothing => *nothing = Some(Summary { is_blended: true, ..mark }),
                }
            }
        }
        Ok(summaries)
    }
}

/// What is recorded of a signal now, with its gaps in it, but for those that were filled. Blocks; costs as [`trace`], and each
/// page a look at the signal's gaps, which are kept from one page to the next.
///
/// # Errors
/// When a store fails.
pub fn trace_with_gaps(log: &Log, signal: SignalId) -> Result<impl Traced + '_, CursorError> {
    let trace = trace(log, signal, Instant::MIN, Instant::MAX)?;
    let marks = move |_: &Trace<'_>, from: Instant, to: Instant| {
        let mut begins: Vec<(Instant, Instant)> = Vec::new();
        for hole in log.holes.near(log, signal, from, to)?.iter() {
            if hole.signal.is_some_and(|other| other != signal) || hole.since >= to || hole.until <= from {
                continue;
            }
            let begin = if hole.is_partial { log.holes.begin(log, signal, hole)? } else { hole.since };
            if (from..to).contains(&begin) {
                begins.push((begin, hole.until));
            }
        }
        begins.sort_unstable();
        // The same gap may have been noticed more than once: of those that begin together the longest tells all.
        begins.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                earlier.1 = later.1.max(earlier.1);
            }
            is_same
        });
        let mut rows = Rows::default();
        begins.into_iter().for_each(|(begin, until)| push_gap(&mut rows, signal, begin, until));
        Ok(rows)
    };
    Ok(Marked { trace, marks })
}
