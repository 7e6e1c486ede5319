//! Values at given times (OPC 10000-11 §6.5.5). The times are gone through in their order, and around each no more is read
//! than it takes: what was read for one serves those after it.

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_aggregates::{Bounds, Point, Processed, Rules, interpolate_at};
use watchfire_model::Instant;
use watchfire_pipeline::{CursorError, Page, Traced};

use super::{GOOD_BEFORE, NEIGHBOURS_MAX, SHORTEST, points};

/// How far is looked to either side at first.
const LOOK: Duration = Duration::from_secs(10);
/// Where a look finds more values than this, the next ones are so many times shorter;
const MANY: usize = 256;
const SHORTER: u32 = 8;
/// where it finds fewer than this, they are twice as long.
const FEW: usize = 16;

/// The values at given times, in the order in which those are given; between two recorded ones what lies between them.
///
/// # Errors
/// When a store fails.
pub(crate) fn at_times(
    trace: &dyn Traced,
    times: &[Instant],
    simple: bool,
    rules: &Rules,
) -> Result<Vec<Processed>, CursorError> {
    let bounds = if simple { Bounds::Simple } else { Bounds::Interpolated };
    let mut sorted: Vec<(Instant, usize)> = times.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let mut around = Around::new(trace);
    let mut values = Vec::with_capacity(times.len());
    for (time, place) in sorted {
        values.push((place, around.value_at(time, bounds, rules)?));
    }
    values.sort_unstable_by_key(|(place, _)| *place);
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// All points from one time to another.
struct Around<'t> {
    trace: &'t dyn Traced,
    low: Instant,
    high: Instant,
    points: VecDeque<Point>,
    step: Duration,
}

impl<'t> Around<'t> {
    const fn new(trace: &'t dyn Traced) -> Self {
        Self { trace, low: Instant::MAX, high: Instant::MIN, points: VecDeque::new(), step: LOOK }
    }

    fn value_at(&mut self, time: Instant, bounds: Bounds, rules: &Rules) -> Result<Processed, CursorError> {
        self.go_to(time)?;
        let at = self.before(time);
        if let Some(point) = self.points.get(at).filter(|point| point.time == time) {
            return Ok(interpolate_at([point], time, bounds, rules));
        }
        let first = loop {
            match self.first_needed(time) {
                Some(first) => break first,
                None => self.look_back()?,
            }
        };
        let end = loop {
            match self.end_of_needed(time) {
                Some(end) => break end,
                None => self.look_ahead()?,
            }
        };
        let needed = self.points.iter().skip(first).take(end.saturating_sub(first));
        let value = interpolate_at(needed, time, bounds, rules);
        if let Some(first) = self.points.get(first).map(|point| point.time) {
            // No later time needs what lies before it. Where nothing does, it stays known that nothing is there.
            if self.points.drain(..self.before(first)).len() > 0 {
                self.low = first;
            }
        }
        Ok(value)
    }

    /// How many points lie before a time.
    fn before(&self, time: Instant) -> usize {
        self.points.partition_point(|point| point.time < time)
    }

    /// Where the points begin that are needed before a time: good ones, if there are any not too far away; `None` where
    /// more has to be read.
    fn first_needed(&self, time: Instant) -> Option<usize> {
        let (before, mut good) = (self.before(time), 0);
        for at in (0..before).rev() {
            good += usize::from(self.points.get(at).is_some_and(|point| point.status.is_good()));
            if good == GOOD_BEFORE || before - at == NEIGHBOURS_MAX {
                return Some(at);
            }
        }
        (self.low == Instant::MIN).then_some(0)
    }

    /// Where those end that are needed after it: with the first good one.
    fn end_of_needed(&self, time: Instant) -> Option<usize> {
        let begin = self.before(time);
        let is_last = |at: &usize| {
            let is_good = self.points.get(*at).is_some_and(|point| point.time > time && point.status.is_good());
            is_good || *at - begin == NEIGHBOURS_MAX
        };
        let last = (begin..self.points.len()).find(is_last);
        last.map(|last| last + 1).or_else(|| (self.high == Instant::MAX).then_some(self.points.len()))
    }

    /// Sees to it that the time is among what is here. What lies a look away is gone on to, what is farther begun anew.
    fn go_to(&mut self, time: Instant) -> Result<(), CursorError> {
        while time < self.low || (self.high <= time && self.high < Instant::MAX) {
            if self.low <= time && time < self.high.plus(self.step) {
                self.look_ahead()?;
                continue;
            }
            let (low, high) = (time.minus(self.step), time.plus(self.step));
            if let Some(points) = self.read(low, high)? {
                (self.low, self.high, self.points) = (low, high, points.into());
            }
        }
        Ok(())
    }

    fn look_back(&mut self) -> Result<(), CursorError> {
        let low = self.low.minus(self.step);
        if let Some(points) = self.read(low, self.low)? {
            points.into_iter().rev().for_each(|point| self.points.push_front(point));
            self.low = low;
        }
        Ok(())
    }

    fn look_ahead(&mut self) -> Result<(), CursorError> {
        let high = self.high.plus(self.step);
        if let Some(points) = self.read(self.high, high)? {
            self.points.extend(points);
            self.high = high;
        }
        Ok(())
    }

