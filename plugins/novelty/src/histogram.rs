//! How often which novelty was seen: a histogram over powers of two, and the tail probability it gives. Bounded, and
//! free of scale. Pure.

use serde::{Deserialize, Serialize};

use crate::logarithm::log10;
use crate::order::{greater, lesser};

/// Bins: eight for each doubling, from 2⁻²⁴ on.
pub const BINS: usize = 560;
const FIRST_EXPONENT: u64 = 24;
/// Before so many counts there is no probability.
pub const COUNTS_LEAST: u64 = 50;
/// The least number of exceedances that a tail is fitted to.
const EXCEEDANCES_LEAST: f64 = 5.0;
/// The heaviest tail that is believed.
const SHAPE_MAX: f64 = 0.4;

/// Novelties beyond this are one: its square is still a number.
const NOVELTY_MAX: f64 = 1e120;

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bins: Vec<Counted>,
    quantile: Quantile,
    /// No bin above this one has a count: where sums end.
    top: usize,
}

/// A bin: all of it side by side, since whoever counts touches all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// Σr.
    pub first: f64,
    /// Σr².
    pub second: f64,
}

/// Where the quantile was found last: it moves little from one number to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Quantile {
    bin: usize,
    /// Counts in the bins above it.
    above: u64,
    /// Where the bins above it begin.
    edge: f64,
}

/// Where a search begins says nothing of what was counted.
impl PartialEq for Quantile {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What follows from how much was counted, for all histograms that have counted as much: a guest computes slowly.
#[derive(Clone, Copy, Debug)]
pub struct Total {
    total: f64,
    /// Counts that lie beyond the quantile at the most.
    allowed: u64,
    /// As many as a tail is fitted to.
    exceedances: f64,
}

/// A novelty that is about to be counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placed {
    r: f64,
    bin: usize,
    quantile: Quantile,
}

/// A bin that is not empty: its number, count, Σr and Σr².
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin(u16, f64, f64, f64);

impl Default for Histogram {
    fn default() -> Self {
        let quantile = Quantile { bin: BINS - 1, above: 0, edge: edge_of(BINS) };
        Self { bins: vec![Counted::default(); BINS], quantile, top: 0 }
    }
}

/// A count as a number. There are fewer than 2⁶³, and a guest makes one of a number with a sign in one step.
pub fn number_of(count: u64) -> f64 {
    count.cast_signed() as f64
}

impl Total {
    /// Of so many counts, where the tail begins at quantile `q`.
    pub fn of(total: u64, q: f64) -> Self {
        let total = number_of(total);
        let allowed = (1.0 - q) * total;
        // Counts are whole.
        Self { total, allowed: (allowed as i64).cast_unsigned(), exceedances: greater(allowed, EXCEEDANCES_LEAST) }
    }
}

/// The eighths of a doubling: 2^(k/8).
const EIGHTHS: [f64; 8] = [
    1.0,
    1.090_507_732_665_257_7,
    1.189_207_115_002_721,
    1.296_839_554_651_009_6,
    std::f64::consts::SQRT_2,
    1.542_210_825_407_940_7,
    1.681_792_830_507_429,
    1.834_008_086_409_342_4,
];
const EXPONENT_BIAS: u64 = 1_023;
const FRACTION_BITS: u32 = 52;

/// The bin of a novelty: ⌊8·(log2 r + 24)⌋, read off the number's own exponent and fraction.
#[inline(always)]
fn bin_of(r: f64) -> usize {
    let bits = r.to_bits();
    let exponent = bits >> FRACTION_BITS & 0x7FF;
    if r <= 0.0 || exponent < EXPONENT_BIAS - FIRST_EXPONENT {
        return 0;
    }
    let fraction = f64::from_bits(bits & ((1 << FRACTION_BITS) - 1) | EXPONENT_BIAS << FRACTION_BITS);
    // The highest eighth that is not above it, without a loop.
    let up = |at: usize, step: usize| at + if EIGHTHS[(at + step) % EIGHTHS.len()] <= fraction { step } else { 0 };
    let eighth = up(up(up(0, 4), 2), 1);
    let doublings = exponent + FIRST_EXPONENT - EXPONENT_BIAS;
    (doublings as usize * EIGHTHS.len() + eighth).min(BINS - 1)
}

