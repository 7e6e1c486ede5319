//! What a detector's own tests are written with: an instance on the host that is handed rows, and what it said as the
//! gateway would take it: a level is told where it changes. Knows no sandbox; `watchfire plugin test` tries the component.

use std::collections::BTreeMap;

use crate::{Batch, Condition, Detector, Level, Outcome, Refusal, Row, Setup, Signal, Verdict};

/// Nanoseconds in a second.
const S: i64 = 1_000_000_000;

/// A detector that is tried.
pub struct Trial<D> {
    /// The instance, for what only its own type knows.
    pub detector: D,
    conditions: Vec<Condition>,
    setup: Setup,
    told: BTreeMap<(u16, u32), Level>,
}

impl<D: Detector> Trial<D> {
    /// Makes one with a configuration (JSON), on signals `a`, `b`, `c` and so on.
    ///
    /// # Errors
    /// As [`Detector::init`].
    pub fn new(config: &str, signals: u32) -> Result<Self, Refusal> {
        let name = |at: u32| char::from_u32(u32::from('a') + at % 26).map(String::from).unwrap_or_default();
        let signals = (0..signals).map(|at| Signal { name: name(at), ..Signal::default() }).collect();
        Self::of(Setup { config: config.to_owned(), signals, ..Setup::default() })
    }

    /// Makes one as the gateway would, from a whole set-up.
    ///
    /// # Errors
    /// As [`Detector::init`].
    pub fn of(setup: Setup) -> Result<Self, Refusal> {
        let (detector, conditions) = D::init(setup.clone())?;
        Ok(Self { detector, conditions, setup, told: BTreeMap::new() })
    }

    /// The conditions that it has with this configuration.
    #[must_use]
    pub fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    /// Hands over one batch: of each row its signal's index, its time in seconds and its value, which is good. The
    /// batch's time is the last of them. Answers what it said, without levels that were told before.
    ///
    /// # Errors
    /// As [`Detector::process`].
    pub fn feed(&mut self, rows: &[(u32, i64, f64)]) -> Result<Outcome, Refusal> {
        let mut batch = Batch::default();
        for (signal, s, value) in rows {
            batch.push(Row { signal: *signal, time: s * S, value: *value, status: 0, quality: 0 });
        }
        batch.now = rows.iter().map(|(_, s, _)| s * S).max().unwrap_or_default();
        self.take(&batch)
    }

    /// Hands over a batch of your own: a tick, a gap, rows that are bad.
    ///
    /// # Errors
    /// As [`Detector::process`].
    pub fn take(&mut self, batch: &Batch) -> Result<Outcome, Refusal> {
        let mut outcome = self.detector.process(batch)?;
        let told = &mut self.told;
        let is_new = |verdict: &Verdict| {
            told.insert((verdict.condition, verdict.instance), verdict.level) != Some(verdict.level)
        };
        outcome.verdicts.retain(is_new);
        Ok(outcome)
    }

    /// Goes on as another instance with the state of this one, as after a restart of the gateway.
    ///
    /// # Errors
    /// As [`Detector::init`] and [`Detector::load`].
    pub fn restarted(self) -> Result<Self, Refusal> {
        let mut other = Self::of(self.setup)?;
        other.detector.load(D::describe().state_version, &self.detector.save())?;
        other.told = self.told;
        Ok(other)
    }
}

/// What was said, as (instance, time in seconds, level): short enough to compare.
#[must_use]
pub fn levels(outcome: &Outcome) -> Vec<(u32, i64, Level)> {
    outcome.verdicts.iter().map(|verdict| (verdict.instance, verdict.at.div_euclid(S), verdict.level)).collect()
}
