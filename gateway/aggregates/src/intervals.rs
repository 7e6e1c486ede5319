//! The intervals of a request (OPC 10000-13 §5.4.2.2): forward, or backward where it ends before it starts.

use std::ops::Range;
use std::time::Duration;

use watchfire_model::Instant;

use crate::configuration::AggregateError;

/// The unit in which the times of this server are told apart where the standard asks for one (§5.4.2.4).
pub(crate) const RESOLUTION_NS: i64 = 1_000_000;

/// The intervals of one request. Holds none of them, so a continuation point needs no more than an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intervals {
    start: Instant,
    end: Instant,
    /// At least 1.
    step_ns: u128,
}

/// One interval. Forward it holds its earlier edge and not its later one, backward it is the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The earlier edge.
    pub low: Instant,
    /// The later edge.
    pub high: Instant,
    /// Whether time runs backward, so that it starts at the later edge.
    pub backward: bool,
    /// Whether the end of the request made it shorter than the others.
    pub cut: bool,
}

impl Intervals {
    /// Divides the range into intervals of `processing_interval`; 0 is one interval over all of it.
    ///
    /// # Errors
    /// [`AggregateError::Empty`] when the range has no length.
    pub fn new(start: Instant, end: Instant, processing_interval: Duration) -> Result<Self, AggregateError> {
        if start == end {
            return Err(AggregateError::Empty { at: start });
        }
        let range_ns = u128::from(start.ns().abs_diff(end.ns()));
        let asked_ns = processing_interval.as_nanos();
        let step_ns = if asked_ns == 0 || asked_ns > range_ns { range_ns } else { asked_ns };
        Ok(Self { start, end, step_ns })
    }

