//! A gate forms events from one condition instance's scores: threshold, hysteresis, hold-off.
//!
//! A score is not an event. Scores of neighbouring samples depend on each other, so a threshold on each sample fires
//! in bursts; the gate answers once for a burst and stays silent until it is over.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use watchfire_model::Instant;

/// How a gate decides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateSettings {
    /// Score at or above which an event begins.
    pub threshold: f64,
    /// Share of the threshold that keeps an event going, 0 to 1.
    pub hysteresis: f64,
    /// An event ends once no score has kept it going for so long.
    pub off_delay: Duration,
    /// After an event began, no other begins for so long.
    pub hold_off: Duration,
}

impl Default for GateSettings {
    /// Threshold 1.2 on the −log10 p scale, half of it to keep going, 10 s to end, no hold-off beyond the detector's.
    fn default() -> Self {
        Self { threshold: 1.2, hysteresis: 0.5, off_delay: Duration::from_secs(10), hold_off: Duration::ZERO }
    }
}

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GateEvent {
    /// An event begins with this score.
    Began(f64),
    /// The event is over.
    Ended,
}

/// One condition instance's gate. Its times are the frames' `now`, never a clock's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    open: bool,
    began: Option<Instant>,
    kept: Option<Instant>,
}

impl Gate {
    /// Offers a score that was made at `now`. NaN is no score.
    pub fn offer(&mut self, settings: &GateSettings, now: Instant, score: f64) -> Option<GateEvent> {
        let keeps = score >= settings.threshold * if self.open { settings.hysteresis } else { 1.0 };
        if !keeps {
            return None;
        }
        self.kept = Some(now);
        let held_off = self.began.is_some_and(|began| now < began.plus(settings.hold_off));
        if self.open || held_off {
            return None;
        }
        self.open = true;
        self.began = Some(now);
        Some(GateEvent::Began(score))
    }

    /// Says that the time is `now`; ends an event that nothing has kept going.
    pub fn settle(&mut self, settings: &GateSettings, now: Instant) -> Option<GateEvent> {
        let quiet = self.kept.is_none_or(|kept| now >= kept.plus(settings.off_delay));
        if !self.open || !quiet {
            return None;
        }
        self.open = false;
        Some(GateEvent::Ended)
    }

    /// Says that nothing could be known up to `now`: an event that is going on is kept going.
    pub fn resume(&mut self, now: Instant) {
        if self.open {
            self.kept = Some(now);
        }
    }

    /// Whether an event is going on.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(settings: GateSettings, scores: &[(i64, f64)]) -> Vec<(i64, GateEvent)> {
        let mut gate = Gate::default();
        let mut events = Vec::new();
        for (s, score) in scores {
            let now = Instant::from_s(*s);
            events.extend(gate.offer(&settings, now, *score).map(|event| (*s, event)));
            events.extend(gate.settle(&settings, now).map(|event| (*s, event)));
        }
        events
    }

    #[test]
    fn a_burst_is_one_event_that_ends_when_it_is_quiet() {
        use GateEvent::{Began, Ended};
        let scores = [(0, 0.1), (1, 1.3), (2, 5.0), (3, 0.7), (4, 0.5), (12, 0.0), (13, 0.0), (14, 1.2)];
        assert_eq!(run(GateSettings::default(), &scores), vec![(1, Began(1.3)), (13, Ended), (14, Began(1.2))]);
    }

    #[test]
    fn hold_off_silences_the_next_event_and_nan_is_no_score() {
        let settings = GateSettings { hold_off: Duration::from_secs(100), ..GateSettings::default() };
        let scores = [(0, 2.0), (20, f64::NAN), (30, 9.0), (101, 9.0)];
        let events = run(settings, &scores);
        assert_eq!(events.iter().filter(|(_, e)| matches!(e, GateEvent::Began(_))).count(), 2);
        assert_eq!(events.last(), Some(&(101, GateEvent::Began(9.0))));
    }
}
