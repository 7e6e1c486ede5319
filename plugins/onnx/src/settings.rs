//! The configuration of `onnx`, and what it is checked for.

use serde::Deserialize;
use watchfire_detector::{Refusal, refuse};

/// Values in a window of the model at the most.
const VALUES_MAX: usize = 65_536;
/// Rows that are learned from at the most.
const LEARN_ROWS_MAX: u64 = 10_000_000;
/// A day.
const STEP_S_MAX: f64 = 86_400.0;

/// What the score is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Score {
    /// The mean squared difference between what the model was given and what it answers.
    #[default]
    Reconstruction,
    /// A number that the model answers.
    Output,
}

/// Which of a window's two sides comes first in the model's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Rows of one time, oldest first.
    #[default]
    TimeSignal,
    /// All times of one signal, then of the next.
    SignalTime,
}

/// Where mean and standard deviation come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// The model takes values as they are.
    #[default]
    None,
    /// From the configuration: `mean` and `std`.
    Given,
    /// From the first `learn_rows` rows.
    Learned,
}

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What the score is.
    pub score: Score,
    /// Rows that the model sees at once.
    pub window: usize,
    /// Rows between two answers.
    pub stride: usize,
    /// Time between two rows, seconds.
    pub step_s: f64,
    /// The order of the model's input.
    pub layout: Layout,
    /// Whether values are brought to mean 0 and deviation 1 before.
    pub normalise: Normalise,
    /// Mean of each signal.
    pub mean: Vec<f64>,
    /// Standard deviation of each signal.
    pub std: Vec<f64>,
    /// Rows that mean and deviation are learned from.
    pub learn_rows: u64,
    /// The model's output that counts; its first by default.
    pub output: Option<String>,
    /// Which number of that output is the score.
    pub output_index: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            score: Score::default(),
            window: 1,
            stride: 1,
            step_s: 1.0,
            layout: Layout::default(),
            normalise: Normalise::default(),
            mean: Vec::new(),
            std: Vec::new(),
            learn_rows: 3600,
            output: None,
            output_index: 0,
        }
    }
}

/// JSON Schema of [`Settings`].
pub const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "onnx",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "score": {"enum": ["reconstruction", "output"], "default": "reconstruction", "description": "the mean squared difference between what the model was given and what it answers, or a number that it answers"},
    "window": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 1, "description": "rows that the model sees at once"},
    "stride": {"type": "integer", "minimum": 1, "maximum": 65536, "default": 1, "description": "rows between two answers"},
    "step_s": {"type": "number", "minimum": 0.001, "maximum": 86400, "default": 1, "description": "time between two rows, seconds"},
    "layout": {"enum": ["time-signal", "signal-time"], "default": "time-signal", "description": "which side of the window comes first in the model's input"},
    "normalise": {"enum": ["none", "given", "learned"], "default": "none", "description": "whether values are brought to mean 0 and deviation 1 before, and by what"},
    "mean": {"type": "array", "items": {"type": "number"}, "description": "mean of each signal, where given"},
    "std": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "description": "standard deviation of each signal, where given"},
    "learn_rows": {"type": "integer", "minimum": 2, "maximum": 10000000, "default": 3600, "description": "rows that mean and deviation are learned from, where learned"},
    "output": {"type": "string", "description": "the model's output that counts; its first by default"},
    "output_index": {"type": "integer", "minimum": 0, "default": 0, "description": "which number of that output is the score, where the score is an output"}
  }
}"#;

impl Settings {
    /// The time between two rows.
    pub fn step_ns(&self) -> i64 {
        // Checked to be between a millisecond and a day.
        (self.step_s * 1e9).round() as i64
    }

    /// Refuses what makes no sense with so many signals, naming the key.
    pub fn check(&self, signals: usize) -> Result<(), Refusal> {
        let values = self.window.saturating_mul(signals);
        if self.window == 0 || values > VALUES_MAX {
            let message =
                format!("{} rows of {signals} signals are {values} values; take 1 to {VALUES_MAX}", self.window);
            return Err(refuse("window", message));
        }
        if self.stride == 0 || self.stride > VALUES_MAX {
            return Err(refuse("stride", format!("{} is not between 1 and {VALUES_MAX}", self.stride)));
        }
        if !(0.001..=STEP_S_MAX).contains(&self.step_s) {
            return Err(refuse("step_s", format!("{} is not between 0.001 and {STEP_S_MAX}", self.step_s)));
        }
        if !(2..=LEARN_ROWS_MAX).contains(&self.learn_rows) {
            return Err(refuse("learn_rows", format!("{} is not between 2 and {LEARN_ROWS_MAX}", self.learn_rows)));
        }
        self.check_given(signals)
    }

    fn check_given(&self, signals: usize) -> Result<(), Refusal> {
        for (key, given) in [("mean", &self.mean), ("std", &self.std)] {
            match self.normalise {
                Normalise::Given if given.len() != signals => {
                    let message = format!("it has {} numbers for {signals} signals; give one for each", given.len());
                    return Err(refuse(key, message));
                }
                Normalise::None | Normalise::Learned if !given.is_empty() => {
                    return Err(refuse(key, "it counts with `normalise = \"given\"` alone".to_owned()));
                }
                _ => {}
            }
        }
        match self.std.iter().find(|std| **std <= 0.0) {
            Some(std) => Err(refuse("std", format!("{std} is not above 0"))),
            None => Ok(()),
        }
    }
}
