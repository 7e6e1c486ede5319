//! What was recorded of one signal, as HistoryRead wants it (OPC 10000-11 §6.5.3 to §6.5.5): raw values from one time to
//! another, in either direction, with bounds, some at a time; processed values; values at given times. Pure over
//! [`Traced`]; knows no OPC UA node.

mod around;
mod loss;

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_aggregates::{Aggregate, Intervals, Point, Processed, Processor, Rules};
use watchfire_model::{Instant, Rows, Sample, StatusCode, Summary, Unit};
use watchfire_pipeline::{CursorError, Page, Stretch, Traced, walk};

pub(crate) use around::at_times;
use loss::lost_at;
pub(crate) use loss::{Lost, with_loss};

/// How far back is looked at first; twice as far each time nothing or not enough was there.
const LOOK_BACK: Duration = Duration::from_secs(60);
/// Rows looked at back in one go, about; a denser signal is looked at in shorter steps.
const LOOK_BACK_ROWS: usize = 20_000;
/// A text counts as one more row for each so many bytes.
const LOOK_BACK_TEXT_BYTES: usize = 256;
/// Values on either side of what is asked among which good ones are looked for.
const NEIGHBOURS_MAX: usize = 1_000;
/// Good values that are needed before, to go on from them in a straight line.
const GOOD_BEFORE: usize = 2;
/// How far around what is asked summaries are looked for, where samples are no longer kept.
const AROUND: Duration = Duration::from_secs(7 * 86_400);
/// One time alone.
const SHORTEST: Duration = Duration::from_nanos(1);

/// A raw read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    /// Where it begins, this time included.
    pub start: Instant,
    /// Where it ends, this time excluded; before `start` to read backwards.
    pub end: Instant,
    /// Whether the values next to both ends are wanted.
    pub bounds: bool,
    /// Where it goes on.
    pub place: Place,
}

/// How far a read has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Before its first bound.
    Begin,
    /// At a time of which some values were answered already.
    At(Instant, usize),
    /// Only the last bound is left.
    EndBound,
}

/// Some values, and where to go on for more.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Values {
    pub samples: Vec<Sample>,
    pub next: Option<Place>,
}

/// What an answer has room for.
struct Room {
    values: usize,
    bytes: usize,
}

impl Room {
    /// Whether there is room, which the sample then takes: one more than its bytes allow, so that each answer goes on.
    fn takes(&mut self, sample: &Sample) -> bool {
        if self.values == 0 || self.bytes == 0 {
            return false;
        }
        self.values -= 1;
        self.bytes = self.bytes.saturating_sub(sample.text.as_ref().map_or(0, String::len));
        true
    }
}

impl Raw {
    /// The times between which it lies, where it has two ends.
    pub(crate) fn span(&self) -> Option<(Instant, Instant)> {
        let (from, to) = (self.start.min(self.end), self.start.max(self.end));
        (from > Instant::MIN && to < Instant::MAX).then_some((from, to))
    }

    /// The next values, `most` (at least one) at the most, and none after those whose texts have `bytes_max` together.
    pub(crate) fn read(&self, trace: &dyn Traced, most: usize, bytes_max: usize) -> Result<Values, CursorError> {
        let mut values = Values::default();
        let mut place = self.place;
        if place == Place::Begin {
            if self.bounds && !has_value_at(trace, self.start)? {
                values.samples.push(self.outside(trace, self.start, !self.forward())?);
            }
            place = Place::At(self.start, 0);
        }
        if let Place::At(time, skip) = place {
            let mut room = Room { values: most.saturating_sub(values.samples.len()), bytes: bytes_max };
            let next = if self.forward() {
                self.forwards(trace, time, skip, &mut room, &mut values.samples)?
            } else {
                self.backwards(trace, time, skip, &mut room, &mut values.samples)?
            };
            if next.is_some() {
                return Ok(Values { next, ..values });
            }
            place = Place::EndBound;
        }
        // At one time alone there is one bound, and it was the first one.
        if self.bounds && place == Place::EndBound && self.start != self.end {
            if values.samples.len() >= most {
                return Ok(Values { next: Some(Place::EndBound), ..values });
            }
            values.samples.push(self.end_bound(trace)?);
        }
        Ok(values)
    }