    /// How many there are; at least one.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.range_ns().div_ceil(self.step_ns)).unwrap_or(u64::MAX)
    }

    /// Whether time runs backward.
    #[must_use]
    pub fn backward(&self) -> bool {
        self.end < self.start
    }

    /// Whether every unit of this length that lies within the range, beginning at a multiple of it, lies in one interval.
    #[must_use]
    pub fn hold_units_of(&self, length_ns: i64) -> bool {
        let is_multiple = |ns: i128| ns.rem_euclid(i128::from(length_ns.max(1))) == 0;
        let step_ns = i128::try_from(self.step_ns).unwrap_or(i128::MAX);
        !self.backward() && (self.count() == 1 || (is_multiple(self.start.ns().into()) && is_multiple(step_ns)))
    }

    fn range_ns(&self) -> u128 {
        u128::from(self.start.ns().abs_diff(self.end.ns()))
    }

    /// The interval at `index` in the order of the request.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<Interval> {
        let range_ns = self.range_ns();
        let from_ns = u128::from(index).checked_mul(self.step_ns).filter(|from_ns| *from_ns < range_ns)?;
        let wanted_ns = from_ns.saturating_add(self.step_ns);
        let (near, far) = (self.at(from_ns), self.at(wanted_ns.min(range_ns)));
        let cut = wanted_ns > range_ns;
        let backward = self.backward();
        let (low, high) = if backward { (far, near) } else { (near, far) };
        Some(Interval { low, high, backward, cut })
    }

    /// The time so far into the range.
    fn at(&self, offset_ns: u128) -> Instant {
        let offset_ns = i128::try_from(offset_ns).unwrap_or(i128::MAX);
        let signed = if self.backward() { -offset_ns } else { offset_ns };
        let ns = i128::from(self.start.ns()).saturating_add(signed);
        Instant::from_ns(i64::try_from(ns).unwrap_or(if signed < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The earliest and the latest edge of the intervals in `window`, to know which samples to read.
    #[must_use]
    pub fn span(&self, window: Range<u64>) -> Option<(Instant, Instant)> {
        let last = window.end.min(self.count()).checked_sub(1).filter(|last| *last >= window.start)?;
        let (one, other) = (self.get(window.start)?, self.get(last)?);
        Some((one.low.min(other.low), one.high.max(other.high)))
    }
}

impl Interval {
    /// Where the interval starts in the direction of the request.
    #[must_use]
    pub const fn start(&self) -> Instant {
        if self.backward { self.high } else { self.low }
    }

    /// Where the interval ends in the direction of the request.
    #[must_use]
    pub const fn end(&self) -> Instant {
        if self.backward { self.low } else { self.high }
    }

    /// EffectiveEndTime (§3.1.3): the last time that is still in the interval, by the server's resolution.
    pub(crate) const fn effective_end(&self) -> Instant {
        let inward = if self.backward { RESOLUTION_NS } else { -RESOLUTION_NS };
        Instant::from_ns(self.end().ns().saturating_add(inward))
    }

    /// Whether a point of this time is in the interval.
    #[must_use]
    pub fn has(&self, time: Instant) -> bool {
        if self.backward { self.low < time && time <= self.high } else { self.low <= time && time < self.high }
    }

    /// Whether the interval is over once a point of this time has come.
    pub(crate) fn is_over_at(&self, time: Instant) -> bool {
        if self.backward { time > self.high } else { time >= self.high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(start_s: i64, end_s: i64, step_s: u64) -> Vec<(i64, i64, bool)> {
        let of = |s| Instant::from_s(s);
        let intervals = Intervals::new(of(start_s), of(end_s), Duration::from_secs(step_s)).unwrap();
        let all = (0..intervals.count()).map(|index| intervals.get(index).unwrap());
        assert_eq!(intervals.get(intervals.count()), None);
        all.map(|one| (one.start().since_ns(of(0)), one.end().since_ns(of(0)), one.cut))
            .map(|(from, to, cut)| (from / 1_000_000_000, to / 1_000_000_000, cut))
            .collect()
    }

    #[test]
    fn a_range_is_divided_in_both_directions_and_the_last_interval_takes_the_rest() {
        for (request, expected) in [
            ((0, 10, 5), vec![(0, 5, false), (5, 10, false)]),
            ((0, 12, 5), vec![(0, 5, false), (5, 10, false), (10, 12, true)]),
            ((12, 0, 5), vec![(12, 7, false), (7, 2, false), (2, 0, true)]),
            ((0, 10, 0), vec![(0, 10, false)]),
            ((10, 0, 0), vec![(10, 0, false)]),
            ((0, 10, 99), vec![(0, 10, false)]),
        ] {
            assert_eq!(edges(request.0, request.1, request.2), expected, "{request:?}");
        }
        assert!(Intervals::new(Instant::from_s(3), Instant::from_s(3), Duration::ZERO).is_err());
    }

    #[test]
    fn each_time_is_in_exactly_one_interval() {
        for (start_s, end_s) in [(0, 12), (12, 0)] {
            let of = |s| Instant::from_s(s);
            let intervals = Intervals::new(of(start_s), of(end_s), Duration::from_secs(5)).unwrap();
            let holding = |s| (0..intervals.count()).filter(|i| intervals.get(*i).unwrap().has(of(s))).count();
            assert!((1..12).all(|s| holding(s) == 1));
            assert_eq!((holding(start_s), holding(end_s)), (1, 0), "the start is in, the end is not");
        }
    }

    #[test]
    fn units_lie_in_one_interval_where_all_edges_are_theirs() {
        for (start_s, end_s, step_s, hold) in [
            (0, 600, 120, true),
            (0, 610, 120, true),
            (30, 630, 120, false),
            (0, 600, 90, false),
            (7, 603, 0, true),
            (600, 0, 120, false),
        ] {
            let of = |s| Instant::from_s(s);
            let intervals = Intervals::new(of(start_s), of(end_s), Duration::from_secs(step_s)).unwrap();
            assert_eq!(intervals.hold_units_of(60_000_000_000), hold, "{start_s} {end_s} {step_s}");
        }
    }

    #[test]
    fn the_whole_of_time_has_no_overflow() {
        let intervals = Intervals::new(Instant::MAX, Instant::MIN, Duration::from_nanos(1)).unwrap();
        assert_eq!(intervals.count(), u64::MAX);
        assert_eq!(intervals.get(u64::MAX - 1).unwrap().low, Instant::MIN);
        assert_eq!(intervals.span(0..u64::MAX), Some((Instant::MIN, Instant::MAX)));
        assert_eq!(intervals.span(5..5), None);
    }
}