    /// All points in `from..to`; `None` where they are too many, and less is to be looked at.
    fn read(&mut self, from: Instant, to: Instant) -> Result<Option<Vec<Point>>, CursorError> {
        let (mut next, mut found) = (Some(from), Vec::new());
        while let Some(from) = next {
            let Page { rows, rest } = self.trace.page(from, to)?;
            found.extend(points(&rows));
            next = rest;
            if next.is_some() && found.len() > MANY && self.step > SHORTEST {
                self.step = (self.step / SHORTER).max(SHORTEST);
                return Ok(None);
            }
        }
        if found.len() > MANY {
            self.step = (self.step / SHORTER).max(SHORTEST);
        } else if found.len() < FEW {
            self.step = self.step.saturating_mul(2);
        }
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;
    use watchfire_aggregates::Configuration;
    use watchfire_model::{Quality, Rows, SignalId, StatusCode};

    use super::*;

    fn rules() -> Rules {
        Rules { configuration: Configuration::default(), stepped: false }
    }

    /// Rows in pages of a few, those of one time together.
    struct Few(Rows);

    impl Traced for Few {
        fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
            let at = |time: Instant| self.0.time.partition_point(|other| *other < time);
            let (begin, last) = (at(from), at(to).max(at(from)));
            let full = self.0.time.get(begin + 3).filter(|_| begin + 3 < last);
            let end = full.map_or(last, |full| at(full.plus(SHORTEST)).min(last));
            let mut rows = Rows::default();
            rows.extend_from(&self.0, begin..end);
            Ok(Page { rows, rest: self.0.time.get(end).copied().filter(|_| end < last) })
        }
    }

    /// A value each millisecond of a day, in pages as the log has them; counts what was read.
    struct Dense(Cell<usize>);

    const BEGIN_S: i64 = 1_800_000_000;
    const DAY_MS: i64 = 86_400_000;
    const PAGE_ROWS: i64 = 131_072;

    impl Traced for Dense {
        fn page(&self, from: Instant, to: Instant) -> Result<Page, CursorError> {
            let begin = Instant::from_s(BEGIN_S);
            let ms = |time: Instant| (time.since_ns(begin).saturating_add(999_999) / 1_000_000).clamp(0, DAY_MS);
            let (first, last) = (ms(from), ms(to));
            let end = last.min(first + PAGE_ROWS);
            let at = |ms: i64| Instant::from_ns(begin.ns() + ms * 1_000_000);
            let mut rows = Rows::default();
            (first..end).for_each(|ms| rows.push(SignalId(1), at(ms), ms as f64, StatusCode::GOOD, Quality::NONE, 0));
            self.0.set(self.0.get() + rows.len());
            Ok(Page { rows, rest: (end < last).then(|| at(end)) })
        }
    }

    #[test]
    fn of_a_dense_signal_little_is_read_however_many_times_are_asked_for() {
        for spread in [1, 8_000] {
            let trace = Dense(Cell::new(0));
            // In no order, each half a millisecond after a value.
            let time =
                |n: i64| Instant::from_ns(BEGIN_S * 1_000_000_000 + (n * 7919 % 10_000) * spread * 1_000_000 + 500_000);
            let times: Vec<Instant> = (0..10_000).map(time).collect();
            let values = at_times(&trace, &times, false, &rules()).unwrap();
            for (value, time) in values.iter().zip(&times) {
                assert_eq!((value.time, value.status.is_good()), (*time, true));
            }
            let read = trace.0.get();
            assert!(read < 10_000 * 256 + 4 * 131_072, "{read} values were read");
        }
    }

    #[test]
    fn of_times_before_the_first_value_it_is_looked_for_once() {
        let trace = Dense(Cell::new(0));
        let hour = |n: i64| Instant::from_s(BEGIN_S + n * 3_600).plus(Duration::from_micros(500));
        let times: Vec<Instant> = (-300..20).map(hour).collect();
        let values = at_times(&trace, &times, false, &rules()).unwrap();
        for (value, time) in values.iter().zip(&times) {
            assert_eq!((value.time, value.status.is_good()), (*time, *time > Instant::from_s(BEGIN_S)));
        }
        let pages = trace.0.get() / 131_072;
        assert!(pages < times.len() / 10, "{pages} pages were read for {} times", times.len());
    }

    proptest! {
        #[test]
        fn a_value_at_a_time_is_what_all_points_together_say(
            recorded in proptest::collection::vec((0_i64..400, 0..5_u8), 0..80),
            times in proptest::collection::vec(-50_i64..450, 1..40),
            simple: bool,
        ) {
            let mut recorded = recorded;
            recorded.sort_by_key(|(s, _)| *s);
            let mut rows = Rows::default();
            for ((s, kind), n) in recorded.iter().zip(0_i32..) {
                let status = [StatusCode::GOOD, StatusCode::GOOD, StatusCode::GOOD, StatusCode(0x4000_0000), StatusCode::BAD_NO_DATA];
                rows.push(SignalId(1), Instant::from_s(s * s), f64::from(n), status[usize::from(*kind)], Quality::NONE, 0);
            }
            let all: Vec<Point> = points(&rows).collect();
            let times: Vec<Instant> = times.iter().map(|s| Instant::from_s(s * s.abs())).collect();
            let bounds = if simple { Bounds::Simple } else { Bounds::Interpolated };
            let expected: Vec<String> =
                times.iter().map(|time| format!("{:?}", interpolate_at(&all, *time, bounds, &rules()))).collect();
            let found = at_times(&Few(rows), &times, simple, &rules()).unwrap();
            let found: Vec<String> = found.iter().map(|value| format!("{value:?}")).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
