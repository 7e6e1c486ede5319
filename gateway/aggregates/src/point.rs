//! What goes in and what comes out: raw points and processed values.

use watchfire_model::{Edge, Instant, Sample, StatusCode};

use crate::configuration::Rules;

/// One raw value of the variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Source time stamp.
    pub time: Instant,
    /// The value; NaN for text.
    pub value: f64,
    /// All 64 bits, where the value cannot hold them.
    pub exact: Option<i64>,
    /// StatusCode.
    pub status: StatusCode,
}

impl From<&Sample> for Point {
    fn from(sample: &Sample) -> Self {
        Self { time: sample.time, value: sample.value, exact: sample.exact, status: sample.status }
    }
}

impl From<&Edge> for Point {
    fn from(edge: &Edge) -> Self {
        Self { time: edge.time, value: edge.value, exact: edge.exact, status: edge.status }
    }
}

/// The value of one interval; the variant says its OPC UA type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Of the variable's own type, with all 64 bits where a double cannot hold them.
    Source(f64, Option<i64>),
    /// Double; durations are in milliseconds.
    Double(f64),
    /// Int32, never negative.
    Count(u32),
    /// StatusCode.
    Status(StatusCode),
}

impl Value {
    /// The value as a number; a StatusCode as its code.
    #[must_use]
    pub fn number(self) -> f64 {
        match self {
            Self::Source(value, _) | Self::Double(value) => value,
            Self::Count(count) => f64::from(count),
            Self::Status(status) => f64::from(status.0),
        }
    }
}

/// One processed value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Processed {
    /// Source time stamp of the result: mostly the start of its interval.
    pub time: Instant,
    /// The value; nothing where the status is bad.
    pub value: Option<Value>,
    /// StatusCode with its info bits.
    pub status: StatusCode,
}

/// How far a point may be used, once TreatUncertainAsBad is applied. The order is from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Good,
    Uncertain,
    Bad,
}

/// A point and its class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub point: Point,
    pub class: Class,
}

impl Known {
    pub fn new(point: Point, rules: &Rules, needs_number: bool) -> Self {
        let uncertain = if rules.configuration.treat_uncertain_as_bad { Class::Bad } else { Class::Uncertain };
        let class = match point.status {
            status if status.is_good() => Class::Good,
            status if status.is_bad() => Class::Bad,
            _ => uncertain,
        };
        // What is no number must not spoil the sums of a whole interval.
        let class = if needs_number && point.value.is_nan() { Class::Bad } else { class };
        Self { point, class }
    }

    pub const fn time(&self) -> Instant {
        self.point.time
    }

    pub fn is_bad(&self) -> bool {
        self.class == Class::Bad
    }
}
