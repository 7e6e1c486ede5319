//! Mean and standard deviation of each signal: none, given, or learned from the first rows and then kept.

use serde::{Deserialize, Serialize};

use crate::settings::{Normalise, Settings};

/// What lasts: Welford's sums.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scale {
    /// Rows learned from.
    count: u64,
    mean: Vec<f64>,
    /// Sums of squared deviations.
    squares: Vec<f64>,
}

impl Scale {
    /// Of so many signals, before anything is learned.
    pub fn new(signals: usize) -> Self {
        Self { count: 0, mean: vec![0.0; signals], squares: vec![0.0; signals] }
    }

    /// Rows learned from.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// For how many signals.
    pub fn signals(&self) -> usize {
        self.mean.len()
    }

    /// Takes a row into account.
    pub fn learn(&mut self, row: &[f64]) {
        self.count += 1;
        for ((mean, squares), value) in self.mean.iter_mut().zip(&mut self.squares).zip(row) {
            let before = value - *mean;
            *mean += before / self.count as f64;
            *squares += before * (value - *mean);
        }
    }

    /// Mean and deviation of a signal. One that never moved has the deviation 1: it is only moved to 0.
    pub fn of(&self, signal: usize, settings: &Settings) -> (f64, f64) {
        let at = |list: &[f64]| list.get(signal).copied();
        match settings.normalise {
            Normalise::None => (0.0, 1.0),
            Normalise::Given => (at(&settings.mean).unwrap_or(0.0), at(&settings.std).unwrap_or(1.0)),
            Normalise::Learned => {
                let squares = at(&self.squares).unwrap_or(0.0);
                let deviation = (squares / self.count.saturating_sub(1).max(1) as f64).sqrt();
                (at(&self.mean).unwrap_or(0.0), if deviation > 0.0 { deviation } else { 1.0 })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_learned_is_mean_and_deviation_of_the_rows() {
        let settings = Settings { normalise: Normalise::Learned, ..Settings::default() };
        let mut scale = Scale::new(2);
        for value in [1.0, 2.0, 3.0, 4.0, 10.0] {
            scale.learn(&[value, 7.0]);
        }
        let (mean, deviation) = scale.of(0, &settings);
        assert_eq!(mean, 4.0);
        assert!((deviation - 12.5_f64.sqrt()).abs() < 1e-12);
        assert_eq!(scale.of(1, &settings), (7.0, 1.0), "it never moved");
    }
}
