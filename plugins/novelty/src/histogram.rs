//! How often which novelty was seen: a histogram over powers of two, and the tail probability it gives. Bounded, and
//! free of scale. Pure.

use serde::{Deserialize, Serialize};

/// Bins: eight for each doubling, from 2⁻²⁴ on.
const BINS: usize = 560;
const PER_DOUBLING: f64 = 8.0;
const FIRST_EXPONENT: f64 = 24.0;
/// Before so many counts there is no probability.
const COUNTS_LEAST: f64 = 50.0;
/// The least number of exceedances that a tail is fitted to.
const EXCEEDANCES_LEAST: f64 = 5.0;
/// The heaviest tail that is believed.
const SHAPE_MAX: f64 = 0.4;

/// Novelties beyond this are one: its square is still a number.
const NOVELTY_MAX: f64 = 1e120;

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    count: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
    total: f64,
    /// No bin above this one has a count: where scans begin.
    top: usize,
}

/// A bin that is not empty: its number, count, Σr and Σr².
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin(u16, f64, f64, f64);

impl Default for Histogram {
    fn default() -> Self {
        Self { count: vec![0.0; BINS], first: vec![0.0; BINS], second: vec![0.0; BINS], total: 0.0, top: 0 }
    }
}

fn bin_of(r: f64) -> usize {
    if r <= 0.0 {
        return 0;
    }
    // Saturates at both ends.
    (((r.log2() + FIRST_EXPONENT) * PER_DOUBLING) as usize).min(BINS - 1)
}

impl Histogram {
    /// −log10 of the probability that a novelty is as large as `r`; the tail beyond quantile `q` is a generalised
    /// Pareto distribution whose scale is at least `scale_least`. 0 before there are enough counts.
    pub fn score(&self, r: f64, q: f64, scale_least: f64) -> f64 {
        let r = r.min(NOVELTY_MAX);
        if self.total < COUNTS_LEAST {
            return 0.0;
        }
        let allowed = (1.0 - q) * self.total;
        let (mut above, mut bin) = (0.0, self.top);
        while let Some(count) = self.count.get(bin).filter(|count| bin > 0 && above + **count <= allowed) {
            above += count;
            bin -= 1;
        }
        let edge = if bin > 0 { (((bin + 1) as f64) / PER_DOUBLING - FIRST_EXPONENT).exp2() } else { 0.0 };
        // Ties at the edge count as exceedances of size zero: magnitude, not rarity, drives the score.
        let exceedances = allowed.max(EXCEEDANCES_LEAST);
        if r <= edge {
            let as_large: f64 = self.count.iter().skip(bin_of(r)).sum();
            return -((as_large.max(exceedances) + 1.0) / (self.total + 1.0)).min(1.0).log10();
        }
        let (mut m1, mut m2) = (0.0, 0.0);
        for i in bin + 1..=self.top {
            let (Some(n), Some(s1), Some(s2)) = (self.count.get(i), self.first.get(i), self.second.get(i)) else {
                break;
            };
            m1 += s1 - n * edge;
            m2 += s2 - 2.0 * edge * s1 + n * edge * edge;
        }
        m1 = (m1 / exceedances).max(1e-12);
        m2 /= exceedances;
        let variance = m2 - m1 * m1;
        let shape = if variance > 1e-18 { 0.5 * (1.0 - m1 * m1 / variance) } else { 0.0 };
        let shape = shape.clamp(0.0, SHAPE_MAX);
        let scale = (m1 * (1.0 - shape)).max(scale_least) + 1e-12;
        let excess = r - edge;
        let tail = if shape < 1e-6 {
            excess / scale / std::f64::consts::LN_10
        } else {
            (1.0 + shape * excess / scale).log10() / shape
        };
        tail - ((exceedances + 1.0) / (self.total + 1.0)).log10()
    }

    /// Counts a novelty.
    pub fn add(&mut self, r: f64) {
        let r = r.min(NOVELTY_MAX);
        let bin = bin_of(r);
        if let (Some(n), Some(s1), Some(s2)) =
            (self.count.get_mut(bin), self.first.get_mut(bin), self.second.get_mut(bin))
        {
            *n += 1.0;
            *s1 += r;
            *s2 += r * r;
        }
        self.total += 1.0;
        self.top = self.top.max(bin);
    }

    /// The bins that are not empty, in order.
    pub fn bins(&self) -> Vec<Bin> {
        let columns = self.count.iter().zip(&self.first).zip(&self.second);
        let bins = (0..).zip(columns).map(|(bin, ((n, s1), s2))| Bin(bin, *n, *s1, *s2));
        bins.filter(|bin| bin.1 > 0.0).collect()
    }

    /// From its bins. Those that cannot be are left out.
    pub fn from_bins(bins: &[Bin]) -> Self {
        let mut histogram = Self::default();
        for Bin(bin, n, s1, s2) in bins {
            let bin = usize::from(*bin);
            if let (Some(count), Some(first), Some(second)) =
                (histogram.count.get_mut(bin), histogram.first.get_mut(bin), histogram.second.get_mut(bin))
            {
                (*count, *first, *second) = (*n, *s1, *s2);
                histogram.total += n;
                histogram.top = histogram.top.max(bin);
            }
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_its_bins() {
        let mut histogram = Histogram::default();
        for i in 0..200 {
            histogram.add(f64::from(i * i) / 7.0);
        }
        assert_eq!(Histogram::from_bins(&histogram.bins()), histogram);
    }

    #[test]
    fn the_larger_the_rarer() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.score(1e9, 0.9, 0.03), 0.0, "nothing is known yet");
        for i in 0..1000 {
            histogram.add(f64::from(i % 100) / 100.0);
        }
        let scores: Vec<f64> = [0.0, 0.5, 0.9, 1.5, 3.0, 1e6].iter().map(|r| histogram.score(*r, 0.9, 0.03)).collect();
        assert!(scores.is_sorted(), "{scores:?}");
        assert!(scores.iter().all(|score| score.is_finite()));
    }
}
