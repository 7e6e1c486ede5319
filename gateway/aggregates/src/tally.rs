//! What is gathered of one interval while its points and regions go by; its size does not depend on their number.

use watchfire_model::{Instant, StatusCode};

use crate::aggregate::Bounds;
use crate::configuration::Rules;
use crate::intervals::Interval;
use crate::link::{Bound, Link, Region};
use crate::point::{Class, Known, Point};

const NS_PER_S: f64 = 1e9;

/// Everything known of one interval.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// Its points.
    pub raw: Raw,
    /// Its regions.
    pub regions: Regions,
    /// Value at the earlier edge.
    pub low: Bound,
    /// Value at the later edge.
    pub high: Bound,
    /// Whether it begins before all data.
    pub head: bool,
    /// Whether all data ends in it.
    pub tail: bool,
    /// Whether it overlaps the time from the first point to the last.
    pub inside: bool,
}

impl Tally {
    pub const fn new() -> Self {
        Self {
            raw: Raw::new(),
            regions: Regions::new(),
            low: Bound::NONE,
            high: Bound::NONE,
            head: false,
            tail: false,
            inside: false,
        }
    }

    /// Adds what a link has in the interval, but not its left point.
    pub fn add(&mut self, link: &Link, interval: &Interval, bounds: Bounds, rules: &Rules) {
        // A point at the edge itself is the bound, and comes before the link that starts with it.
        if link.covers(interval.low) && !self.low.raw {
            self.low = link.bound(interval.low, bounds, rules);
        }
        if link.covers(interval.high) && !self.high.raw {
            self.high = link.bound(interval.high, bounds, rules);
        }
        match (link.left, link.right) {
            (None, _) => self.head |= link.right.is_none_or(|right| interval.low < right.time()),
            (Some(left), None) => {
                self.tail |= interval.has(left.time());
                self.inside |= interval.has(left.time()) || bounds == Bounds::Interpolated;
            }
            (Some(_), Some(right)) => self.inside |= interval.low < right.time(),
        }
        if let Some(region) = link.region(interval, bounds, rules) {
            self.regions.add(&region);
        }
    }
}

/// The points of an interval.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub good: u64,
    pub uncertain: u64,
    pub bad: u64,
    pub first: Option<Point>,
    pub last: Option<Point>,
    pub first_good: Option<Point>,
    pub last_good: Option<Point>,
    /// Whether points that are not good came before the first good one.
    pub skipped_before: bool,
    /// Whether points that are not good came after the last good one.
    pub skipped_after: bool,
    /// Mean of the good values.
    pub mean: f64,
    /// Sum of their squared distances from the mean (Welford).
    pub squares: f64,
    /// Least and greatest good value.
    pub good_extremes: Extremes,
    /// Least and greatest value that is not bad.
    pub extremes: Extremes,
    /// The first of the worst StatusCodes, and how many points are as bad as it.
    pub worst: Option<(StatusCode, u64)>,
    /// How often the state changed between zero and not zero.
    pub transitions: u32,
}

impl Raw {
    const fn new() -> Self {
        Self {
            good: 0,
            uncertain: 0,
            bad: 0,
            first: None,
            last: None,
            first_good: None,
            last_good: None,
            skipped_before: false,
            skipped_after: false,
            mean: 0.0,
            squares: 0.0,
            good_extremes: Extremes::new(),
            extremes: Extremes::new(),
            worst: None,
            transitions: 0,
        }
    }

    /// Adds a point; `changed` says whether its state is another than that of the point before.
    pub fn add(&mut self, known: &Known, changed: bool) {
        let point = known.point;
        self.first = self.first.or(Some(point));
        self.last = Some(point);
        match known.class {
            Class::Good => self.add_good(point),
            Class::Uncertain => self.uncertain += 1,
            Class::Bad => self.bad += 1,
        }
        if known.class != Class::Good {
            self.skipped_before |= self.first_good.is_none();
            self.skipped_after = true;
        }
        if known.class != Class::Bad {
            self.extremes.offer(point);
            self.transitions = self.transitions.saturating_add(u32::from(changed));
        }
        self.add_status(point.status);
    }

