//! The one door through which wall time enters. Timers are `tokio::time`'s; this is only for what is written down.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Instant;

/// A source of wall time.
pub trait Clock: Send + Sync {
    /// The time now. May step backwards when the machine's clock is set.
    fn now(&self) -> Instant;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Instant {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Instant::default().plus(since),
            Err(before) => Instant::default().minus(before.duration()),
        }
    }
}

/// A clock that moves when it is told to: for tests and for replay.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `at`.
    #[must_use]
    pub fn at(at: Instant) -> Self {
        Self(AtomicI64::new(at.ns()))
    }

    /// Sets the clock, forwards or backwards.
    pub fn set(&self, at: Instant) {
        self.0.store(at.ns(), Ordering::SeqCst);
    }

    /// Moves the clock forwards.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_ns(self.0.load(Ordering::SeqCst))
    }
}
