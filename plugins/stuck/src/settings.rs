//! The configuration of `stuck` and the condition it makes.

use serde::Deserialize;
use watchfire_detector::{Condition, Decides, Refusal, Scale, Scope, refuse};

/// The configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many times the longest dwell learned is too long.
    pub factor: f64,
    /// What is never too long, seconds.
    pub least_s: f64,
    /// Dwells to learn from before it judges.
    pub learn_dwells: u64,
    /// Values at which standing still is normal.
    pub idle: Vec<f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { factor: 5.0, least_s: 10.0, learn_dwells: 50, idle: Vec::new() }
    }
}

/// JSON Schema of [`Settings`].
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "stuck",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "factor": {"type": "number", "exclusiveMinimum": 1, "default": 5, "description": "a signal is stuck when it stands still so many times as long as the longest dwell learned"},
    "least_s": {"type": "number", "minimum": 0, "default": 10, "description": "standing still for so long is never a finding, seconds"},
    "learn_dwells": {"type": "integer", "minimum": 1, "default": 50, "description": "dwells to learn from before a signal is judged"},
    "idle": {"type": "array", "items": {"type": "number"}, "default": [], "description": "values at which standing still is normal, such as 0 for a stopped pump"}
  }
}"#;

impl Settings {
    /// Refuses what makes no sense, naming the key.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.factor <= 1.0 {
            return Err(refuse(
                "factor",
                format!("{} is not above 1: what was learned would be a finding", self.factor),
            ));
        }
        if self.least_s < 0.0 {
            return Err(refuse("least_s", format!("{} is below 0", self.least_s)));
        }
        if self.learn_dwells == 0 {
            return Err(refuse("learn_dwells", "0 is too few: nothing would be learned; give at least 1".into()));
        }
        Ok(())
    }

    /// The dwell from which on a signal is stuck, nanoseconds.
    pub fn allowed_ns(&self, longest_ns: i64) -> i64 {
        // Saturates.
        (longest_ns as f64 * self.factor).max(self.least_s * 1e9) as i64
    }

    /// Whether standing still at `value` is normal.
    pub fn is_idle(&self, value: f64, quantum: f64) -> bool {
        self.idle.iter().any(|idle| (idle - value).abs() <= quantum)
    }
}

pub fn condition() -> Condition {
    Condition {
        id: "stuck".into(),
        scope: Scope::Signal,
        decides: Decides::Plugin,
        scale: Scale::Ordinal,
        alarm_type: "OffNormalAlarmType".into(),
        severity: 500,
        text: "The signal stands still far longer than it ever did.".into(),
        response: "Check the sensor and its wiring; do not trust the value until then.".into(),
    }
}
