//! Which UTC hours something has samples of, in a few runs: one device whose clock was never set must not make a bucket
//! look as if it had samples of every hour since 2000.

use std::collections::BTreeSet;

use watchfire_model::{Instant, Unit};

use crate::bytes::{Reader, put_count, put_varint};

/// An hour, from 1970-01-01T00:00Z.
pub type Hour = u32;

/// Runs that are told apart; where there are more, the nearest two are taken for one.
const RUNS: usize = 8;

/// The hour of a time; `None` before 1970.
pub fn hour_of(at: Instant) -> Option<Hour> {
    u32::try_from(at.ns().div_euclid(Unit::Hour.length_ns())).ok()
}

/// When an hour begins.
pub fn begin_of(hour: Hour) -> Instant {
    Instant::from_ns(i64::from(hour).saturating_mul(Unit::Hour.length_ns()))
}

/// Runs of hours, ascending, with gaps between them: all that there are samples of, and perhaps some more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    runs: [(Hour, Hour); RUNS],
    count: usize,
}

impl Hours {
    /// Every hour between the earliest and the latest sample.
    pub fn of_span(span: Option<(Instant, Instant)>) -> Self {
        let ends = span.and_then(|(earliest, latest)| Some((hour_of(earliest).unwrap_or_default(), hour_of(latest)?)));
        ends.map_or(Self::default(), |(first, last)| Self::of_runs(vec![(first, last)]))
    }

    /// The hours of some times. Costs a nanosecond each where they all are of the same one.
    pub fn of_times(times: &[Instant]) -> Self {
        let span = times.iter().min().zip(times.iter().max()).map(|(first, last)| (*first, *last));
        let whole = Self::of_span(span);
        if whole.many() < 2 {
            return whole;
        }
        let hours: BTreeSet<Hour> = times.iter().filter_map(|time| hour_of(*time)).collect();
        Self::of_runs(hours.into_iter().map(|hour| (hour, hour)).collect())
    }

    /// What either has.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        if other.runs().all(|(first, last)| self.runs().any(|(from, to)| from <= first && last <= to)) {
            return self;
        }
        let mut runs: Vec<(Hour, Hour)> = self.runs().chain(other.runs()).collect();
        runs.sort_unstable();
        Self::of_runs(runs)
    }

    /// Every hour that times touch which last from one instant to another, in whichever order; what lies before 1970 is
    /// taken for the first hour of it.
    pub fn of_lasting(each: impl Iterator<Item = (Instant, Instant)>) -> Self {
        let mut runs: Vec<(Hour, Hour)> =
            each.map(|(since, until)| (held_hour_of(since.min(until)), held_hour_of(since.max(until)))).collect();
        runs.sort_unstable();
        runs.dedup();
        Self::of_runs(runs)
    }

    /// The hours of runs in the order in which they begin.
    fn of_runs(runs: Vec<(Hour, Hour)>) -> Self {
        let mut joined: Vec<(Hour, Hour)> = Vec::new();
        for (first, last) in runs {
            match joined.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        if joined.len() > RUNS {
            joined = of_widest(joined);
        }
        let mut hours = Self { count: joined.len(), ..Self::default() };
        hours.runs.iter_mut().zip(joined).for_each(|(slot, run)| *slot = run);
        hours
    }

    /// The runs: the first hour of each, and the last.
    pub fn runs(&self) -> impl Iterator<Item = (Hour, Hour)> + use<> {
        self.runs.into_iter().take(self.count)
    }

    /// Whether there are some from `first` to `last`.
    pub fn touch(&self, first: Hour, last: Hour) -> bool {
        self.runs().any(|(from, to)| from <= last && first <= to)
    }

    /// The first of them from `hour` on.
    pub fn from(&self, hour: Hour) -> Option<Hour> {
        self.runs().find(|(_, last)| hour <= *last).map(|(first, _)| first.max(hour))
    }

    /// How many there are.
    pub fn many(&self) -> u64 {
        self.runs().map(|(first, last)| u64::from(last - first) + 1).sum()
    }

    /// Appends them.
    pub fn put(&self, out: &mut Vec<u8>) {
        put_count(self.count, out);
        let mut before = 0;
        for (first, last) in self.runs() {
            put_varint(u64::from(first - before), out);
            put_varint(u64::from(last - first), out);
            before = last;
        }
    }

    /// Reads them; `None` when the bytes are none.
    pub fn read(reader: &mut Reader) -> Option<Self> {
        let count = reader.count().filter(|count| *count <= RUNS)?;
        let mut at = 0_u32;
        let mut next = || {
            at = at.checked_add(u32::try_from(reader.varint()?).ok()?)?;
            Some(at)
        };
        let runs = (0..count).map(|_| Some((next()?, next()?))).collect::<Option<_>>()?;
        Some(Self::of_runs(runs))
    }
}

