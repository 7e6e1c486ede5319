//! One channel of NOVA: how far a number lies from everything learned so far, as −log10 of a tail probability. At most
//! [`STORED_MAX`] numbers are kept, however long it learns. Pure; one number in, one score out, nothing looks ahead.

use serde::{Deserialize, Serialize};

use crate::histogram::{self, Bin, Histogram, Placed, Total};
use crate::order::greater;
use crate::pair::{Mask, Pair};
use crate::ranks::Ranks;
use crate::stored::{Place, STORED_MAX, Stored};

/// The first numbers are only learned.
const SKIPPED: u64 = 20;
/// The least scale of a tail, as a share of the standard deviation.
const SCALE_SHARE: f64 = 0.03;

/// What distinguishes the channels.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Weight of a number between two learned ones, against one outside them all.
    pub beta: f64,
    /// Whether nearness to the median speaks against novelty as it is; else with the exponent 0.75.
    pub is_linear: bool,
    /// Where the tail begins.
    pub q: f64,
}

/// The value itself.
pub const VALUE: Shape = Shape { beta: 1.0, is_linear: true, q: 0.90 };
/// What is derived from it.
pub const DERIVED: Shape = Shape { beta: 0.5, is_linear: false, q: 0.95 };

/// What a channel has learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Channel {
    stored: Stored,
    apart: f64,
    mean: f64,
    variance: f64,
    median: f64,
    reference: f64,
    histogram: Histogram,
}

/// How much was learned, and what follows from it: the same for all channels of a signal.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Numbers that were learned.
    pub count: u64,
    /// Of the next number in the mean.
    weight: f64,
    /// How far the median may move with it, in standard deviations.
    step: f64,
}

/// Numbers of channels that are looked at side by side, one or two, each held against all that its channel had learned.
#[derive(Clone, Copy, Debug)]
pub struct Looks<const N: usize> {
    x: Pair,
    deviation: Pair,
    /// What it has more than the median.
    over_median: Pair,
    reference: Pair,
    of: [Look; N],
}

/// One of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    x: f64,
    /// Where it belongs among the stored ones.
    place: Place,
    /// How far the nearest of them is.
    nearest: f64,
    /// How novel it is.
    novelty: Placed,
}

/// What a channel knew before a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
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

impl Known {
    /// After so many numbers.
    pub fn of(count: u64) -> Self {
        let weight = 1.0 / histogram::number_of(count + 1);
        Self { count, weight, step: greater(2.0 * weight, 0.002) }
    }

    /// Of the novelties that were counted, for channels of a shape.
    pub fn total(&self, shape: Shape) -> Total {
        Total::of(self.count.saturating_sub(SKIPPED), shape.q)
    }

    /// Whether novelties are counted yet.
    pub fn is_counted(&self) -> bool {
        self.count >= SKIPPED
    }

    /// Whether enough novelties were counted for a score.
    pub fn is_enough(&self) -> bool {
        self.count >= SKIPPED + histogram::COUNTS_LEAST
    }
}

/// Holds a number against what each of the channels has learned.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn look<const N: usize>(
    channels: [&Channel; N],
    x: [f64; N],
    shape: Shape,
    known: &Known,
    total: &Total,
) -> Looks<N> {
    let (zero, numbers) = (Pair::both(0.0), pair(x));
    let mut places = [Place::default(); N];
    for ((place, channel), x) in places.iter_mut().zip(&channels).zip(&x) {
        *place = channel.stored.place(*x);
    }
    let (below, above) = (pair(places.map(|place| place.below)), pair(places.map(|place| place.above)));
    let deviation = pair(channels.map(|channel| channel.variance)).root();
    let over_median = numbers.minus(pair(channels.map(|channel| channel.median)));
    let (to_above, to_below) = (above.minus(numbers), numbers.minus(below));
    let nearest = to_above.lesser(to_below);
    let mut reference = pair(channels.map(|channel| channel.reference));
    let mut r = zero;
    if known.is_counted() {
        // Frozen, so that what was counted stays comparable.
        reference = reference.is(zero).choose(deviation, reference);
        let from_median = over_median.size().plus(Pair::both(1e-12));
        let share = nearest.over(from_median).lesser(Pair::both(1.0));
        // To the exponent of the shape; roots are an instruction, powers are not.
        let share = if shape.is_linear { share } else { share.times(share.root()).root() };
        let weighed = Pair::both(shape.beta).times(nearest).times(share);
        let is_between = to_above.greater(to_below).is_below(Pair::both(f64::INFINITY));
        let distance = is_between.choose(weighed, nearest);
        r = zero.is_below(reference).choose(distance.over(reference), zero);
    }
    let (nearest, r) = (nearest.get(), r.get());
    let mut of = [Look::default(); N];
    for (at, (look, channel)) in of.iter_mut().zip(&channels).enumerate() {
        let novelty = channel.histogram.look(r[at], total);
        *look = Look { x: x[at], place: places[at], nearest: nearest[at], novelty };
    }
    Looks { x: numbers, deviation, over_median, reference, of }
}