    const fn forward(&self) -> bool {
        self.start.ns() <= self.end.ns()
    }

    fn end_bound(&self, trace: &dyn Traced) -> Result<Sample, CursorError> {
        let at = first(trace, self.end, self.end.plus(SHORTEST))?;
        at.map_or_else(|| self.outside(trace, self.end, self.forward()), Ok)
    }

    /// The value next to `time`, after or before it; BadBoundNotFound at `time` where there is none.
    fn outside(&self, trace: &dyn Traced, time: Instant, after: bool) -> Result<Sample, CursorError> {
        let found = if after { first(trace, time, Instant::MAX)? } else { last_before(trace, time)? };
        Ok(found.unwrap_or_else(|| not_found(time)))
    }

    fn forwards(
        &self,
        trace: &dyn Traced,
        from: Instant,
        skip: usize,
        room: &mut Room,
        into: &mut Vec<Sample>,
    ) -> Result<Option<Place>, CursorError> {
        // One time alone means the values of that time.
        let end = if self.start == self.end { self.end.plus(SHORTEST) } else { self.end };
        let (mut next, mut skip) = (Some(from), skip);
        while let Some(from) = next {
            let Page { rows, rest } = trace.page(from, end)?;
            for row in skip..rows.len() {
                let Some(sample) = rows.sample(row) else { continue };
                if !room.takes(&sample) {
                    return Ok(Some(place_of(&rows, row, from)));
                }
                into.push(sample);
            }
            (next, skip) = (rest, 0);
        }
        Ok(None)
    }

    fn backwards(
        &self,
        trace: &dyn Traced,
        from: Instant,
        skip: usize,
        room: &mut Room,
        into: &mut Vec<Sample>,
    ) -> Result<Option<Place>, CursorError> {
        let lowest = self.end.plus(SHORTEST);
        let mut back = Back::new(trace, from.plus(SHORTEST), lowest);
        let mut skip = skip;
        let (mut time, mut of_time) = (from, 0);
        while let Some(sample) = back.next()? {
            if sample.time != time {
                (time, of_time, skip) = (sample.time, 0, 0);
            }
            of_time += 1;
            if of_time <= skip {
                continue;
            }
            if !room.takes(&sample) {
                return Ok(Some(Place::At(time, of_time - 1)));
            }
            into.push(sample);
        }
        Ok(None)
    }
}

/// A processed read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series {
    pub aggregate: Aggregate,
    pub rules: Rules,
    pub intervals: Intervals,
    /// Up to when nothing can have been received, where the source is lost now.
    pub lost_until: Option<Instant>,
    /// The interval where it goes on.
    pub next: u64,
}

impl Series {
    /// The values of the next intervals, `most` at the most, and the interval after them if there is one.
    pub(crate) fn read(&self, trace: &dyn Traced, most: u64) -> Result<(Vec<Processed>, Option<u64>), CursorError> {
        let end = self.next.saturating_add(most).min(self.intervals.count());
        let window = self.next..end;
        let more = (end < self.intervals.count()).then_some(end);
        let Some((low, high)) = self.intervals.span(window.clone()) else { return Ok((Vec::new(), None)) };
        let Ok(mut processor) = Processor::new(self.aggregate, self.rules, self.intervals, window) else {
            // Its configuration was checked when the read began.
            return Ok((Vec::new(), None));
        };
        let unit = self.unit();
        let mut ahead = before(trace, low)?;
        if let Some(unit) = unit
            && let Some(known) = summarised_before(trace, unit, low, ahead.last().map(|point| point.time))?
        {
            ahead.push(known);
        }
        for point in ahead {
            push(&mut processor, &point);
        }
        let takes = |summary: &Summary| self.aggregate.takes(&self.rules, summary);
        walk(trace, unit, (low, high), &takes, &mut |stretch| match stretch {
            Stretch::Rows(rows) => points(rows).all(|point| push(&mut processor, &point)),
            Stretch::Summary(summary) => {
                if let Err(error) = processor.push_summary(summary) {
                    tracing::debug!(%error, "a summary out of its order is left out of an aggregate");
                }
                processor.is_hungry()
            }
            Stretch::Lost(summary) => lost(summary).iter().all(|point| push(&mut processor, point)),
        })?;
        let mut known = match unit.filter(|_| processor.is_hungry()) {
            Some(unit) => summarised_after(trace, unit, high)?,
            None => None,
        };
        let (mut next, mut beyond) = (Some(high).filter(|_| processor.is_hungry()), 0);
        while let Some(from) = next {
            let Page { rows, rest } = trace.page(from, Instant::MAX)?;
            next = rest;
            for point in points(&rows) {
                beyond += 1;
                let nearer = known.take_if(|known| known.time < point.time);
                let is_enough = nearer.is_some_and(|nearer| !push(&mut processor, &nearer));
                if is_enough || !push(&mut processor, &point) || beyond > NEIGHBOURS_MAX {
                    (next, known) = (None, None);
                    break;
                }
            }
        }
        if let Some(known) = known {
            push(&mut processor, &known);
        }
        // As long as it is lost that is known, too: its last value does not end where all data does.
        if let Some(now) = self.lost_until.filter(|_| processor.is_hungry()) {
            push(&mut processor, &lost_at(now));
        }
        Ok((processor.finish(), more))
    }

