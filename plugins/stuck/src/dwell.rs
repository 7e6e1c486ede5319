//! How long a signal stands still, and how long it ever did. Pure: times come with the rows.
//!
//! Two clocks count. Between two rows it is the source's, so that recorded data judged faster than it was recorded has
//! its own pace. Where rows stay away, which is how a server that reports on change shows a frozen sensor, it is the
//! receive time, but only as far as the source was alive: an outage makes no signal stand still.

use serde::{Deserialize, Serialize};

/// The first changes only teach what a quantum is.
const QUANTUM_CHANGES: u64 = 20;
/// Rounding of a difference of two values: a step of one quantum is no more than that many quanta.
const ONE_QUANTUM: f64 = 1.001;

/// When a row came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Source time, nanoseconds.
    pub time: i64,
    /// Receive time.
    pub now: i64,
    /// How long the source has been alive.
    pub alive: i64,
}

/// A signal's present dwell and what was learned of the earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dwell {
    /// The value it stands at.
    value: Option<f64>,
    /// The last value, to measure steps from.
    before: Option<f64>,
    /// How long it stood there at the last row, nanoseconds.
    stood_ns: i64,
    /// The last row; none while nothing is known.
    last: Option<Moment>,
    /// The smallest step seen; 0 before the first.
    quantum: f64,
    changes: u64,
    longest_ns: i64,
}

impl Dwell {
    /// Takes a good value. True when the signal moved, so that a new dwell begins. `learn` is false when the dwell that
    /// ends was found to be a fault; `idle` when standing there is normal.
    pub fn value(&mut self, value: f64, at: Moment, learn: bool, idle: impl Fn(f64, f64) -> bool) -> bool {
        if let Some(last) = self.last {
            let outage_ns = (at.now - last.now).saturating_sub(at.alive - last.alive).max(0);
            let past_ns = at.time.saturating_sub(last.time).saturating_sub(outage_ns).max(0);
            self.stood_ns = self.stood_ns.saturating_add(past_ns);
        }
        self.last = Some(at);
        let step = self.before.replace(value).map_or(0.0, |before| (value - before).abs());
        if step > 0.0 && (self.quantum == 0.0 || step < self.quantum) {
            self.quantum = step;
        }
        let Some(stands) = self.value else {
            self.value = Some(value);
            return false;
        };
        let away = (value - stands).abs();
        let moved = if self.changes < QUANTUM_CHANGES { away > 0.0 } else { away > self.quantum * ONE_QUANTUM };
        if !moved {
            return false;
        }
        if learn && self.changes >= QUANTUM_CHANGES && !idle(stands, self.quantum) {
            self.longest_ns = self.longest_ns.max(self.stood_ns);
        }
        self.changes += 1;
        self.value = Some(value);
        self.stood_ns = 0;
        true
    }

    /// Nothing is known from here on until the next good value; what was, does not count.
    pub fn interrupt(&mut self) {
        self.last = None;
        self.before = None;
    }

    /// How long it stands still, when its source has been alive for `alive`, nanoseconds.
    pub fn stands_ns(&self, alive: i64) -> i64 {
        self.last.map_or(0, |last| self.stood_ns.saturating_add((alive - last.alive).max(0)))
    }

    /// Whether nothing is known at present.
    pub fn is_interrupted(&self) -> bool {
        self.last.is_none()
    }

    /// The value it stands at.
    pub fn stands_at(&self) -> Option<f64> {
        self.value
    }

    /// The smallest step.
    pub fn quantum(&self) -> f64 {
        self.quantum
    }

    /// The longest dwell learned, nanoseconds.
    pub fn longest_ns(&self) -> i64 {
        self.longest_ns
    }

    /// Dwells learned from.
    pub fn learned(&self) -> u64 {
        self.changes.saturating_sub(QUANTUM_CHANGES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn at(s: i64) -> Moment {
        Moment { time: s * S, now: s * S, alive: s * S }
    }

    fn never(_: f64, _: f64) -> bool {
        false
    }

    /// Thirty seconds of a signal that moves each second.
    fn moving() -> Dwell {
        let mut dwell = Dwell::default();
        for s in 0..=30 {
            dwell.value((s % 5) as f64, at(s), true, never);
        }
        dwell
    }

    #[test]
    fn a_flicker_of_one_quantum_is_no_change() {
        let mut dwell = moving();
        assert_eq!((dwell.quantum(), dwell.longest_ns()), (1.0, S + S), "steps of one are within a quantum");
        assert!(dwell.value(3.0, at(31), true, never));
        for s in 32..40 {
            assert!(!dwell.value(if s % 2 == 0 { 4.0 } else { 3.0 }, at(s), true, never));
        }
        assert_eq!(dwell.stands_ns(39 * S), 8 * S);
        assert_eq!(dwell.stands_ns(45 * S), 14 * S, "silence counts while the source is alive");
    }

    #[test]
    fn neither_an_outage_nor_a_break_counts() {
        let mut dwell = moving();
        dwell.value(10.0, at(31), true, never);
        dwell.value(10.0, Moment { time: 91 * S, now: 91 * S, alive: 36 * S }, true, never);
        assert_eq!(dwell.stands_ns(36 * S), 5 * S);
        dwell.interrupt();
        assert_eq!(dwell.stands_ns(500 * S), 0);
        assert!(!dwell.value(10.0, Moment { time: 999 * S, now: 999 * S, alive: 500 * S }, true, never));
        assert_eq!(dwell.stands_ns(500 * S), 5 * S);
    }

    #[test]
    fn a_dwell_that_was_a_fault_or_idle_is_not_learned() {
        let mut dwell = moving();
        let longest_ns = dwell.longest_ns();
        dwell.value(10.0, at(31), true, never);
        assert!(dwell.value(20.0, at(131), false, never));
        assert!(dwell.value(30.0, at(231), true, |stands, _| stands == 20.0));
        assert_eq!(dwell.longest_ns(), longest_ns);
        assert!(dwell.value(40.0, at(331), true, never));
        assert_eq!(dwell.longest_ns(), 100 * S);
    }
}
