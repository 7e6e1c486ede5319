//! How often which novelty was seen: a histogram over powers of two, and the tail probability it gives. Bounded, and
//! free of scale. Pure.

use serde::{Deserialize, Serialize};

use crate::logarithm::log10;
use crate::order::{greater, lesser};

/// Bins: eight for each doubling, from 2⁻²⁴ on.
const BINS: usize = 560;
/// Bins whose counts are also kept summed up, so that a tail is summed in a few steps.
const BLOCK: usize = 16;
/// The same within a block.
const FEW: usize = 4;
const FIRST_EXPONENT: u64 = 24;
/// Before so many counts there is no probability.
const COUNTS_LEAST: u64 = 50;
/// The least number of exceedances that a tail is fitted to.
const EXCEEDANCES_LEAST: f64 = 5.0;
/// The heaviest tail that is believed.
const SHAPE_MAX: f64 = 0.4;

/// Novelties beyond this are one: its square is still a number.
const NOVELTY_MAX: f64 = 1e120;

/// What was counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    count: Vec<u64>,
    first: Vec<f64>,
    second: Vec<f64>,
    total: u64,
    /// Counts of [`FEW`] bins each.
    fews: Vec<u64>,
    /// Counts of [`BLOCK`] bins each.
    blocks: Vec<u64>,
    quantile: Quantile,
    /// No bin above this one has a count: where scans begin.
    top: usize,
}

/// Where the quantile was found last: it moves little from one number to the next.
#[derive(Clone, Copy, Debug)]
struct Quantile {
    bin: usize,
    /// Counts in the bins above it.
    above: u64,
}