    /// The longest summaries that can stand for points.
    fn unit(&self) -> Option<Unit> {
        let fits = |unit: &Unit| self.intervals.hold_units_of(unit.length_ns());
        [Unit::Hour, Unit::Minute].into_iter().find(fits).filter(|_| self.aggregate.takes_some(&self.rules))
    }
}

/// Gives a point; whether more are wanted.
fn push(processor: &mut Processor, point: &Point) -> bool {
    if let Err(error) = processor.push(point) {
        tracing::debug!(%error, "a value out of its order is left out of an aggregate");
    }
    processor.is_hungry()
}

/// What is known of points that are no longer kept where it must be known what lies between them: that is bad.
fn lost(summary: &Summary) -> Vec<Point> {
    let (first, last) = (Point::from(&summary.first), Point::from(&summary.last));
    let unknown = Point { value: f64::NAN, exact: None, status: StatusCode::BAD_NO_DATA, ..first };
    if summary.rows() > 1 { vec![first, unknown, last] } else { vec![first] }
}

/// The last point before a time that only a summary knows, if it is later than `known`.
fn summarised_before(
    trace: &dyn Traced,
    unit: Unit,
    time: Instant,
    known: Option<Instant>,
) -> Result<Option<Point>, CursorError> {
    if known.is_some_and(|known| known >= time.minus(unit.length())) {
        return Ok(None);
    }
    let mut last: Option<Point> = None;
    for unit in [Unit::Hour, unit] {
        let around = if unit == Unit::Hour { AROUND } else { Unit::Hour.length() };
        let mut next = Some(time.minus(around));
        while let Some(from) = next {
            let some = trace.summaries(unit, from, time)?;
            let found = some.told.iter().rev().find_map(|told| told.summary.as_ref()).map(|one| Point::from(&one.last));
            last = found.filter(|found| last.is_none_or(|last| last.time < found.time)).or(last);
            next = some.rest;
        }
    }
    Ok(last.filter(|last| known.is_none_or(|known| known < last.time)))
}

/// The first point from a time on that a summary knows.
fn summarised_after(trace: &dyn Traced, unit: Unit, time: Instant) -> Result<Option<Point>, CursorError> {
    let mut first: Option<Point> = None;
    for unit in [Unit::Hour, unit] {
        let around = if unit == Unit::Hour { AROUND } else { Unit::Hour.length() };
        let (mut next, mut found) = (Some(time), None);
        while let Some(from) = next.filter(|_| found.is_none()) {
            let some = trace.summaries(unit, from, time.plus(around))?;
            found = some.told.iter().find_map(|told| told.summary.as_ref()).map(|one| Point::from(&one.first));
            next = some.rest;
        }
        first = found.filter(|found| first.is_none_or(|first| found.time < first.time)).or(first);
    }
    Ok(first)
}

