//! What the samples of one signal in a stretch of time come to, for whoever needs no single one of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Instant, Rows, StatusCode};

const NS_PER_S: f64 = 1e9;

/// How long the stretches are that are summarised; they begin at whole multiples of it, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unit {
    /// One minute.
    Minute,
    /// One hour.
    Hour,
}

/// How many samples there are, their mean and how far they spread, by Welford's method: nothing is lost to large values
/// with small differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    /// How many.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The sum of their squared distances from the mean.
    pub squares: f64,
}

/// One of the samples at the ends of a stretch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Source time stamp.
    pub time: Instant,
    /// The value; NaN where there is no number.
    pub value: f64,
    /// All 64 bits of a whole number, where the value cannot hold them.
    pub exact: Option<i64>,
    /// The text, where it is one that is short enough.
    pub text: Option<String>,
    /// StatusCode.
    pub status: StatusCode,
}

/// A least or a greatest value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extreme {
    /// The value.
    pub value: f64,
    /// All 64 bits of a whole number, where the value cannot hold them.
    pub exact: Option<i64>,
    /// When it was reached first.
    pub time: Instant,
    /// Whether it was reached more than once.
    pub repeated: bool,
}

/// What some samples come to, at least one of them. They follow each other by time, those of one time as they came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Samples with a good status.
    pub good: u64,
    /// Samples with an uncertain status.
    pub uncertain: u64,
    /// Samples with a bad status.
    pub bad: u64,
    /// Of the good samples that are numbers.
    pub numbers: Moments,
    /// How many of the uncertain samples are numbers.
    pub uncertain_numbers: u64,
    /// The first sample, whatever its status.
    pub first: Edge,
    /// The last sample, whatever its status.
    pub last: Edge,
    /// The least good number.
    pub least: Option<Extreme>,
    /// The greatest good number.
    pub greatest: Option<Extreme>,
    /// The least and the greatest uncertain number.
    pub uncertain_range: Option<(f64, f64)>,
    /// Value times seconds along the straight lines between two neighbours that are both good numbers and both in the
    /// stretch: what lies before the first sample and after the last is nobody's but their neighbours'.
    pub area: f64,
    /// How long those lines last together, nanoseconds.
    pub area_ns: u64,
    /// Whether samples were added that belong between those that are no longer known: the area lacks what lies around
    /// them, and one that was there twice is counted twice.
    pub is_blended: bool,
}

impl Unit {
    /// How long it is.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3600),
        }
    }

    /// How long it is, nanoseconds.
    #[must_use]
    pub const fn length_ns(self) -> i64 {
        match self {
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
        }
    }

    /// Where the stretch that holds `at` begins; saturating at the beginning of time.
    #[must_use]
    pub const fn begin(self, at: Instant) -> Instant {
        Instant::from_ns(at.ns().div_euclid(self.length_ns()).saturating_mul(self.length_ns()))
    }
}

