//! The surface that the annunciator publishes to: a bounded queue, and the task that empties it. When the queue is
//! full, only the newest state of each condition is kept, and clients are asked to refresh.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use opcua::sync::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use watchfire_model::ConditionKey;
use watchfire_model::PlainEvent;
use watchfire_pipeline::{ConditionView, Surface};

use crate::plain_events::PlainEvents;
use crate::teller::{CHUNK, Teller};

/// States that may wait.
const QUEUE_MAX: usize = 65_536;

/// The queue.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<ConditionView>,
    /// What did not fit: the newest state of each condition. While there is any, everything goes here.
    newest: BTreeMap<ConditionKey, ConditionView>,
    /// Whether what stood before the start is in it, or was.
    is_complete: bool,
}

/// The annunciator's end.
#[derive(Debug)]
pub(crate) struct Publisher {
    queue: Mutex<Queue>,
    wake: Notify,
    /// Once clients can be told all that stood before the start.
    complete: CancellationToken,
    /// States that may wait.
    room: usize,
    /// What is no state of any condition.
    plain: PlainEvents,
}

impl Default for Publisher {
    fn default() -> Self {
        Self::with_room(QUEUE_MAX)
    }
}

impl Surface for Publisher {
    fn publish(&self, changes: Vec<ConditionView>) {
        let mut queue = self.queue.lock();
        let was_stale = !queue.newest.is_empty();
        for view in changes {
            if queue.newest.is_empty() && queue.waiting.len() < self.room {
                queue.waiting.push_back(view);
            } else {
                queue.newest.insert(view.def.key.clone(), view);
            }
        }
        if !was_stale && !queue.newest.is_empty() {
            tracing::warn!(
                waiting = queue.waiting.len(),
                "alarms change faster than clients can be told: events are left out, clients are asked to refresh"
            );
        }
        drop(queue);
        self.wake.notify_one();
    }

    fn tell(&self, events: Vec<PlainEvent>) {
        self.plain.put(events);
        self.wake.notify_one();
    }

    fn complete(&self) {
        self.queue.lock().is_complete = true;
        self.wake.notify_one();
    }
}

impl Publisher {
    /// A queue of which `room` states may wait.
    pub(crate) fn with_room(room: usize) -> Self {
        Self {
            queue: Mutex::default(),
            wake: Notify::new(),
            complete: CancellationToken::new(),
            room,
            plain: PlainEvents::default(),
        }
    }

    /// Whether events were left out that clients have not been told of.
    #[cfg(test)]
    pub(crate) fn is_stale(&self) -> bool {
        !self.queue.lock().newest.is_empty()
    }

    /// Waits until all that stood before the start has been taken over: from then on clients can ask.
    pub(crate) async fn completed(&self) {
        self.complete.cancelled().await;
    }

    /// Notes whether that is so; to be asked where nothing was left to take.
    fn look_whether_complete(&self) {
        let queue = self.queue.lock();
        if queue.is_complete && queue.waiting.is_empty() && queue.newest.is_empty() {
            self.complete.cancel();
        }
    }

    /// The next states, in order, and whether events were left out before them.
    fn take(&self) -> (Vec<ConditionView>, bool) {
        let mut queue = self.queue.lock();
        if queue.waiting.is_empty() {
            return (std::mem::take(&mut queue.newest).into_values().collect(), true);
        }
        // Each condition once, so that whoever watches values sees every state.
        let mut keys = BTreeSet::new();
        let chunk = queue.waiting.iter().take(CHUNK).take_while(|view| keys.insert(view.def.key.clone())).count();
        let taken = queue.waiting.drain(..chunk).collect();
        if queue.waiting.is_empty() {
            // The room of a burst, such as every condition at the start, is given back.
            queue.waiting.shrink_to(CHUNK);
        }
        (taken, false)
    }

    /// Tells clients what is published, for ever.
    pub(crate) async fn run(&self, teller: Teller) {
        let mut appeared = false;
        loop {
            let events = self.plain.take();
            let is_quiet = events.is_empty();
            teller.tell_plain(events);
            let (views, late) = self.take();
            if views.is_empty() && is_quiet {
                if std::mem::take(&mut appeared) {
                    teller.have_appeared();
                }
                teller.is_at_rest();
                self.look_whether_complete();
                self.wake.notified().await;
                continue;
            }
            if late && !views.is_empty() {
                teller.catch_up(views).await;
            } else {
                appeared |= teller.tell(views, true);
            }
            tokio::task::yield_now().await;
        }
    }
}