fn points(rows: &Rows) -> impl Iterator<Item = Point> + '_ {
    let columns = rows.time.iter().zip(&rows.value).zip(&rows.status).enumerate();
    columns.map(|(row, ((time, value), status))| Point {
        time: *time,
        value: *value,
        exact: rows.exact_at(row),
        status: *status,
    })
}

/// The last values before a time, good ones among them if there are any not too far away; the earliest first.
fn before(trace: &dyn Traced, time: Instant) -> Result<Vec<Point>, CursorError> {
    let mut back = Back::new(trace, time, Instant::MIN);
    let (mut found, mut good) = (Vec::new(), 0);
    while good < GOOD_BEFORE && found.len() < NEIGHBOURS_MAX {
        let Some(sample) = back.next()? else { break };
        good += usize::from(sample.status.is_good());
        found.push(Point::from(&sample));
    }
    found.reverse();
    Ok(found)
}

/// The place of a row that is not answered yet: its time, and how many rows of that time come before it. Rows of one
/// time are never in different pages.
fn place_of(rows: &Rows, row: usize, from: Instant) -> Place {
    let time = rows.time.get(row).copied().unwrap_or(from);
    Place::At(time, (0..row).rev().take_while(|other| rows.time.get(*other) == Some(&time)).count())
}

fn not_found(time: Instant) -> Sample {
    let status = StatusCode::BAD_BOUND_NOT_FOUND;
    Sample { time, server_time: time, value: f64::NAN, exact: None, text: None, status }
}

fn has_value_at(trace: &dyn Traced, time: Instant) -> Result<bool, CursorError> {
    Ok(first(trace, time, time.plus(SHORTEST))?.is_some())
}

/// The first value in `from..to`.
pub(crate) fn first(trace: &dyn Traced, from: Instant, to: Instant) -> Result<Option<Sample>, CursorError> {
    let mut next = Some(from);
    while let Some(from) = next {
        let Page { rows, rest } = trace.page(from, to)?;
        if let Some(sample) = rows.sample(0) {
            return Ok(Some(sample));
        }
        next = rest;
    }
    Ok(None)
}

/// The last value before a time.
pub(crate) fn last_before(trace: &dyn Traced, time: Instant) -> Result<Option<Sample>, CursorError> {
    Back::new(trace, time, Instant::MIN).next()
}

/// Values from one time back to another, both excluded above and included below.
pub(crate) struct Back<'t> {
    trace: &'t dyn Traced,
    high: Instant,
    low: Instant,
    step: Duration,
    found: VecDeque<Sample>,
}

impl<'t> Back<'t> {
    pub(crate) fn new(trace: &'t dyn Traced, high: Instant, low: Instant) -> Self {
        Self { trace, high, low, step: LOOK_BACK, found: VecDeque::new() }
    }

    /// The next earlier value.
    pub(crate) fn next(&mut self) -> Result<Option<Sample>, CursorError> {
        while self.found.is_empty() && self.high > self.low {
            self.look()?;
        }
        Ok(self.found.pop_back())
    }

    fn look(&mut self) -> Result<(), CursorError> {
        let low = self.high.minus(self.step).max(self.low);
        let (mut next, mut rows_seen) = (Some(low), 0);
        while let Some(from) = next {
            let Page { rows, rest } = self.trace.page(from, self.high)?;
            // A long text counts as many.
            rows_seen +=
                rows.len() + rows.text.iter().map(|(_, text)| text.len() / LOOK_BACK_TEXT_BYTES).sum::<usize>();
            self.found.extend((0..rows.len()).filter_map(|row| rows.sample(row)));
            // Of a window that is too dense for memory the later part counts: look at less the next time.
            let excess = rows_seen.saturating_sub(2 * LOOK_BACK_ROWS);
            if excess > 0 && rest.is_some() && self.step > SHORTEST {
                self.found.clear();
                self.step = (self.step / 4).max(SHORTEST);
                return Ok(());
            }
            next = rest;
        }
        self.high = low;
        let denser = rows_seen > LOOK_BACK_ROWS;
        self.step = if denser { (self.step / 2).max(SHORTEST) } else { self.step.saturating_mul(2) };
        Ok(())
    }
}

#[cfg(test)]
mod by_summaries;
#[cfg(test)]
mod tests;
