//! How far alarms could be trusted: how many there were in thirty days, and what people said of them. It changes
//! nothing by itself; calibration and people read it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use watchfire_model::Instant;

use crate::Glance;
use crate::metrics::{DAY_S, DAYS, seconds};

/// Alarms of a day by the calendar (UTC), and marks that were made on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Day {
    /// Since 1970.
    number: i64,
    alarms: u32,
    genuine: u32,
    mistaken: u32,
}

/// Counts of thirty days, of a detector or of an area.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackRecord(VecDeque<Day>);

/// What people said of alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Alarms.
    pub alarms: u32,
    /// Marked as true.
    pub genuine: u32,
    /// Marked as false.
    pub mistaken: u32,
}

impl TrackRecord {
    /// Takes over how a condition stands; `before` as in [`crate::Metrics::saw`].
    pub fn saw(&mut self, before: Option<&Glance>, after: &Glance) {
        if after.is_alarm_after(before)
            && let Some(day) = self.day(after.now)
        {
            day.alarms = day.alarms.saturating_add(1);
        }
        let Some(before) = before else { return };
        for (occurrence, genuine, at) in &after.marks {
            match before.marks.iter().find(|(known, _, _)| known == occurrence) {
                Some((_, same, _)) if same == genuine => continue,
                // Somebody has changed their mind.
                Some((_, other, then)) => self.mark(*then, *other, |count| count.saturating_sub(1)),
                None => {}
            }
            self.mark(*at, *genuine, |count| count.saturating_add(1));
        }
    }

    fn mark(&mut self, at: Instant, genuine: bool, change: impl Fn(u32) -> u32) {
        if let Some(day) = self.day(at) {
            let count = if genuine { &mut day.genuine } else { &mut day.mistaken };
            *count = change(*count);
        }
    }

    /// The day of a time, as far as it is kept; a time after the last one begins a new one.
    fn day(&mut self, at: Instant) -> Option<&mut Day> {
        let number = seconds(at).div_euclid(DAY_S);
        if self.0.back().is_none_or(|last| last.number < number) {
            self.0.push_back(Day { number, ..Day::default() });
            while self.0.front().is_some_and(|first| first.number <= number - DAYS) {
                self.0.pop_front();
            }
        }
        self.0.iter_mut().find(|day| day.number == number)
    }

    /// The counts of the thirty days that end with the day of `now`.
    #[must_use]
    pub fn until(&self, now: Instant) -> Trusted {
        let today = seconds(now).div_euclid(DAY_S);
        let kept = self.0.iter().filter(|day| day.number > today - DAYS);
        kept.fold(Trusted::default(), |all, day| Trusted {
            alarms: all.alarms.saturating_add(day.alarms),
            genuine: all.genuine.saturating_add(day.genuine),
            mistaken: all.mistaken.saturating_add(day.mistaken),
        })
    }
}