/// The hour of a time, the first one of all for what lies before 1970.
pub fn held_hour_of(at: Instant) -> Hour {
    hour_of(at).unwrap_or_default()
}

/// As many runs as are told apart, over the widest gaps between those that are given; of two as wide over the later.
fn of_widest(runs: Vec<(Hour, Hour)>) -> Vec<(Hour, Hour)> {
    let gaps = runs.iter().zip(runs.iter().skip(1)).map(|((_, end), (begin, _))| begin.saturating_sub(*end));
    let mut gaps: Vec<(Hour, usize)> = gaps.zip(1..).collect();
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    let begins: BTreeSet<usize> = gaps.into_iter().take(RUNS - 1).map(|(_, at)| at).collect();
    let mut widest: Vec<(Hour, Hour)> = Vec::new();
    for (at, (first, last)) in runs.into_iter().enumerate() {
        match widest.last_mut() {
            Some((_, end)) if !begins.contains(&at) => *end = last,
            _ => widest.push((first, last)),
        }
    }
    widest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(hours: &[Hour]) -> Hours {
        let times: Vec<Instant> = hours.iter().map(|hour| Instant::from_s(i64::from(*hour) * 3600 + 7)).collect();
        Hours::of_times(&times)
    }

    #[test]
    fn a_clock_that_was_never_set_does_not_fill_the_years_between() {
        let hours = of(&[262_968, 490_001, 490_000, 490_001]);
        assert_eq!(hours.runs().collect::<Vec<_>>(), [(262_968, 262_968), (490_000, 490_001)]);
        assert_eq!((hours.many(), hours.touch(300_000, 489_999), hours.touch(0, 262_968)), (3, false, true));
        assert_eq!(of(&[490_002]).with(hours).many(), 4);
        let hour = |hour: i64| Instant::from_s(hour * 3600);
        let lasting = Hours::of_lasting([(hour(8), hour(9)), (hour(5), hour(4)), (hour(-9), hour(-8))].into_iter());
        assert_eq!(lasting.runs().collect::<Vec<_>>(), [(0, 0), (4, 5), (8, 9)]);
        let before_1970 = Hours::of_times(&[Instant::from_s(-9), Instant::from_s(9)]);
        assert_eq!(before_1970.runs().collect::<Vec<_>>(), [(0, 0)]);
        assert_eq!(Hours::of_span(None).many(), 0);
    }

    #[test]
    fn of_more_runs_than_are_told_apart_the_nearest_are_one() {
        let hours = of(&[0, 10, 20, 25, 30, 40, 50, 60, 70, 80]);
        let expected = [(0, 0), (10, 10), (20, 30), (40, 40), (50, 50), (60, 60), (70, 70), (80, 80)];
        assert_eq!(hours.runs().collect::<Vec<_>>(), expected);
        // As wide as each other: the first two.
        let hours = of(&[0, 10, 20, 30, 40, 50, 60, 70, 80]);
        assert_eq!(hours.runs().take(2).collect::<Vec<_>>(), [(0, 10), (20, 20)]);
    }

    proptest! {
        #[test]
        fn no_hour_is_ever_missing(
            some in prop::collection::vec(0..2_000_u32, 0..40),
            others in prop::collection::vec(0..2_500_000_u32, 0..40),
        ) {
            let both = of(&some).with(of(&others));
            for hour in some.iter().chain(&others) {
                prop_assert!(both.touch(*hour, *hour));
            }
            let mut bytes = Vec::new();
            both.put(&mut bytes);
            let mut reader = Reader(&bytes);
            prop_assert_eq!(Hours::read(&mut reader), Some(both));
            prop_assert!(reader.0.is_empty());
        }
    }
}
