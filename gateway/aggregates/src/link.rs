//! What lies between two neighbouring points: values at times between them, and regions of one class.
//!
//! With simple bounds neighbours are any two points, with interpolated bounds any two that are not bad (OPC 10000-13
//! §3.1.8, §3.1.9). The first link has nothing on its left, the last one nothing on its right.

use watchfire_model::{Instant, StatusCode};

use crate::aggregate::Bounds;
use crate::configuration::Rules;
use crate::intervals::{Interval, RESOLUTION_NS};
use crate::point::{Class, Known, Point};
use crate::status::{BAD_NO_DATA, INTERPOLATED, UNCERTAIN_SUB_NORMAL, with_bits};

/// Two neighbours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Link {
    /// With interpolated bounds, the neighbour before the left one.
    pub earlier: Option<Known>,
    pub left: Option<Known>,
    pub right: Option<Known>,
    /// With interpolated bounds, the time of the first bad point between the two.
    pub skipped: Option<Instant>,
}

/// The value at a time that may lie between points.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    /// NaN where the class is bad.
    pub value: f64,
    pub exact: Option<i64>,
    pub class: Class,
    /// With the info bit where it is interpolated.
    pub status: StatusCode,
    /// Whether there is a point at this very time.
    pub raw: bool,
}

impl Bound {
    pub const NONE: Self = Self { value: f64::NAN, exact: None, class: Class::Bad, status: BAD_NO_DATA, raw: false };

    fn at_point(known: &Known) -> Self {
        let Point { value, exact, status, .. } = known.point;
        if known.is_bad() {
            return Self { raw: true, ..Self::NONE };
        }
        Self { value, exact, class: known.class, status, raw: true }
    }

    fn between(value: f64, exact: Option<i64>, class: Class) -> Self {
        let code = if class == Class::Good { StatusCode::GOOD } else { UNCERTAIN_SUB_NORMAL };
        Self { value, exact, class, status: with_bits(code, INTERPOLATED), raw: false }
    }
}

/// A part of an interval in which nothing changes but the value, along a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    /// Length, nanoseconds.
    pub width_ns: u64,
    /// For the StatusCode calculation (§5.4.3.2): a slope towards a point that is not good is uncertain.
    pub class: Class,
    /// Of the point or bound the region starts with, which is what durations go by (§5.4.3.31).
    pub starts: Class,
    /// Value where it starts.
    pub from: f64,
    /// Value where it ends.
    pub to: f64,
}

impl Link {
    /// The link from the left point on, beyond all data.
    pub const fn last(earlier: Option<Known>, left: Option<Known>, skipped: Option<Instant>) -> Self {
        Self { earlier, left, right: None, skipped }
    }

    /// Whether the time is in the link, both ends included.
    pub fn covers(&self, time: Instant) -> bool {
        self.left.is_none_or(|left| left.time() <= time) && self.right.is_none_or(|right| time <= right.time())
    }

    /// The value at a time the link covers.
    pub fn bound(&self, time: Instant, bounds: Bounds, rules: &Rules) -> Bound {
        let at_time = [&self.left, &self.right].into_iter().flatten().find(|known| known.time() == time);
        if let Some(known) = at_time {
            return Bound::at_point(known);
        }
        let Some(left) = self.left.filter(|left| !left.is_bad()) else { return Bound::NONE };
        let held = |class| Bound::between(left.point.value, left.point.exact, class);
        let skipped = self.skipped.is_some_and(|skipped| !rules.stepped || skipped <= time);
        let own = if skipped { Class::Uncertain } else { left.class };
        match (self.right, bounds) {
            (None, Bounds::Simple) => Bound::NONE,
            (None, Bounds::Interpolated) => self.extrapolated(left, time, rules),
            (Some(_), _) if rules.stepped => held(own),
            (Some(right), _) if right.is_bad() => held(Class::Uncertain),
            (Some(right), _) => Bound::between(on_line(&left, &right, time), None, own.max(right.class)),
        }
    }

    fn extrapolated(&self, left: Known, time: Instant, rules: &Rules) -> Bound {
        let sloped = rules.configuration.use_sloped_extrapolation && !rules.stepped;
        match self.earlier.filter(|earlier| sloped && earlier.time() < left.time()) {
            Some(earlier) => Bound::between(on_line(&earlier, &left, time), None, Class::Uncertain),
            None => Bound::between(left.point.value, left.point.exact, Class::Uncertain),
        }
    }

    /// The part of the link that lies in an interval, if it has a length.
    ///
    /// After the last point of all data there is one unit of time with simple bounds, and no end with interpolated ones.
    pub fn region(&self, interval: &Interval, bounds: Bounds, rules: &Rules) -> Option<Region> {
        let from = self.left.map_or(interval.low, |left| left.time().max(interval.low));
        let to = match (self.right, self.left, bounds) {
            (Some(right), ..) => right.time().min(interval.high),
            (None, Some(left), Bounds::Simple) => {
                Instant::from_ns(left.time().ns().saturating_add(RESOLUTION_NS)).min(interval.high)
            }
            (None, _, Bounds::Interpolated) | (None, None, _) => interval.high,
        };
        // The unit after the last point belongs to the interval that holds the point.
        let beyond = bounds == Bounds::Simple && self.right.is_none() && self.left.is_some_and(|l| l.time() < from);
        if from >= to || beyond {
            return None;
        }
        let width_ns = from.ns().abs_diff(to.ns());
        let Some(left) = self.left else {
            return Some(Region { width_ns, class: Class::Bad, starts: Class::Bad, from: f64::NAN, to: f64::NAN });
        };
        let start = self.bound(from, bounds, rules);
        let class = match bounds {
            _ if left.is_bad() => Class::Bad,
            Bounds::Simple if rules.stepped => left.class,
            Bounds::Simple => match self.right {
                Some(right) if right.class == Class::Good => left.class,
                _ => Class::Uncertain,
            },
            Bounds::Interpolated if self.skipped.is_some_and(|skipped| !rules.stepped || skipped < to) => {
                Class::Uncertain
            }
            Bounds::Interpolated => start.class.max(self.bound(to, bounds, rules).class),
        };
        let end = match self.right {
            _ if rules.stepped && bounds == Bounds::Simple => start.value,
            Some(right) if right.is_bad() => start.value,
            None if bounds == Bounds::Simple => start.value,
            _ => self.bound(to, bounds, rules).value,
        };
        Some(Region { width_ns, class, starts: start.class, from: start.value, to: end })
    }
}

/// The value at a time on the line through two points (§3.1.5).
fn on_line(before: &Known, after: &Known, time: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share of a span needs no more than a double's precision")]
    let share = time.since_ns(before.time()) as f64 / after.time().since_ns(before.time()) as f64;
    // Weighing both ends instead of adding a difference keeps two huge values from overflowing.
    before.point.value * (1.0 - share) + after.point.value * share
}
