//! How fast a value moves, measured over a stretch of time so that noise between two samples is no rate.

use serde::{Deserialize, Serialize};
use watchfire_detector::{Finding, Level, Row, Signal, Verdict, number};

/// Share of the allowed rate to which it must fall before the finding ends.
const ENDS_AT: f64 = 0.9;

/// A signal's rate of change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Time and value from which the next rate is measured.
    from: Option<(i64, f64)>,
    per_s: f64,
    told: Option<Level>,
}

impl Rate {
    /// The level last told.
    pub fn told(&self) -> Option<Level> {
        self.told
    }

    /// The rate last measured, per second.
    pub fn per_s(&self) -> f64 {
        self.per_s
    }

    /// Values are missing: what comes next is not compared with what came before.
    pub fn interrupt(&mut self) {
        self.from = None;
    }

    /// Takes a row; answers the level if it is another one.
    pub fn judge(&mut self, row: Row, most_per_s: f64, over_ns: i64) -> Option<Level> {
        if row.status >> 31 != 0 || !row.value.is_finite() {
            self.from = None;
            return self.tell(Level::Unknown);
        }
        let Some((time, value)) = self.from else {
            self.from = Some((row.time, row.value));
            return None;
        };
        let past_ns = row.time.saturating_sub(time);
        if past_ns < 0 {
            self.from = Some((row.time, row.value));
        }
        if past_ns < over_ns.max(1) {
            return None;
        }
        self.from = Some((row.time, row.value));
        self.per_s = (row.value - value) / (past_ns as f64 / 1e9);
        let held = |level| if self.told == Some(level) { most_per_s * ENDS_AT } else { most_per_s };
        let level = if self.per_s > held(Level::High) {
            Level::High
        } else if -self.per_s > held(Level::Low) {
            Level::Low
        } else {
            Level::Normal
        };
        self.tell(level)
    }

    fn tell(&mut self, level: Level) -> Option<Level> {
        (self.told != Some(level)).then(|| {
            self.told = Some(level);
            level
        })
    }
}

/// A verdict on a rate.
pub fn verdict(place: u16, row: Row, level: Level, per_s: f64, most_per_s: f64, signal: &Signal) -> Verdict {
    let why = match level {
        Level::Unknown => "there is no good value to judge".to_owned(),
        Level::Normal => format!("changes by {} a second, as allowed", signal.show(per_s)),
        _ => {
            let way = if per_s < 0.0 { "falls" } else { "rises" };
            let (fast, most) = (signal.show(per_s.abs()), number(most_per_s));
            format!("{way} by {fast} a second, faster than the {most} allowed")
        }
    };
    let finding =
        Finding { signal: row.signal, observed: per_s, low: Some(-most_per_s), high: Some(most_per_s), share: 1.0 };
    Verdict { condition: place, instance: row.signal, at: row.time, level, score: None, why, evidence: vec![finding] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_measured_over_its_stretch_and_not_across_a_break() {
        let mut rate = Rate::default();
        let mut judge = |ms: i64, value: f64| {
            rate.judge(Row { signal: 0, time: ms * 1_000_000, value, status: 0, quality: 0 }, 2.0, 1_000_000_000)
        };
        assert_eq!(judge(0, 0.0), None);
        assert_eq!(judge(10, 5.0), None, "noise between two samples");
        assert_eq!(judge(1_000, 0.5), Some(Level::Normal));
        assert_eq!(judge(2_000, 3.5), Some(Level::High));
        assert_eq!(judge(3_000, 5.4), None, "1.9 a second is within what holds it");
        assert_eq!(judge(4_000, 2.0), Some(Level::Low));
        assert_eq!(judge(4_500, f64::NAN), Some(Level::Unknown));
        assert_eq!(judge(5_000, 100.0), None);
        assert_eq!(judge(6_000, 100.0), Some(Level::Normal));
    }
}
