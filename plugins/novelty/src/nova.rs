//! NOVA for one signal: three channels (the value, the value against its hour of the week, the movement of the last
//! samples), their maximum, and the hold-off. Knows neither batches nor sentences.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::channel::{self, Channel, Known, Looks, Seen};
use crate::histogram::Total;
use crate::ranks::Ranks;

/// Hours of a week.
const SLOTS: usize = 168;
const WEEK_S: i64 = 604_800;
const HOUR_S: i64 = 3_600;
const NS_PER_S: i64 = 1_000_000_000;
/// Weight of a new value in its hour's mean, once there are enough.
const SLOT_WEIGHT: f64 = 0.1;
/// As many are enough.
const SLOT_COUNTS: u32 = 10;
/// Larger values count as this one: its square is still a number.
const VALUE_MAX: f64 = 1e60;
/// What a derived channel must exceed before it counts.
const DERIVED_LESS: f64 = 1.5;
// Only a number beyond its quantile can: any other is one of more than 10^-1.5.
const _: () = assert!(1.0 - channel::DERIVED.q > 0.032);

/// The mean of an hour of the week, and of how many values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Slot {
    mean: f64,
    count: u32,
}

/// What is known of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Nova {
    count: u64,
    value: Channel,
    ranks: Ranks,
    hour: Channel,
    volatility: Channel,
    slots: Vec<Slot>,
    last: Vec<f64>,
    hold: Hold,
}

/// Which channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The value.
    Value,
    /// The value at this hour of the week.
    Hour,
    /// The movement.
    Volatility,
}

/// What is said of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The channel that speaks loudest.
    pub which: Which,
    /// What that channel knew before it; nothing where the score is 0.
    pub seen: Seen,
    /// The score after the hold-off; 0 while held.
    pub score: f64,
    /// The mean of its hour before it.
    pub hour_mean: f64,
    /// The hour of the week, 0 being Thursday's first.
    pub slot: usize,
    /// The standard deviation of the last samples.
    pub deviation: f64,
}

/// A sample, held against all that was learned before it.
struct Looked {
    x: f64,
    known: Known,
    /// Of the value's channel, and of the derived ones.
    totals: [Total; 2],
    value: Looks<1>,
    /// The hour's channel and that of the movement.
    derived: Looks<2>,
    hour_mean: f64,
    deviation: f64,
}

/// Scores that hold others off: decreasing, with the number of the sample they came with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hold {
    at: u64,
    recent: VecDeque<(u64, f64)>,
}

/// A signal as it is saved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Saved {
    channels: [channel::Saved; 3],
    slots: Vec<Slot>,
    last: Vec<f64>,
    hold: Hold,
}

/// An hour, and which one of the week it is: most samples are of the hour of the one before, and a guest divides slowly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hour {
    begin_ns: i64,
    slot: usize,
}

impl Hour {
    /// The hour of the week of a time, nanoseconds since the epoch; `offset_s` is what the site's time has more.
    pub fn of(&mut self, time_ns: i64, offset_s: i32) -> usize {
        let into = time_ns.wrapping_sub(self.begin_ns);
        if self.begin_ns == 0 || !(0..HOUR_S * NS_PER_S).contains(&into) {
            let local_s = time_ns.div_euclid(NS_PER_S) + i64::from(offset_s);
            self.begin_ns = time_ns - local_s.rem_euclid(HOUR_S) * NS_PER_S - time_ns.rem_euclid(NS_PER_S);
            self.slot = hour_of_week(local_s);
        }
        self.slot
    }
}

/// Which hour of the week it is, 0 being Thursday's first; seconds since the epoch by the site's time.
pub fn hour_of_week(local_s: i64) -> usize {
    usize::try_from(local_s.rem_euclid(WEEK_S) / HOUR_S).unwrap_or_default()
}

impl Default for Nova {
    fn default() -> Self {
        Self {
            count: 0,
            value: Channel::default(),
            ranks: Ranks::default(),
            hour: Channel::default(),
            volatility: Channel::default(),
            slots: vec![Slot::default(); SLOTS],
            last: Vec::new(),
            hold: Hold::default(),
        }
    }
}

