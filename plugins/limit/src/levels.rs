//! Which level a value has, given the level before it: limits with hysteresis. Pure.

use watchfire_detector::Level;

/// Values from the first to the second, both included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band(f64, f64);

impl Band {
    /// Holds no value.
    pub const NOTHING: Self = Self(f64::NAN, f64::NAN);

    /// Whether the value lies in it. NaN never does.
    #[inline]
    pub fn holds(self, value: f64) -> bool {
        (self.0 <= value) & (value <= self.1)
    }

    /// Whether each of eight values lies in it. Without a branch.
    #[inline]
    pub fn holds_all(self, values: &[f64; 8]) -> bool {
        values.iter().fold(true, |all, value| all & self.holds(*value))
    }

    /// What lies in all of some bands; nothing as soon as one holds nothing.
    pub fn common(bands: &[Self]) -> Self {
        bands.iter().fold(Self(f64::NEG_INFINITY, f64::INFINITY), |common, band| {
            // NaN is neither below nor above, and must stay.
            let low = if band.0 <= common.0 { common.0 } else { band.0 };
            let high = if band.1 >= common.1 { common.1 } else { band.1 };
            if common.0.is_nan() { common } else { Self(low, high) }
        })
    }
}

/// The limits of a signal, in its own unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    pub high_high: Option<f64>,
    pub high: Option<f64>,
    pub low: Option<f64>,
    pub low_low: Option<f64>,
    /// How far a value must come back before its level ends.
    pub deadband: f64,
}

impl Limits {
    /// The level of `value` after `last`. A level begins beyond its limit and ends once the value has come back by more
    /// than the deadband.
    pub fn next(&self, last: Level, value: f64) -> Level {
        let above = |limit: Option<f64>, held: bool| {
            limit.is_some_and(|limit| value > limit || (held && value >= limit - self.deadband))
        };
        let below = |limit: Option<f64>, held: bool| {
            limit.is_some_and(|limit| value < limit || (held && value <= limit + self.deadband))
        };
        if above(self.high_high, last == Level::HighHigh) {
            Level::HighHigh
        } else if above(self.high, matches!(last, Level::High | Level::HighHigh)) {
            Level::High
        } else if below(self.low_low, last == Level::LowLow) {
            Level::LowLow
        } else if below(self.low, matches!(last, Level::Low | Level::LowLow)) {
            Level::Low
        } else {
            Level::Normal
        }
    }

    /// The values that leave `level` as it is.
    pub fn stay(&self, level: Level) -> Band {
        let ceiling = self.high.or(self.high_high).unwrap_or(f64::INFINITY);
        let floor = self.low.or(self.low_low).unwrap_or(f64::NEG_INFINITY);
        let down = |limit: Option<f64>| limit.map_or(f64::NAN, |limit| limit - self.deadband);
        let up = |limit: Option<f64>| limit.map_or(f64::NAN, |limit| (limit + self.deadband).min(ceiling));
        match level {
            Level::HighHigh => Band(down(self.high_high), f64::INFINITY),
            Level::High => Band(down(self.high), self.high_high.unwrap_or(f64::INFINITY)),
            Level::Normal => Band(floor, ceiling),
            Level::Low => Band(self.low_low.unwrap_or(f64::NEG_INFINITY), up(self.low)),
            Level::LowLow => Band(f64::NEG_INFINITY, up(self.low_low)),
            Level::Active | Level::Unknown => Band::NOTHING,
        }
    }

    /// The limit that a level is beyond.
    pub fn of(&self, level: Level) -> Option<f64> {
        match level {
            Level::HighHigh => self.high_high,
            Level::High => self.high,
            Level::Low => self.low,
            Level::LowLow => self.low_low,
            Level::Normal | Level::Active | Level::Unknown => None,
        }
    }

    /// The least and the most that are normal.
    pub fn expected(&self) -> (Option<f64>, Option<f64>) {
        (self.low.or(self.low_low), self.high.or(self.high_high))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_bands_hold_is_common_to_them() {
        let (wide, narrow, other) = (Band(f64::NEG_INFINITY, 90.0), Band(10.0, 95.0), Band(91.0, f64::INFINITY));
        for (bands, held, not) in [
            (&[][..], &[f64::MIN, 0.0, f64::INFINITY][..], &[f64::NAN][..]),
            (&[wide, narrow], &[10.0, 90.0], &[9.9, 90.1, f64::NAN]),
            (&[narrow, other], &[91.0, 95.0], &[90.9, 95.1]),
            (&[wide, other], &[], &[0.0, 90.0, 90.5, 91.0, f64::INFINITY]),
            (&[wide, Band::NOTHING], &[], &[0.0, f64::NAN]),
            (&[Band::NOTHING, wide], &[], &[0.0, f64::NAN]),
        ] {
            let common = Band::common(bands);
            assert!(held.iter().all(|value| common.holds(*value)), "{bands:?} {common:?}");
            assert!(!not.iter().any(|value| common.holds(*value)), "{bands:?} {common:?}");
        }
    }

    use Level::{High, HighHigh, Low, LowLow, Normal};

    fn limits(deadband: f64) -> Limits {
        Limits { high_high: Some(20.0), high: Some(10.0), low: Some(-10.0), low_low: Some(-20.0), deadband }
    }

    #[test]
    fn a_level_ends_only_beyond_the_deadband() {
        for (last, value, level) in [
            (Normal, 10.0, Normal),
            (Normal, 10.1, High),
            (High, 9.0, High),
            (High, 8.9, Normal),
            (High, 20.1, HighHigh),
            (HighHigh, 19.0, HighHigh),
            (HighHigh, 18.9, High),
            (HighHigh, 8.0, Normal),
            (Normal, -10.1, Low),
            (Low, -9.0, Low),
            (Low, 11.0, High),
            (Low, -21.0, LowLow),
            (LowLow, -19.0, LowLow),
            (LowLow, -18.9, Low),
            (Normal, f64::INFINITY, HighHigh),
            (Normal, f64::NEG_INFINITY, LowLow),
        ] {
            assert_eq!(limits(1.0).next(last, value), level, "{last:?} {value}");
        }
    }

    #[test]
    fn the_quick_test_agrees_with_the_levels() {
        for deadband in [0.0, 1.0, 15.0, 40.0] {
            for chosen in 0..16 {
                let all = limits(deadband);
                let pick = |bit: u32, limit: Option<f64>| if chosen >> bit & 1 == 1 { limit } else { None };
                let of = Limits {
                    high_high: pick(0, all.high_high),
                    high: pick(1, all.high),
                    low: pick(2, all.low),
                    low_low: pick(3, all.low_low),
                    deadband,
                };
                let reachable = [HighHigh, High, Low, LowLow].into_iter().filter(|l| of.of(*l).is_some());
                for level in reachable.chain([Normal]) {
                    for value in -120..=120 {
                        let value = f64::from(value) / 2.0;
                        let stays = of.next(level, value) == level;
                        assert_eq!(of.stay(level).holds(value), stays, "{of:?} {level:?} {value}");
                    }
                }
            }
        }
    }
}