    fn add_good(&mut self, point: Point) {
        self.good += 1;
        self.first_good = self.first_good.or(Some(point));
        self.last_good = Some(point);
        self.skipped_after = false;
        self.good_extremes.offer(point);
        #[expect(clippy::cast_precision_loss, reason = "no interval has 2^53 points")]
        let count = self.good as f64;
        let away = point.value - self.mean;
        self.mean += away / count;
        self.squares += away * (point.value - self.mean);
    }

    fn add_status(&mut self, status: StatusCode) {
        self.worst = Some(match self.worst {
            Some((worst, count)) if severity(worst) > severity(status) => (worst, count),
            Some((worst, count)) if severity(worst) == severity(status) => (worst, count + 1),
            _ => (status, 1),
        });
    }
}

/// 0 good, 1 uncertain, 2 or 3 bad.
pub(crate) const fn severity(status: StatusCode) -> u32 {
    status.0 >> 30
}

/// The least and the greatest of some points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extremes {
    pub least: Option<Extreme>,
    pub greatest: Option<Extreme>,
}

/// One end of a range of values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extreme {
    pub value: f64,
    pub exact: Option<i64>,
    /// The earliest time it was reached.
    pub time: Instant,
    /// Whether it was reached more than once.
    pub repeated: bool,
}

impl Extremes {
    const fn new() -> Self {
        Self { least: None, greatest: None }
    }

    fn offer(&mut self, point: Point) {
        let Point { value, exact, time, .. } = point;
        let new = Extreme { value, exact, time, repeated: false };
        let choose = |old: Option<Extreme>, better: bool| match old {
            Some(old) if old.value == value => Some(Extreme { repeated: true, ..old }),
            Some(old) if !better => Some(old),
            _ => Some(new),
        };
        self.least = choose(self.least, self.least.is_none_or(|old| value < old.value));
        self.greatest = choose(self.greatest, self.greatest.is_none_or(|old| value > old.value));
    }
}

/// The regions of an interval.
#[derive(Clone, Debug)]
pub(crate) struct Regions {
    /// Nanoseconds by the class for the StatusCode calculation, in the order of [`Class`].
    pub good_ns: u64,
    pub uncertain_ns: u64,
    pub bad_ns: u64,
    /// Nanoseconds of regions that start with a good point or bound.
    pub starts_good_ns: u64,
    /// Nanoseconds of regions that start with a bad one.
    pub starts_bad_ns: u64,
    /// Value times seconds, where the class is not bad.
    pub area: f64,
    /// Nanoseconds in which the value is zero.
    pub zero_ns: u64,
    /// Nanoseconds in which it is not.
    pub non_zero_ns: u64,
}

impl Regions {
    const fn new() -> Self {
        Self {
            good_ns: 0,
            uncertain_ns: 0,
            bad_ns: 0,
            starts_good_ns: 0,
            starts_bad_ns: 0,
            area: 0.0,
            zero_ns: 0,
            non_zero_ns: 0,
        }
    }

    fn add(&mut self, region: &Region) {
        let width_ns = region.width_ns;
        match region.starts {
            Class::Good => self.starts_good_ns += width_ns,
            Class::Uncertain => {}
            Class::Bad => self.starts_bad_ns += width_ns,
        }
        match region.class {
            Class::Good => self.good_ns += width_ns,
            Class::Uncertain => self.uncertain_ns += width_ns,
            Class::Bad => self.bad_ns += width_ns,
        }
        if region.class == Class::Bad {
            return;
        }
        let state_ns = if region.from == 0.0 { &mut self.zero_ns } else { &mut self.non_zero_ns };
        *state_ns += width_ns;
        self.area += f64::midpoint(region.from, region.to) * seconds(width_ns);
    }

    /// Nanoseconds in which there is a value.
    pub const fn usable_ns(&self) -> u64 {
        self.good_ns + self.uncertain_ns
    }

    /// Nanoseconds of the interval as far as data goes.
    pub const fn width_ns(&self) -> u64 {
        self.usable_ns() + self.bad_ns
    }
}

/// Seconds of nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "a duration needs no more than a double's precision")]
pub(crate) fn seconds(ns: u64) -> f64 {
    ns as f64 / NS_PER_S
}