impl Nova {
    /// Scores a sample of this hour, then learns it. A score is held off by one as large among the last `hold_off`
    /// samples.
    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    pub fn offer(&mut self, x: f64, slot: usize, hold_off: u64) -> Judged {
        let looked = self.look(x, slot);
        let Looked { known, totals: [total, derived], .. } = &looked;
        let (mut loudest, mut which) = (0.0, Which::Value);
        if known.is_enough() {
            loudest = looked.value.score(0, &self.value, total, &self.ranks);
            for (at, (channel, of)) in
                [(&self.hour, Which::Hour), (&self.volatility, Which::Volatility)].iter().enumerate()
            {
                if let Some(score) = looked.derived.score_beyond(at, channel, derived)
                    && score - DERIVED_LESS > loudest
                {
                    (loudest, which) = (score - DERIVED_LESS, *of);
                }
            }
        }
        let score = self.hold.offer(loudest, hold_off);
        let seen = if score > 0.0 { self.seen(which, &looked) } else { Seen::default() };
        self.learn(&looked, slot);
        let Looked { hour_mean, deviation, .. } = looked;
        Judged { which, seen, score, hour_mean, slot, deviation }
    }

    /// What each channel would say of a sample, without learning it: value, hour, volatility. For those who want to look
    /// closer; it takes as long as a hundred samples do.
    pub fn scores(&self, x: f64, slot: usize) -> [f64; 3] {
        let looked = self.look(x, slot);
        if !looked.known.is_enough() {
            return [0.0; 3];
        }
        let Looked { totals: [total, derived], .. } = &looked;
        let (hour, volatility) = (&self.hour, &self.volatility);
        [
            looked.value.score(0, &self.value, total, &self.ranks),
            looked.derived.score(0, hour, derived, &hour.ranks()),
            looked.derived.score(1, volatility, derived, &volatility.ranks()),
        ]
    }

    #[cfg(test)]
    pub(crate) fn seen_by(&self, which: Which, x: f64, slot: usize) -> Seen {
        self.seen(which, &self.look(x, slot))
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    #[inline]
    fn look(&self, x: f64, slot: usize) -> Looked {
        let x = x.clamp(-VALUE_MAX, VALUE_MAX);
        let known = Known::of(self.count);
        let totals = [channel::VALUE, channel::DERIVED].map(|shape| known.total(shape));
        let [total, derived] = &totals;
        let (residual, hour_mean) = self.residual(x, slot);
        let deviation = self.deviation(x);
        let value = channel::look([&self.value], [x], channel::VALUE, &known, total);
        let of = [&self.hour, &self.volatility];
        let derived = channel::look(of, [residual, deviation], channel::DERIVED, &known, derived);
        Looked { x, known, totals, value, derived, hour_mean, deviation }
    }

    fn seen(&self, which: Which, looked: &Looked) -> Seen {
        match which {
            Which::Value => looked.value.seen(0, &self.value),
            Which::Hour => looked.derived.seen(0, &self.hour),
            Which::Volatility => looked.derived.seen(1, &self.volatility),
        }
    }

    #[cfg_attr(target_arch = "wasm32", target_feature(enable = "simd128"))]
    #[inline]
    fn learn(&mut self, looked: &Looked, slot: usize) {
        let Looked { x, known, value, derived, .. } = looked;
        if known.is_counted() {
            self.ranks.add(value.bin(0), 1);
        }
        channel::learn([&mut self.value], value, known);
        channel::learn([&mut self.hour, &mut self.volatility], derived, known);
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.count = slot.count.saturating_add(1);
            let weight = if slot.count < SLOT_COUNTS { 1.0 / f64::from(slot.count) } else { SLOT_WEIGHT };
            slot.mean += weight * (x - slot.mean);
        }
        match self.last.as_mut_slice() {
            // Written out: moving memory about costs a guest more than what is done.
            [first, second, third] => (*first, *second, *third) = (*second, *third, *x),
            _ => self.last.push(*x),
        }
        self.count += 1;
    }

