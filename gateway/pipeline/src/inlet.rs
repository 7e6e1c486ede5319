//! Where sources hand in what they receive: a bounded queue that never blocks its senders. Knows nothing of frames.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc, oneshot};
use watchfire_model::{Awaited, AwaitedKey, Fill, Gap, Instant, Rows, SignalId, SourceState, StatusCode};

use crate::Terms;

/// Bytes that may wait in the inlet before sources must hold back: some 260,000 plain samples.
const BYTES_MAX: usize = 10 << 20;
/// Arrivals other than rows are few; this only bounds a fault.
const ARRIVALS_MAX: usize = 1 << 14;

/// What a source tells.
#[derive(Debug)]
pub enum Arrival {
    /// Values.
    Rows(Rows),
    /// Values of times that were missed, fetched afterwards from the server's own history, or imported. Rows marked
    /// `LATE`; among those that are imported may be some that tell of gaps.
    Late(Rows),
    /// Intervals in which values were lost.
    Gaps(Vec<Gap>),
    /// Gaps that were filled, or cannot be.
    Filled {
        /// The source's name.
        source: Arc<str>,
        /// Which, and with how much.
        fills: Vec<Fill>,
    },
    /// Signals that are watched as before after their source was lost: what they showed last holds again.
    Resumed(Vec<SignalId>),
    /// The connection changed.
    State {
        /// The source's name.
        source: Arc<str>,
        /// Its state.
        state: SourceState,
        /// Why, one sentence with the way out.
        reason: String,
    },
    /// What the server gave of what was asked of it.
    Terms {
        /// The source's name.
        source: Arc<str>,
        /// All of it.
        terms: Terms,
    },
    /// What a source has yet to get of its signals has changed: see [`watchfire_model::Control::Awaited`].
    Awaited {
        /// The source's name.
        source: Arc<str>,
        /// Whether all of it is told by now.
        is_known: bool,
        /// What is awaited from now on.
        awaited: Vec<Awaited>,
        /// What is awaited no longer.
        settled: Vec<AwaitedKey>,
    },
    /// Asks to be told once what was handed in before is in the log.
    Settled(oneshot::Sender<()>),
    /// A signal cannot be watched, or can again: its status stands in for a value.
    Signal {
        /// Which one.
        signal: SignalId,
        /// The status to show.
        status: StatusCode,
        /// When.
        at: Instant,
    },
}

impl Arrival {
    fn weight(&self) -> usize {
        if let Self::Rows(rows) | Self::Late(rows) = self { rows.weight() } else { 0 }
    }
}

/// The senders' end.
#[derive(Clone, Debug)]
pub struct Inlet {
    sender: mpsc::Sender<Arrival>,
    waiting: Arc<AtomicUsize>,
    room: Arc<Notify>,
}

/// The ingest task's end.
#[derive(Debug)]
pub struct ArrivalReceiver {
    receiver: mpsc::Receiver<Arrival>,
    waiting: Arc<AtomicUsize>,
    room: Arc<Notify>,
}

/// A new inlet.
#[must_use]
pub fn inlet() -> (Inlet, ArrivalReceiver) {
    let (sender, receiver) = mpsc::channel(ARRIVALS_MAX);
    let waiting = Arc::new(AtomicUsize::new(0));
    let room = Arc::new(Notify::new());
    (Inlet { sender, waiting: waiting.clone(), room: room.clone() }, ArrivalReceiver { receiver, waiting, room })
}

impl Inlet {
    /// Hands in an arrival without waiting; safe to call under a foreign lock.
    ///
    /// # Errors
    /// Gives the arrival back when the inlet is full or closed. The caller then owes a gap with cause `Overflow` for
    /// each signal in it, handed in by [`Inlet::push`] once there is room.
    #[expect(clippy::result_large_err, reason = "the rows are given back without an allocation, under a foreign lock")]
    pub fn try_push(&self, arrival: Arrival) -> Result<(), Arrival> {
        let bytes = arrival.weight();
        let full = bytes > 0 && self.waiting.load(Ordering::Relaxed) >= BYTES_MAX;
        if full {
            return Err(arrival);
        }
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.sender.try_send(arrival).map_err(|refused| {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            match refused {
                mpsc::error::TrySendError::Full(arrival) | mpsc::error::TrySendError::Closed(arrival) => arrival,
            }
        })
    }

    /// Hands in an arrival, waiting for room. Returns false once the gateway is stopping.
    pub async fn push(&self, arrival: Arrival) -> bool {
        let bytes = arrival.weight();
        if bytes > 0 {
            self.room().await;
        }
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        self.sender.send(arrival).await.is_ok()
    }

    /// Hands in arrivals, waiting for room; those that were handed in have left the queue. Cancel-safe: nothing is lost
    /// when it is dropped half-way. Returns false once the gateway is stopping.
    pub async fn deliver(&self, queue: &mut VecDeque<Arrival>) -> bool {
        while let Some(bytes) = queue.front().map(Arrival::weight) {
            if bytes > 0 {
                self.room().await;
            }
            let Ok(place) = self.sender.reserve().await else { return false };
            if let Some(arrival) = queue.pop_front() {
                self.waiting.fetch_add(bytes, Ordering::Relaxed);
                place.send(arrival);
            }
        }
        true
    }

    /// Whether a source should go on asking its server for values: stops at half full.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) < BYTES_MAX / 2
    }

    /// Waits until [`Inlet::has_room`].
    pub async fn room(&self) {
        loop {
            let woken = self.room.notified();
            if self.has_room() || self.sender.is_closed() {
                return;
            }
            woken.await;
        }
    }
}

impl ArrivalReceiver {
    /// The next arrival; `None` once every sender is gone.
    pub async fn recv(&mut self) -> Option<Arrival> {
        let arrival = self.receiver.recv().await?;
        self.took(&arrival);
        Some(arrival)
    }

    /// Whether no arrival is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    /// The next arrival if one is waiting.
    pub fn try_recv(&mut self) -> Option<Arrival> {
        let arrival = self.receiver.try_recv().ok()?;
        self.took(&arrival);
        Some(arrival)
    }

    fn took(&self, arrival: &Arrival) {
        let bytes = arrival.weight();
        if bytes > 0 && self.waiting.fetch_sub(bytes, Ordering::Relaxed) - bytes < BYTES_MAX / 2 {
            self.room.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::Quality;

    fn rows(count: usize) -> Arrival {
        let mut rows = Rows::default();
        for _ in 0..count {
            rows.push(SignalId(1), Instant::default(), 0.0, StatusCode::GOOD, Quality::NONE, 0);
        }
        Arrival::Rows(rows)
    }

    /// One row, whose text alone has so many bytes.
    fn text(bytes: usize) -> Arrival {
        let Arrival::Rows(mut one) = rows(1) else { unreachable!() };
        one.set_text("x".repeat(bytes));
        Arrival::Rows(one)
    }

    #[tokio::test]
    async fn a_full_inlet_gives_the_rows_back_and_opens_again() {
        let (inlet, mut receiver) = inlet();
        inlet.try_push(text(BYTES_MAX)).unwrap();
        assert!(!inlet.has_room());
        assert_eq!(inlet.try_push(rows(1)).unwrap_err().weight(), rows(1).weight());
        receiver.recv().await.unwrap();
        inlet.room().await;
        assert!(inlet.push(rows(1)).await);
    }
}