/// The lower edge of a bin: 2^(bin/8 − 24).
fn edge_of(bin: usize) -> f64 {
    let power = (bin / EIGHTHS.len()) as u64 + EXPONENT_BIAS - FIRST_EXPONENT;
    f64::from_bits(power << FRACTION_BITS) * EIGHTHS.get(bin % EIGHTHS.len()).copied().unwrap_or(1.0)
}

impl Placed {
    /// Whether it lies beyond the quantile.
    pub fn is_beyond(&self) -> bool {
        self.r > self.quantile.edge
    }

    /// Its bin.
    pub fn bin(&self) -> usize {
        self.bin
    }
}

impl Histogram {
    /// Where a novelty lies among those that were counted.
    #[inline(always)]
    pub fn look(&self, r: f64, total: &Total) -> Placed {
        let r = lesser(r, NOVELTY_MAX);
        Placed { r, bin: bin_of(r), quantile: self.quantile(total.allowed) }
    }

    /// −log10 of the probability that a novelty within the quantile is as large, when so many were.
    ///
    /// Ties at the edge count as exceedances of size zero: magnitude, not rarity, drives the score.
    pub fn score_within(as_large: u64, total: &Total) -> f64 {
        -log10(lesser((greater(number_of(as_large), total.exceedances) + 1.0) / (total.total + 1.0), 1.0))
    }

    /// −log10 of the probability that a novelty beyond the quantile is as large: what lies there is a generalised Pareto
    /// distribution whose scale is at least `scale_least`.
    pub fn score_beyond(&self, novelty: &Placed, total: &Total, scale_least: f64) -> f64 {
        let (Placed { r, quantile: Quantile { bin, above, edge }, .. }, exceedances) = (novelty, total.exceedances);
        // Σ(r − edge) and Σ(r − edge)² from Σr and Σr².
        let beyond = number_of(*above);
        let (first, second) = self.sums(bin + 1);
        let m1 = greater((first - beyond * edge) / exceedances, 1e-12);
        let m2 = (second - edge * (2.0 * first - beyond * edge)) / exceedances;
        let variance = m2 - m1 * m1;
        let shape = if variance > 1e-18 { 0.5 * (1.0 - m1 * m1 / variance) } else { 0.0 };
        let shape = shape.clamp(0.0, SHAPE_MAX);
        let scale = greater(m1 * (1.0 - shape), scale_least) + 1e-12;
        let excess = r - edge;
        let tail = if shape < 1e-6 {
            excess / scale / std::f64::consts::LN_10
        } else {
            log10(1.0 + shape * excess / scale) / shape
        };
        tail - log10((exceedances + 1.0) / (total.total + 1.0))
    }

    /// The highest bin above which at most `allowed` counts lie, but more with its own: mostly where it was last.
    #[inline(always)]
    fn quantile(&self, allowed: u64) -> Quantile {
        let Quantile { bin, above, .. } = self.quantile;
        let is_there = above <= allowed && above + self.count(bin) > allowed;
        if is_there { self.quantile } else { self.moved(allowed) }
    }

    #[cold]
    fn moved(&self, allowed: u64) -> Quantile {
        let Quantile { mut bin, mut above, .. } = self.quantile;
        while above > allowed && bin < BINS - 1 {
            bin += 1;
            above -= self.count(bin);
        }
        while bin > 0 && above + self.count(bin) <= allowed {
            above += self.count(bin);
            bin -= 1;
        }
        Quantile { bin, above, edge: if bin > 0 { edge_of(bin + 1) } else { 0.0 } }
    }

    fn count(&self, bin: usize) -> u64 {
        self.bins.get(bin).map_or(0, |counted| counted.count)
    }

    /// Σr and Σr² from this bin on: each in four sums side by side, since a guest's addition takes long to finish.
    fn sums(&self, bin: usize) -> (f64, f64) {
        let (fours, left) = self.bins.get(bin..=self.top).unwrap_or_default().as_chunks::<4>();
        let (mut firsts, mut seconds) = ([0.0; 4], [0.0; 4]);
        for four in fours {
            for ((first, second), counted) in firsts.iter_mut().zip(&mut seconds).zip(four) {
                *first += counted.first;
                *second += counted.second;
            }
        }
        let sum = |[a, b, c, d]: [f64; 4]| (a + b) + (c + d);
        let left_first = left.iter().map(|counted| counted.first).sum::<f64>();
        let left_second = left.iter().map(|counted| counted.second).sum::<f64>();
        (sum(firsts) + left_first, sum(seconds) + left_second)
    }

