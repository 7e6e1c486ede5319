//! One channel of NOVA: how far a number lies from everything learned so far, as −log10 of a tail probability. At most
//! [`STORED_MAX`] numbers are kept, however long it learns. Pure; one number in, one score out, nothing looks ahead.

use serde::{Deserialize, Serialize};

use crate::histogram::{Bin, Histogram};
use crate::order::{greater, lesser};

/// Learned numbers that are kept.
pub const STORED_MAX: usize = 512;
/// The first numbers are only learned.
const SKIPPED: u64 = 20;
/// The least scale of a tail, as a share of the standard deviation.
const SCALE_SHARE: f64 = 0.03;

/// What distinguishes the channels.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Weight of a number between two learned ones, against one outside them all.
    pub beta: f64,
    /// How much nearness to the median speaks against novelty.
    pub gamma: f64,
    /// Where the tail begins.
    pub q: f64,
}

/// The value itself.
pub const VALUE: Shape = Shape { beta: 1.0, gamma: 1.0, q: 0.90 };
/// What is derived from it.
pub const DERIVED: Shape = Shape { beta: 0.5, gamma: 0.75, q: 0.95 };

/// What a channel has learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    stored: Vec<f64>,
    apart: f64,
    count: u64,
    mean: f64,
    variance: f64,
    median: f64,
    reference: f64,
    histogram: Histogram,
}

/// What a channel says of a number, and what it knew before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// −log10 of the tail probability.
    pub score: f64,
    /// The nearest learned number below.
    pub below: Option<f64>,
    /// The nearest learned number at or above.
    pub above: Option<f64>,
    /// The smallest and the largest learned number.
    pub range: Option<(f64, f64)>,
}

/// A channel as it is saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    stored: Vec<f64>,
    apart: f64,
    count: u64,
    mean: f64,
    variance: f64,
    median: f64,
    reference: f64,
    bins: Vec<Bin>,
}

impl Channel {
    /// Scores a number, then learns it.
    pub fn offer(&mut self, x: f64, shape: Shape) -> Seen {
        let deviation = self.variance.sqrt();
        let place = place_of(&self.stored, x);
        let below = place.checked_sub(1).and_then(|at| self.stored.get(at)).copied();
        let above = self.stored.get(place).copied();
        let to_above = above.map_or(f64::INFINITY, |above| above - x);
        let nearest = below.map_or(to_above, |below| lesser(to_above, x - below));
        let range = self.stored.first().copied().zip(self.stored.last().copied());
        let score =
            if self.count >= SKIPPED { self.score(x, nearest, below.zip(above), deviation, shape) } else { 0.0 };
        self.learn(x, deviation);
        if self.stored.is_empty() || nearest > self.apart {
            self.stored.insert(place, x);
            self.thin();
        }
        Seen { score, below, above, range }
    }

    fn score(&mut self, x: f64, nearest: f64, between: Option<(f64, f64)>, deviation: f64, shape: Shape) -> f64 {
        let novelty = match between {
            None => nearest,
            Some(_) => {
                let from_median = (x - self.median).abs() + 1e-12;
                shape.beta * nearest * power(lesser(nearest / from_median, 1.0), shape.gamma)
            }
        };
        if self.reference == 0.0 {
            // Frozen, so that what was counted stays comparable.
            self.reference = deviation;
        }
        let (r, least) = if self.reference > 0.0 {
            (novelty / self.reference, SCALE_SHARE * deviation / self.reference)
        } else {
            (0.0, 1.0)
        };
        self.histogram.offer(r, shape.q, least)
    }

    fn learn(&mut self, x: f64, deviation: f64) {
        self.count += 1;
        let count = self.count as f64;
        let weight = 1.0 / count;
        let from_mean = x - self.mean;
        self.mean += weight * from_mean;
        self.variance = (1.0 - weight) * (self.variance + weight * from_mean * from_mean);
        let step = greater(deviation, 1e-12) * greater(2.0 / count, 0.002);
        if self.count == 1 {
            self.median = x;
        } else if x > self.median {
            self.median = lesser(x, self.median + step);
        } else if x < self.median {
            self.median = greater(x, self.median - step);
        }
    }

    /// Once there are too many: keeps those that lie apart, and both ends.
    fn thin(&mut self) {
        if self.stored.len() <= STORED_MAX {
            return;
        }
        let (Some(first), Some(last)) = (self.stored.first().copied(), self.stored.last().copied()) else { return };
        if self.apart == 0.0 {
            self.apart = (last - first) / (64.0 * STORED_MAX as f64);
        }
        loop {
            let (apart, mut kept) = (self.apart, first);
            let end = self.stored.len() - 1;
            let mut at = 0;
            self.stored.retain(|stored| {
                let keep = at == 0 || at == end || *stored - kept > apart;
                if keep {
                    kept = *stored;
                }
                at += 1;
                keep
            });
            if self.stored.len() <= 3 * STORED_MAX / 4 {
                return;
            }
            self.apart *= 1.5;
        }
    }

    /// How many numbers it has learned.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// As it is saved.
    pub fn saved(&self) -> Saved {
        Saved {
            stored: self.stored.clone(),
            apart: self.apart,
            count: self.count,
            mean: self.mean,
            variance: self.variance,
            median: self.median,
            reference: self.reference,
            bins: self.histogram.bins(),
        }
    }

    /// As it was saved.
    pub fn restored(saved: Saved) -> Self {
        Self {
            stored: saved.stored,
            apart: saved.apart,
            count: saved.count,
            mean: saved.mean,
            variance: saved.variance,
            median: saved.median,
            reference: saved.reference,
            histogram: Histogram::from_bins(&saved.bins),
        }
    }
}

/// How many of the sorted numbers are below `x`; there are fewer than 1,024. Without a loop, of which each turn would
/// cost a guest more than what is done in it.
fn place_of(sorted: &[f64], x: f64) -> usize {
    let up = |place: usize, step: usize| {
        let is_below = sorted.get(place + step - 1).is_some_and(|number| *number < x);
        place + if is_below { step } else { 0 }
    };
    let place = up(up(up(up(up(0, 512), 256), 128), 64), 32);
    up(up(up(up(up(place, 16), 8), 4), 2), 1)
}

/// `x` to the exponent of a [`Shape`]; roots are an instruction, powers are not.
fn power(x: f64, exponent: f64) -> f64 {
    if exponent == 1.0 {
        x
    } else if exponent == 0.75 {
        (x * x.sqrt()).sqrt()
    } else {
        x.powf(exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_as_by_counting() {
        for count in [0, 1, 2, 3, 511, 512, 513, 1_023] {
            let sorted: Vec<f64> = (0..count).map(|number| f64::from(number / 2)).collect();
            for x in [-1.0, 0.0, 0.5, 1.0, 100.0, 255.0, 255.5, 256.0, 511.0, 512.0, f64::NAN] {
                assert_eq!(place_of(&sorted, x), sorted.partition_point(|stored| *stored < x), "{x} of {count}");
            }
        }
    }
}
