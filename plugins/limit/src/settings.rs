//! The configuration of `limit`, what it is checked for, and the conditions it makes.

use serde::Deserialize;
use watchfire_detector::{Condition, Decides, Refusal, Scale, Scope, refuse};

use crate::levels::Limits;

/// One set of limits for every signal of the binding, in the signals' own unit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Above this, high-high.
    pub high_high: Option<f64>,
    /// Above this, high.
    pub high: Option<f64>,
    /// Below this, low.
    pub low: Option<f64>,
    /// Below this, low-low.
    pub low_low: Option<f64>,
    /// How far a value must come back before its level ends; by default a share of the span, see `deadband`.
    pub deadband: Option<f64>,
    /// The fastest change allowed, a second, either way.
    pub rate_per_s: Option<f64>,
    /// The stretch over which a rate is measured, seconds; 1 by default.
    pub rate_over_s: Option<f64>,
}

/// JSON Schema of [`Settings`].
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "limit",
  "type": "object",
  "additionalProperties": false,
  "anyOf": [
    {"required": ["high_high"]}, {"required": ["high"]}, {"required": ["low"]}, {"required": ["low_low"]},
    {"required": ["rate_per_s"]}
  ],
  "properties": {
    "high_high": {"type": "number", "x-limit": "limit/high-high", "description": "above this, high-high; in the signal's unit"},
    "high": {"type": "number", "x-limit": "limit/high", "description": "above this, high"},
    "low": {"type": "number", "x-limit": "limit/low", "description": "below this, low"},
    "low_low": {"type": "number", "x-limit": "limit/low-low", "description": "below this, low-low"},
    "deadband": {"type": "number", "minimum": 0, "description": "how far a value must come back before its level ends; default a share of the span: pressure 2 %, flow and level 5 %, all else 1 %"},
    "rate_per_s": {"type": "number", "exclusiveMinimum": 0, "x-limit": "rate/either", "description": "the fastest change allowed, a second, either way"},
    "rate_over_s": {"type": "number", "exclusiveMinimum": 0, "default": 1, "description": "the stretch over which a rate is measured, seconds"}
  }
}"#;

impl Settings {
    /// The limits that are given, from low to high.
    pub fn given(&self) -> Vec<f64> {
        [self.low_low, self.low, self.high, self.high_high].into_iter().flatten().collect()
    }

    pub fn has_limits(&self) -> bool {
        !self.given().is_empty()
    }

    pub fn limits(&self, deadband: f64) -> Limits {
        Limits { high_high: self.high_high, high: self.high, low: self.low, low_low: self.low_low, deadband }
    }

    pub fn rate_over_ns(&self) -> i64 {
        // Saturates; checked to be positive.
        (self.rate_over_s.unwrap_or(1.0) * 1e9) as i64
    }

    /// Refuses what makes no sense, naming the key.
    pub fn check(&self) -> Result<(), Refusal> {
        if !self.has_limits() && self.rate_per_s.is_none() {
            let keys = "`high_high`, `high`, `low`, `low_low` or `rate_per_s`";
            return Err(refuse("high", format!("there is no limit at all; give at least one of {keys}")));
        }
        let rising = [("low_low", self.low_low), ("low", self.low), ("high", self.high), ("high_high", self.high_high)];
        let mut below: Option<(&str, f64)> = None;
        for (key, limit) in rising.into_iter().filter_map(|(key, limit)| Some((key, limit?))) {
            if let Some((lower, bound)) = below
                && limit <= bound
            {
                return Err(refuse(key, format!("{limit} is not above `{lower}`, which is {bound}")));
            }
            below = Some((key, limit));
        }
        let positive = [("rate_per_s", self.rate_per_s), ("rate_over_s", self.rate_over_s)];
        for (key, value) in positive.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            if value <= 0.0 {
                return Err(refuse(key, format!("{value} is not above 0")));
            }
        }
        match self.deadband {
            Some(deadband) if deadband < 0.0 => Err(refuse("deadband", format!("{deadband} is below 0"))),
            _ => Ok(()),
        }
    }
}

pub fn limit_condition() -> Condition {
    Condition {
        id: "limit".into(),
        scope: Scope::Signal,
        decides: Decides::Plugin,
        scale: Scale::Ordinal,
        alarm_type: "ExclusiveLevelAlarmType".into(),
        severity: 700,
        text: "The value is beyond its limit.".into(),
        response: "Bring the value back within its limits, or check the instrument.".into(),
    }
}

pub fn rate_condition() -> Condition {
    Condition {
        id: "rate".into(),
        alarm_type: "ExclusiveRateOfChangeAlarmType".into(),
        severity: 500,
        text: "The value changes faster than allowed.".into(),
        response: "Find what moves the value so fast, or check the instrument.".into(),
        ..limit_condition()
    }
}