    /// Counts it.
    #[inline(always)]
    pub fn add(&mut self, novelty: &Placed) {
        let Placed { r, bin, quantile } = *novelty;
        if let Some(counted) = self.bins.get_mut(bin) {
            counted.count += 1;
            counted.first += r;
            counted.second += r * r;
        }
        self.quantile = quantile;
        self.quantile.above += u64::from(bin > quantile.bin);
        self.top = self.top.max(bin);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.bins.iter().fold(0, |total, counted| total.saturating_add(counted.count))
    }

    /// The bins, and the highest that has a count.
    pub fn counted(&self) -> (&[Counted], usize) {
        (&self.bins, self.top)
    }

    /// The bins that are not empty, in order.
    pub fn bins(&self) -> Vec<Bin> {
        let bin = |(bin, counted): (u16, &Counted)| Bin(bin, counted.count as f64, counted.first, counted.second);
        (0..).zip(&self.bins).map(bin).filter(|bin| bin.1 > 0.0).collect()
    }

    /// From its bins. Those that cannot be are left out.
    pub fn from_bins(bins: &[Bin]) -> Self {
        let mut histogram = Self::default();
        for Bin(bin, n, s1, s2) in bins {
            let bin = usize::from(*bin);
            if let Some(counted) = histogram.bins.get_mut(bin) {
                // Saturates.
                *counted = Counted { count: *n as u64, first: *s1, second: *s2 };
                histogram.top = histogram.top.max(bin);
            }
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(histogram: &mut Histogram, r: f64) {
        let novelty = histogram.look(r, &Total::of(histogram.total(), 0.9));
        histogram.add(&novelty);
    }

    #[test]
    fn a_histogram_is_its_bins() {
        let mut histogram = Histogram::default();
        for i in 0..200 {
            add(&mut histogram, f64::from(i * i) / 7.0);
        }
        assert_eq!(Histogram::from_bins(&histogram.bins()), histogram);
    }

    #[test]
    fn bins_are_eighths_of_a_doubling() {
        for bin in 0..BINS {
            let (low, high) = (edge_of(bin), edge_of(bin + 1));
            assert!((low.log2() - (bin as f64 / 8.0 - 24.0)).abs() < 1e-12);
            assert_eq!((bin_of(low), bin_of(low * 1.000_1), bin_of(high * 0.999_9)), (bin, bin, bin));
        }
        for (r, bin) in [(0.0, 0), (5e-324, 0), (1e-9, 0), (-1.0, 0), (1.0, 192), (1e300, BINS - 1)] {
            assert_eq!(bin_of(r), bin, "{r}");
        }
    }

    #[test]
    fn a_quantile_is_found_as_by_counting_down() {
        let mut histogram = Histogram::default();
        (0..5_000).for_each(|i| add(&mut histogram, (f64::from(i * 7 % 71) - 20.0).exp2()));
        for allowed in [0, 1, 70, 71, 500, 4_999, 5_000, 9_999] {
            let (mut above, mut bin) = (0, BINS - 1);
            while bin > 0 && above + histogram.count(bin) <= allowed {
                above += histogram.count(bin);
                bin -= 1;
            }
            let found = histogram.quantile(allowed);
            let edge = if bin > 0 { edge_of(bin + 1) } else { 0.0 };
            assert_eq!((found.bin, found.above, found.edge), (bin, above, edge), "{allowed}");
        }
    }

    #[test]
    fn the_larger_the_rarer() {
        let mut histogram = Histogram::default();
        for i in 0..1000 {
            add(&mut histogram, f64::from(i % 100) / 100.0);
        }
        let total = Total::of(1000, 0.9);
        let score = |r: f64| {
            let novelty = histogram.look(r, &total);
            let as_large = (novelty.bin()..BINS).map(|bin| histogram.count(bin)).sum();
            let beyond = || histogram.score_beyond(&novelty, &total, 0.03);
            if novelty.is_beyond() { beyond() } else { Histogram::score_within(as_large, &total) }
        };
        let scores = [0.0, 0.5, 0.9, 1.5, 3.0, 1e6].map(score);
        assert!(scores.is_sorted(), "{scores:?}");
        assert!(scores.iter().all(|score| score.is_finite()));
    }
}
