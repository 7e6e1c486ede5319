//! Whether the source of a signal is alive. A signal's name is `source/name`.

use serde::{Deserialize, Serialize};

/// The most that one pause between two batches counts as being alive.
const PAUSE_MAX_NS: i64 = 5_000_000_000;

/// A source, as its rows show it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Source {
    last: Option<i64>,
    alive_ns: i64,
}

impl Source {
    /// It was heard at this receive time.
    pub fn heard(&mut self, now: i64) {
        let pause_ns = self.last.map_or(0, |last| now.saturating_sub(last));
        self.alive_ns = self.alive_ns.saturating_add(pause_ns.clamp(0, PAUSE_MAX_NS));
        self.last = Some(now);
    }

    /// For how long it has been alive, nanoseconds.
    pub fn alive_ns(&self) -> i64 {
        self.alive_ns
    }
}

/// The source's part of a signal's name.
pub fn name(signal: &str) -> &str {
    signal.split('/').next().unwrap_or_default()
}
