//! Measurement noise from one seed.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A source of normally distributed noise; the same seed gives the same noise on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Noise(StdRng);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Normal with mean 0 and the given standard deviation (Box and Muller's method).
    pub(crate) fn normal(&mut self, sd: f64) -> f64 {
        let radius = (-2.0 * (1.0 - self.0.random::<f64>()).ln()).sqrt();
        sd * radius * (std::f64::consts::TAU * self.0.random::<f64>()).cos()
    }
}
