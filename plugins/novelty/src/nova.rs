//! NOVA for one signal: three channels (the value, the value against its hour of the week, the movement of the last
//! samples), their maximum, and the hold-off. Knows neither batches nor sentences.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::channel::{self, Channel, Seen};
use crate::order::greater;

/// Hours of a week.
const SLOTS: usize = 168;
const WEEK_S: i64 = 604_800;
const HOUR_S: i64 = 3_600;
const NS_PER_S: i64 = 1_000_000_000;
/// Weight of a new value in its hour's mean, once there are enough.
const SLOT_WEIGHT: f64 = 0.1;
/// Larger values count as this one: its square is still a number.
const VALUE_MAX: f64 = 1e60;
/// What a derived channel must exceed before it counts.
const DERIVED_LESS: f64 = 1.5;

/// The mean of an hour of the week, and of how many values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Slot {
    mean: f64,
    count: u32,
}

/// What is known of one signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Nova {
    value: Channel,
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
    /// The channels: value, hour, volatility.
    pub channels: [Seen; 3],
    /// The channel that speaks loudest.
    pub which: Which,
    /// The score after the hold-off; 0 while held.
    pub score: f64,
    /// The mean of its hour before it.
    pub hour_mean: f64,
    /// The hour of the week, 0 being Thursday's first.
    pub slot: usize,
    /// The standard deviation of the last samples.
    pub deviation: f64,
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
            value: Channel::default(),
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
    pub fn offer(&mut self, x: f64, slot: usize, hold_off: u64) -> Judged {
        let x = x.clamp(-VALUE_MAX, VALUE_MAX);
        let value = self.value.offer(x, channel::VALUE);
        let (residual, hour_mean) = self.residual(x, slot);
        let hour = self.hour.offer(residual, channel::DERIVED);
        let deviation = self.deviation(x);
        let volatility = self.volatility.offer(deviation, channel::DERIVED);
        let heard = [
            (value.score, Which::Value),
            (hour.score - DERIVED_LESS, Which::Hour),
            (volatility.score - DERIVED_LESS, Which::Volatility),
        ];
        let [first, rest @ ..] = heard;
        let (loudest, which) = rest.into_iter().fold(first, |most, next| if next.0 > most.0 { next } else { most });
        let score = self.hold.offer(loudest, hold_off);
        Judged { channels: [value, hour, volatility], which, score, hour_mean, slot, deviation }
    }

    fn residual(&mut self, x: f64, slot: usize) -> (f64, f64) {
        let Some(slot) = self.slots.get_mut(slot) else { return (0.0, x) };
        let (residual, mean) = if slot.count > 0 { (x - slot.mean, slot.mean) } else { (0.0, x) };
        slot.count = slot.count.saturating_add(1);
        slot.mean += greater(1.0 / f64::from(slot.count), SLOT_WEIGHT) * (x - slot.mean);
        (residual, mean)
    }

    /// The standard deviation of the last three values, this one among them.
    fn deviation(&mut self, x: f64) -> f64 {
        // Written out: moving memory about and each turn of a loop cost a guest more than what is done.
        let square = |x: f64| x * x;
        match self.last.as_mut_slice() {
            [first, second, third] => {
                (*first, *second, *third) = (*second, *third, x);
                let mean = (*first + *second + x) / 3.0;
                ((square(*first - mean) + square(*second - mean) + square(x - mean)) / 3.0).sqrt()
            }
            last => {
                let count = last.len() as f64 + 1.0;
                let mean = (last.iter().sum::<f64>() + x) / count;
                let squares = last.iter().map(|last| square(last - mean)).sum::<f64>() + square(x - mean);
                self.last.push(x);
                (squares / count).sqrt()
            }
        }
    }

    /// How many samples it has learned.
    pub fn count(&self) -> u64 {
        self.value.count()
    }

    /// As it is saved.
    pub fn saved(&self) -> Saved {
        Saved {
            channels: [self.value.saved(), self.hour.saved(), self.volatility.saved()],
            slots: self.slots.clone(),
            last: self.last.clone(),
            hold: self.hold.clone(),
        }
    }

    /// As it was saved.
    pub fn restored(saved: Saved) -> Self {
        let [value, hour, volatility] = saved.channels.map(Channel::restored);
        let mut slots = saved.slots;
        slots.resize(SLOTS, Slot::default());
        Self { value, hour, volatility, slots, last: saved.last, hold: saved.hold }
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
            let judged = nova.offer(x, hour_of_week(i * 60), 10);
            assert!(
                judged.score.is_finite() && judged.channels.iter().all(|seen| seen.score.is_finite()),
                "{i}: {judged:?}"
            );
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
