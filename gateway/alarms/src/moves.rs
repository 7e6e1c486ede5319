//! Which way a condition went last: from which shelving and from which limit it came, and since when each limit is
//! passed (LastTransition and TransitionTime of OPC 10000-9 §5.8.17 to §5.8.20). What follows from it is not known here.

use serde::{Deserialize, Serialize};
use watchfire_model::{Instant, Level};

use crate::{ConditionState, Shelving, Stamped};

/// The limits, from the highest to the lowest.
const LIMITS: [Level; 4] = [Level::HighHigh, Level::High, Level::Low, Level::LowLow];

/// Which way a condition went last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Moves {
    /// What its shelving was before; `None` when it was never another.
    pub shelved_before: Option<Shelving>,
    /// From which limit it came to the one that it is beyond now, and when; `None` when it came from none.
    pub limit_before: Option<Stamped<Level>>,
    /// Since when each limit is passed, or no longer is: high-high, high, low, low-low.
    since: [Option<Instant>; 4],
}

impl Moves {
    /// Since when the limit of a level is passed or not; `None` when it never changed.
    #[must_use]
    pub fn since(&self, level: Level) -> Option<Instant> {
        LIMITS.iter().zip(self.since).find(|(limit, _)| **limit == level).and_then(|(_, since)| since)
    }
}

impl ConditionState {
    /// Shelves it, or takes it back.
    pub(crate) fn shelve(&mut self, shelving: Shelving, at: Instant) {
        if self.shelving.value != shelving {
            self.moves.get_or_insert_default().shelved_before = Some(self.shelving.value);
            self.shelving.set(shelving, at);
        }
    }

    /// Takes it to a level.
    pub(crate) fn go_to(&mut self, level: Level, at: Instant) {
        let before = std::mem::replace(&mut self.level, level);
        let is_limit = |level: &Level| LIMITS.contains(level);
        if before == level || !(is_limit(&before) || is_limit(&level)) {
            return;
        }
        let moves = self.moves.get_or_insert_default();
        moves.limit_before = (is_limit(&before) && is_limit(&level)).then(|| Stamped::new(before, at));
        for (limit, since) in LIMITS.iter().zip(&mut moves.since) {
            if before.passes(*limit) != level.passes(*limit) {
                *since = Some(at);
            }
        }
    }
}