impl Moments {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let away = value - self.mean;
        self.mean += away / as_f64(self.count);
        self.squares += away * (value - self.mean);
    }

    /// Adds the values that others have. Exact but for the last digits of a double.
    pub fn join(&mut self, others: &Self) {
        if self.count == 0 {
            *self = *others;
        } else if others.count > 0 {
            let (mine, theirs) = (as_f64(self.count), as_f64(others.count));
            let all = mine + theirs;
            let away = others.mean - self.mean;
            self.mean += away * (theirs / all);
            self.squares += others.squares + away * away * (mine * (theirs / all));
            self.count += others.count;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no stretch has 2^53 samples")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}

impl Edge {
    fn of(rows: &Rows, row: usize) -> Option<Self> {
        let text = rows.text_at(row);
        // A text's is its locale, which a summary has no use for.
        let exact = if text.is_some() { None } else { rows.exact_at(row) };
        let text = text.filter(|text| text.len() <= Summary::TEXT_BYTES_MAX).map(str::to_owned);
        let (time, value) = (*rows.time.get(row)?, *rows.value.get(row)?);
        Some(Self { time, value, exact, text, status: *rows.status.get(row)? })
    }

    fn is_good_number(&self) -> bool {
        self.status.is_good() && !self.value.is_nan()
    }
}

impl Extreme {
    /// The better of two, `earlier` where they are the same.
    fn better(earlier: Option<Self>, later: Option<Self>, is_better: impl Fn(f64, f64) -> bool) -> Option<Self> {
        match (earlier, later) {
            (Some(earlier), Some(later)) if earlier.value == later.value => Some(Self { repeated: true, ..earlier }),
            (Some(earlier), Some(later)) => Some(if is_better(later.value, earlier.value) { later } else { earlier }),
            (earlier, later) => earlier.or(later),
        }
    }
}

impl Summary {
    /// The longest text that a summary keeps, bytes.
    pub const TEXT_BYTES_MAX: usize = 64;

    /// The summary of one sample; `None` where there is no such row.
    #[must_use]
    pub fn of(rows: &Rows, row: usize) -> Option<Self> {
        let edge = Edge::of(rows, row)?;
        let Edge { time, value, exact, status, .. } = edge;
        let (good, bad, number) = (status.is_good(), status.is_bad(), !value.is_nan());
        let mut numbers = Moments::default();
        if good && number {
            numbers.add(value);
        }
        let extreme = (good && number).then_some(Extreme { value, exact, time, repeated: false });
        let uncertain_number = !good && !bad && number;
        Some(Self {
            good: good.into(),
            uncertain: (!good && !bad).into(),
            bad: bad.into(),
            numbers,
            uncertain_numbers: uncertain_number.into(),
            first: edge.clone(),
            last: edge,
            least: extreme,
            greatest: extreme,
            uncertain_range: uncertain_number.then_some((value, value)),
            area: 0.0,
            area_ns: 0,
            is_blended: false,
        })
    }

    /// Adds the next sample, which is not earlier than those before. Nothing is added where there is no such row. Costs
    /// some ten nanoseconds for a number.
    pub fn add(&mut self, rows: &Rows, row: usize) {
        let columns = (rows.time.get(row), rows.value.get(row), rows.status.get(row));
        let (Some(time), Some(value), Some(status)) = columns else { return };
        if status.is_good() && !value.is_nan() {
            self.add_line(*time, *value);
            self.good += 1;
            self.numbers.add(*value);
            let exact = rows.exact_at(row);
            let extreme = Some(Extreme { value: *value, exact, time: *time, repeated: false });
            self.least = Extreme::better(self.least, extreme, |a, b| a < b);
            self.greatest = Extreme::better(self.greatest, extreme, |a, b| a > b);
            self.last = Edge { time: *time, value: *value, exact, text: None, status: *status };
        } else if let Some(one) = Self::of(rows, row) {
            self.append(&one);
        }
    }

    /// Adds what follows, none of whose samples is earlier than those before: as if one after the other had been added,
    /// but for the last digits of mean, squares and area.
    pub fn append(&mut self, later: &Self) {
        if later.first.is_good_number() {
            self.add_line(later.first.time, later.first.value);
        }
        self.area += later.area;
        self.area_ns += later.area_ns;
        self.count(later);
        self.last = later.last.clone();
    }

    /// Adds samples that lie anywhere between those that are there, of which nothing more is known.
    pub fn blend(&mut self, others: &Self) {
        self.count(others);
        if others.first.time < self.first.time {
            self.first = others.first.clone();
        }
        if others.last.time >= self.last.time {
            self.last = others.last.clone();
        }
        self.is_blended = true;
    }

    /// What does not depend on who follows whom.
    fn count(&mut self, others: &Self) {
        self.good += others.good;
        self.uncertain += others.uncertain;
        self.bad += others.bad;
        self.numbers.join(&others.numbers);
        self.uncertain_numbers += others.uncertain_numbers;
        self.least = Extreme::better(self.least, others.least, |a, b| a < b);
        self.greatest = Extreme::better(self.greatest, others.greatest, |a, b| a > b);
        self.uncertain_range = match (self.uncertain_range, others.uncertain_range) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        self.is_blended |= others.is_blended;
    }

    /// The line from the last sample to a good number.
    fn add_line(&mut self, time: Instant, value: f64) {
        if self.last.is_good_number() && self.last.time < time {
            let width_ns = self.last.time.ns().abs_diff(time.ns());
            self.area += f64::midpoint(self.last.value, value) * (as_f64(width_ns) / NS_PER_S);
            self.area_ns += width_ns;
        }
    }

    /// How many samples there are.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.good + self.uncertain + self.bad
    }

    /// Whether every sample is a good number, and every line between two of them is in the area.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.uncertain == 0 && self.bad == 0 && self.numbers.count == self.good && !self.is_blended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Quality, SignalId};

    fn rows() -> Rows {
        let mut rows = Rows::default();
        let uncertain = StatusCode::UNCERTAIN;
        for (s, value, status) in [
            (0, 4.0, StatusCode::GOOD),
            (10, 2.0, StatusCode::GOOD),
            (20, 99.0, StatusCode(0x8000_0000)),
            (30, 1.0, uncertain),
            (40, 2.0, StatusCode::GOOD),
            (40, f64::NAN, StatusCode::GOOD),
            (50, 8.0, StatusCode::GOOD),
            (60, 8.0, StatusCode::GOOD),
        ] {
            rows.push(SignalId(1), Instant::from_s(s), value, status, Quality::NONE, 0);
        }
        rows
    }

    fn of(rows: &Rows, which: std::ops::Range<usize>) -> Summary {
        let mut summary = Summary::of(rows, which.start).unwrap();
        which.skip(1).for_each(|row| summary.add(rows, row));
        summary
    }

    #[test]
    fn samples_are_counted_by_what_they_are_good_for() {
        let all = of(&rows(), 0..8);
        assert_eq!((all.good, all.uncertain, all.bad, all.rows()), (6, 1, 1, 8));
        assert_eq!((all.numbers.count, all.numbers.mean, all.uncertain_numbers), (5, 4.8, 1));
        let (least, greatest) = (all.least.unwrap(), all.greatest.unwrap());
        assert_eq!((least.value, least.time, least.repeated), (2.0, Instant::from_s(10), true));
        assert_eq!((greatest.value, greatest.time, greatest.repeated), (8.0, Instant::from_s(50), true));
        assert_eq!(all.uncertain_range, Some((1.0, 1.0)));
        // From 0 to 10 and from 50 to 60 alone: what is no good number parts the others.
        assert_eq!((all.area, all.area_ns), (30.0 + 80.0, 20_000_000_000));
        assert!(!all.is_plain() && of(&rows(), 6..8).is_plain());
    }

    #[test]
    fn summaries_of_parts_make_the_summary_of_the_whole() {
        let rows = rows();
        for cut in 1..8 {
            let mut joined = of(&rows, 0..cut);
            joined.append(&of(&rows, cut..8));
            let whole = of(&rows, 0..8);
            assert!((joined.numbers.squares - whole.numbers.squares).abs() < 1e-12 && joined.numbers.count == 5);
            joined.numbers = whole.numbers;
            assert_eq!(joined, whole, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_blended_in_counts_wherever_it_lies() {
        let rows = rows();
        let mut outer = of(&rows, 0..1);
        outer.append(&of(&rows, 7..8));
        outer.blend(&of(&rows, 1..7));
        let whole = of(&rows, 0..8);
        assert_eq!((outer.rows(), outer.first, outer.last), (8, whole.first, whole.last));
        assert!(outer.is_blended && (outer.numbers.mean - whole.numbers.mean).abs() < 1e-12);
    }

    #[test]
    fn units_begin_at_their_multiples() {
        assert_eq!(Unit::Hour.begin(Instant::from_s(7201)), Instant::from_s(7200));
        assert_eq!(Unit::Minute.begin(Instant::from_s(-1)), Instant::from_s(-60));
        assert_eq!(Unit::Hour.begin(Instant::MIN), Instant::MIN);
    }
}
