//! From what was gathered of an interval to its processed value (OPC 10000-13 §5.4.3.4 to §5.4.3.40).
//!
//! Where the text and the examples of Annex A differ, the examples are followed; each such place says so.

use watchfire_model::{Extreme, Instant, StatusCode};

use crate::aggregate::Aggregate;
use crate::configuration::Rules;
use crate::intervals::Interval;
use crate::link::Bound;
use crate::point::{Class, Point, Processed, Value};
use crate::status::{
    BAD, BAD_NO_DATA, CALCULATED, INTERPOLATED, MULTIPLE_VALUES, PARTIAL, UNCERTAIN_SUB_NORMAL, bit_if, with_bits,
};
use crate::tally::{Extremes, Regions, Tally, seconds, severity};

const MS_PER_S: f64 = 1e3;

/// A result without the things that are the same for all.
struct Found {
    time: Instant,
    value: Option<Value>,
    code: StatusCode,
    bits: u32,
}

/// The processed value of a closed interval.
pub(crate) fn outcome(aggregate: Aggregate, interval: &Interval, tally: &Tally, rules: &Rules) -> Processed {
    let scene = Scene { interval, tally, rules };
    if !tally.inside {
        return Processed { time: interval.start(), value: None, status: BAD_NO_DATA };
    }
    let found = scene.find(aggregate);
    let is_partial = match aggregate {
        // Neither ever sets the bit (Tables 52 and 53).
        Aggregate::Interpolative | Aggregate::Average => false,
        // These go on beyond the last point.
        Aggregate::TimeAverage | Aggregate::Total => interval.cut || tally.head,
        _ => interval.cut || tally.head || tally.tail,
    };
    let nothing = found.value.is_none() && found.code == BAD_NO_DATA;
    // An interval without anything to tell is just that, unless a bound was asked for (Annex A.25).
    let is_bound = matches!(aggregate, Aggregate::StartBound | Aggregate::EndBound | Aggregate::DeltaBounds);
    let bits = found.bits | bit_if(is_partial && (!nothing || is_bound), PARTIAL);
    Processed { time: found.time, value: found.value, status: with_bits(found.code, bits) }
}

struct Scene<'a> {
    interval: &'a Interval,
    tally: &'a Tally,
    rules: &'a Rules,
}

