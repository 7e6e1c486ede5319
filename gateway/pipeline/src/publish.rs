//! What the annunciator has decided on its way to the surfaces, and to whoever waits for an answer: in order, and not before
//! it is durable. Knows nothing of how alarms stand.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, oneshot};
use watchfire_alarms::{RefusedCommand, Transition};
use watchfire_model::{Lsn, PlainEvent};

use crate::{Log, Stats, Surface};

/// What waits until the record at its place is durable.
#[derive(Debug)]
pub(crate) struct Unpublished {
    pub lsn: Lsn,
    pub views: Vec<Transition>,
    pub events: Vec<PlainEvent>,
    pub answer: Option<oneshot::Sender<Result<(), RefusedCommand>>>,
    /// Whether all that stood before the start is published with it.
    pub is_complete: bool,
}

impl Default for Unpublished {
    fn default() -> Self {
        Self { lsn: Lsn(0), views: Vec::new(), events: Vec::new(), answer: None, is_complete: false }
    }
}

impl Unpublished {
    /// What stood before the start has been sent.
    pub(crate) fn last_of_the_beginning() -> Self {
        Self { is_complete: true, ..Self::default() }
    }

    /// With what follows from it; `None` where there is nothing to show.
    pub(crate) fn and(mut self, follows: Option<Self>) -> Option<Self> {
        if let Some(follows) = follows {
            self.lsn = follows.lsn;
            self.views.extend(follows.views);
        }
        (!self.views.is_empty()).then_some(self)
    }
}

/// Publishes and answers in order, each as soon as it is durable. What never becomes durable is never published.
pub(crate) async fn publish(
    mut queue: mpsc::Receiver<Unpublished>,
    log: Arc<Log>,
    surfaces: Vec<Arc<dyn Surface>>,
    stats: Arc<Stats>,
) {
    while let Some(Unpublished { lsn, views, events, answer, is_complete }) = queue.recv().await {
        if !log.durable(lsn).await {
            return;
        }
        let announced = views.iter().filter(|view| view.notify).count();
        stats.transitions.fetch_add(announced as u64, Ordering::Relaxed);
        if !views.is_empty() {
            for surface in &surfaces {
                show(|| surface.publish(views.clone()));
            }
        }
        if !events.is_empty() {
            surfaces.iter().for_each(|surface| show(|| surface.tell(events.clone())));
        }
        if is_complete {
            surfaces.iter().for_each(|surface| show(|| surface.complete()));
        }
        if let Some(answer) = answer
            && answer.send(Ok(())).is_err()
        {
            tracing::debug!("whoever gave the command no longer waits");
        }
    }
}

/// A surface that panics costs its own news, never anyone else's.
pub(crate) fn show(news: impl FnOnce()) {
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(news)).is_err() {
        tracing::error!("a surface failed to show a change; what it shows may be old until the gateway starts again");
    }
}