/// Each of the channels learns its number.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
pub fn learn<const N: usize>(mut channels: [&mut Channel; N], looks: &Looks<N>, known: &Known) {
    let Looks { x, deviation, over_median, reference, of } = *looks;
    let (zero, weight) = (Pair::both(0.0), Pair::both(known.weight));
    let of_each = |channel: fn(&Channel) -> f64| Pair::new(channel(channels[0]), channel(channels[N - 1]));
    let (mean, variance) = (of_each(|channel| channel.mean), of_each(|channel| channel.variance));
    let median = of_each(|channel| channel.median);
    let from_mean = x.minus(mean);
    let part = weight.times(from_mean);
    let mean = mean.plus(part);
    let variance = Pair::both(1.0 - known.weight).times(variance.plus(part.times(from_mean)));
    let step = deviation.greater(Pair::both(1e-12)).times(Pair::both(known.step));
    let moved = median.plus(step.signed_as(over_median));
    let is_above = zero.is_below(over_median).and(x.is_below(moved));
    let is_below = over_median.is_below(zero).and(moved.is_below(x));
    let is_first = Mask::new(known.count == 0, known.count == 0);
    let stays = over_median.is(zero).choose(median, moved);
    let median = is_above.or(is_below).or(is_first).choose(x, stays);
    let (mean, variance, median, reference) = (mean.get(), variance.get(), median.get(), reference.get());
    for (at, channel) in channels.iter_mut().enumerate() {
        let Look { x, place, nearest, novelty } = of[at];
        channel.mean = mean[at];
        channel.variance = variance[at];
        channel.median = median[at];
        channel.reference = reference[at];
        if known.is_counted() {
            channel.histogram.add(&novelty);
        }
        // Where there is none yet the nearest is infinitely far.
        if nearest > channel.apart {
            channel.store(place.at, x);
        }
    }
}

/// One number of each channel; of one channel it is twice.
#[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
#[inline]
fn pair<const N: usize>(of: [f64; N]) -> Pair {
    Pair::new(of[0], of[N - 1])
}

impl<const N: usize> Looks<N> {
    /// −log10 of the tail probability of a channel's number, if it lies beyond the quantile.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    #[inline]
    pub fn score_beyond(&self, at: usize, channel: &Channel, total: &Total) -> Option<f64> {
        let look = self.of.get(at).filter(|look| look.novelty.is_beyond())?;
        let (deviation, reference) = (self.deviation.get()[at], self.reference.get()[at]);
        let least = if reference > 0.0 { SCALE_SHARE * deviation / reference } else { 1.0 };
        Some(channel.histogram.score_beyond(&look.novelty, total, least))
    }

    /// The same of any number, once there are enough; with the ranks of what was counted.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    #[inline]
    pub fn score(&self, at: usize, channel: &Channel, total: &Total, ranks: &Ranks) -> f64 {
        if let Some(score) = self.score_beyond(at, channel, total) {
            return score;
        }
        let (bins, top) = channel.histogram.counted();
        Histogram::score_within(ranks.from(bins, self.bin(at), top), total)
    }

    /// The bin that a channel's number is counted in.
    pub fn bin(&self, at: usize) -> usize {
        self.of.get(at).map_or(0, |look| look.novelty.bin())
    }

    /// What a channel knew before its number.
    pub fn seen(&self, at: usize, channel: &Channel) -> Seen {
        let stored = channel.stored.numbers();
        let Some(Look { place: Place { below, above, .. }, .. }) = self.of.get(at) else { return Seen::default() };
        Seen {
            below: Some(*below).filter(|below| below.is_finite()),
            above: Some(*above).filter(|above| above.is_finite()),
            range: stored.first().copied().zip(stored.last().copied()),
        }
    }
}

impl Channel {
    /// The ranks of what was counted.
    pub fn ranks(&self) -> Ranks {
        Ranks::of(self.histogram.counted().0)
    }

    #[cold]
    fn store(&mut self, place: usize, x: f64) {
        self.stored.insert(place, x);
        self.thin();
    }

    /// Once there are too many: keeps those that lie apart, and both ends.
    fn thin(&mut self) {
        if self.stored.len() <= STORED_MAX {
            return;
        }
        let [first, .., last] = *self.stored.numbers() else { return };
        if self.apart == 0.0 {
            self.apart = (last - first) / (64.0 * STORED_MAX as f64);
        }
        loop {
            let (apart, mut kept) = (self.apart, first);
            let end = self.stored.len() - 1;
            let mut at = 0;
            self.stored.retain(|stored| {
                let keep = at == 0 || at == end || stored - kept > apart;
                if keep {
                    kept = stored;
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

    /// As it is saved, after so many numbers.
    pub fn saved(&self, count: u64) -> Saved {
        Saved {
            stored: self.stored.numbers().to_vec(),
            apart: self.apart,
            count,
            mean: self.mean,
            variance: self.variance,
            median: self.median,
            reference: self.reference,
            bins: self.histogram.bins(),
        }
    }

    /// As it was saved, if that was after so many numbers.
    pub fn restored(saved: Saved, count: u64) -> Option<Self> {
        let histogram = Histogram::from_bins(&saved.bins);
        let is_whole = saved.count == count && histogram.total() == count.saturating_sub(SKIPPED);
        is_whole.then_some(Self {
            stored: Stored::of(saved.stored),
            apart: saved.apart,
            mean: saved.mean,
            variance: saved.variance,
            median: saved.median,
            reference: saved.reference,
            histogram,
        })
    }
}

impl Saved {
    /// How many numbers were learned.
    pub fn count(&self) -> u64 {
        self.count
    }
}