    /// What a value has more than its hour's mean, and that mean.
    fn residual(&self, x: f64, slot: usize) -> (f64, f64) {
        match self.slots.get(slot) {
            Some(slot) if slot.count > 0 => (x - slot.mean, slot.mean),
            _ => (0.0, x),
        }
    }

    /// The standard deviation of the last three values, this one among them.
    fn deviation(&self, x: f64) -> f64 {
        let square = |x: f64| x * x;
        match self.last.as_slice() {
            // Written out: each turn of a loop costs a guest more than what is done in it.
            [_, first, second] => {
                let mean = (*first + *second + x) / 3.0;
                ((square(*first - mean) + square(*second - mean) + square(x - mean)) / 3.0).sqrt()
            }
            last => {
                let count = last.len() as f64 + 1.0;
                let mean = (last.iter().sum::<f64>() + x) / count;
                let squares = last.iter().map(|last| square(last - mean)).sum::<f64>() + square(x - mean);
                (squares / count).sqrt()
            }
        }
    }

    /// How many samples it has learned.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// As it is saved.
    pub fn saved(&self) -> Saved {
        Saved {
            channels: [&self.value, &self.hour, &self.volatility].map(|channel| channel.saved(self.count)),
            slots: self.slots.clone(),
            last: self.last.clone(),
            hold: self.hold.clone(),
        }
    }

    /// As it was saved; none from what does not agree with itself.
    pub fn restored(saved: Saved) -> Option<Self> {
        let count = saved.channels.first().map_or(0, channel::Saved::count);
        let [value, hour, volatility] = saved.channels.map(|channel| Channel::restored(channel, count));
        let (value, mut slots) = (value?, saved.slots);
        slots.resize(SLOTS, Slot::default());
        let ranks = value.ranks();
        Some(Self {
            count,
            value,
            ranks,
            hour: hour?,
            volatility: volatility?,
            slots,
            last: saved.last,
            hold: saved.hold,
        })
    }
}

impl Hold {
    /// The score, or 0 if one of the last `hold_off` was as large.
    fn offer(&mut self, score: f64, hold_off: u64) -> f64 {
        while self.recent.front().is_some_and(|(at, _)| self.at - at > hold_off) {
            self.recent.pop_front();
        }
        let held = self.recent.front().is_some_and(|(_, most)| *most >= score);
        while self.recent.back().is_some_and(|(_, lesser)| *lesser <= score) {
            self.recent.pop_back();
        }
        self.recent.push_back((self.at, score));
        self.at += 1;
        if held { 0.0 } else { score }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_however_wild_gives_a_score_that_is_no_number() {
        let wild = [0.0, f64::MAX, -f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e150, -1.0, 1.0];
        let mut nova = Nova::default();
        for i in 0..2_000_i64 {
            let calm = f64::from(i as i32 % 13) * 1e-150;
            let x = if i < 100 { calm } else { wild[(i % 8) as usize] * (i as f64) };
            let x = x.clamp(-f64::MAX, f64::MAX);
            let slot = hour_of_week(i * 60);
            let scores = nova.scores(x, slot);
            let judged = nova.offer(x, slot, 10);
            let all = scores.into_iter().chain([judged.score]);
            assert!(all.into_iter().all(f64::is_finite), "{i}: {scores:?}, {judged:?}");
        }
    }

    #[test]
    fn a_score_is_held_off_by_one_as_large() {
        let mut hold = Hold::default();
        let scores = [0.0, 0.0, 3.0, 2.0, 3.0, 4.0, 1.0, 1.0, 1.0, 0.5, 1.0, 1.5];
        let held: Vec<f64> = scores.iter().map(|score| hold.offer(*score, 3)).collect();
        assert_eq!(held, [0.0, 0.0, 3.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.5]);
        assert!(hold.recent.len() <= 4);
    }
}
