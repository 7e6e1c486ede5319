//! What a source has yet to get of its signals, as the log has it: so that a restart of the gateway forgets nothing of it.

use serde::{Deserialize, Serialize};

use crate::{Instant, SignalId};

/// Something of a signal that has still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaited {
    /// The signal.
    pub signal: SignalId,
    /// The last time of which something is known.
    pub since: Instant,
    /// What is to come.
    pub what: Awaits,
}

/// What is to come of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Awaits {
    /// Its next value, which ends a gap: it is not watched though its source is up, or messages of it were lost.
    Value {
        /// How the last time is known.
        known: Known,
        /// When something of the source was heard last before, by our clock; `None` where nothing was.
        lost: Option<Instant>,
    },
    /// The word that its server reaches it again.
    Reach,
    /// What its server learns later of the time up to this one, in which it was out of its reach.
    History {
        /// The first time of which something is known again.
        until: Instant,
    },
}

/// How a time is known up to which all of a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Known {
    /// It is that of a value.
    Value,
    /// It is a bound, by the source's clock.
    Bound,
    /// It is a bound by our clock.
    OurBound,
}

/// The signal, which of [`Awaits`] it is, and of a history up to when.
pub type AwaitedKey = (SignalId, u8, Instant);

impl Awaited {
    /// What tells it from all else that is awaited of a source; in the order of the signals.
    #[must_use]
    pub const fn key(&self) -> AwaitedKey {
        // A byte where it is kept.
        const NO_TIME: Instant = Instant::from_ns(0);
        let (kind, until) = match self.what {
            Awaits::Value { .. } => (0, NO_TIME),
            Awaits::Reach => (1, NO_TIME),
            Awaits::History { until } => (2, until),
        };
        (self.signal, kind, until)
    }
}
