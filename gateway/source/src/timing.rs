//! How long things may take, and how long to wait before the next attempt.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use watchfire_config::Reach;

/// The intervals of a source. The defaults suit a plant; tests shorten them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The first wait before connecting again.
    pub retry_min: Duration,
    /// The longest wait before connecting again.
    pub retry_max: Duration,
    /// For each step of connecting.
    pub connect: Duration,
    /// For one request.
    pub request: Duration,
    /// How often each side says that it is there when there is nothing else to say. A connection that hangs is noticed
    /// after three of them, or after one and the request's time, whichever is first.
    pub keep_alive: Duration,
    /// How often nodes that could not be watched are tried again.
    pub refused_retry: Duration,
    /// How long a session outlives its connection on the server, and so how long its taking up again is tried.
    pub session: Duration,
    /// How often signals of which nothing comes are looked at.
    pub watchdog: Duration,
    /// How far a server's own history may lie behind what it has sent: so long after a gap's end it is asked for.
    pub history_lag: Duration,
    /// How long after a server was asked which alarms stand it is asked again at the earliest.
    pub refresh: Duration,
    /// How often what is still to come of signals is told to the log, where it has changed: well within the minute that is
    /// looked back for last values after a start.
    pub awaited: Duration,
    /// How often a server with others that stand in for it is asked how well it is.
    pub level: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            retry_min: Duration::from_millis(500),
            retry_max: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            request: Duration::from_secs(6),
            keep_alive: Duration::from_secs(3),
            refused_retry: Duration::from_secs(60),
            session: Duration::from_secs(60),
            watchdog: Duration::from_secs(30),
            history_lag: Duration::from_secs(2),
            refresh: Duration::from_secs(5),
            awaited: Duration::from_secs(20),
            level: Duration::from_secs(5),
        }
    }
}

/// A server that opens the connection does so when it likes: every minute at least, one may hope.
const REVERSE_MAX: Duration = Duration::from_secs(60);

impl Timing {
    /// With patience for a server that opens the connection itself.
    #[must_use]
    pub fn of(self, reach: &Reach) -> Self {
        let connect = if reach.listen.is_some() { self.connect.max(REVERSE_MAX) } else { self.connect };
        Self { connect, ..self }
    }

    /// The wait before attempt `attempt` (0 for the first again): doubled each time, less up to a quarter that
    /// depends on `salt`, so that many gateways do not come back at one moment.
    #[must_use]
    pub fn retry_after(&self, attempt: u32, salt: impl Hash) -> Duration {
        let doubled = self.retry_min.saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let wait = doubled.min(self.retry_max);
        let mut hasher = DefaultHasher::new();
        (attempt, salt).hash(&mut hasher);
        let share = u32::try_from(hasher.finish() % 256).unwrap_or(0);
        wait - wait.saturating_mul(share) / 1024
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_differ() {
        let timing = Timing::default();
        let mut seen = std::collections::HashSet::new();
        for attempt in 0..40 {
            for salt in 0..10 {
                let wait = timing.retry_after(attempt, salt);
                let nominal = Duration::from_millis(500 << attempt.min(6)).min(Duration::from_secs(10));
                assert!(wait <= nominal && wait >= nominal * 3 / 4, "attempt {attempt}: {wait:?}");
                seen.insert(wait);
            }
        }
        assert!(seen.len() > 50);
    }
}
