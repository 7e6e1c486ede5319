//! How many alarms came lately: of the last ten minutes and the last hour, whatever the clock says, to ten seconds.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use watchfire_model::Instant;

use crate::metrics::seconds;

/// How exactly it is known when they came.
const STEP_S: i64 = 10;
/// What is kept.
const KEPT_S: i64 = 3600;

/// Alarms of the last hour by steps of ten seconds, of those that had any: some kilobytes at the most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent(VecDeque<(i64, u32)>);

impl Recent {
    /// Counts one; a time before the last one counts as that one.
    pub(crate) fn count(&mut self, now: Instant) {
        let step = step(now);
        match self.0.back_mut().filter(|(last, _)| *last >= step) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.0.push_back((step, 1)),
        }
        while self.0.front().is_some_and(|(first, _)| *first <= step - KEPT_S / STEP_S) {
            self.0.pop_front();
        }
    }

    /// How many came in so many seconds before now.
    pub(crate) fn within(&self, seconds: i64, now: Instant) -> u32 {
        let last = step(now);
        let first = last - seconds / STEP_S + 1;
        let lately = self.0.iter().filter(|(step, _)| (first..=last).contains(step));
        lately.fold(0, |all, (_, count)| count.saturating_add(all))
    }

    /// How many came in so many seconds before the last one.
    pub(crate) fn within_last(&self, seconds: i64) -> u32 {
        let Some((last, _)) = self.0.back() else { return 0 };
        self.within(seconds, Instant::from_s(last * STEP_S))
    }
}

fn step(at: Instant) -> i64 {
    seconds(at).div_euclid(STEP_S)
}
