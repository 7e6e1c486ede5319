//! Values of signals of which somebody wants each one and not the latest: a queue between ingest and whoever tells them.
//! Whose they are, and who wants them, it does not know.

use std::collections::{HashSet, VecDeque};

use parking_lot::Mutex;
use tokio::sync::Notify;
use watchfire_model::{Sample, SignalId};

/// Values that may wait.
const WAITING_MAX: usize = 100_000;
/// Bytes of texts that may wait.
const TEXTS_MAX: usize = 16 << 20;

/// A value of a signal that is followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Followed {
    /// Its place among all that are told, from 0 on.
    pub place: u64,
    /// Whose it is.
    pub signal: SignalId,
    /// What it is.
    pub sample: Sample,
    /// Whether others before it are not told, since there was no room.
    pub after_loss: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub(crate) struct Following {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    values: VecDeque<Followed>,
    texts: usize,
    /// The place of the next value.
    next: u64,
    /// Of which values found no room.
    lost: HashSet<SignalId>,
}

impl Waiting {
    fn push(&mut self, signal: SignalId, sample: Sample, after_loss: bool) {
        let text = sample.text.as_ref().map_or(0, String::len);
        self.texts += text;
        self.values.push_back(Followed { place: self.next, signal, sample, after_loss });
        self.next += 1;
    }
}

impl Following {
    /// The place that the next value will have.
    pub(crate) fn next(&self) -> u64 {
        self.waiting.lock().next
    }

    /// Tells of a value. The newest one of a signal must be told again where there was no room for it.
    pub(crate) fn tell(&self, signal: SignalId, sample: Sample) {
        let mut waiting = self.waiting.lock();
        let room = waiting.values.len() < WAITING_MAX && waiting.texts < TEXTS_MAX;
        if room && waiting.lost.is_empty() {
            waiting.push(signal, sample, false);
        } else {
            waiting.lost.insert(signal);
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Waits until there are values that `take` finds.
    pub(crate) async fn wait(&self, take: impl Fn() -> Vec<Followed>) -> Vec<Followed> {
        loop {
            let taken = take();
            if !taken.is_empty() {
                return taken;
            }
            self.wake.notified().await;
        }
    }

    /// Takes all values; `newest` gives the newest of a signal. Nobody may tell of others meanwhile.
    pub(crate) fn take(&self, newest: impl Fn(SignalId) -> Option<Sample>) -> Vec<Followed> {
        let mut waiting = self.waiting.lock();
        for signal in std::mem::take(&mut waiting.lost) {
            if let Some(sample) = newest(signal) {
                waiting.push(signal, sample, true);
            }
        }
        waiting.texts = 0;
        Vec::from(std::mem::take(&mut waiting.values))
    }
}