/// Where a search begins says nothing of what was counted.
impl PartialEq for Quantile {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A bin that is not empty: its number, count, Σr and Σr².
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin(u16, f64, f64, f64);

impl Default for Histogram {
    fn default() -> Self {
        Self {
            count: vec![0; BINS],
            first: vec![0.0; BINS],
            second: vec![0.0; BINS],
            total: 0,
            fews: vec![0; BINS / FEW],
            blocks: vec![0; BINS / BLOCK],
            quantile: Quantile { bin: BINS - 1, above: 0 },
            top: 0,
        }
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

impl Histogram {
    /// −log10 of the probability that a novelty is as large as `r`; the tail beyond quantile `q` is a generalised
    /// Pareto distribution whose scale is at least `scale_least`. 0 before there are enough counts. Then it is counted.
    pub fn offer(&mut self, r: f64, q: f64, scale_least: f64) -> f64 {
        let r = lesser(r, NOVELTY_MAX);
        let own = bin_of(r);
        let score = self.score(r, own, q, scale_least);
        self.add(r, own);
        score
    }

    fn score(&mut self, r: f64, own: usize, q: f64, scale_least: f64) -> f64 {
        if self.total < COUNTS_LEAST {
            return 0.0;
        }
        let total = self.total as f64;
        let allowed = (1.0 - q) * total;
        // Counts are whole.
        let bin = self.quantile_bin(allowed as u64);
        let edge = if bin > 0 { edge_of(bin + 1) } else { 0.0 };
        // Ties at the edge count as exceedances of size zero: magnitude, not rarity, drives the score.
        let exceedances = greater(allowed, EXCEEDANCES_LEAST);
        if r <= edge {
            let as_large = self.from(own) as f64;
            return -log10(lesser((greater(as_large, exceedances) + 1.0) / (total + 1.0), 1.0));
        }
        // Σ(r − edge) and Σ(r − edge)² from Σr and Σr².
        let beyond = self.quantile.above as f64;
        let (first, second) = (self.tail(&self.first, bin + 1), self.tail(&self.second, bin + 1));
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
        tail - log10((exceedances + 1.0) / (total + 1.0))
    }

    /// The highest bin above which at most `allowed` counts lie, but more with its own: from where it was last.
    fn quantile_bin(&mut self, allowed: u64) -> usize {
        let Quantile { mut bin, mut above } = self.quantile;
        let of = |bin: usize| self.count.get(bin).copied().unwrap_or_default();
        while above > allowed && bin < BINS - 1 {
            bin += 1;
            above -= of(bin);
        }
        while bin > 0 && above + of(bin) <= allowed {
            above += of(bin);
            bin -= 1;
        }
        self.quantile = Quantile { bin, above };
        bin
    }

    /// How many counts lie in this bin and above. All of a part at once: a turn of a loop costs a guest more than what is
    /// done in it.
    fn from(&self, bin: usize) -> u64 {
        let from = |part: &[u64; 4], first: usize| {
            let [a, b, c, d] = *part;
            let of = |at: usize, count: u64| if at >= first { count } else { 0 };
            of(0, a) + of(1, b) + of(2, c) + of(3, d)
        };
        const NONE: &[u64; 4] = &[0; 4];
        let (few, block) = (bin / FEW, bin / BLOCK);
        let own = from(self.count.as_chunks().0.get(few).unwrap_or(NONE), bin % FEW);
        let fews = from(self.fews.as_chunks().0.get(block).unwrap_or(NONE), few % (BLOCK / FEW) + 1);
        let (fours, left) = self.blocks.get(block + 1..=self.top / BLOCK).unwrap_or_default().as_chunks::<4>();
        own + fews + fours.iter().map(|[a, b, c, d]| a + b + c + d).sum::<u64>() + left.iter().sum::<u64>()
    }

    /// The sum of a column from this bin on: in four sums side by side, since a guest's addition takes long to finish.
    fn tail(&self, column: &[f64], bin: usize) -> f64 {
        let (fours, left) = column.get(bin..=self.top).unwrap_or_default().as_chunks::<4>();
        let mut sums = [0.0; 4];
        for four in fours {
            for (sum, value) in sums.iter_mut().zip(four) {
                *sum += value;
            }
        }
        let [a, b, c, d] = sums;
        (a + b) + (c + d) + left.iter().sum::<f64>()
    }

    fn add(&mut self, r: f64, bin: usize) {
        if let (Some(n), Some(s1), Some(s2)) =
            (self.count.get_mut(bin), self.first.get_mut(bin), self.second.get_mut(bin))
        {
            *n += 1;
            *s1 += r;
            *s2 += r * r;
        }
        if let (Some(few), Some(block)) = (self.fews.get_mut(bin / FEW), self.blocks.get_mut(bin / BLOCK)) {
            *few += 1;
            *block += 1;
        }
        self.quantile.above += u64::from(bin > self.quantile.bin);
        self.total += 1;
        self.top = self.top.max(bin);
    }

    /// The bins that are not empty, in order.
    pub fn bins(&self) -> Vec<Bin> {
        let columns = self.count.iter().zip(&self.first).zip(&self.second);
        let bins = (0..).zip(columns).map(|(bin, ((n, s1), s2))| Bin(bin, *n as f64, *s1, *s2));
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
                // Saturates.
                let n = *n as u64;
                (*count, *first, *second) = (n, *s1, *s2);
                histogram.total = histogram.total.saturating_add(n);
                let sums = [histogram.fews.get_mut(bin / FEW), histogram.blocks.get_mut(bin / BLOCK)];
                sums.into_iter().flatten().for_each(|sum| *sum = sum.saturating_add(n));
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
        histogram.add(r, bin_of(r));
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
            while bin > 0 && above + histogram.count[bin] <= allowed {
                above += histogram.count[bin];
                bin -= 1;
            }
            assert_eq!(histogram.quantile_bin(allowed), bin, "{allowed}");
        }
    }

    #[test]
    fn a_tail_is_the_sum_of_its_bins() {
        let mut histogram = Histogram::default();
        (0..5_000).for_each(|i| add(&mut histogram, (f64::from(i % 71) - 20.0).exp2()));
        for bin in 0..BINS {
            assert_eq!(histogram.from(bin), histogram.count[bin..].iter().sum::<u64>(), "{bin}");
        }
    }

    #[test]
    fn the_larger_the_rarer() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.clone().offer(1e9, 0.9, 0.03), 0.0, "nothing is known yet");
        for i in 0..1000 {
            add(&mut histogram, f64::from(i % 100) / 100.0);
        }
        let scores: Vec<f64> =
            [0.0, 0.5, 0.9, 1.5, 3.0, 1e6].iter().map(|r| histogram.clone().offer(*r, 0.9, 0.03)).collect();
        assert!(scores.is_sorted(), "{scores:?}");
        assert!(scores.iter().all(|score| score.is_finite()));
    }
}
