//! Walks over points in the order of their times and closes one interval after the other.

use std::ops::Range;

use watchfire_model::{Instant, Summary};

use crate::aggregate::{Aggregate, Bounds};
use crate::configuration::{AggregateError, Rules};
use crate::intervals::{Interval, Intervals};
use crate::link::Link;
use crate::outcome::outcome;
use crate::point::{Known, Point, Processed};
use crate::tally::Tally;

/// Computes one aggregate over a window of a request's intervals.
///
/// Give it points in the order of their times, also for a request that runs backward: first those before the window's
/// [span](Intervals::span) that [`Bounds`] asks for, then all in it, then from its end on until it is no longer
/// [hungry](Self::is_hungry). Points that are not given do not exist: without one before the span the data starts in
/// it, without one after it ends in it, and the result says so. Costs O(1) a point and O(1) an interval.
#[derive(Debug)]
pub struct Processor {
    aggregate: Aggregate,
    rules: Rules,
    intervals: Intervals,
    /// Indices of the intervals that are still to be opened.
    ahead: Range<u64>,
    open: Option<(Interval, Tally)>,
    /// The last neighbours, see [`Link`].
    earlier: Option<Known>,
    left: Option<Known>,
    /// What stands for the points up to the left one.
    summed: Option<Summary>,
    skipped: Option<Instant>,
    /// Time of the last point.
    newest: Option<Instant>,
    /// Whether the last point that is not bad was other than zero.
    state: Option<bool>,
    done: Vec<Processed>,
}

impl Processor {
    /// Starts on the intervals whose indices are in `window`; `0..intervals.count()` is all of them.
    ///
    /// # Errors
    /// What [`Configuration::check`](crate::Configuration::check) finds.
    pub fn new(
        aggregate: Aggregate,
        rules: Rules,
        intervals: Intervals,
        window: Range<u64>,
    ) -> Result<Self, AggregateError> {
        rules.configuration.check()?;
        let mut rules = rules;
        rules.configuration.treat_uncertain_as_bad &= !aggregate.tells_uncertain_from_bad();
        let ahead = window.start..window.end.min(intervals.count());
        let mut processor = Self {
            aggregate,
            rules,
            intervals,
            ahead,
            open: None,
            earlier: None,
            left: None,
            summed: None,
            skipped: None,
            newest: None,
            state: None,
            done: Vec::new(),
        };
        processor.open_next();
        Ok(processor)
    }

    /// Whether there are intervals that a further point would have a say in.
    #[must_use]
    pub const fn is_hungry(&self) -> bool {
        self.open.is_some()
    }

    /// Takes the next point.
    ///
    /// # Errors
    /// [`AggregateError::Order`] when it is older than the one before; it is then not taken.
    pub fn push(&mut self, point: &Point) -> Result<(), AggregateError> {
        if let Some(before) = self.newest.filter(|before| point.time < *before) {
            return Err(AggregateError::Order { time: point.time, before });
        }
        self.newest = Some(point.time);
        let known = Known::new(*point, &self.rules, self.aggregate.needs_number());
        if self.aggregate.bounds() == Bounds::Interpolated && known.is_bad() {
            self.skipped = self.skipped.or(self.left.map(|_| point.time));
            return Ok(());
        }
        let link = Link { earlier: self.earlier, left: self.left, right: Some(known), skipped: self.skipped };
        self.follow(&link);
        (self.earlier, self.left, self.skipped) = (self.left, Some(known), None);
        Ok(())
    }

    /// Takes a summary in place of its points, all of which lie in one interval of a request that runs forward; false,
    /// and nothing is taken, where the aggregate asks for more than it knows.
    ///
    /// # Errors
    /// [`AggregateError::Order`] when it begins before the last point; it is then not taken.
    pub fn push_summary(&mut self, summary: &Summary) -> Result<bool, AggregateError> {
        if !self.aggregate.takes(&self.rules, summary) || self.intervals.backward() {
            return Ok(false);
        }
        // Links to those outside are as they would be; between, there is nothing that closes an interval.
        self.push(&Point::from(&summary.first))?;
        let last = Known::new(Point::from(&summary.last), &self.rules, self.aggregate.needs_number());
        self.newest = Some(last.time());
        (self.left, self.summed) = (Some(last), Some(summary.clone()));
        Ok(true)
    }

    /// Closes what is open, since there are no more points, and gives the results in the order of the request.
    #[must_use]
    pub fn finish(mut self) -> Vec<Processed> {
        self.follow(&Link::last(self.earlier, self.left, self.skipped));
        if self.intervals.backward() {
            self.done.reverse();
        }
        self.done
    }

    /// Spreads a link over the intervals it touches and closes those that end in it.
    fn follow(&mut self, link: &Link) {
        let changed = self.take_state(link.left);
        let mut point = link.left;
        let mut summed = self.summed.take();
        while let Some((interval, tally)) = &mut self.open {
            if let Some(left) = point.filter(|left| interval.has(left.time())) {
                match summed.take() {
                    Some(summary) => {
                        tally.raw.take(&summary, &self.rules, self.aggregate.needs_number());
                        tally.regions.take(&summary);
                    }
                    None => tally.raw.add(&left, changed),
                }
                point = None;
            }
            tally.add(link, interval, self.aggregate.bounds(), &self.rules);
            if link.right.is_some_and(|right| !interval.is_over_at(right.time())) {
                return;
            }
            self.done.push(outcome(self.aggregate, interval, tally, &self.rules));
            self.open_next();
        }
    }

    /// Whether the state of a point is another than that of the last one that was not bad.
    fn take_state(&mut self, point: Option<Known>) -> bool {
        let Some(known) = point.filter(|known| !known.is_bad()) else { return false };
        let state = Some(known.point.value != 0.0);
        std::mem::replace(&mut self.state, state) != state
    }

    fn open_next(&mut self) {
        let index = if self.intervals.backward() { self.ahead.next_back() } else { self.ahead.next() };
        self.open = index.and_then(|index| self.intervals.get(index)).map(|interval| (interval, Tally::new()));
    }
}

/// All intervals of a request at once, from points that are all in memory.
///
/// # Errors
/// As [`Processor::new`] and [`Processor::push`].
pub fn process<'a>(
    points: impl IntoIterator<Item = &'a Point>,
    aggregate: Aggregate,
    rules: Rules,
    intervals: Intervals,
) -> Result<Vec<Processed>, AggregateError> {
    let mut processor = Processor::new(aggregate, rules, intervals, 0..intervals.count())?;
    for point in points {
        processor.push(point)?;
    }
    Ok(processor.finish())
}