impl Scene<'_> {
    fn find(&self, aggregate: Aggregate) -> Found {
        use Aggregate as A;
        let Tally { raw, regions, .. } = self.tally;
        match aggregate {
            A::Interpolative | A::StartBound => self.bound(&self.start_bound()),
            A::EndBound => self.end_bound_found(),
            A::DeltaBounds => self.delta_bounds(),
            A::Average => self.by_values((raw.good > 0).then_some(Value::Double(raw.moments.mean))),
            A::Count => self.by_values(Some(Value::Count(u32::try_from(raw.good).unwrap_or(u32::MAX)))),
            A::NumberOfTransitions => self.by_values(Some(Value::Count(raw.transitions))),
            A::TimeAverage | A::Total => self.interpolated_area(aggregate == A::Total),
            A::TimeAverage2 => self.by_time(self.usable().map(|regions| regions.area / seconds(regions.usable_ns()))),
            A::Total2 => self.by_time(self.usable().map(|regions| regions.area)),
            A::DurationInStateZero => self.by_time(Some(ms(regions.zero_ns))),
            A::DurationInStateNonZero => self.by_time(Some(ms(regions.non_zero_ns))),
            A::DurationGood => self.calculated(Value::Double(ms(regions.starts_good_ns)), Class::Good),
            A::DurationBad => self.calculated(Value::Double(ms(regions.starts_bad_ns)), Class::Good),
            A::PercentGood => self.calculated(self.percent(regions.starts_good_ns), Class::Good),
            A::PercentBad => self.calculated(self.percent(regions.starts_bad_ns), Class::Good),
            A::Minimum | A::MinimumActualTime => self.raw_extreme(Side::Least, aggregate == A::MinimumActualTime),
            A::Maximum | A::MaximumActualTime => self.raw_extreme(Side::Greatest, aggregate == A::MaximumActualTime),
            A::Range => self.raw_range(),
            A::Minimum2 | A::MinimumActualTime2 => {
                self.bounded_extreme(Side::Least, aggregate == A::MinimumActualTime2)
            }
            A::Maximum2 | A::MaximumActualTime2 => {
                self.bounded_extreme(Side::Greatest, aggregate == A::MaximumActualTime2)
            }
            A::Range2 => self.bounded_range(),
            A::Start => self.raw_point(raw.first),
            A::End => self.raw_point(raw.last),
            A::Delta => self.delta(),
            A::WorstQuality => self.worst(raw.worst),
            A::WorstQuality2 => self.worst_with_bound(),
            A::VarianceSample => self.variance(true, |variance| variance),
            A::VariancePopulation => self.variance(false, |variance| variance),
            A::StandardDeviationSample => self.variance(true, f64::sqrt),
            A::StandardDeviationPopulation => self.variance(false, f64::sqrt),
        }
    }

    fn start_bound(&self) -> Bound {
        if self.interval.backward { self.tally.high } else { self.tally.low }
    }

    fn end_bound(&self) -> Bound {
        if self.interval.backward { self.tally.low } else { self.tally.high }
    }

    fn nothing(&self) -> Found {
        Found { time: self.interval.start(), value: None, code: BAD_NO_DATA, bits: 0 }
    }

    fn calculated(&self, value: Value, class: Class) -> Found {
        let (value, code) = match class {
            Class::Good => (Some(value), StatusCode::GOOD),
            Class::Uncertain => (Some(value), UNCERTAIN_SUB_NORMAL),
            Class::Bad => (None, BAD),
        };
        Found { time: self.interval.start(), value, code, bits: CALCULATED }
    }

    /// With the class that the counts of the points give.
    fn by_values(&self, value: Option<Value>) -> Found {
        let raw = &self.tally.raw;
        let class = self.rules.configuration.weigh(raw.good, raw.uncertain, raw.bad);
        value.map_or_else(|| self.nothing(), |value| self.calculated(value, class))
    }

    fn class_by_time(&self) -> Class {
        let Regions { good_ns, uncertain_ns, bad_ns, .. } = self.tally.regions;
        self.rules.configuration.weigh(good_ns, uncertain_ns, bad_ns)
    }

    /// With the class that the widths of the regions give.
    fn by_time(&self, value: Option<f64>) -> Found {
        value.map_or_else(|| self.nothing(), |value| self.calculated(Value::Double(value), self.class_by_time()))
    }

    fn usable(&self) -> Option<&Regions> {
        Some(&self.tally.regions).filter(|regions| regions.usable_ns() > 0)
    }

    fn percent(&self, part_ns: u64) -> Value {
        let width_ns = self.tally.regions.width_ns();
        Value::Double(if width_ns == 0 { 0.0 } else { seconds(part_ns) / seconds(width_ns) * 100.0 })
    }

    fn interpolated_area(&self, total: bool) -> Found {
        let Some(regions) = self.usable() else { return self.nothing() };
        let value = if total { regions.area } else { regions.area / seconds(regions.usable_ns()) };
        let sound = regions.uncertain_ns == 0 && regions.bad_ns == 0;
        self.calculated(Value::Double(value), if sound { Class::Good } else { Class::Uncertain })
    }

    fn bound(&self, bound: &Bound) -> Found {
        if bound.class == Class::Bad {
            return self.nothing();
        }
        let value = Some(Value::Source(bound.value, bound.exact));
        Found { time: self.interval.start(), value, code: bound.status, bits: 0 }
    }

    fn end_bound_found(&self) -> Found {
        let bound = self.end_bound();
        if bound.class == Class::Bad {
            return self.nothing();
        }
        // The end bound is calculated, never interpolated (Table 77), so only its code is kept.
        let code = StatusCode(bound.status.0 & 0xFFFF_0000);
        Found { bits: CALCULATED, code, ..self.bound(&bound) }
    }

    fn delta_bounds(&self) -> Found {
        let (start, end) = (self.start_bound(), self.end_bound());
        match start.class.max(end.class) {
            Class::Bad => self.nothing(),
            class => self.calculated(Value::Source(end.value - start.value, None), class),
        }
    }

    /// Uncertain once a value was left out that could have been it (Tables 58 to 62).
    fn class_of_extremes(&self, sides: &[Side]) -> Class {
        let raw = &self.tally.raw;
        let beyond = |side: &Side| match (side.of(&raw.extremes), side.of(&raw.good_extremes)) {
            (Some(any), Some(good)) => side.is_better(any.value, good.value),
            _ => false,
        };
        if raw.bad > 0 || sides.iter().any(beyond) { Class::Uncertain } else { Class::Good }
    }

    fn raw_extreme(&self, side: Side, actual_time: bool) -> Found {
        let Some(extreme) = side.of(&self.tally.raw.good_extremes) else { return self.nothing() };
        let class = self.class_of_extremes(&[side]);
        let at_start = extreme.time == self.interval.start() && class == Class::Good;
        // Annex A.10 and A.11 show a raw value where Table 60 would have it calculated.
        let own = bit_if(!actual_time && !at_start, CALCULATED);
        let time = if actual_time { extreme.time } else { self.interval.start() };
        let bits = own | bit_if(extreme.repeated, MULTIPLE_VALUES);
        Found { time, bits, ..self.calculated(Value::Source(extreme.value, extreme.exact), class) }
    }

    fn raw_range(&self) -> Found {
        let good = &self.tally.raw.good_extremes;
        let (Some(least), Some(greatest)) = (good.least, good.greatest) else { return self.nothing() };
        let class = self.class_of_extremes(&[Side::Least, Side::Greatest]);
        self.calculated(Value::Source(greatest.value - least.value, None), class)
    }

    /// The extreme of the values that are not bad and of the bounds, and its data location.
    fn with_bounds(&self, side: Side) -> Option<Reached> {
        let mut best = side.of(&self.tally.raw.extremes).map(|extreme| Reached { extreme, by: By::Point });
        let (start, end) = (self.start_bound(), self.end_bound());
        if start.class != Class::Bad && !start.raw {
            let reached = Reached::at_bound(&start, self.interval.start(), By::StartBound);
            // Forward, the start bound is older than any point.
            best = Some(reached.or_older(best, side, !self.interval.backward));
        }
        if end.class != Class::Bad && !self.rules.stepped {
            let by = if end.raw { By::EndPoint } else { By::EndBound };
            let reached = Reached::at_bound(&end, self.interval.effective_end(), by);
            best = Some(reached.or_older(best, side, false));
        }
        best
    }

    fn bounded_extreme(&self, side: Side, actual_time: bool) -> Found {
        let Some(Reached { extreme, by }) = self.with_bounds(side) else { return self.nothing() };
        let own = match by {
            By::Point if actual_time || extreme.time == self.interval.start() => 0,
            By::Point => CALCULATED,
            // A raw value from the end bound is interpolated at the effective end (Annex A.16), else calculated (A.14).
            By::EndPoint if !actual_time => CALCULATED,
            By::StartBound | By::EndBound | By::EndPoint => INTERPOLATED,
        };
        let time = if actual_time { extreme.time } else { self.interval.start() };
        let found = self.calculated(Value::Source(extreme.value, extreme.exact), self.class_by_time());
        if found.value.is_none() {
            return found;
        }
        Found { time, bits: own | bit_if(extreme.repeated, MULTIPLE_VALUES), ..found }
    }

    fn bounded_range(&self) -> Found {
        let (Some(least), Some(greatest)) = (self.with_bounds(Side::Least), self.with_bounds(Side::Greatest)) else {
            return self.nothing();
        };
        let range = greatest.extreme.value - least.extreme.value;
        self.calculated(Value::Source(range, None), self.class_by_time())
    }

    fn raw_point(&self, point: Option<Point>) -> Found {
        let Some(Point { time, value, exact, status }) = point else { return self.nothing() };
        let value = (!status.is_bad()).then_some(Value::Source(value, exact));
        Found { time, value, code: status, bits: 0 }
    }

    fn delta(&self) -> Found {
        let raw = &self.tally.raw;
        let (Some(first), Some(last)) = (raw.first_good, raw.last_good) else { return self.nothing() };
        let skipped = raw.skipped_before || raw.skipped_after;
        let class = if skipped { Class::Uncertain } else { Class::Good };
        self.calculated(Value::Source(last.value - first.value, None), class)
    }

    fn worst(&self, worst: Option<(StatusCode, u64)>) -> Found {
        let Some((status, count)) = worst else { return self.nothing() };
        let bits = CALCULATED | bit_if(count > 1, MULTIPLE_VALUES);
        Found { bits, ..self.calculated(Value::Status(status), Class::Good) }
    }

    fn worst_with_bound(&self) -> Found {
        let bound = self.start_bound();
        let raw = self.tally.raw.worst;
        // A point where the interval starts is in it, and counted.
        if bound.raw {
            return self.worst(raw);
        }
        let status = StatusCode(bound.status.0 & 0xFFFF_0000);
        self.worst(Some(match raw {
            Some((worst, count)) if severity(worst) > severity(status) => (worst, count),
            Some((worst, count)) if severity(worst) == severity(status) => {
                (if self.interval.backward { worst } else { status }, count + 1)
            }
            _ => (status, 1),
        }))
    }

    fn variance(&self, sample: bool, then: impl Fn(f64) -> f64) -> Found {
        let raw = &self.tally.raw;
        if raw.good == 0 {
            return self.nothing();
        }
        #[expect(clippy::cast_precision_loss, reason = "no interval has 2^53 points")]
        let count = (raw.good - u64::from(sample)) as f64;
        let variance = if raw.good == 1 { 0.0 } else { raw.moments.squares / count };
        let skipped = raw.uncertain > 0 || raw.bad > 0;
        self.calculated(Value::Double(then(variance)), if skipped { Class::Uncertain } else { Class::Good })
    }
}

