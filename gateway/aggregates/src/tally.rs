//! What is gathered of one interval while its points and regions go by; its size does not depend on their number.

use watchfire_model::{Extreme, Moments, StatusCode, Summary};

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
    /// Mean and spread of the good values.
    pub moments: Moments,
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
            moments: Moments { count: 0, mean: 0.0, squares: 0.0 },
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
        self.moments.add(point.value);
    }

    /// Adds the points of a summary, which follow those before: all that is asked for by whoever may have it
    /// ([`crate::Aggregate::takes`]).
    pub fn take(&mut self, summary: &Summary, rules: &Rules, needs_number: bool) {
        let numbers = summary.numbers.count;
        let (good, uncertain) =
            if needs_number { (numbers, summary.uncertain_numbers) } else { (summary.good, summary.uncertain) };
        let as_bad = rules.configuration.treat_uncertain_as_bad;
        self.good += good;
        self.uncertain += if as_bad { 0 } else { uncertain };
        self.bad += summary.rows() - good - if as_bad { 0 } else { uncertain };
        self.moments.join(&summary.numbers);
        self.first = self.first.or(Some(Point::from(&summary.first)));
        self.last = Some(Point::from(&summary.last));
        let extremes = Extremes { least: summary.least, greatest: summary.greatest };
        self.good_extremes.take(extremes);
        self.extremes.take(extremes);
        if let Some((least, greatest)) = summary.uncertain_range.filter(|_| !as_bad) {
            // Of these nothing but the values is asked for.
            let extreme = |value| Some(Extreme { value, exact: None, time: summary.first.time, repeated: false });
            self.extremes.take(Extremes { least: extreme(least), greatest: extreme(greatest) });
        }
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

impl Extremes {
    const fn new() -> Self {
        Self { least: None, greatest: None }
    }

    fn offer(&mut self, point: Point) {
        let Point { value, exact, time, .. } = point;
        let new = Some(Extreme { value, exact, time, repeated: false });
        self.take(Self { least: new, greatest: new });
    }

    /// The extremes of points that follow those before.
    fn take(&mut self, later: Self) {
        let choose = |old: Option<Extreme>, new: Option<Extreme>, is_better: fn(f64, f64) -> bool| match (old, new) {
            (Some(old), Some(new)) if old.value == new.value => Some(Extreme { repeated: true, ..old }),
            (Some(old), Some(new)) => Some(if is_better(new.value, old.value) { new } else { old }),
            (old, new) => old.or(new),
        };
        self.least = choose(self.least, later.least, |new, old| new < old);
        self.greatest = choose(self.greatest, later.greatest, |new, old| new > old);
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

    /// Adds the regions between the points of a summary, all of which are good numbers.
    pub fn take(&mut self, summary: &Summary) {
        self.good_ns += summary.area_ns;
        self.starts_good_ns += summary.area_ns;
        self.area += summary.area;
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