/// Which end of a range of values.
#[derive(Clone, Copy)]
enum Side {
    Least,
    Greatest,
}

impl Side {
    const fn of(self, extremes: &Extremes) -> Option<Extreme> {
        match self {
            Self::Least => extremes.least,
            Self::Greatest => extremes.greatest,
        }
    }

    fn is_better(self, value: f64, than: f64) -> bool {
        match self {
            Self::Least => value < than,
            Self::Greatest => value > than,
        }
    }
}

/// What has reached an extreme.
#[derive(Clone, Copy)]
enum By {
    /// A point in the interval.
    Point,
    /// The interpolated bound where the interval starts.
    StartBound,
    /// The interpolated bound where it ends.
    EndBound,
    /// A point where it ends, which is not in it.
    EndPoint,
}

#[derive(Clone, Copy)]
struct Reached {
    extreme: Extreme,
    by: By,
}

impl Reached {
    const fn at_bound(bound: &Bound, time: Instant, by: By) -> Self {
        Self { extreme: Extreme { value: bound.value, exact: bound.exact, time, repeated: false }, by }
    }

    /// The better of the two; of equals `self` if it is to be preferred, and marked as repeated.
    fn or_older(self, best: Option<Self>, side: Side, preferred: bool) -> Self {
        let Some(mut best) = best else { return self };
        let (mine, its) = (self.extreme.value, best.extreme.value);
        if mine != its {
            return if side.is_better(mine, its) { self } else { best };
        }
        if preferred {
            best = self;
        }
        best.extreme.repeated = true;
        best
    }
}

/// Milliseconds of nanoseconds.
fn ms(ns: u64) -> f64 {
    seconds(ns) * MS_PER_S
}
